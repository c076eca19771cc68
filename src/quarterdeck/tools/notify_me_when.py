"""Be woken at a time, or at the end of a session or pipeline."""

from datetime import timedelta

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Tool, ToolArgs

LONGEST = timedelta(days=30)


class Args(ToolArgs):
    """What it is given."""

    in_seconds: int = Field(
        default=0, ge=0, le=int(LONGEST.total_seconds()), description="Wake me so many seconds from now."
    )
    at: str = Field(
        default="", max_length=40, description="Wake me at this time, with its zone, for example: 2027-01-31T09:00:00Z"
    )
    session: int = Field(default=0, ge=0, description="Wake me when this session ends or comes to rest.")
    pipeline: int = Field(default=0, ge=0, description="Wake me when this pipeline ends.")
    note: str = Field(default="", max_length=1_000, description="What to do then; you are told it again.")


TOOL = Tool(
    name="notify_me_when",
    description=(
        "Sends this session a message later: after a time, or when another session or a pipeline ends. Give exactly "
        "one of in_seconds, at, session and pipeline. It answers at once; then end your answer."
    ),
    args=Args,
    side="server",
    risk="write",
    privilege=None,
    level=Level.CONCISE,
)
