"""What a session changed: its steps and files, and the diffs of them."""

import asyncio

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_access import may
from quarterdeck.core.access import Ability
from quarterdeck.core.diff import file_of, listed
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.events import FileChange
from quarterdeck.core.text import clean
from quarterdeck.store import blobs
from quarterdeck.store.tables import session_steps

STEPS = 100
"""Of one page."""
LISTS_KEPT = 64
"""The files of so many diffs are remembered by a process; a diff never changes."""

_lists: dict[int, tuple[FileChange, ...]] = {}


class StepView(BaseModel):
    """One step: the call that it came of, and what it changed."""

    model_config = ConfigDict(frozen=True)
    step: int
    seq: int
    call_id: str
    commit: str
    files: tuple[FileChange, ...]


class Changes(BaseModel):
    """What a session changed in all, and by steps; `next` is what `after` of the following page is."""

    model_config = ConfigDict(frozen=True)
    files: tuple[FileChange, ...]
    added: int
    removed: int
    steps: tuple[StepView, ...]
    next: int | None


async def changes(app: App, actor: Actor, session_id: int, *, after: int = 0) -> Changes:
    """The files that differ from the base commit by now, and the steps behind `after`; no diff is sent."""
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        query = select(session_steps).where(session_steps.c.session_id == session_id)
        page = query.where(session_steps.c.step > after).order_by(session_steps.c.step).limit(STEPS + 1)
        rows = (await connection.execute(page)).all()
        blob = await _whole_diff(connection, session_id)
        text = "" if blob is None or blob in _lists else _text(await blobs.whole(connection, blob))
    if blob is not None and blob not in _lists:
        while len(_lists) >= LISTS_KEPT:
            del _lists[next(iter(_lists))]
        _lists[blob] = await asyncio.to_thread(_listed, text)
    files = () if blob is None else _lists[blob]
    return Changes(
        files=files,
        added=sum(file.added for file in files),
        removed=sum(file.removed for file in files),
        steps=tuple(StepView.model_validate(row, from_attributes=True) for row in rows[:STEPS]),
        next=rows[STEPS - 1].step if len(rows) > STEPS else None,
    )


async def diff(app: App, actor: Actor, session_id: int, *, step: int | None = None, file: str | None = None) -> bytes:
    """What the session changed, as a unified diff: all of it or one step's, of all files or one.

    Raises:
        NotFoundError: there is no such step, or it changes no such file.
    """
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        if step is None:
            blob = await _whole_diff(connection, session_id)
        else:
            blob = await _step_diff(connection, session_id, step)
        data = b"" if blob is None else await blobs.whole(connection, blob)
    if file is None:
        return data
    found = await asyncio.to_thread(file_of, _text(data), file)
    if found is None:
        of = f"Step {step} of session" if step else "Session"
        raise NotFoundError(f"{of} #{session_id} changes no file {file}.")
    return found.encode("utf-8", "surrogateescape")


async def _whole_diff(connection: AsyncConnection, session_id: int) -> int | None:
    """Where it lies; None before the first step."""
    query = select(session_steps.c.whole_diff_blob).where(session_steps.c.session_id == session_id)
    return (await connection.execute(query.order_by(session_steps.c.step.desc()).limit(1))).scalar_one_or_none()


async def _step_diff(connection: AsyncConnection, session_id: int, step: int) -> int:
    query = select(session_steps.c.step_diff_blob, session_steps.c.step).where(
        session_steps.c.session_id == session_id, session_steps.c.step <= step
    )
    row = (await connection.execute(query.order_by(session_steps.c.step.desc()).limit(1))).one_or_none()
    if row is None or row.step != step:
        more = f"its last up to there is {row.step}" if row else "it has none up to there"
        raise NotFoundError(f"Session #{session_id} has no step {step}; {more}.")
    return row.step_diff_blob


def _text(data: bytes) -> str:
    # Files need not be UTF-8, and what a diff says of them goes out as it came in.
    return data.decode("utf-8", "surrogateescape")


def _listed(text: str) -> tuple[FileChange, ...]:
    return tuple(one.model_copy(update={"path": clean(one.path)}) for one in listed(text))
