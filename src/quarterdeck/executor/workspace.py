"""A subject's workspace: the files an agent works on, and a shadow repository beside them that no agent can reach.

    <folder>/files        the work tree with a plain `.git` of its own, for the agent; all that a sandbox is shown
    <folder>/shadow.git   fetched from the server; index, snapshots and commits of the host
    <folder>/state.json   written last: without it the workspace is half-made and is made anew

Host git never uses `files/.git` once the workspace is made.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from quarterdeck.core.errors import ConflictError, InvalidInputError, QuarterdeckError, UnavailableError
from quarterdeck.core.events import FileChange
from quarterdeck.core.protocol import WorkspaceSpec
from quarterdeck.executor import snapshots
from quarterdeck.executor.deletion import delete_tree
from quarterdeck.executor.git import Git, GitError, Identity, signed_in
from quarterdeck.executor.snapshots import Snapshot

_BRANCHES = "+refs/heads/*:refs/remotes/origin/*"
_TAGS = "+refs/tags/*:refs/tags/*"
_PASSING_FAULTS = (
    "could not resolve", "couldn't connect", "failed to connect", "connection refused", "connection reset",
    "connection timed out", "operation timed out", "timed out", "early eof", "rpc failed", "unexpected disconnect",
    "remote end hung up", "empty reply", "error: 429", "error: 500", "error: 502", "error: 503", "error: 504",
)  # fmt: skip
"""Words by which git tells of a server that is away, not of one that refuses."""


@dataclass
class Source:
    """Where a workspace comes from: the server's URL, and how to fetch a blob of it into a file."""

    url: str
    download: Callable[[int, Path], Awaitable[None]]
    token: str
    """For git; the server may replace it while a call is under way, by offering the call again."""


class TokenRefusedError(GitError):
    """The server refused the token with which the repository is fetched."""


class State(BaseModel):
    """What is known of a workspace that is whole: its base, the lease it was made ready for, and its newest step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str
    epoch: int
    step: int
    commit: str


@dataclass(frozen=True)
class Commit:
    """A commit of the session's branch that is not pushed yet, and the bundle that brings it."""

    branch: str
    commit: str
    files: tuple[FileChange, ...]
    bundle: Path


class Workspace:
    """The files of one subject; made by `prepare`, which may be repeated."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = folder / "files"
        self.outbox = folder / "outbox"
        """Bundles and diffs on their way to the server."""
        self.announced = 0
        """The lease for which the server was told that this is ready; a runner that restarts tells it once more."""
        self._shadow = Git(folder / "shadow.git", self.files)
        self._lock = asyncio.Lock()
        self.setting_up = asyncio.Lock()
        """Held while the setup script runs, and looked at whether it did."""

    @property
    def state(self) -> State | None:
        """None when there is no workspace, or only half of one."""
        try:
            return State.model_validate_json((self.folder / "state.json").read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    async def prepare(self, spec: WorkspaceSpec, epoch: int, source: Source) -> bool:
        """Have the files as the session left them: True when they had to be made or brought to its last snapshot.

        Within one lease nobody else changes the session's files, so they are taken as they are. With a new lease they
        are brought to the snapshot that the server names.

        Raises:
            UnavailableError: the server doesn't answer now; may be tried again.
            GitError: it can't be made.
        """
        async with self._lock:
            state = self.state
            if state and state.base == spec.commit and state.epoch == epoch:
                return False
            if state is None or state.base != spec.commit:
                await asyncio.to_thread(_delete, self.folder)
                await self._make(spec, source)
            else:
                await self._fetch(spec, source)
                await snapshots.tree_of_files(self._shadow)
            await self._bring_to(spec, source)
            commit = spec.snapshot_commit or spec.commit
            self._write(State(base=spec.commit, epoch=epoch, step=spec.step, commit=commit))
            return True

    async def snapshot(self, spec: WorkspaceSpec) -> Snapshot | None:
        """What changed since the newest step that the server or this runner knows of; None when nothing did."""
        async with self._lock:
            state = self._known(spec)
            # What an editor's folder held before the session is no change of the session's.
            start = await self._shadow.commit_of(spec.start_commit) if spec.start_commit else ""
            return await snapshots.take(
                self._shadow, self.outbox, base=state.base, known=state.commit, step=state.step + 1, start=start
            )

    def settle(self, epoch: int, step: int, commit: str) -> None:
        """Take a snapshot as known, once the result that tells of it is in the journal."""
        state = self.state
        if state and state.epoch == epoch and step > state.step:
            self._write(state.model_copy(update={"step": step, "commit": commit}))

    async def commit(self, spec: WorkspaceSpec, message: str, source: Source) -> Commit:
        """All changes of the files as one commit after the last that the session pushed, or after its base.

        Asked for again with the same message and the same files, it is the commit that was pushed.

        Raises:
            InvalidInputError: there is nothing to commit.
            ConflictError: somebody else pushed to the session's branch.
        """
        async with self._lock:
            await self._fetch(spec, source)
            parent = await self._parent(spec)
            tree = await snapshots.tree_of_files(self._shadow)
            if tree.id != await self._shadow.line("rev-parse", f"{parent}^{{tree}}"):
                identity = Identity(spec.author, spec.author_email, spec.committer, spec.committer_email)
                commit = await self._shadow.line(
                    "commit-tree", tree.id, "-p", parent, "-m", message, env=identity.environment()
                )
            elif (
                parent != spec.commit and await self._shadow.line("log", "-1", "--format=%B", parent) == message.strip()
            ):
                # A call that died behind its push made it: the same files with the same words are the same commit.
                commit, parent = parent, f"{parent}^"
            else:
                raise InvalidInputError(_nothing(spec, parent, tree.left_out))
            await self._shadow.run("update-ref", f"refs/heads/{spec.branch}", commit)
            self.outbox.mkdir(exist_ok=True)
            bundle = self.outbox / "commit.bundle"
            await snapshots.write_bundle(self._shadow, bundle, f"refs/heads/{spec.branch}", spec.commit)
            return Commit(spec.branch, commit, await snapshots.changes(self._shadow, parent, commit), bundle)

    async def restore_tracked(self) -> None:
        """Give all files of the repository what the index of the host says, in a workspace that was just made."""
        async with self._lock:
            await self._shadow.run("checkout-index", "--all", "--force", "--index")

    async def object_of(self, name: str) -> str:
        """What a file or folder of the repository has in it when the workspace is made, as git's id; empty: no such."""
        state = self.state
        return await self._shadow.object_of(state.base, name) if state else ""

    async def delete(self) -> None:
        """Delete everything of the subject."""
        async with self._lock:
            await asyncio.to_thread(_delete, self.folder)

    def _known(self, spec: WorkspaceSpec) -> State:
        state = self.state
        if state is None:
            raise UnavailableError("The workspace isn't there any more.")
        if spec.step > state.step and spec.snapshot_commit:
            return state.model_copy(update={"step": spec.step, "commit": spec.snapshot_commit})
        return state

    def _write(self, state: State) -> None:
        fresh = self.folder / "state.new"
        fresh.write_text(state.model_dump_json(), encoding="utf-8")
        fresh.replace(self.folder / "state.json")

    async def _make(self, spec: WorkspaceSpec, source: Source) -> None:
        self.files.mkdir(parents=True, mode=0o755)
        self.folder.chmod(0o700)
        await self._shadow.init("--bare")
        await self._fetch(spec, source)
        await self._shadow.run("read-tree", spec.commit)
        await self._make_own(spec)
        await self._shadow.run("checkout-index", "--all", "--force", "--index")

    async def _make_own(self, spec: WorkspaceSpec) -> None:
        """The agent's own `.git`: copies of all objects, and nothing that points out of the workspace."""
        own = Git(self.files / ".git", self.files)
        await own.init(*([f"--initial-branch={spec.branch}"] if spec.branch else []))
        objects = self._shadow.git_dir / "objects"
        await asyncio.to_thread(shutil.copytree, objects, own.git_dir / "objects", dirs_exist_ok=True)
        await own.run(
            "fetch", "--quiet", "--no-tags", str(self._shadow.git_dir), "+refs/remotes/origin/*:refs/remotes/origin/*",
            _TAGS, files=True,
        )  # fmt: skip
        # A job has no branch of its own: its HEAD is the commit itself.
        await own.run("update-ref", *([] if spec.branch else ["--no-deref"]), "HEAD", spec.commit)
        await own.run("read-tree", "HEAD")
        await own.run("config", "user.name", spec.author)
        await own.run("config", "user.email", spec.author_email)
        (own.git_dir / "FETCH_HEAD").unlink(missing_ok=True)

    async def _fetch(self, spec: WorkspaceSpec, source: Source) -> None:
        url = f"{source.url}/{spec.clone_path.lstrip('/')}"
        sign_in = signed_in("session", source.token)
        try:
            await self._shadow.fetch("--no-tags", "--prune", url, _BRANCHES, _TAGS, env=sign_in)
            if not await self._shadow.commit_of(spec.commit):
                await self._shadow.fetch("--no-tags", url, spec.commit, env=sign_in)
        except GitError as error:
            raise _explained(error) from error

    async def _bring_to(self, spec: WorkspaceSpec, source: Source) -> None:
        """The files as of the last snapshot; what the repository ignores stays where it is."""
        commit = spec.snapshot_commit or spec.commit
        if not await self._shadow.commit_of(commit):
            if spec.bundle_blob is None:
                raise GitError(f"The snapshot {commit} isn't here and the server named no bundle with it.")
            bundle = self.folder / "restore.bundle"
            await source.download(spec.bundle_blob, bundle)
            await self._shadow.run("bundle", "unbundle", str(bundle))
            bundle.unlink()
        if spec.snapshot_commit:
            await self._shadow.run("update-ref", f"refs/steps/{spec.step}", commit)
        await self._shadow.run("read-tree", "--reset", "-u", commit)
        await self._shadow.run("clean", "-ffdq")

    async def _parent(self, spec: WorkspaceSpec) -> str:
        """The tip of the session's branch at the server, if all of it after the base is the session's own."""
        tip = await self._shadow.commit_of(f"refs/remotes/origin/{spec.branch}")
        if not tip or await self._shadow.line("merge-base", tip, spec.commit) != spec.commit:
            return spec.commit
        first = spec.branch_commit
        known = first if first and await self._shadow.commit_of(first) else spec.commit
        pushed = await self._shadow.line("log", "--format=%h %ae %ce", f"{known}..{tip}")
        own = f" {spec.author_email} {spec.committer_email}"
        foreign = [commit.split()[0] for commit in pushed.splitlines() if not commit.endswith(own)]
        if foreign:
            raise ConflictError(
                f"The branch {spec.branch} has commits that this session didn't make ({', '.join(foreign[:3])}), and "
                "its files don't contain them. Nothing was committed. Start a new session from that branch."
            )
        return tip


def _explained(error: GitError) -> QuarterdeckError:
    said = error.message.lower()
    if any(words in said for words in _PASSING_FAULTS):
        return UnavailableError(error.message)
    if "could not read username" in said or "authentication failed" in said:
        return TokenRefusedError()
    return error


def _nothing(spec: WorkspaceSpec, parent: str, left_out: tuple[str, ...]) -> str:
    since = "it started" if parent == spec.commit else f"commit {parent[:10]} on {spec.branch}"
    why = "because they are too large, can't be read, or have names that git refuses"
    more = f" Left out, {why}: {', '.join(left_out[:5])}." if left_out else ""
    return f"There is nothing to commit: no file of the workspace has changed since {since}.{more}"


def _delete(folder: Path) -> None:
    # The mark goes first: a deletion that is cut off leaves no workspace that looks whole.
    (folder / "state.json").unlink(missing_ok=True)
    delete_tree(folder)
