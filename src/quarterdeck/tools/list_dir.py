"""List a folder."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    directory: str = Field(
        default=".", min_length=1, max_length=4096, description="Path of the folder, relative to the workspace."
    )


TOOL = Tool(
    name="list_dir",
    description=(
        "Lists what is in one folder: folders end with a slash, links show where they lead, files their size. .git is "
        "left out."
    ),
    args=Args,
    side="executor",
    risk="read",
    privilege=Privilege.READ_ONLY_FILES,
    level=Level.FULL,
    parallel=True,
)
