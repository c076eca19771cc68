"""Snapshots of a workspace: what changed, as a commit of the shadow repository, two diffs and a bundle.

Each snapshot is one commit whose parent is the base, beside what an editor's folder held at first where the session
began in one. So its bundle holds what differs from the base, stands by itself, and doesn't grow with the steps.
"""

import os
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from stat import S_ISLNK, S_ISREG
from typing import Literal

from quarterdeck.core.events import FileChange
from quarterdeck.core.limits import OUTPUT_BYTES
from quarterdeck.core.text import decode
from quarterdeck.executor.git import Git, Identity
from quarterdeck.executor.parallel import in_parallel

FILE_BYTES = 100 * 1024 * 1024
"""Larger files are left out of snapshots and commits, and the result says so; forges refuse them as well."""
FILES_LISTED = 2_000
LISTED_BYTES = 256 * 1024
"""What the list of changed files may take as JSON, so that the server takes the result that has it."""
NESTED_REPOSITORIES = 500
"""How many are looked into, one git process each; what is in more of them is left out, and the result says so."""
_LIKE_GIT = re.compile(rb"(?i)(^|/)\.g[^/]*t|~[0-9]|[\\\x80-\xff]")
"""What git may take for `.git` or `.gitmodules`: short names and backslashes of Windows, letters unseen by macOS."""
_DIFF = ("--no-ext-diff", "--no-textconv", "--no-color", "--find-renames")
_NOBODY = Identity("Quarterdeck", "snapshots@quarterdeck.invalid", "Quarterdeck", "snapshots@quarterdeck.invalid")
_Change = Literal["added", "modified", "deleted", "renamed"]
_CHANGES: dict[str, _Change] = {
    "A": "added",
    "D": "deleted",
    "R": "renamed",
    "C": "added",
}


@dataclass(frozen=True)
class Tree:
    """The files as they are now, in git's eyes; `left_out` names what is too large, unreadable or refused by git."""

    id: str
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Snapshot:
    """A step that changed something; the files are the runner's until they are uploaded."""

    step: int
    commit: str
    files: tuple[FileChange, ...]
    """At most `FILES_LISTED` of them, of at most `LISTED_BYTES`; `files_changed` counts all."""
    files_changed: int
    left_out: tuple[str, ...]
    bundle: Path
    step_diff: Path
    whole_diff: Path

    @property
    def bundle_bytes(self) -> int:
        """How large the bundle is."""
        return self.bundle.stat().st_size


async def take(git: Git, folder: Path, *, base: str, known: str, step: int, start: str = "") -> Snapshot | None:
    """The snapshot number `step`, or None when the files are still those of the commit `known`.

    The whole diff begins at `start`, if there is one, which goes along in the bundle then; else at the base.
    """
    tree = await tree_of_files(git)
    if tree.id == await git.line("rev-parse", f"{known}^{{tree}}"):
        return None
    parents = ("-p", base, "-p", start) if start else ("-p", base)
    commit = await git.line("commit-tree", tree.id, *parents, "-m", f"Step {step}", env=_NOBODY.environment())
    await git.run("update-ref", f"refs/steps/{step}", commit)
    os.makedirs(folder, exist_ok=True)
    bundle, step_diff, whole_diff = (folder / f"{step}.{part}" for part in ("bundle", "step.diff", "whole.diff"))
    async with in_parallel() as group:
        group.create_task(write_bundle(git, bundle, f"refs/steps/{step}", base))
        group.create_task(_write_diff(git, step_diff, known, commit))
        group.create_task(_write_diff(git, whole_diff, start or base, commit))
        changed = group.create_task(changes(git, known, commit))
    files = changed.result()
    return Snapshot(step, commit, _listed(files), len(files), tree.left_out, bundle, step_diff, whole_diff)


async def tree_of_files(git: Git) -> Tree:
    """Bring the shadow index in line with the files, ignored ones excepted, and write its tree.

    Nested repositories are taken as the plain files they consist of, without their `.git`. Not done by `git add`,
    which runs git inside of nested repositories, with their configuration.
    """
    async with in_parallel() as group:
        tracked = group.create_task(git.run("diff-files", "--name-only", "-z", "--ignore-submodules=all"))
        others = group.create_task(_untracked(git))
    untracked, unseen = others.result()
    taken, gone, left_out = _sorted_out(git.work_tree, {*_names(tracked.result()), *untracked})
    for option, some in (("--force-remove", gone), ("--add", taken)):
        if some:
            stdin = b"".join(name + b"\0" for name in some)
            await git.run("update-index", "-z", "--replace", option, "--stdin", stdin=stdin)
    left_out += await _ignored(git, taken)
    return Tree(await git.line("write-tree"), tuple(decode(name) for name in (*left_out, *unseen)))


async def changes(git: Git, before: str, after: str) -> tuple[FileChange, ...]:
    """Every file that differs between two commits, in git's order; a renamed one under its new name."""
    tokens = iter(_names(await git.run("diff", *_DIFF, "--raw", "--numstat", "-z", before, after)))
    kinds: dict[bytes, str] = {}
    found: list[FileChange] = []
    for token in tokens:
        if token.startswith(b":"):
            letter = token.rsplit(b" ", 1)[-1][:1].decode()
            path = [next(tokens) for _ in range(2 if letter in "RC" else 1)][-1]
            kinds[path] = letter
            continue
        added, removed, path = token.split(b"\t", 2)
        if not path:
            path = [next(tokens), next(tokens)][-1]
        change: _Change = _CHANGES.get(kinds.get(path, ""), "modified")
        found.append(FileChange(path=decode(path), change=change, added=_count(added), removed=_count(removed)))
    return tuple(found)


async def write_bundle(git: Git, target: Path, ref: str, base: str) -> None:
    """A ref's commits that the base doesn't have, as a bundle in a file."""
    await git.write(target, "bundle", "create", "--quiet", "-", ref, f"^{base}")


async def _write_diff(git: Git, target: Path, before: str, after: str) -> None:
    await git.write(target, "diff", *_DIFF, "--patch", before, after)
    missing = os.stat(target).st_size - OUTPUT_BYTES
    if missing > 0:
        os.truncate(target, OUTPUT_BYTES)
        with target.open("ab") as file:
            file.write(f"\n[… {missing:,} bytes of the diff left out …]\n".encode())


async def _untracked(git: Git) -> tuple[list[bytes], list[bytes]]:
    """Files that the index doesn't know and nothing ignores, those of nested repositories too; repositories unseen."""
    names: list[bytes] = []
    folders = deque([b""])
    seen = 0
    while folders and seen <= NESTED_REPOSITORIES:
        prefix = folders.popleft()
        seen += 1
        env: dict[str, str] = {"GIT_INDEX_FILE": "/nonexistent/index"} if prefix else {}
        work_tree = git.work_tree / os.fsdecode(prefix)
        listed = await git.run("ls-files", "--others", "--exclude-standard", "-z", env=env, work_tree=work_tree)
        for name in _names(listed):
            # A name with a slash at its end is a repository, which git doesn't look into.
            (folders if name.endswith(b"/") else names).append(prefix + name)
    return names, list(folders)


async def _ignored(git: Git, taken: list[bytes]) -> list[bytes]:
    """What git passes over without a word, because somewhere it would be a `.git`, or lead one elsewhere."""
    odd = [name for name in taken if _LIKE_GIT.search(name)]
    if not odd:
        return []
    known = set(_names(await git.run("ls-files", "--cached", "-z")))
    return [name for name in odd if name not in known]


def _listed(files: tuple[FileChange, ...]) -> tuple[FileChange, ...]:
    """As many of the files as a result has room for."""
    sizes = accumulate(len(file.model_dump_json()) + 1 for file in files[:FILES_LISTED])
    return tuple(file for file, size in zip(files, sizes, strict=False) if size <= LISTED_BYTES)


def _names(listed: bytes) -> list[bytes]:
    return listed.split(b"\0")[:-1]


def _sorted_out(root: Path, names: Iterable[bytes]) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """What to take into the index, what to take out of it, and what to leave as it is in there."""
    taken: list[bytes] = []
    gone: list[bytes] = []
    left_out: list[bytes] = []
    directories: dict[bytes, bool] = {b"": True}
    for name in sorted(names):
        path = os.path.join(os.fsencode(root), name)
        if not _in_directory(os.fsencode(root), os.path.dirname(name), directories) or not os.path.lexists(path):
            gone.append(name)
            continue
        found = os.lstat(path)
        if S_ISLNK(found.st_mode):
            taken.append(name)
        elif not S_ISREG(found.st_mode):
            gone.append(name)
        elif found.st_size > FILE_BYTES or not os.access(path, os.R_OK):
            left_out.append(name)
        else:
            taken.append(name)
    return taken, gone, left_out


def _in_directory(root: bytes, folder: bytes, known: dict[bytes, bool]) -> bool:
    """Whether a folder is one all the way up, and no symbolic link to somewhere else."""
    unknown: list[bytes] = []
    while folder not in known:
        unknown.append(folder)
        folder = os.path.dirname(folder)
    inside = known[folder]
    for folder in reversed(unknown):
        path = os.path.join(root, folder)
        inside = known[folder] = inside and os.path.isdir(path) and not os.path.islink(path)
    return inside


def _count(number: bytes) -> int:
    return int(number) if number.isdigit() else 0
