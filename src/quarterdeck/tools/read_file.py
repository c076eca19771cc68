"""Read one text file."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    file_path: str = Field(min_length=1, max_length=4096, description="Path of the file, relative to the workspace.")
    offset: int = Field(default=1, ge=1, description="The first line to read, counted from 1.")
    limit: int = Field(default=2000, ge=1, le=10_000, description="How many lines to read at most.")


TOOL = Tool(
    name="read_file",
    description=(
        "Reads a text file of the workspace. Long files come in parts: the answer says which lines it has and which "
        "offset to go on with. Binary files are refused."
    ),
    args=Args,
    side="executor",
    risk="read",
    privilege=Privilege.READ_ONLY_FILES,
    level=Level.FULL,
    parallel=True,
)
