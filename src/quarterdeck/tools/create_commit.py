"""Commit and push the work."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    message: str = Field(
        min_length=1,
        max_length=16_384,
        description="The commit message: a short first line, then a blank line and the why.",
    )


TOOL = Tool(
    name="create_commit",
    description=(
        "Commits every change of the workspace on the session's branch and has the server push it. Answers the branch, "
        "the commit and the files in it. It is an error when nothing has changed."
    ),
    args=Args,
    side="executor",
    risk="write",
    privilege=Privilege.USE_GIT,
    level=Level.CONCISE,
    timeout_seconds=300,
    snapshot=True,
)
