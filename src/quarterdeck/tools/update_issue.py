"""Change an issue."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs

Label = Annotated[str, StringConstraints(min_length=1, max_length=255)]


class Args(ToolArgs):
    """What it is given."""

    issue_iid: int = Field(ge=1, le=2**31 - 1, description="Its number within the project.")
    title: str = Field(default="", max_length=65_536, description="A new title; empty: it stays.")
    description: str = Field(default="", max_length=65_536, description="A new description; empty: it stays.")
    add_labels: list[Label] = Field(default=[], max_length=20, description="Labels that it gets.")
    remove_labels: list[Label] = Field(default=[], max_length=20, description="Labels that it loses.")
    state: Literal["", "closed", "opened"] = Field(default="", description="Close or open it; empty: it stays.")


TOOL = Tool(
    name="update_issue",
    description=(
        "Changes an issue of the project: title, description, labels, and whether it is open. What is left "
        "empty stays as it is."
    ),
    args=Args,
    side="server",
    risk="write",
    privilege=Privilege.READ_WRITE_GITLAB,
    level=Level.CONCISE,
)
