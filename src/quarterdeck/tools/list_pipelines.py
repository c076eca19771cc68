"""List pipelines."""

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""


TOOL = Tool(
    name="list_pipelines",
    description=("Lists the newest pipelines of the project: number, status, branch and commit."),
    args=Args,
    side="server",
    risk="read",
    privilege=Privilege.READ_ONLY_GITLAB,
    level=Level.FULL,
    parallel=True,
)
