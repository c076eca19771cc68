"""Read an issue."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    issue_iid: int = Field(ge=1, le=2**31 - 1, description="Its number within the project.")


TOOL = Tool(
    name="get_issue",
    description=(
        "Answers an issue of the project: title, description, status, labels, people, and how many comments "
        "it has. list_issue_notes reads those."
    ),
    args=Args,
    side="server",
    risk="read",
    privilege=Privilege.READ_ONLY_GITLAB,
    level=Level.FULL,
    parallel=True,
)
