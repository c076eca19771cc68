"""Read several text files at once."""

from typing import Annotated

from pydantic import Field, StringConstraints

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs

FilePath = Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class Args(ToolArgs):
    """What it is given."""

    file_paths: tuple[FilePath, ...] = Field(
        min_length=1, max_length=20, description="Paths of the files, relative to the workspace."
    )


TOOL = Tool(
    name="read_files",
    description=(
        "Reads several text files of the workspace in one call, each under its path. A file that cannot be read is "
        "named with the reason; the others are still there."
    ),
    args=Args,
    side="executor",
    risk="read",
    privilege=Privilege.READ_ONLY_FILES,
    level=Level.FULL,
    parallel=True,
)
