"""A forge elsewhere as use cases need it, as a Protocol; `server.py` wires the implementations."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from quarterdeck.core.remote import Delivery, Fact, ForgeName, Kind, RemoteRepository


@dataclass(frozen=True)
class Remote:
    """A repository at a forge, as its API reaches it; it holds a secret and shows none."""

    forge: ForgeName
    api_url: str
    repository: str
    token: str = field(repr=False)
    private: bool


@dataclass(frozen=True)
class Writing:
    """How an issue or merge request is to be there."""

    title: str
    description: str
    status: str
    source_branch: str = ""
    target_branch: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Written:
    """What was written, as the forge calls it."""

    id: str
    url: str
    updated_at: datetime


@dataclass(frozen=True)
class CommitStatus:
    """A check's state on a commit."""

    context: str
    status: Literal["pending", "running", "success", "failed", "canceled"]
    description: str
    url: str
    branch: str


class RemoteForge(Protocol):
    """A forge elsewhere: what it says by webhooks and when it is asked, and what is written there.

    What asks raises UnavailableError (RateLimitedError with the time where it said one), NotFoundError, ForbiddenError,
    UnauthenticatedError and InvalidInputError, with words that hold nothing of the token.
    """

    def verify(self, headers: Mapping[str, str], body: bytes, secret: str, now: datetime) -> tuple[str, str]:
        """The id and event of a delivery whose signature fits. Raises UnauthenticatedError."""
        ...

    def read(self, event: str, body: bytes) -> Delivery:
        """What a delivery says; nothing for events that are not followed. Raises InvalidInputError."""
        ...

    def git_username(self) -> str:
        """What git sends as the user's name with a token."""
        ...

    async def repository(self, remote: Remote) -> RemoteRepository:
        """The repository, and whose token it is."""
        ...

    def changed(self, remote: Remote, since: datetime | None) -> AsyncIterator[Fact]:
        """Issues, merge requests, comments and pipelines that changed since then, things before what is said on them.

        Without `since` all that is open; each within bounds.
        """
        ...

    async def job_log(self, remote: Remote, log: str, *, limit: int) -> bytes:
        """The end of a job's log, empty where there is none (any more)."""
        ...

    async def write_issue(self, remote: Remote, number: int | None, wish: Writing) -> Written:
        """Makes an issue, or brings one to what is wished."""
        ...

    async def write_merge_request(self, remote: Remote, number: int | None, wish: Writing) -> Written:
        """Opens a merge request, or brings one to what is wished."""
        ...

    async def find_merge_request(self, remote: Remote, source: str, target: str) -> Written | None:
        """The open one of two branches."""
        ...

    async def find_marked(self, remote: Remote, kind: Kind, number: int | None, mark: str) -> Written | None:
        """The issue (without a number) or comment that has our mark."""
        ...

    async def comment(self, remote: Remote, on: Kind, number: int, text: str) -> Written:
        """Says something."""
        ...

    async def set_status(self, remote: Remote, sha: str, status: CommitStatus) -> None:
        """What a check of ours says of a commit; the same context again replaces it."""
        ...
