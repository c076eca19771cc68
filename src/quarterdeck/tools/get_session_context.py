"""Read the person's earlier sessions."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    session: int = Field(default=0, ge=0, description="The session's number; without it they are listed.")
    messages: int = Field(default=10, ge=1, le=50, description="How many of its last messages and answers to read.")


TOOL = Tool(
    name="get_session_context",
    description=(
        "Answers the person's newest sessions with their status, or of one session its goal, plan, results and last "
        "messages. Use it to go on from earlier work, and to see how a flow that you started came out."
    ),
    args=Args,
    side="server",
    risk="read",
    privilege=None,
    level=Level.FULL,
    parallel=True,
)
