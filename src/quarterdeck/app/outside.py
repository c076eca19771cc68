"""What use cases need of the world outside, as Protocols; `server.py` wires the implementations."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import parse_qsl, urlsplit

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.core import limits
from quarterdeck.core.flow import Examined, Flow
from quarterdeck.core.network import Groups
from quarterdeck.core.pipeline import CiPipeline

ForgeWork = Literal["apply", "write", "sync"]


class Dispatch(Protocol):
    """Enqueues work for the workers, in the caller's transaction."""

    async def turn(
        self,
        connection: AsyncConnection,
        session_id: int,
        turn_no: int,
        at: datetime | None,
    ) -> None:
        """A turn of the session, now or at `at`."""
        ...

    async def server_call(self, connection: AsyncConnection, session_id: int, call_id: str) -> None:
        """A tool call that the server itself carries out."""
        ...

    async def notification(self, connection: AsyncConnection, notification_id: int, at: datetime | None) -> None:
        """A message that a session wanted to be sent, now or at `at`."""
        ...

    async def deliveries(self, connection: AsyncConnection, project_id: int, at: datetime | None) -> None:
        """The starting of what triggers of the project want to be started, now or, once for all who ask, later."""
        ...

    async def schedule(self, connection: AsyncConnection, trigger_id: int, at: datetime) -> None:
        """The run of a trigger's schedule at `at`."""
        ...

    async def thread_answer(self, connection: AsyncConnection, session_id: int) -> None:
        """What a triggered session that came to rest says where it was called."""
        ...

    async def sweep(self, connection: AsyncConnection) -> None:
        """A look for sessions whose time is over."""
        ...

    async def sweeping(self, connection: AsyncConnection) -> bool:
        """Whether a sweep is enqueued or at work."""
        ...

    async def retention(self, connection: AsyncConnection, project_id: int) -> None:
        """The project keeps its sessions for another time: all of them are to have it."""
        ...

    async def sealing(self, connection: AsyncConnection, session_id: int, at: datetime) -> None:
        """The merging of a quiet session's rows, at `at`."""
        ...

    async def forge(
        self, connection: AsyncConnection, work: ForgeWork, connection_id: int, at: datetime | None
    ) -> None:
        """What a connection to a forge brought (`apply`), is to be told (`write`), or has not told of (`sync`)."""
        ...

    async def with_turns(self, connection: AsyncConnection) -> set[int]:
        """The sessions that have a turn enqueued or running."""
        ...

    async def with_server_calls(self, connection: AsyncConnection) -> set[str]:
        """The calls of the server's side that are enqueued or being carried out."""
        ...

    async def workers(self, connection: AsyncConnection) -> int:
        """How many workers are alive."""
        ...


@dataclass(frozen=True)
class Posted:
    """What somebody answered to a message."""

    status: int
    text: str
    """How the answer begins."""


class Courier(Protocol):
    """Carries messages out of the server."""

    private: bool
    """Whether it goes to this machine and its private network, and by plain HTTP."""

    @property
    def mails(self) -> bool:
        """Whether there is a mail server."""
        ...

    async def post(self, url: str, headers: Mapping[str, str], body: str) -> Posted:
        """Sends JSON, follows no redirect, and answers with the status and the beginning of what was said.

        Raises:
            ForbiddenError: the name leads to a private address.
            UnavailableError: nobody answers, or not in time.
        """
        ...

    async def mail(self, to: str, subject: str, text: str, name: str) -> None:
        """Sends an e-mail of plain text; `name` is the message's, the same when it is sent again.

        Raises:
            InvalidInputError: it can't be sent there, now or later.
            UnavailableError: the mail server can't be reached.
        """
        ...


class Registries(Protocol):
    """What the tools of the server's machine say of the package registries that they use."""

    async def found(self) -> Groups:
        """The hosts of `pypi`, `npm` and `apt`, as far as they are known; asking for them takes seconds."""
        ...

    def told(self) -> Groups | None:
        """The same without asking; None where they are to be asked."""
        ...


@dataclass(frozen=True)
class Author:
    """Who made a commit."""

    name: str
    email: str


@dataclass(frozen=True)
class Commit:
    """A commit as lists show it."""

    sha: str
    title: str
    author: str
    at: datetime


@dataclass(frozen=True)
class TreeEntry:
    """What lies in a folder of a repository; only files have a size."""

    path: str
    kind: Literal["file", "folder", "submodule"]
    size: int | None


@dataclass(frozen=True)
class Match:
    """A line that a search found."""

    path: str
    line: int
    text: str


@dataclass(frozen=True)
class FoundFile:
    """A file of a repository; `data` is None when it is larger than was asked for."""

    path: str
    size: int
    data: bytes | None


@dataclass(frozen=True)
class CommitDetails:
    """A commit with what it changed against its first parent; `cut_off` says that the diff is not all of it."""

    commit: Commit
    message: str
    parents: tuple[str, ...]
    diff: bytes
    cut_off: bool


@dataclass(frozen=True)
class RefUpdate:
    """What a push does with one ref; `old` or `new` is all zeros when it makes or deletes it."""

    ref: str
    old: str
    new: str

    @property
    def branch(self) -> str | None:
        """The branch's name; None for tags and other refs."""
        name = self.ref.removeprefix("refs/heads/")
        return name if name != self.ref else None

    @property
    def deletes(self) -> bool:
        """Whether the ref is deleted."""
        return not self.new.strip("0")


@dataclass(frozen=True)
class GitRemote:
    """A repository elsewhere as git reaches it; it holds a secret and shows none."""

    url: str
    username: str
    secret: str = field(repr=False)
    private: bool
    """It may be on this machine or in its private network."""


class PushGate(Protocol):
    """Who says whether a push may, and hears of what it did."""

    def refusals(self, updates: tuple[RefUpdate, ...]) -> dict[str, str]:
        """A reason for each ref that may not be updated; when there is one, nothing of the push is done."""
        ...

    async def accepted(self, updates: tuple[RefUpdate, ...]) -> None:
        """These refs stand where the push wanted them; called once, also when the client is gone by then."""
        ...


class Forge(Protocol):
    """The repositories of projects: what a forge does with git."""

    async def create(self, project_id: int, *, source: str | None, private: bool = False) -> str:
        """Makes the bare repository, empty or cloned from a path or URL; answers the default branch.

        The source `sample:` is the sample project that ships. `private` lets the source be on this machine or in a
        private network. Nothing is left behind when it fails.

        Raises:
            InvalidInputError: the source can't be cloned; the message has git's reason.
            ForbiddenError: the source is private.
        """
        ...

    async def commit_of(self, project_id: int, ref: str) -> str:
        """The full commit id of a branch, tag or commit; `COMMIT^1` is its first parent. Raises NotFoundError."""
        ...

    async def read(self, project_id: int, commit: str, path: str) -> bytes | None:
        """A file's bytes at a commit, None when there is no such file."""
        ...

    async def files(self, project_id: int, commit: str, paths: Sequence[str], *, limit: int) -> list[FoundFile]:
        """Those of the files that there are; symbolic links are followed within the repository.

        What has more than `limit` bytes comes without them. Raises NotFoundError for the commit.
        """
        ...

    async def named(self, project_id: int, commit: str, name: str, *, limit: int) -> list[str]:
        """The first `limit` paths of files of that name, wherever they lie. Raises NotFoundError for the commit."""
        ...

    async def branches(self, project_id: int) -> dict[str, str]:
        """Branch names and their commits."""
        ...

    async def set_default_branch(self, project_id: int, branch: str) -> None:
        """What a clone checks out."""
        ...

    async def commits(self, project_id: int, ref: str, limit: int, *, skip: int = 0) -> list[Commit]:
        """The newest commits of `ref` behind the first `skip`, newest first."""
        ...

    async def tree(self, project_id: int, ref: str, path: str, *, recursive: bool, limit: int) -> list[TreeEntry]:
        """The first `limit` entries of a folder, `path` empty for the topmost. Raises NotFoundError."""
        ...

    async def search(self, project_id: int, ref: str, text: str, path: str, *, limit: int) -> list[Match]:
        """The first `limit` lines of text files at `ref`, below `path`, that hold `text` in upper or lower case."""
        ...

    async def commit(self, project_id: int, ref: str, *, limit: int) -> CommitDetails:
        """The commit of a branch, tag or commit, with at most `limit` bytes of its diff. Raises NotFoundError."""
        ...

    async def diff(self, project_id: int, base: str, head: str) -> bytes:
        """The diff from the merge base of the two to `head`, as git prints it."""
        ...

    async def push_bundle(self, project_id: int, bundle: Path, *, branch: str, commit: str) -> None:
        """Takes a bundle in and moves the branch to `commit`, checked: whole, one ref, no rewriting, no default branch.

        A repeated push of the same commit comes to the same.

        Raises:
            InvalidInputError: the bundle is broken or would do more than that.
        """
        ...

    async def start_branch(self, project_id: int, branch: str, commit: str) -> None:
        """Makes a new branch at a commit that is there; nothing happens when it stands there already.

        Raises:
            ConflictError: there is a branch of that name.
        """
        ...

    async def merge(self, project_id: int, *, source: str, target: str, message: str, author: Author) -> str:
        """Merges branch into branch with a merge commit and answers it; the target's commit when it has all already.

        Raises:
            ConflictError: names the files that both changed.
        """
        ...

    async def delete_branches(self, project_id: int, heads: Mapping[str, str]) -> None:
        """Deletes branches that stand at these commits: all of them, or none when one has moved."""
        ...

    async def fetch_from(self, project_id: int, remote: GitRemote, refs: Mapping[str, str] | None) -> list[RefUpdate]:
        """Fetches from a repository elsewhere and answers which branches here it moved.

        `refs` are refs there and the branches here that follow them; None is all branches, of which those go away here
        that are gone there. A branch that has commits here which are not there stays where it is.

        Raises:
            UnavailableError: it can't be reached, or refuses; the message has git's reason.
            ForbiddenError: it is private.
        """
        ...

    async def push_to(self, project_id: int, remote: GitRemote, branch: str) -> None:
        """Makes a branch there what it is here, deleted if it is gone here; nothing of it is rewritten there.

        Raises:
            ConflictError: it has other commits there.
            UnavailableError, ForbiddenError: as for `fetch_from`.
        """
        ...

    async def prune(self, project_id: int, age: timedelta) -> None:
        """Forgets the objects that nothing refers to and that are older than `age`."""
        ...

    async def delete(self, project_id: int) -> None:
        """Removes the repository; nothing happens when it is gone."""
        ...

    def serve(
        self,
        project_id: int,
        *,
        service: str,
        body: AsyncIterator[bytes],
        advertise: bool,
        protocol: str,
        gate: PushGate | None = None,
    ) -> AsyncIterator[bytes]:
        """One request of git's smart HTTP (`git-upload-pack` or `git-receive-pack`), streamed both ways.

        `gate` is asked about a push's updates before they reach git, and told of those that were made.
        """
        ...

    async def read_ci(
        self, project_id: int, text: str, *, ref: str, sha: str, default_branch: str, source: str
    ) -> CiPipeline:
        """A `.gitlab-ci.yml` as a pipeline for that commit, which also has the files that it includes.

        Raises:
            InvalidInputError: names every unsupported keyword and fault with its job.
        """
        ...


@dataclass(frozen=True, repr=False)
class McpEndpoint:
    """Where an MCP server is reached by HTTP, and with what; it holds secrets and shows none."""

    name: str
    url: str
    headers: dict[str, str]

    @property
    def secrets(self) -> tuple[str, ...]:
        """What nobody is told of it."""
        query = urlsplit(self.url).query
        return (*self.headers.values(), query, *(value for _, value in parse_qsl(query)))


class McpClient(Protocol):
    """Speaks with MCP servers by HTTP.

    Both raise UnavailableError, InvalidInputError and ForbiddenError, with words that hold nothing of the headers.
    """

    async def tools(self, endpoint: McpEndpoint) -> list[JsonValue]:
        """What the server lists as its tools, as it says it."""
        ...

    async def call(self, endpoint: McpEndpoint, tool: str, args: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """The result of a call, as the server says it."""
        ...


class FlowLibrary(Protocol):
    """The flows that ship and the reader of others."""

    def shipped(self, name: str) -> tuple[str, str | None]:
        """The YAML of a shipped flow (`fix_pipeline/v1` or `fix_pipeline/1.0.0`) and that of its script, if it has one.

        Raises:
            NotFoundError: names the flows that there are.
        """
        ...

    def names(self) -> list[str]:
        """The shipped flows as `name/version`."""
        ...

    def read(self, text: str, *, most: int = limits.FLOW_BYTES) -> Flow:
        """A flow from YAML of at most so many bytes. Raises InvalidInputError with every fault and its line."""
        ...

    def pinned(self, text: str) -> Flow:
        """The flow that a session was started with, whatever the rules for new ones are now."""
        ...

    def known(self, digest: str) -> Flow | None:
        """The pinned flow whose text has this SHA-256, if it was read not long ago."""
        ...

    def examine(self, text: str) -> Examined:
        """A flow's name and description, and every fault with its line."""
        ...

    def render(self, flow: Flow, component: str, values: dict[str, object]) -> tuple[str, str]:
        """A component's system and user text. Raises InvalidInputError when the template is wrong."""
        ...
