"""Find files by name."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    name_pattern: str = Field(min_length=1, max_length=1024, description="For example *.py, or src/**/test_*.py.")


TOOL = Tool(
    name="find_files",
    description=(
        "Finds files of the workspace by a pattern with *, ? and [abc]. A pattern without a slash is matched with the "
        "file's name in any folder, one with a slash with the whole path (**/ is any folders). .git is left out."
    ),
    args=Args,
    side="executor",
    risk="read",
    privilege=Privilege.READ_ONLY_FILES,
    level=Level.FULL,
    parallel=True,
)
