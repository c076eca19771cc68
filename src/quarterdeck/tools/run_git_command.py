"""Run git in the workspace."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    command: str = Field(
        pattern=r"^[a-z][a-z0-9-]*$", max_length=64, description="The git command without git itself, for example: log"
    )
    args: str = Field(
        default="", max_length=65_536, description="Its arguments, quoted as in a shell, for example: --oneline -n 5"
    )


TOOL = Tool(
    name="run_git_command",
    description=(
        "Runs one git command in the workspace, such as status, diff, log, show, blame, restore or rm. There is no "
        "network: to commit and push use create_commit."
    ),
    args=Args,
    side="executor",
    risk="execute",
    privilege=Privilege.USE_GIT,
    level=Level.FULL,
    timeout_seconds=180,
    snapshot=True,
)
