"""Write a file, new or anew."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    file_path: str = Field(min_length=1, max_length=4096, description="Path of the file, relative to the workspace.")
    contents: str = Field(max_length=4 * 1024 * 1024, description="The whole text of the file.")


TOOL = Tool(
    name="create_file_with_contents",
    description=(
        "Writes a text file: a new one, parents included, or an existing one with all its contents replaced. To change "
        "part of a file use edit_file."
    ),
    args=Args,
    side="executor",
    risk="write",
    privilege=Privilege.READ_WRITE_FILES,
    level=Level.CONCISE,
    snapshot=True,
)
