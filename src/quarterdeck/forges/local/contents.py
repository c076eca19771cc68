"""What is in a repository at a commit: folders, lines that hold a text, and the commit itself."""

from datetime import datetime
from pathlib import Path
from typing import Literal

from quarterdeck.app.outside import Commit, CommitDetails, Match, TreeEntry
from quarterdeck.core.errors import InvalidInputError, NotFoundError
from quarterdeck.core.text import decode
from quarterdeck.forges.local import git

TREE_BYTES = 4 * 1024 * 1024
SEARCH_BYTES = 1024 * 1024
SEARCH_SECONDS = 20.0
OF_ONE_FILE = 20
"""How many matches of one file are shown, so that one doesn't hide the others."""
LINE_CHARACTERS = 300

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


async def commit(folder: Path, sha: str, *, limit: int) -> CommitDetails:
    """The commit with the beginning of its diff; of a merge, what it brought."""
    form = "--format=%H%x00%P%x00%cI%x00%an%x00%s%x00%B"
    told = await git.ask("log", "--max-count=1", form, sha, "--", directory=folder)
    known, parents, at, author, title, message = (decode(part) for part in told.split(b"\0", 5))
    begun = await git.head(
        *("show", "--no-ext-diff", "--no-textconv", "--no-color", "--format=", "--find-renames"),
        *("--diff-merges=first-parent", sha, "--"),
        directory=folder, limit=limit,
    )  # fmt: skip
    return CommitDetails(
        commit=Commit(known, title, author, datetime.fromisoformat(at)),
        message=message.strip(),
        parents=tuple(parents.split()),
        diff=begun.output,
        cut_off=begun.cut_off,
    )


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
