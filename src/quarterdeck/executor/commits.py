"""How a tool body commits: the files as one commit of the shadow repository, which the server checks and pushes."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from quarterdeck.core.errors import QuarterdeckError, UnavailableError
from quarterdeck.core.protocol import Offer
from quarterdeck.executor.client import Client, Pauses
from quarterdeck.executor.hands import Committed
from quarterdeck.executor.processes import Processes
from quarterdeck.executor.workspace import Commit, Source, Workspace

_log = structlog.get_logger(__name__)

_FOLLOW_SECONDS = 30


@dataclass(frozen=True)
class Commits:
    """The workspace as one call's body sees it: whose call it is decides what a push is fenced by."""

    client: Client
    processes: Processes
    workspace: Workspace
    source: Source
    offer: Offer

    async def create_commit(self, message: str) -> Committed:
        """Commit every change, and have the server push it.

        Raises:
            InvalidInputError: nothing has changed since the last commit.
            ConflictError: somebody else pushed to the branch.
            RefusedError: the server doesn't take it; the message says why.
        """
        offer = self.offer
        commit = await self._made(message)
        answer = await self.client.push(offer.call_id, offer.lease_epoch, commit.branch, commit.commit, commit.bundle)
        await self._follow(commit.bundle, commit.branch)
        return Committed(answer.branch, answer.commit, commit.files)

    async def _made(self, message: str) -> Commit:
        """The commit, however long the server is away that says what the branch holds already."""
        pauses = Pauses()
        while True:
            try:
                return await self.workspace.commit(self.offer.workspace, message, self.source)
            except UnavailableError as error:
                _log.info("commit waits for the server", subject=self.offer.subject, fault=error.message)
                await pauses.wait()

    async def _follow(self, bundle: Path, branch: str) -> None:
        """Move the agent's own branch to the commit, so that its `git status` agrees; in the sandbox, as all of it."""
        follow = 'git fetch -q "$1" "+refs/heads/$2:refs/remotes/origin/$2" && git reset -q "refs/remotes/origin/$2"'
        with suppress(QuarterdeckError):
            await self.processes.run(
                self.offer.subject,
                ["/bin/sh", "-c", follow, "sh", str(bundle), branch],
                root=self.workspace.files,
                timeout=_FOLLOW_SECONDS,
                readable=(bundle.parent,),
            )
