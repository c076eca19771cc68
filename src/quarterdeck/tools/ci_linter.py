"""Check a pipeline file."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    content: str = Field(min_length=1, max_length=262_144, description="The text of a .gitlab-ci.yml.")


TOOL = Tool(
    name="ci_linter",
    description=(
        "Checks the text of a .gitlab-ci.yml without running it: answers every fault with its line, or the "
        "jobs that it comes to."
    ),
    args=Args,
    side="server",
    risk="read",
    privilege=Privilege.READ_ONLY_GITLAB,
    level=Level.FULL,
    parallel=True,
)
