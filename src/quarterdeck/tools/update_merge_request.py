"""Change a merge request."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    merge_request_iid: int = Field(ge=1, le=2**31 - 1, description="Its number within the project.")
    title: str = Field(default="", max_length=65_536, description="A new title; empty: it stays.")
    description: str = Field(default="", max_length=65_536, description="A new description; empty: it stays.")


TOOL = Tool(
    name="update_merge_request",
    description=(
        "Changes title or description of a merge request of the project. `Closes #3` in the description "
        "closes that issue when it is merged."
    ),
    args=Args,
    side="server",
    risk="write",
    privilege=Privilege.READ_WRITE_GITLAB,
    level=Level.CONCISE,
)
