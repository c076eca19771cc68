"""Give a part of the work to a subagent."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    agent: str = Field(min_length=1, max_length=200, description="The subagent, by its name.")
    task: str = Field(
        min_length=1, max_length=65_536, description="The whole of what it has to do and know; it sees nothing else."
    )
    subsession: int = Field(
        default=0, ge=0, le=10_000, description="The number of its earlier conversation to go on with; 0 begins one."
    )


TOOL = Tool(
    name="delegate_task",
    description=(
        "Gives a task to one of your subagents, waits until it is done, and answers what it came to. It has its own "
        "conversation, whose number is in the result: name it to go on with that one."
    ),
    args=Args,
    side="brain",
    risk="write",
    privilege=None,
    level=Level.CONCISE,
)
