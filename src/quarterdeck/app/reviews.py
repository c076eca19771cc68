"""Reviews of merge requests: comments on lines, and a summary, said in one go or not at all."""

import asyncio
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import assignees, comments, occurrences
from quarterdeck.app import merge_request_views as views
from quarterdeck.app.access import Project, demand, project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.assignees import Verdict
from quarterdeck.app.comments import TEXT_CHARACTERS, Position
from quarterdeck.app.forge_wants import want
from quarterdeck.app.merge_request_views import MergeRequestView
from quarterdeck.app.merge_requests import changes, demand_head, demand_opened, row_of
from quarterdeck.app.occurrences import Place
from quarterdeck.core.access import Ability
from quarterdeck.core.diff import DiffLine, FileDiff, find_line, read_diff
from quarterdeck.core.errors import ForbiddenError, InvalidInputError
from quarterdeck.core.text import cut, decode

LINE_COMMENTS = 100
FAULTS_CHARACTERS = 8_000


class Line(BaseModel):
    """A line of a merge request's diff, by its number on a side of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    path: str = Field(min_length=1, max_length=4_096, description="The file's path.")
    new_line: StrictInt | None = Field(default=None, ge=1, le=2**31 - 1, description="Its number after the change.")
    old_line: StrictInt | None = Field(default=None, ge=1, le=2**31 - 1, description="Before: of a removed line.")


class LineComment(Line):
    """What somebody says to a line."""

    text: str = Field(min_length=1, max_length=TEXT_CHARACTERS)


class Review(BaseModel):
    """A summary, comments on lines, a verdict, or some of these."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    summary: str = Field(default="", max_length=TEXT_CHARACTERS)
    comments: tuple[LineComment, ...] = Field(default=(), max_length=LINE_COMMENTS)
    head: str = Field(
        default="", max_length=64, description="The commit that you looked at; refused when the branch has moved on."
    )
    verdict: Verdict | None = Field(default=None, description="What you say of it as a whole; the last word counts.")


async def submit(
    app: App,
    actor: Actor,
    project: int | str,
    iid: int,
    review: Review,
    *,
    session_id: int | None = None,
    call_id: str | None = None,
) -> MergeRequestView:
    """Says all of it, the lines in the order of the review and the summary behind them; the same call says it once.

    Raises:
        InvalidInputError: there is nothing in it, or lines aren't in the diff; names all of those and what is near.
        ForbiddenError: a verdict of whose role is too low, or who wrote it.
        ConflictError: a verdict on what is merged or closed, or the branch is no longer at the review's head.
    """
    texts = [comments.said(one.text) for one in review.comments]
    summary = [comments.said(review.summary)] if review.summary.strip() else []
    if not texts and not summary and not review.verdict:
        raise InvalidInputError("A review needs a summary, a comment on a line, or a verdict.")
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.COMMENT)
        row = await row_of(connection, found, iid, lock=True)
        await demand_head(app, row, review.head)
        place = Place(found, actor, "merge_request", row, session_id)
        if review.verdict is not None:
            await _decide(app, connection, actor, found, row, review.verdict)
            if review.verdict == "approved":
                await occurrences.moved(app, connection, place, "approved")
        if not await comments.known(connection, call_id):
            positions: list[Position | None] = []
            if review.comments:
                commit, diff = await changes(app, found, row)
                lines = await asyncio.to_thread(_lines, diff, review.comments)
                positions += [
                    Position(path=file, new_line=at.new, old_line=at.old, commit=commit) for file, at in lines
                ]
            for n, text in enumerate(texts + summary):
                made = await comments.add(
                    connection,
                    actor,
                    "merge_request",
                    row.id,
                    text,
                    session_id=session_id,
                    call_id=call_id if n == 0 else None,
                    position=positions[n] if n < len(positions) else None,
                )
                await occurrences.said(app, connection, place, text, f"comment:{made}")
                await want(connection, app.dispatch, found.id, "comment", made)
        return await views.load(app, connection, actor, row.id)


async def _decide(
    app: App, connection: AsyncConnection, actor: Actor, project: Project, row: Row[Any], verdict: Verdict
) -> None:
    demand(project, Ability.WRITE_MERGE_REQUEST)
    if row.author_id == actor.user_id:
        raise ForbiddenError("A verdict on a merge request is for others than its author; you can comment on it.")
    demand_opened(row)
    commit = await app.forge.commit_of(project.id, row.source_branch)
    await assignees.decide(connection, row.id, actor.user_id, verdict, commit)


async def files(app: App, actor: Actor, project: int | str, iid: int) -> tuple[FileDiff, ...]:
    """What a merge request changes, file by file."""
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.READ_REPOSITORY)
        row = await row_of(connection, found, iid)
    _, diff = await changes(app, found, row)
    return await asyncio.to_thread(_files, diff)


def _files(diff: bytes) -> tuple[FileDiff, ...]:
    return read_diff(decode(diff))


def _lines(diff: bytes, wanted: tuple[LineComment, ...]) -> list[tuple[str, DiffLine]]:
    known = _files(diff)
    found: list[tuple[str, DiffLine]] = []
    faults: list[str] = []
    for one in wanted:
        try:
            file, at = find_line(known, one.path, one.new_line, one.old_line)
        except InvalidInputError as error:
            faults.append(error.message)
        else:
            found.append((file.path, at))
    if faults:
        raise InvalidInputError(cut("\n".join(dict.fromkeys(faults)), FAULTS_CHARACTERS))
    return found
