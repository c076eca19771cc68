"""The bare repositories of the server: read, made, merged and served."""

import asyncio
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from quarterdeck.app.outside import (
    Author,
    Commit,
    CommitDetails,
    FoundFile,
    GitRemote,
    Match,
    PushGate,
    RefUpdate,
    TreeEntry,
)
from quarterdeck.core.errors import ConflictError, InvalidInputError, NotFoundError, TooLargeError
from quarterdeck.core.limits import REF_CHARACTERS
from quarterdeck.core.pipeline import CiPipeline
from quarterdeck.core.text import decode
from quarterdeck.forges.local import bundles, ci_file, ci_includes, contents, git, imports, remotes, smart_http
from quarterdeck.forges.local.remembered import Remembered

PRUNE_SECONDS = 900
FILE_BYTES = 4 * 1024 * 1024
_UNSAFE = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|^[-/.]|//|[/.]$|\.lock$|\.lock/|/\.")
_COMMIT = re.compile(r"[0-9a-f]{7,64}(\^1)?")
_WHOLE = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

_Answer = TypeVar("_Answer")


class LocalForge:
    """All repositories under one folder; implements `app.outside.Forge`.

    `environment` has further variables for fetches from elsewhere (proxies, certificates).
    """

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None) -> None:
        self._home = home.absolute() / "repositories"
        self._environment = dict(environment or {})
        self._pushes = smart_http.Pushes()
        self._remembered = Remembered()

    def folder(self, project_id: int) -> Path:
        """Where a project's bare repository is."""
        return self._home / f"{project_id}.git"

    async def create(self, project_id: int, *, source: str | None, private: bool = False) -> str:
        """Makes the repository; see the Protocol."""
        target = self.folder(project_id)
        if target.exists():
            raise ConflictError(f"Project {project_id} has a repository already.")
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._home / f".new-{project_id}-{secrets.token_hex(4)}.git"
        try:
            branch = await imports.make(draft, source, self._environment, private=private)
            draft.rename(target)
        finally:
            await _remove(draft)
        return branch

    async def commit_of(self, project_id: int, ref: str) -> str:
        """The commit of a branch, a tag, or a whole or shortened commit id, looked for in this order."""
        folder, commit = self._there(project_id), _COMMIT.fullmatch(ref)
        if ref != "HEAD" and not valid_name(ref) and not commit:
            raise NotFoundError(f"{ref[:REF_CHARACTERS]!r} can't be the name of a branch, tag or commit.")
        if ref != "HEAD" and (head := await asyncio.to_thread(_stored, folder, f"refs/heads/{ref}")):
            return head
        names = ["HEAD"] if ref == "HEAD" else [f"refs/heads/{ref}", f"refs/tags/{ref}"]
        if commit:
            names.append(ref)
        asked = "".join(f"{name}^{{commit}}\n" for name in names).encode("utf-8", "replace")
        told = await git.ask("cat-file", "--batch-check=%(objectname)", directory=folder, stdin=asked)
        if found := next((line for line in _lines(told) if _WHOLE.fullmatch(line)), None):
            return found
        raise NotFoundError(f"There is no branch, tag or commit {ref!r} in this repository.")

    async def read(self, project_id: int, commit: str, path: str) -> bytes | None:
        """A file's bytes; TooLargeError beyond `FILE_BYTES`."""
        if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
            return None
        folder, sha = self._there(project_id), await self.commit_of(project_id, commit)
        listed = decode(await git.ask("ls-tree", "-z", "-l", "--full-tree", sha, "--", path, directory=folder))
        words = listed.partition("\t")[0].split()
        if len(words) != 4 or words[1] != "blob":
            return None
        if int(words[3]) > FILE_BYTES:
            raise TooLargeError(f"{path} has {int(words[3]):,} bytes; files of up to {FILE_BYTES:,} bytes are shown.")
        return await git.ask("cat-file", "blob", words[2], directory=folder)

    async def files(self, project_id: int, commit: str, paths: Sequence[str], *, limit: int) -> list[FoundFile]:
        """Several files at once; see the Protocol."""

        async def read(folder: Path, sha: str) -> list[FoundFile]:
            return await contents.files(folder, sha, paths, limit=limit)

        asked = ("files", tuple(paths), limit)
        return await self._of(project_id, commit, asked, read, lambda found: sum(len(one.data or b"") for one in found))

    async def named(self, project_id: int, commit: str, name: str, *, limit: int) -> list[str]:
        """Files of a name; see the Protocol."""

        async def read(folder: Path, sha: str) -> list[str]:
            return await contents.named(folder, sha, name, limit=limit)

        return await self._of(project_id, commit, ("named", name, limit), read, lambda found: sum(map(len, found)))

    async def branches(self, project_id: int) -> dict[str, str]:
        """Branch names and their commits."""
        form = "--format=%(objectname) %(refname:lstrip=2)"
        output = await git.ask("for-each-ref", form, "refs/heads", directory=self._there(project_id))
        pairs = (line.partition(" ") for line in _lines(output))
        return {name: sha for sha, _, name in pairs}

    async def set_default_branch(self, project_id: int, branch: str) -> None:
        """What a clone checks out."""
        await git.ask("symbolic-ref", "HEAD", f"refs/heads/{branch}", directory=self._there(project_id))

    async def commits(self, project_id: int, ref: str, limit: int, *, skip: int = 0) -> list[Commit]:
        """The newest commits of `ref` behind the first `skip`, newest first."""
        sha = await self.commit_of(project_id, ref)
        form = f"--format=%H%x1f%ct%x1f{contents.AUTHOR}%x1f{contents.TITLE}"
        bounds = f"--max-count={limit}", f"--skip={skip}"
        output = await git.ask("log", form, *bounds, sha, "--", directory=self._there(project_id))
        rows = (line.split("\x1f", 3) for line in _lines(output))
        return [contents.known(sha, title, author, at) for sha, at, author, title in rows]

    async def tree(self, project_id: int, ref: str, path: str, *, recursive: bool, limit: int) -> list[TreeEntry]:
        """What lies in a folder; see the Protocol."""

        async def read(folder: Path, sha: str) -> list[TreeEntry]:
            return await contents.tree(folder, sha, path, recursive=recursive, limit=limit)

        asked = ("tree", path, recursive, limit)
        return await self._of(project_id, ref, asked, read, lambda found: sum(len(one.path) for one in found))

    async def search(self, project_id: int, ref: str, text: str, path: str, *, limit: int) -> list[Match]:
        """Lines that hold a text; see the Protocol."""
        sha = await self.commit_of(project_id, ref)
        return await contents.search(self._there(project_id), sha, text, path, limit=limit)

    async def commit(self, project_id: int, ref: str, *, limit: int) -> CommitDetails:
        """One commit; see the Protocol."""
        sha = await self.commit_of(project_id, ref)
        return await contents.commit(self._there(project_id), sha, limit=limit)

    async def diff(self, project_id: int, base: str, head: str) -> bytes:
        """The diff from the merge base; InvalidInputError when the two have none."""
        old, new = await self.commit_of(project_id, base), await self.commit_of(project_id, head)
        ended = await git.run(
            *("diff", "--no-ext-diff", "--no-textconv", "--no-color", "--find-renames", f"{old}...{new}", "--"),
            directory=self._there(project_id),
        )
        if ended.exit_code:
            raise InvalidInputError(f"There is no diff from {base} to {head}: {ended.reason}.")
        return ended.output

    async def push_bundle(self, project_id: int, bundle: Path, *, branch: str, commit: str) -> None:
        """Takes work in from a bundle; see the Protocol."""
        if not valid_name(branch):
            raise InvalidInputError(f"{branch[:REF_CHARACTERS]!r} can't be the name of a branch.")
        await bundles.push(self._there(project_id), bundle, branch=branch, commit=commit)

    async def start_branch(self, project_id: int, branch: str, commit: str) -> None:
        """Makes a branch; see the Protocol."""
        folder, ref = self._there(project_id), f"refs/heads/{branch}"
        made = await git.run("update-ref", "-m", "fork", ref, commit, "0" * len(commit), directory=folder)
        if made.exit_code and await self.commit_of(project_id, branch) != commit:
            raise ConflictError(f"There is a branch {branch} already.")

    async def merge(self, project_id: int, *, source: str, target: str, message: str, author: Author) -> str:
        """Merges branch into branch; see the Protocol."""
        folder = self._there(project_id)
        theirs = await self.commit_of(project_id, source)
        ours = await self.commit_of(project_id, target)
        contained = await git.run("merge-base", "--is-ancestor", theirs, ours, directory=folder)
        if contained.exit_code == 0:
            return ours
        tree = await _merged_tree(folder, ours, theirs, source=source, target=target)
        commit = await _committed(folder, tree, (ours, theirs), message, author)
        moved = await git.run(*("update-ref", "-m", "merge", f"refs/heads/{target}", commit, ours), directory=folder)
        if moved.exit_code:
            raise ConflictError(f"{target} moved while {source} was merged into it; try again.")
        return commit

    async def delete_branches(self, project_id: int, heads: Mapping[str, str]) -> None:
        """Deletes branches; see the Protocol."""
        wanted = b"".join(f"delete refs/heads/{branch} {commit}\n".encode() for branch, commit in heads.items())
        await git.ask("update-ref", "--stdin", directory=self._there(project_id), stdin=wanted)
        self._remembered.forget(project_id)

    async def fetch_from(self, project_id: int, remote: GitRemote, refs: Mapping[str, str] | None) -> list[RefUpdate]:
        """Fetches from a repository elsewhere; see the Protocol."""
        if wrong := next((name for name in (refs or {}).values() if not valid_name(name)), None):
            raise InvalidInputError(f"{wrong[:REF_CHARACTERS]!r} can't be the name of a branch.")
        try:
            return await remotes.fetch(self._there(project_id), remote, refs, self._environment)
        finally:
            self._remembered.forget(project_id)

    async def push_to(self, project_id: int, remote: GitRemote, branch: str) -> None:
        """Makes a branch there what it is here; see the Protocol."""
        await remotes.push(self._there(project_id), remote, branch, self._environment)

    async def prune(self, project_id: int, age: timedelta) -> None:
        """Forgets what nothing refers to; see the Protocol."""
        expiry = f"{seconds}.seconds.ago" if (seconds := int(age.total_seconds())) else "now"
        await git.run(*("gc", "--quiet", f"--prune={expiry}"), directory=self._there(project_id), seconds=PRUNE_SECONDS)
        self._remembered.forget(project_id)

    async def delete(self, project_id: int) -> None:
        """Removes the repository."""
        gone = self._home / f".gone-{project_id}-{secrets.token_hex(4)}"
        try:
            self.folder(project_id).rename(gone)
        except FileNotFoundError:
            return
        self._remembered.forget(project_id)
        await _remove(gone)

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
        """One request of git's smart HTTP; see the Protocol."""
        folder = self._there(project_id)
        if advertise:
            return smart_http.advertisement(folder, service, protocol)
        if service == "git-receive-pack":
            return self._pushes.receive(folder, body, gate)
        return smart_http.exchange(folder, service, body, protocol)

    async def read_ci(
        self, project_id: int, text: str, *, ref: str, sha: str, default_branch: str, source: str
    ) -> CiPipeline:
        """A `.gitlab-ci.yml` as the pipeline of that commit; see the Protocol."""
        known = {
            "CI": "true",
            "CI_COMMIT_SHA": sha,
            "CI_COMMIT_SHORT_SHA": sha[:8],
            "CI_COMMIT_REF_NAME": ref,
            "CI_COMMIT_BRANCH": ref,
            "CI_DEFAULT_BRANCH": default_branch,
            "CI_PIPELINE_SOURCE": source,
        }
        reading = await asyncio.to_thread(ci_file.Reading, text, known)
        while wanted := reading.wanted:
            found = await self._included(project_id, sha, wanted)
            await asyncio.to_thread(reading.take, found)
        return await asyncio.to_thread(reading.pipeline)

    async def _included(self, project_id: int, sha: str, wanted: Sequence[str]) -> dict[str, list[FoundFile]]:
        """Files of a commit by the paths and patterns that ask for them."""
        if not sha.strip("0"):
            return {}
        fits = {name: [name] for name in wanted if "*" not in name}
        folders = {name: ci_includes.folder(name) for name in wanted if "*" in name}
        for folder in sorted(set(folders.values())):
            with suppress(NotFoundError):
                below = await self.tree(project_id, sha, folder, recursive=True, limit=ci_includes.LISTED)
                paths = [entry.path for entry in below if entry.kind == "file"]
                if len(below) == ci_includes.LISTED:
                    raise InvalidInputError(ci_includes.too_many(folder))
                fits |= {name: ci_includes.fitting(name, paths) for name, at in folders.items() if at == folder}
        paths = [*dict.fromkeys(path for several in fits.values() for path in several)][: ci_includes.INCLUDES + 1]
        files = {one.path: one for one in await self.files(project_id, sha, paths, limit=ci_includes.FILE_BYTES)}
        return {name: [files[path] for path in several if path in files] for name, several in fits.items()}

    async def _of(
        self,
        project_id: int,
        ref: str,
        asked: Hashable,
        read: Callable[[Path, str], Awaitable[_Answer]],
        size: Callable[[_Answer], int],
    ) -> _Answer:
        """What `read` finds at `ref`; of a commit that is named by its whole id, what it found there before."""
        folder, key = self._there(project_id), (project_id, ref, asked)
        # Whether there is such a commit is looked at first: that alone may be another time another.
        commit = ref if key in self._remembered else await self.commit_of(project_id, ref)
        if commit != ref:
            return await read(folder, commit)
        return await self._remembered.ask(key, lambda: read(folder, commit), size)

    def _there(self, project_id: int) -> Path:
        folder = self.folder(project_id)
        if not folder.is_dir():
            raise NotFoundError("The repository of this project is gone from the server's disk.")
        return folder


def valid_name(name: str) -> bool:
    """Whether git takes it as the name of a branch or tag, and nobody can take it for anything else."""
    return 0 < len(name) <= REF_CHARACTERS and not _UNSAFE.search(name) and name not in ("@", "HEAD")


def _stored(folder: Path, ref: str) -> str:
    """The commit that a branch's own file names, or the file of packed ones; empty where only git can say."""
    with suppress(OSError):
        told = (folder / ref).read_text("ascii", "replace").strip()
        return told if _WHOLE.fullmatch(told) else ""
    with suppress(OSError):
        before, found, _ = (folder / "packed-refs").read_bytes().partition(f" {ref}\n".encode())
        told = before.rpartition(b"\n")[2].decode("ascii", "replace")
        return told if found and _WHOLE.fullmatch(told) else ""
    return ""


def _lines(output: bytes) -> list[str]:
    return [line for line in decode(output).split("\n") if line]


async def _merged_tree(folder: Path, ours: str, theirs: str, *, source: str, target: str) -> str:
    ended = await git.run(
        "merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", ours, theirs, directory=folder
    )
    tree, *files = [part for part in ended.output.decode("utf-8", "replace").split("\0") if part] or [""]
    if ended.exit_code == 1:
        raise ConflictError(
            f"{source} doesn't merge into {target}: both changed {', '.join(files[:20])}"
            f"{f' and {len(files) - 20} more' if len(files) > 20 else ''}. "
            f"Merge {target} into {source}, resolve that, and try again."
        )
    if ended.exit_code:
        raise ConflictError(f"{source} doesn't merge into {target}: {ended.reason}.")
    return tree


async def _committed(folder: Path, tree: str, parents: tuple[str, ...], message: str, author: Author) -> str:
    identity = {
        "GIT_AUTHOR_NAME": author.name,
        "GIT_AUTHOR_EMAIL": author.email,
        "GIT_COMMITTER_NAME": author.name,
        "GIT_COMMITTER_EMAIL": author.email,
    }
    flags = [word for parent in parents for word in ("-p", parent)]
    made = await git.run("commit-tree", tree, *flags, directory=folder, environment=identity, stdin=message.encode())
    if made.exit_code:
        raise InvalidInputError(f"The merge commit can't be made: {made.reason}.")
    return decode(made.output).strip()


async def _remove(folder: Path) -> None:
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
