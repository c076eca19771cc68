"""Retention (promise 6): what is past its time is deleted by a sweep every hour, in batches that nobody waits for.

What has ended goes by the hundred. What waits is stopped first; not while a session that it started lives,
because that would be stopped with it. What works is never touched, and what somebody works with is left to the next
sweep. Whoever shows what a sweep will do asks `expired`, as the sweep itself does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any, TypeVar

import structlog
from sqlalchemy import ColumnElement, Row, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert

from quarterdeck.app import deletion, deliveries, editors, leftovers, webhook_deliveries
from quarterdeck.app.application import App
from quarterdeck.app.change import Change, changing, end
from quarterdeck.app.lock_order import lock_sessions
from quarterdeck.app.wanted import happened
from quarterdeck.core import events as e
from quarterdeck.core.errors import UnavailableError
from quarterdeck.core.state import SessionState
from quarterdeck.core.status import FINAL, Transition
from quarterdeck.store import clock, log, outbox
from quarterdeck.store.room import vacuum
from quarterdeck.store.tables import projects, sessions, sweeps

R = TypeVar("R", bound=Row[*tuple[Any, ...]])

EVERY = timedelta(hours=1)
BATCH = 250
"""How many sessions a transaction deletes at most, and how many events of them."""
BATCH_EVENTS = 50_000
STOPS = 50
"""How many that wait a transaction stops and deletes; the states of all of them are read."""
CHANGES = 20
"""How many sessions a transaction gives another time."""
VACUUM_FROM = 1_000
"""A sweep of so many gives their room back at once instead of leaving it to autovacuum."""
BY = "retention"
"""Who deleted it, in the tombstone."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Swept:
    """What a sweep did."""

    stopped: int
    deleted: int


def expired(at: datetime, days: int | None = None) -> ColumnElement[bool]:
    """The sessions that are past their time at `at`; as if they were kept for `days`, if that is given."""
    kept = sessions.c.retention_days if days is None else days
    # In hours: a day of the connection's time zone may have more or less than 24.
    over = sessions.c.last_activity + func.make_interval(0, 0, 0, 0, kept * 24) <= at
    held = sessions.c.expires_on.is_(None)
    # The index finds them by their day; the rest is exact.
    return over & (sessions.c.expires_on <= at.astimezone(UTC).date() if days is None else ~held)


def ended() -> ColumnElement[bool]:
    """Those in which nothing more is done."""
    return sessions.c.status.in_([status.value for status in FINAL])


async def due(app: App) -> bool:
    """Enqueues the next sweep if it is time, for whichever worker asks first; by the database's clock.

    While one is at work, or waits for a worker, there is no other: it is looked for again when the next would be due.
    """
    row = upsert(sweeps).values(id=1, due_at=func.now() + EVERY)
    mine = row.on_conflict_do_update(
        index_elements=[sweeps.c.id], set_={"due_at": func.now() + EVERY}, where=sweeps.c.due_at <= func.now()
    ).returning(sweeps.c.id)
    early = select(sweeps.c.id).where(sweeps.c.due_at > func.now())
    async with app.database.transaction() as connection:
        if (await connection.execute(early)).one_or_none() or not (await connection.execute(mine)).one_or_none():
            return False
        if await app.dispatch.sweeping(connection):
            return False
        await app.dispatch.sweep(connection)
        return True


async def sweep(app: App, *, at: datetime | None = None) -> Swept:
    """Deletes whatever is past its time at `at`, now if it is absent; cut off in the middle, the next one goes on."""
    at = at or await _now(app)
    stopped = await _waiting(app, at)
    deleted = await _over(app, at)
    await deletion.drop_documents(app)
    async with app.database.transaction() as connection:
        while await outbox.prune(connection, at):
            pass
        await webhook_deliveries.prune(connection, at)
    await _late_changes(app)
    await leftovers.clear(app)
    await editors.forget_unused(app, at)
    await deliveries.forget(app, at)
    if stopped + deleted >= VACUUM_FROM:
        await vacuum(app.database)
    async with app.database.transaction() as connection:
        done = {"ended_at": func.now(), "deleted": stopped + deleted}
        row = upsert(sweeps).values(id=1, due_at=func.now() + EVERY, **done)
        await connection.execute(row.on_conflict_do_update(index_elements=[sweeps.c.id], set_=done))
    _log.info("sweep", stopped=stopped, deleted=stopped + deleted)
    return Swept(stopped, stopped + deleted)


async def _now(app: App) -> datetime:
    """By the database's clock and by ours, and without a jump: what is deleted too early can't be brought back."""
    async with app.database.reading() as connection:
        await clock.ask(connection)
    return min(datetime.now(UTC), clock.cautious())


async def _over(app: App, at: datetime) -> int:
    """Deletes what has ended, in batches."""
    day, last = sessions.c.expires_on, sessions.c.id
    query = select(day, last, sessions.c.seq).where(expired(at), ended()).order_by(day, last).limit(BATCH)
    query = query.with_for_update(skip_locked=True)
    count, behind = 0, query
    while True:
        async with app.database.transaction() as connection:
            batch = _bounded((await connection.execute(behind)).all())
            if not batch:
                return count
            await deletion.erase(connection, [row.id for row in batch], by=BY)
        count += len(batch)
        behind = query.where(tuple_(day, last) > tuple_(batch[-1].expires_on, batch[-1].id))


def _bounded(rows: Sequence[R]) -> Sequence[R]:
    """As many from the first one on as one transaction deletes; the first however many events it has."""
    sums = accumulate(row.seq for row in rows)
    return [row for row, events in zip(rows, sums, strict=True) if events <= BATCH_EVENTS] or rows[:1]


async def _waiting(app: App, at: datetime) -> int:
    """Stops and deletes what waits, the younger first: children before the session that started them."""
    async with app.database.transaction() as connection:
        query = select(sessions.c.id, sessions.c.seq).where(expired(at), ~ended(), ~sessions.c.turn_open)
        found = (await connection.execute(query.order_by(sessions.c.id.desc()))).all()
    stopped = 0
    while found:
        batch = _bounded(found[:STOPS])
        found = found[len(batch) :]
        stopped += await _stop_each(app, [row.id for row in batch], at)
    return stopped


async def _stop_each(app: App, session_ids: Sequence[int], at: datetime) -> int:
    """One session that can't be stopped holds nobody else back: without it the others are stopped by halves."""
    try:
        return await _stop(app, session_ids, at)
    except UnavailableError:
        raise
    except Exception:
        if len(session_ids) == 1:
            _log.exception("a session could not be stopped by age", session=session_ids[0])
            return 0
    half = len(session_ids) // 2
    return await _stop_each(app, session_ids[:half], at) + await _stop_each(app, session_ids[half:], at)


async def _stop(app: App, session_ids: Sequence[int], at: datetime) -> int:
    """Those of them that nobody works on or with; their pipelines are cancelled by the net under every stop."""
    free = select(sessions.c.id).where(sessions.c.id.in_(session_ids)).order_by(sessions.c.id)
    stopped: list[int] = []
    async with app.database.transaction() as connection:
        # Locked in the order of all, and then stopped from child to parent.
        locked = (await connection.execute(free.with_for_update(skip_locked=True))).scalars().all()
        held = await log.lock_all(connection, locked)
        children = select(sessions.c.parent_id, sessions.c.id).where(sessions.c.parent_id.in_(locked), ~ended())
        living = (await connection.execute(children)).all()
        for session in reversed(held.values()):
            state = session.state
            if not _over_for(state, at) or state.works or state.final:
                continue
            if any(row.parent_id == session.id and row.id not in stopped for row in living):
                continue
            reason = f"deleted {state.retention_days} days after its last activity"
            Change(connection, session, app.redactor).move(Transition.STOP, reason=reason)
            stopped.append(session.id)
        if stopped:
            await log.flush(connection, *held.values())
            await happened(connection, app.dispatch, "session", *stopped)
            await end(connection, *stopped)
            await deletion.erase(connection, stopped, by=BY)
    return len(stopped)


def _over_for(state: SessionState, at: datetime) -> bool:
    return state.expires_at is not None and state.expires_at <= at


async def apply(app: App, project_id: int) -> int:
    """Gives all sessions of a project its number of days, and answers how many had another; can be done again."""
    count, after = 0, 0
    while True:
        async with app.database.transaction() as connection:
            project = select(projects.c.retention_days, projects.c.retention_changed_by).where(
                projects.c.id == project_id
            )
            row = (await connection.execute(project)).one_or_none()
            if row is None:
                return count
            others = (
                select(sessions.c.id)
                .where(sessions.c.project_id == project_id, sessions.c.id > after)
                .where(sessions.c.retention_days != row.retention_days)
            )
            batch = (await connection.execute(others.order_by(sessions.c.id).limit(CHANGES))).scalars().all()
            for session_id in await lock_sessions(connection, batch):
                async with changing(app, connection, session_id) as it:
                    if it.state.retention_days != row.retention_days:
                        it.append(e.RetentionChanged(days=row.retention_days, by=row.retention_changed_by))
        if not batch:
            return count
        count, after = count + len(batch), batch[-1]


async def _late_changes(app: App) -> None:
    """A session that began while its project's time was changed may have the old one."""
    recent = select(projects.c.id).where(projects.c.retention_changed_at > func.now() - 3 * EVERY)
    async with app.database.transaction() as connection:
        found = (await connection.execute(recent)).scalars().all()
    for project_id in found:
        await apply(app, project_id)
