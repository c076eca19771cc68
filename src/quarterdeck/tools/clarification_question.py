"""Ask the person."""

from typing import Annotated

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    question: str = Field(min_length=1, max_length=4_000, description="One question, with all that is needed for it.")
    choices: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(
        default=(), max_length=10, description="Answers to pick from, the one that you would take first."
    )


TOOL = Tool(
    name="clarification_question",
    description=(
        "Asks the person who started the session, and waits for the answer, which may take days. Ask only what you "
        "can't find out, and what changes what you do."
    ),
    args=Args,
    side="brain",
    risk="write",
    privilege=None,
    level=Level.CONCISE,
)
