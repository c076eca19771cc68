"""What the body of a tool is given: the files of its workspace, sandboxed commands, and the way to commit.

A body is `async def run(hands: Hands, args: Args) -> Done`. It raises a `QuarterdeckError` for what went wrong, never
answers a fault as text; whoever called it makes an outcome `error` of that. Cancelling its task kills what it started.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from quarterdeck.core.events import FileChange, Outcome
from quarterdeck.core.mcp import McpTool
from quarterdeck.core.session_limits import Reached
from quarterdeck.executor.files import Files
from quarterdeck.executor.network import Network
from quarterdeck.executor.processes import Ended, LimitReachedError, Processes, Sink


@dataclass(frozen=True)
class Done:
    """How a call ended; `text` is what the model is told, at most about `RESULT_CHARACTERS`."""

    outcome: Outcome
    text: str
    exit_code: int | None = None
    truncated: bool = False
    """Whether anything of the output or of the answer was left out."""
    tools: tuple[McpTool, ...] = ()
    """What an MCP server has, where it was asked."""
    tools_left_out: int = 0
    limit: Reached | None = None
    """The limit of the session that ended it."""


@dataclass(frozen=True)
class Committed:
    """What `create_commit` left on the server."""

    branch: str
    commit: str
    files: tuple[FileChange, ...]


class Workspace(Protocol):
    """The part of a session's workspace that bodies need."""

    async def create_commit(self, message: str) -> Committed:
        """Commit every change of the workspace on the session's branch and have the server push it.

        Raises:
            InvalidInputError: nothing has changed since the last commit.
            QuarterdeckError: the server refused or can't be reached.
        """
        ...


@dataclass(frozen=True)
class Hands:
    """One call's hands; `sink` gets the call's output while it comes."""

    subject: str
    root: Path
    """The workspace on this machine; the sandbox shows it as `/workspace`."""
    processes: Processes
    workspace: Workspace
    sink: Sink
    network: Network | None = None
    """What commands of the agent may reach."""

    @property
    def files(self) -> Files:
        """The workspace's files, opened in a way that never leaves it."""
        return Files(self.root)

    async def run(
        self,
        argv: list[str],
        *,
        timeout: float,
        env: dict[str, str] | None = None,
        quiet: bool = False,
        online: bool = False,
    ) -> Ended:
        """Run a command in the sandbox, in the workspace. A timeout is an `Ended`, not an error.

        `quiet` keeps its output from the sink, for commands that only serve a body; `online` lets it reach what
        the session may.

        Raises:
            LimitReachedError: its session has reached a limit; of a command that isn't quiet it is the `Ended` too.
        """
        ended = await self.processes.run(
            self.subject,
            argv,
            root=self.root,
            timeout=timeout,
            env=env or {},
            sink=None if quiet else self.sink,
            network=self.network if online else None,
        )
        if ended.reached and quiet:
            raise LimitReachedError(ended.reached)
        return ended
