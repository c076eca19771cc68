"""Read the comments of an issue."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    issue_iid: int = Field(ge=1, le=2**31 - 1, description="Its number within the project.")
    limit: int = Field(default=50, ge=1, le=100, description="How many at most.")


TOOL = Tool(
    name="list_issue_notes",
    description=("Answers the newest comments of an issue, the oldest of them first: who said what, and when."),
    args=Args,
    side="server",
    risk="read",
    privilege=Privilege.READ_ONLY_GITLAB,
    level=Level.FULL,
    parallel=True,
)
