"""Read a commit."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.core.limits import REF_CHARACTERS
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    sha: str = Field(min_length=1, max_length=REF_CHARACTERS, description="The commit's id, or a branch or tag.")


TOOL = Tool(
    name="get_commit",
    description=("Answers a commit: message, author, parents, and its diff, of a large one the beginning and the end."),
    args=Args,
    side="server",
    risk="read",
    privilege=Privilege.READ_ONLY_GITLAB,
    level=Level.FULL,
    parallel=True,
)
