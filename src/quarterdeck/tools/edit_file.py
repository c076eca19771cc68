"""Change one place of a file."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    file_path: str = Field(min_length=1, max_length=4096, description="Path of the file, relative to the workspace.")
    old_str: str = Field(
        min_length=1, max_length=1024 * 1024, description="The text to replace, exactly as it is in the file."
    )
    new_str: str = Field(max_length=1024 * 1024, description="The text to put in its place.")


TOOL = Tool(
    name="edit_file",
    description=(
        "Replaces one place of a text file. old_str must be in the file exactly once, spaces and line ends included: "
        "take in enough lines around it to make it unique. An empty new_str deletes it."
    ),
    args=Args,
    side="executor",
    risk="write",
    privilege=Privilege.READ_WRITE_FILES,
    level=Level.CONCISE,
    snapshot=True,
)
