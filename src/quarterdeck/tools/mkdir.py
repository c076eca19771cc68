"""Make a folder."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    directory_path: str = Field(
        min_length=1, max_length=4096, description="Path of the folder, relative to the workspace."
    )


TOOL = Tool(
    name="mkdir",
    description=(
        "Makes a folder and its parents. It is no fault when it is there already. git keeps no empty folders."
    ),
    args=Args,
    side="executor",
    risk="write",
    privilege=Privilege.READ_WRITE_FILES,
    level=Level.CONCISE,
    snapshot=True,
)
