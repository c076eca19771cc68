"""Give the final answer."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Tool, ToolArgs


class Args(ToolArgs):
    """What it is given where the flow asks for no other form."""

    final_response: str = Field(min_length=1, max_length=65_536, description="Your whole answer.")


TOOL = Tool(
    name="final_response_tool",
    description=(
        "Gives your final answer and ends your work. Call it once, alone, when everything is done. What doesn't fit "
        "its schema comes back to you to be put right."
    ),
    args=Args,
    side="brain",
    risk="write",
    privilege=None,
    level=Level.CONCISE,
)
