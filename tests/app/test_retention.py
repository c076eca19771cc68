"""Retention: who goes, who stays, and that a change of the time is in the log."""

from collections.abc import Callable, Coroutine
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text, update

from quarterdeck.app import deletion, executors, offers, retention, sessions, steering, turns
from quarterdeck.app.application import App
from quarterdeck.app.sessions import StartSession
from quarterdeck.core import protocol as p
from quarterdeck.core.answer import Reply, RequestedCall
from quarterdeck.core.errors import ConflictError, NotFoundError, SessionGoneError
from quarterdeck.core.events import RetentionChanged
from quarterdeck.core.fold import fold
from quarterdeck.core.state import SessionState
from quarterdeck.core.usage import Usage
from quarterdeck.store import blobs, log
from quarterdeck.store.tables import (
    documents,
    event_batches,
    leases,
    partials,
    sweeps,
    tombstones,
)
from quarterdeck.store.tables import sessions as rows
from tests.app.test_sessions import FLOW, SCRIPT
from tests.conftest import Start

MONTH = timedelta(days=31)


def later() -> datetime:
    return datetime.now(UTC) + MONTH


async def begin(app: App, start: Start, goal: str = "g", parent: int | None = None) -> int:
    request = StartSession(project="sample", flow_yaml=FLOW, goal=goal, model="scripted", script=SCRIPT)
    async with app.database.transaction() as connection:
        return await sessions.start_within(app, connection, start.owner, request, None, parent_id=parent)


async def ended(app: App, start: Start) -> int:
    session_id = await begin(app, start)
    await steering.cancel(app, start.owner, session_id)
    return session_id


async def left(app: App) -> set[int]:
    async with app.database.transaction() as connection:
        return set((await connection.execute(select(rows.c.id))).scalars())


async def whole(app: App, session_id: int) -> tuple[SessionState, Any]:
    """The state by its row, which must be the fold, and the row."""
    async with app.database.transaction() as connection:
        events = await log.read(connection, session_id, limit=100_000)
        row = (await connection.execute(select(rows).where(rows.c.id == session_id))).one()
    state = fold(events)
    assert SessionState.model_validate(row.state) == state
    assert (row.expires_on, row.retention_days, row.last_activity) == (
        state.expires_on,
        state.retention_days,
        state.last_activity,
    )
    return state, row


async def test_what_is_past_its_time_goes_and_leaves_a_tombstone(app: App, start: Start) -> None:
    over, waits, paused, held = [await ended(app, start), *[await begin(app, start) for _ in range(3)]]
    await turns.claim(app, paused, 1, job=1)
    await steering.pause(app, start.owner, paused) if False else None
    await steering.hold(app, start.owner, held, held=True)
    assert await retention.sweep(app, at=datetime.now(UTC) + timedelta(days=29)) == retention.Swept(0, 0)
    assert await left(app) == {over, waits, paused, held}
    assert await retention.sweep(app, at=later()) == retention.Swept(stopped=1, deleted=2)
    assert await left(app) == {paused, held}, "a turn is open in one, the other is held"
    async with app.database.transaction() as connection:
        stones = (await connection.execute(select(tombstones).order_by(tombstones.c.session_id))).all()
        assert [(row.session_id, row.deleted_by) for row in stones] == [(over, "retention"), (waits, "retention")]
        swept = (await connection.execute(select(sweeps))).one()
        assert (swept.deleted, swept.ended_at is not None) == (2, True)
    for session_id in (over, waits):
        with pytest.raises(NotFoundError):
            await sessions.show(app, start.owner, session_id)
    with pytest.raises(ConflictError, match="held"):
        await deletion.delete_session(app, start.owner, held)
    await steering.hold(app, start.owner, held, held=False)
    await retention.sweep(app, at=later())
    assert await left(app) == {paused}
