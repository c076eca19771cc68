"""Write the plan."""

from pydantic import Field

from quarterdeck.core.events import Level, PlanItem
from quarterdeck.tools.tool import Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    items: tuple[PlanItem, ...] = Field(max_length=100, description="All items of the plan, in order.")


TOOL = Tool(
    name="todo_write",
    description=(
        "Writes the plan of your work, the whole list each time. Mark an item in_progress before you begin it and "
        "completed as soon as it is done. People watch this list."
    ),
    args=Args,
    side="server",
    risk="write",
    privilege=None,
    level=Level.CONCISE,
)
