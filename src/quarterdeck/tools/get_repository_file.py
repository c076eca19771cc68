"""Read a file of the repository."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.core.limits import REF_CHARACTERS
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    file_path: str = Field(min_length=1, max_length=4_096, description="Its path in the repository.")
    ref: str = Field(default="", max_length=REF_CHARACTERS, description="Branch, tag, commit; else the default branch.")
    offset: int = Field(default=1, ge=1, le=2**31 - 1, description="The first line that is wanted.")
    limit: int = Field(default=500, ge=1, le=2_000, description="How many lines.")


TOOL = Tool(
    name="get_repository_file",
    description=("Answers lines of a text file of the repository at a branch, tag or commit. It needs no workspace."),
    args=Args,
    side="server",
    risk="read",
    privilege=Privilege.READ_ONLY_GITLAB,
    level=Level.FULL,
    parallel=True,
)
