"""List a folder of the repository."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.core.limits import REF_CHARACTERS
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    path: str = Field(default="", max_length=4_096, description="The folder; empty: the topmost.")
    ref: str = Field(default="", max_length=REF_CHARACTERS, description="Branch, tag, commit; else the default branch.")
    recursive: bool = Field(default=False, description="With all that is below it.")


TOOL = Tool(
    name="list_repository_tree",
    description=(
        "Lists files and folders of the repository at a branch, tag or commit, with sizes. It needs no workspace."
    ),
    args=Args,
    side="server",
    risk="read",
    privilege=Privilege.READ_ONLY_GITLAB,
    level=Level.FULL,
    parallel=True,
)
