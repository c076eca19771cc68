"""List merge requests."""

from typing import Literal

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    status: Literal["opened", "merged", "closed", "all"] = Field(default="opened", description="Which of them.")
    limit: int = Field(default=20, ge=1, le=100, description="How many at most.")


TOOL = Tool(
    name="list_merge_requests",
    description=("Lists the project's merge requests, newest first: number, status, title and branches."),
    args=Args,
    side="server",
    risk="read",
    privilege=Privilege.READ_ONLY_GITLAB,
    level=Level.FULL,
    parallel=True,
)
