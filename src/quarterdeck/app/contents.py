"""What people and tools read of a repository at a commit: folders, a search, one commit."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from quarterdeck.app.access import Project, project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.access import Ability
from quarterdeck.core.text import clean, decode

ENTRIES = 500
MATCHES = 100
DIFF_BYTES = 256 * 1024


class EntryView(BaseModel):
    """What lies in a folder; only files have a size."""

    model_config = ConfigDict(frozen=True)
    path: str
    kind: Literal["file", "folder", "submodule"]
    size: int | None


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
