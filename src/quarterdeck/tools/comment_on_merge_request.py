"""Comment on a merge request."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    merge_request_iid: int = Field(ge=1, le=2**31 - 1, description="Its number within the project.")
    text: str = Field(min_length=1, max_length=65_536, description="The comment, in Markdown.")


TOOL = Tool(
    name="comment_on_merge_request",
    description=("Writes a comment on a merge request of the project."),
    args=Args,
    side="server",
    risk="write",
    privilege=Privilege.READ_WRITE_GITLAB,
    level=Level.CONCISE,
)
