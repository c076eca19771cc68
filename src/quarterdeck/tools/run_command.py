"""Run a shell command."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    command: str = Field(min_length=1, max_length=65_536, description="The line for the shell, for example: make test")
    timeout_seconds: int = Field(
        default=300, ge=1, le=3600, description="After this many seconds it is killed, with all that it started."
    )


TOOL = Tool(
    name="run_command",
    description=(
        "Runs a line of shell in the workspace, in a sandbox without network, and answers its exit code and output. "
        "Each call is a shell of its own: folder, variables and background processes do not stay, files of the "
        "workspace do. There is no input and no terminal. To commit and push use create_commit."
    ),
    args=Args,
    side="executor",
    risk="execute",
    privilege=Privilege.RUN_COMMANDS,
    level=Level.FULL,
    timeout_seconds=3660,
    snapshot=True,
)
