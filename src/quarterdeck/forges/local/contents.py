"""What is in a repository at a commit: folders, lines that hold a text, and the commit itself."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from quarterdeck.app.outside import Commit, CommitDetails, FoundFile, Match, TreeEntry
from quarterdeck.core.errors import InvalidInputError, NotFoundError
from quarterdeck.core.text import decode
from quarterdeck.forges.local import git

TREE_BYTES = 4 * 1024 * 1024
FILES_BYTES = 16 * 1024 * 1024
"""What several files that are read at once may come to."""
SEARCH_BYTES = 1024 * 1024
SEARCH_SECONDS = 20.0
OF_ONE_FILE = 20
"""How many matches of one file are shown, so that one doesn't hide the others."""
LINE_CHARACTERS = 300
MESSAGE_BYTES = 256 * 1024
"""Of one commit's message and what is known of it; a message may be as large as a file."""
AUTHOR, TITLE = "%<(200,trunc)%an", "%<(500,trunc)%s"
"""As git is asked for them: no longer than that, filled up with spaces."""

_LATEST = 253_402_300_799
"""The last second of the year 9999."""
_ASTRAY = ("symlink", "dangling", "loop", "notdir")
"""What git says of links that lead to no file of the repository."""
_KINDS: dict[str, Literal["file", "folder", "submodule"]] = {"blob": "file", "tree": "folder", "commit": "submodule"}


async def tree(folder: Path, sha: str, path: str, *, recursive: bool, limit: int) -> list[TreeEntry]:
    """The first entries of a folder, in git's order."""
    inside = _folder(path)
    words = ("-r", "-t") if recursive else ()
    begun = await git.head(
        *("ls-tree", "-z", "-l", "--full-tree", *words, sha), *(("--", inside) if inside else ()),
        directory=folder, limit=TREE_BYTES,
    )  # fmt: skip
    rows = begun.output.split(b"\0")[:-1]  # behind the last NUL is nothing, or what was cut off
    entries = [entry for row in rows if (entry := _entry(decode(row))).path.startswith(inside)]
    if inside and not entries:
        raise NotFoundError(f"There is no folder {path[:500]!r} at this commit.")
    return entries[:limit]


async def files(folder: Path, sha: str, paths: Sequence[str], *, limit: int) -> list[FoundFile]:
    """Those of the files that there are, links followed; two processes however many they are."""
    asked = [path for path in paths if _plain(path)]
    if not asked:
        return []
    names = "".join(f"{sha}:{path}\n" for path in asked).encode("utf-8", "replace")
    told = await git.ask("cat-file", "--batch-check", "--follow-symlinks", directory=folder, stdin=names)
    found = list[tuple[str, str, int]]()
    for path in asked:
        line, _, told = told.partition(b"\n")
        words = decode(line).split(" ")
        if len(words) == 2 and words[0] in _ASTRAY:
            told = told[int(words[1]) + 1 :]  # where the link leads, on a line of its own
        elif len(words) == 3 and words[1] == "blob" and words[2].isdecimal():
            found.append((path, words[0], int(words[2])))
    small = "".join(f"{oid}\n" for _, oid, size in found if size <= limit)
    data = await git.ask("cat-file", "--batch", directory=folder, stdin=small.encode(), limit=FILES_BYTES)
    listed = list[FoundFile]()
    for path, _, size in found:
        inside = None
        if size <= limit:
            _, _, data = data.partition(b"\n")
            inside, data = data[:size], data[size + 1 :]
        listed.append(FoundFile(path, size, inside))
    return listed


async def named(folder: Path, sha: str, name: str, *, limit: int) -> list[str]:
    """The first paths of files of that name, in git's order."""
    begun = await git.head("ls-tree", "-r", "-z", "--name-only", "--full-tree", sha, directory=folder, limit=TREE_BYTES)
    wanted, rows = name.encode(), begun.output.split(b"\0")[:-1]
    return [decode(row) for row in rows if row.rpartition(b"/")[2] == wanted][:limit]


async def search(folder: Path, sha: str, text: str, path: str, *, limit: int) -> list[Match]:
    """The first lines that hold the text, as it is and no pattern; binary files are left out."""
    if not text.strip() or "\n" in text or "\0" in text:
        raise InvalidInputError("Search for a part of one line.")
    inside = _folder(path).removesuffix("/")
    begun = await git.head(
        *("grep", "-z", "-n", "-I", "-i", "-F", "--no-color", "--full-name", f"--max-count={OF_ONE_FILE}"),
        *("-e", text, sha, "--", *((inside,) if inside else ())),
        directory=folder, limit=SEARCH_BYTES, seconds=SEARCH_SECONDS,
    )  # fmt: skip
    found: list[Match] = []
    rest = begun.output
    while len(found) < limit:
        # A path can have line feeds in it: only NULs and the end of the line can be trusted.
        name, at, behind = (*rest.split(b"\0", 2), b"", b"")[:3]
        told, end, rest = behind.partition(b"\n")
        if not end:
            break
        line = decode(told)[:LINE_CHARACTERS]
        found.append(Match(path=decode(name).removeprefix(f"{sha}:"), line=int(at), text=line))
    return found


def known(sha: str, title: str, author: str, at: str) -> Commit:
    """What git says of a commit; `at` is in seconds since the epoch, which a commit may have as it likes."""
    seconds = min(int(at), _LATEST) if at.isdecimal() else 0
    return Commit(sha, title.rstrip(), author.rstrip(), datetime.fromtimestamp(seconds, UTC))


async def commit(folder: Path, sha: str, *, limit: int) -> CommitDetails:
    """The commit with the beginning of its diff; of a merge, what it brought."""
    form = f"--format=%H%x00%ct%x00{AUTHOR}%x00{TITLE}%x00%P%x00%B"
    told = await git.head("log", "--max-count=1", form, sha, "--", directory=folder, limit=MESSAGE_BYTES)
    name, at, author, title, parents, message = (decode(part) for part in [*told.output.split(b"\0", 5), b""][:6])
    begun = await git.head(
        *("show", "--no-ext-diff", "--no-textconv", "--no-color", "--format=", "--find-renames"),
        *("--diff-merges=first-parent", sha, "--"),
        directory=folder, limit=limit,
    )  # fmt: skip
    return CommitDetails(
        commit=known(name, title, author, at),
        message=message.strip(),
        parents=tuple(parents.split()),
        diff=begun.output,
        cut_off=begun.cut_off,
    )


def _plain(path: str) -> bool:
    return not ("\n" in path or "\0" in path or any(part in ("", ".", "..") for part in path.split("/")))


def _folder(path: str) -> str:
    """A folder as git's answers begin with it, with a slash; empty for the topmost."""
    parts = path.strip("/").split("/")
    if parts == [""]:
        return ""
    if "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise InvalidInputError(f"{path[:500]!r} can't be a path in a repository.")
    return "/".join(parts) + "/"


def _entry(row: str) -> TreeEntry:
    told, _, path = row.partition("\t")
    _, kind, _, size = told.split()
    return TreeEntry(path=path, kind=_KINDS[kind], size=None if size == "-" else int(size))
