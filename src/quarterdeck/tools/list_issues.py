"""List issues."""

from typing import Literal

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    status: Literal["opened", "closed", "all"] = Field(default="opened", description="Which of them.")
    label: str = Field(default="", max_length=255, description="Only with this label.")
    assignee: str = Field(default="", max_length=255, description="Only of this user.")
    search: str = Field(default="", max_length=1_000, description="Only with this text in title or description.")
    limit: int = Field(default=20, ge=1, le=100, description="How many at most.")


TOOL = Tool(
    name="list_issues",
    description=("Lists the project's issues, newest first: number, status, title, labels and assignees."),
    args=Args,
    side="server",
    risk="read",
    privilege=Privilege.READ_ONLY_GITLAB,
    level=Level.FULL,
    parallel=True,
)
