"""Search in files."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    pattern: str = Field(min_length=1, max_length=4096, description="The regular expression.")
    directory: str = Field(
        default=".",
        min_length=1,
        max_length=4096,
        description="Where to search, relative to the workspace: a folder or file.",
    )
    case_insensitive: bool = Field(default=False, description="Whether upper and lower case are the same.")


TOOL = Tool(
    name="grep",
    description=(
        "Searches the text files of the workspace for a regular expression (Perl syntax), line by line. Answers lines "
        "as path:number:text, at most 200. .git and binary files are left out."
    ),
    args=Args,
    side="executor",
    risk="read",
    privilege=Privilege.READ_ONLY_FILES,
    level=Level.FULL,
    parallel=True,
)
