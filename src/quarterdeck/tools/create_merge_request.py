"""Open a merge request."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    title: str = Field(
        min_length=1, max_length=65_536, description="What changes, in one line; of more lines the first is taken."
    )
    description: str = Field(
        default="", max_length=65_536, description="Markdown: what was wrong, what was changed, how it was checked."
    )


TOOL = Tool(
    name="create_merge_request",
    description=(
        "Opens a merge request from the session's branch to the project's default branch and answers its number and "
        "link. Push by create_commit first. When there is one already, that one is answered."
    ),
    args=Args,
    side="server",
    risk="write",
    privilege=Privilege.READ_WRITE_GITLAB,
    level=Level.CONCISE,
)
