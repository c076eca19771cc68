"""What people and tools read of a repository at a commit: folders, a search, one commit."""

import re
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from quarterdeck.app.access import Project, project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.outside import FoundFile
from quarterdeck.app.repositories import CommitView
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.text import clean, decode

ENTRIES = 500
FILE_BYTES = 1024 * 1024
"""A larger file is not shown as text; its bytes are to be had."""
README_BYTES = 128 * 1024
MATCHES = 100
DIFF_BYTES = 256 * 1024
_README = re.compile(r"readme(\.(md|markdown|txt|rst))?", re.IGNORECASE)


class EntryView(BaseModel):
    """What lies in a folder; only files have a size."""

    model_config = ConfigDict(frozen=True)
    path: str
    kind: Literal["file", "folder", "submodule"]
    size: int | None


class FileView(BaseModel):
    """A file at a commit; `text` is None when it is too large or no text."""

    model_config = ConfigDict(frozen=True)
    path: str
    size: int
    text: str | None
    binary: bool


class FolderView(BaseModel):
    """A folder at a commit, its folders first; more than `ENTRIES` entries are cut off."""

    model_config = ConfigDict(frozen=True)
    path: str
    commit: CommitView
    entries: tuple[EntryView, ...]
    cut_off: bool
    readme: FileView | None


class MatchView(BaseModel):
    """A line that a search found; a long one is cut."""

    model_config = ConfigDict(frozen=True)
    path: str
    line: int
    text: str


class CommitDetailsView(BaseModel):
    """A commit with what it changed; the diff of a large one is cut off."""

    model_config = ConfigDict(frozen=True)
    sha: str
    title: str
    message: str
    author: str
    at: datetime
    parents: tuple[str, ...]
    diff: str
    diff_cut_off: bool


async def tree(
    app: App,
    actor: Actor,
    project: int | str,
    path: str = "",
    ref: str | None = None,
    *,
    recursive: bool = False,
    limit: int = ENTRIES,
) -> list[EntryView]:
    """A folder's entries, of the default branch without `ref`.

    Raises:
        NotFoundError: there is no such folder or ref.
    """
    found = await _readable(app, actor, project)
    most = min(max(limit, 1), ENTRIES)
    entries = await app.forge.tree(found.id, ref or found.default_branch, path, recursive=recursive, limit=most)
    return [EntryView(path=one.path, kind=one.kind, size=one.size) for one in entries]


async def folder(app: App, actor: Actor, project: int | str, path: str = "", ref: str | None = None) -> FolderView:
    """A folder with its README and the commit that it is of; of the default branch without `ref`.

    Raises:
        NotFoundError: there is no such folder or ref.
    """
    found = await _readable(app, actor, project)
    (commit,) = await app.forge.commits(found.id, ref or found.default_branch, 1)
    entries = await app.forge.tree(found.id, commit.sha, path, recursive=False, limit=ENTRIES + 1)
    inside = sorted(entries[:ENTRIES], key=lambda one: (one.kind == "file", one.path))
    names = [one.path for one in inside if one.kind == "file" and _README.fullmatch(one.path.rpartition("/")[2])]
    files = await app.forge.files(found.id, commit.sha, names[:1], limit=README_BYTES) if names else []
    return FolderView(
        path=path.strip("/"),
        commit=CommitView(sha=commit.sha, title=commit.title, author=commit.author, at=commit.at),
        entries=tuple(EntryView(path=one.path, kind=one.kind, size=one.size) for one in inside),
        cut_off=len(entries) > ENTRIES,
        readme=_file(files[0]) if files else None,
    )


async def file(app: App, actor: Actor, project: int | str, path: str, ref: str | None = None) -> FileView:
    """A file, links followed; of the default branch without `ref`. Raises NotFoundError."""
    found = await _readable(app, actor, project)
    commit = await app.forge.commit_of(found.id, ref or found.default_branch)
    files = await app.forge.files(found.id, commit, [path], limit=FILE_BYTES)
    if not files:
        raise NotFoundError(f"There is no file {path[:500]!r} at {ref or found.default_branch}.")
    return _file(files[0])


def _file(found: FoundFile) -> FileView:
    binary = found.data is not None and b"\0" in found.data
    text = None if found.data is None or binary else decode(found.data)
    return FileView(path=found.path, size=found.size, text=text, binary=binary)


async def search(
    app: App,
    actor: Actor,
    project: int | str,
    text: str,
    ref: str | None = None,
    *,
    path: str = "",
    limit: int = MATCHES,
) -> list[MatchView]:
    """The lines that hold a text, in upper or lower case; of the default branch without `ref`.

    Raises:
        InvalidInputError: the text is no part of a line.
    """
    found = await _readable(app, actor, project)
    most = min(max(limit, 1), MATCHES)
    matches = await app.forge.search(found.id, ref or found.default_branch, clean(text), path, limit=most)
    return [MatchView(path=one.path, line=one.line, text=one.text) for one in matches]


async def commit(app: App, actor: Actor, project: int | str, ref: str) -> CommitDetailsView:
    """The commit of a branch, tag or commit. Raises NotFoundError."""
    found = await _readable(app, actor, project)
    seen = await app.forge.commit(found.id, ref, limit=DIFF_BYTES)
    return CommitDetailsView(
        sha=seen.commit.sha,
        title=seen.commit.title,
        message=seen.message,
        author=seen.commit.author,
        at=seen.commit.at,
        parents=seen.parents,
        diff=decode(seen.diff),
        diff_cut_off=seen.cut_off,
    )


async def _readable(app: App, actor: Actor, project: int | str) -> Project:
    async with app.database.transaction() as connection:
        return await project_for(connection, actor, project, Ability.READ_REPOSITORY)
