"""List commits."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.core.limits import REF_CHARACTERS
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    ref: str = Field(default="", max_length=REF_CHARACTERS, description="Branch, tag, commit; else the default branch.")
    limit: int = Field(default=20, ge=1, le=100, description="How many at most.")


TOOL = Tool(
    name="list_commits",
    description=("Lists the newest commits of a branch, tag or commit: id, date, author and title."),
    args=Args,
    side="server",
    risk="read",
    privilege=Privilege.READ_ONLY_GITLAB,
    level=Level.FULL,
    parallel=True,
)
