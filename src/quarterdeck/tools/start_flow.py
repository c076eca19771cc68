"""Start a flow as a session of its own."""

from pydantic import Field, JsonValue

from quarterdeck.core import limits
from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    flow: str = Field(min_length=1, max_length=200, description="The flow, for example: fix_pipeline/v1")
    goal: str = Field(default="", max_length=limits.GOAL_CHARACTERS, description="What it is to do, in sentences.")
    pipeline_id: int = Field(default=0, ge=0, description="The pipeline that it is about, if any.")
    inputs: dict[str, JsonValue] = Field(
        default={}, max_length=20, description="What the flow asks for beside that, by category and field."
    )


TOOL = Tool(
    name="start_flow",
    description=(
        "Starts a flow in the same project as a session of its own, in the person's name, and answers its number and "
        "link at once. It works by itself; use notify_me_when to hear of its end."
    ),
    args=Args,
    side="server",
    risk="write",
    privilege=Privilege.START_FLOWS,
    level=Level.CONCISE,
)
