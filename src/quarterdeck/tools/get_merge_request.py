"""Read a merge request."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    merge_request_iid: int = Field(ge=1, le=2**31 - 1, description="Its number within the project.")


TOOL = Tool(
    name="get_merge_request",
    description=(
        "Answers a merge request of the project: title, description, state, branches, its pipeline and its comments."
    ),
    args=Args,
    side="server",
    risk="read",
    privilege=Privilege.READ_ONLY_GITLAB,
    level=Level.FULL,
    parallel=True,
)
