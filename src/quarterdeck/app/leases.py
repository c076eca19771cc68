"""Leases: which executor has a subject, fenced by the epoch, and what becomes of it when it is not heard of."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import structlog
from sqlalchemy import BigInteger, ColumnElement, Row, case, cast, delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import pipeline_jobs
from quarterdeck.app.application import App
from quarterdeck.app.change import Change, change, changing
from quarterdeck.app.lock_order import lock_sessions
from quarterdeck.core import events as e
from quarterdeck.core import protocol as p
from quarterdeck.core.errors import FencedError, InvalidInputError, NotFoundError, UnavailableError
from quarterdeck.core.session_limits import Used
from quarterdeck.core.state import Call, CallStatus
from quarterdeck.store import clock, log
from quarterdeck.store.doorbell import ring
from quarterdeck.store.tables import leases, offers, runners, sessions, tokens

_log = structlog.get_logger(__name__)

OPEN = ("waiting", "offered", "running")
"""The statuses of an offer that has not ended."""


@dataclass(frozen=True)
class Subject:
    """What a lease is on."""

    kind: Literal["session", "job"]
    id: int

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


def subject_of(text: str) -> Subject:
    """`session:12` or `job:7`. Raises InvalidInputError."""
    kind, _, number = text.partition(":")
    if not number.isdigit() or kind not in ("session", "job"):
        raise InvalidInputError(f"{text!r} is no subject; it is session:NUMBER or job:NUMBER.")
    return Subject("session" if kind == "session" else "job", int(number))


@dataclass(frozen=True)
class Lease:
    """A runner's lease; `fresh` when it was taken just now."""

    epoch: int
    fresh: bool


async def take(connection: AsyncConnection, runner_id: int, subject: Subject) -> Lease | None:
    """The runner's lease on the subject, taken if it is free and the runner takes new ones.

    None when another has it, or it has ended, or the runner is paused.
    """
    expires = in_time()
    row = (
        await connection.execute(select(leases).where(leases.c.subject == str(subject)).with_for_update())
    ).one_or_none()
    if row is not None and row.runner_id == runner_id:
        return None if row.cancelled else Lease(row.epoch, fresh=False)
    if row is not None and row.runner_id is not None:
        return None
    state = select(runners.c.state).where(runners.c.id == runner_id).with_for_update(read=True)
    if (await connection.execute(state)).scalar_one_or_none() != "active":
        return None
    epoch = row.epoch + 1 if row is not None else 1
    statement = upsert(leases).values(subject=str(subject), runner_id=runner_id, epoch=epoch, expires_at=expires)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[leases.c.subject],
            set_={
                "runner_id": runner_id,
                "epoch": epoch,
                "expires_at": expires,
                "cancelled": False,
                "torn_down": False,
            },
        )
    )
    return Lease(epoch, fresh=True)


async def fence(connection: AsyncConnection, token_id: int, subject: Subject, epoch: int) -> str:
    """The reporting runner's name, if it has the subject's lease.

    Raises:
        FencedError: the lease is another's, or nobody's.
    """
    row = (
        await connection.execute(
            select(leases.c.epoch, runners.c.name)
            .join(runners, runners.c.id == leases.c.runner_id)
            .join(tokens, (tokens.c.runner_id == runners.c.id) & (tokens.c.id == token_id))
            .where(leases.c.subject == str(subject))
        )
    ).one_or_none()
    if row is None or row.epoch != epoch:
        raise fenced(subject, epoch)
    return row.name


def fenced(subject: Subject, epoch: int) -> FencedError:
    """What one is told whose lease is over."""
    return FencedError(f"The lease {epoch} on {subject} is over; kill what you run of it and forget it.")


async def finish_offer(connection: AsyncConnection, call_id: str) -> bool:
    """Marks the offer as ended; False when it was already."""
    done = await connection.execute(
        update(offers)
        .where(offers.c.call_id == call_id, offers.c.status.in_(OPEN))
        .values(status="finished")
        .returning(offers.c.call_id)
    )
    return done.one_or_none() is not None


async def release(connection: AsyncConnection, subject: Subject) -> None:
    """A job's lease ends with it; its executor has wiped the workspace, and may take other work."""
    await connection.execute(delete(leases).where(leases.c.subject == str(subject)))
    await _forget_keys(connection, subject)
    await ring(connection, "runners:all")


async def expire(app: App) -> int:
    """Ends the leases of executors that were not heard of in time, and answers how many.

    Calls that were given to them are interrupted and the model is told; their pipeline jobs start again elsewhere. A
    lease whose subject has ended stays: its executor still owes the proof that nothing runs, whenever it is back, and
    the log says so. One that was removed will not be back, which the log says, too; it goes when nothing is held in
    its name.

    When the database's clock has jumped, or the machine has slept, they get the time to be renewed first: all look as
    if they had run out.
    """
    ended = 0
    async with app.database.transaction() as connection:
        await clock.ask(connection)
        if not clock.steady(p.DROP_SECONDS):
            return 0
        rows = await connection.execute(select(leases.c.subject, leases.c.epoch).where(_overdue()))
        expired = rows.all()
    for row in expired:
        async with _alone(row.subject):
            async with app.database.transaction() as connection:
                await _end(app, connection, subject_of(row.subject), row.epoch, _overdue(), _UNHEARD)
            ended += 1
    await _tell_of_missed(app)
    async with app.database.transaction() as connection:
        await _forget_removed(connection)
    return ended


@asynccontextmanager
async def _alone(subject: str) -> AsyncGenerator[None]:
    """What fails within is logged, and keeps the others from nothing; a database that is away ends it for all."""
    try:
        yield
    except UnavailableError:
        raise
    except Exception:
        _log.exception("a lease could not be ended; it is tried again", subject=subject)


async def _tell_of_missed(app: App) -> None:
    """Says once in the logs of ended sessions that no proof has come of their executors, and why."""
    why = case((runners.c.state == "removed", "removed"), else_="unreachable")
    number = cast(func.split_part(leases.c.subject, ":", 2), BigInteger)
    missed = (
        select(sessions.c.id, leases.c.subject, runners.c.id.label("runner_id"), runners.c.name, why.label("why"))
        .join(runners, runners.c.id == leases.c.runner_id)
        .join(sessions, sessions.c.id == number)
        .where(leases.c.cancelled, leases.c.torn_down.is_(False), leases.c.subject.like("session:%"))
        .where((runners.c.state == "removed") | (leases.c.expires_at < func.now()))
        .where(func.coalesce(sessions.c.state["teardown_missed"].as_string(), "") != why)
    )
    async with app.database.transaction() as connection:
        rows = (await connection.execute(missed)).all()
    for row in rows:
        async with _alone(row.subject):
            with suppress(NotFoundError):
                await _note_missed(app, row)


async def _note_missed(app: App, row: Row[int, str, int, str, str]) -> None:
    async with change(app, row.id) as it:
        if not it.state.torn_down and it.state.teardown_missed != row.why:
            it.append(e.TeardownMissed(executor=row.name, why=row.why))
        if row.why == "removed":  # with the event, so that who waits for the proof is told and let go
            mine = (leases.c.subject == row.subject) & (leases.c.runner_id == row.runner_id)
            await it.connection.execute(delete(leases).where(mine, leases.c.cancelled))


async def _forget_removed(connection: AsyncConnection) -> None:
    gone = select(runners.c.id).where(runners.c.state == "removed")
    if not (ids := list((await connection.execute(gone)).scalars())):
        return
    await connection.execute(delete(leases).where(leases.c.runner_id.in_(ids), leases.c.cancelled))
    holding = select(leases.c.runner_id).where(leases.c.runner_id.in_(ids))
    await connection.execute(delete(runners).where(runners.c.id.in_(ids), runners.c.id.not_in(holding)))


def state_bell(runner_id: int) -> str:
    """Rings when the runner was paused, resumed, drained or removed."""
    return f"runner_state:{runner_id}"


async def hand_over(app: App, runner_id: int) -> bool:
    """Gives up what a draining runner does nothing for; True when it has nothing left, and is paused now.

    A session between two calls goes on elsewhere, from its last snapshot.
    """
    mine = (leases.c.runner_id == runner_id) & leases.c.cancelled.is_(False)
    busy = exists().where(offers.c.subject == leases.c.subject, offers.c.status.in_(("offered", "running")))
    async with app.database.transaction() as connection:
        held = select(leases.c.subject, leases.c.epoch).where(mine, leases.c.subject.like("session:%"), ~busy)
        rows = (await connection.execute(held.order_by(leases.c.subject))).all()
    for row in rows:
        async with app.database.transaction() as connection:
            # Under the session's lock, as calls are given.
            await lock_sessions(connection, [subject_of(row.subject).id])
            ours = (leases.c.subject == row.subject) & (leases.c.epoch == row.epoch)
            await connection.execute(update(leases).where(ours, mine, ~busy).values(runner_id=None))
            await ring(connection, "runners:all")
    async with app.database.transaction() as connection:
        left = exists().where(leases.c.runner_id == runners.c.id)
        drained = update(runners).where(runners.c.id == runner_id, runners.c.state == "draining", ~left)
        return bool((await connection.execute(drained.values(state="paused"))).rowcount)


async def end_all(app: App, connection: AsyncConnection, why: str) -> int:
    """Ends all leases whose subjects live, as if their executors were lost, and answers how many.

    The executors wipe what they have of these subjects when they say hello: nobody holds a lease on any. That none was
    heard of lets them come at once, also with another token or from another home.
    """
    await connection.execute(update(runners).values(last_contact=None))
    held = leases.c.runner_id.is_not(None) & leases.c.cancelled.is_(False)
    rows = (await connection.execute(select(leases.c.subject, leases.c.epoch).where(held))).all()
    for row in rows:
        await _end(app, connection, subject_of(row.subject), row.epoch, held, why)
    return len(rows)


async def _end(
    app: App, connection: AsyncConnection, subject: Subject, epoch: int, still: ColumnElement[bool], why: str
) -> None:
    """Ends one lease, if it is `still` so when its subject is locked."""
    if subject.kind == "session":
        try:
            async with changing(app, connection, subject.id) as it:
                if not await end_within(it, epoch, still, why):
                    return
        except NotFoundError:
            await _unlease(connection, subject, epoch, still)
    else:
        await pipeline_jobs.lock_of(connection, subject.id)
        if await _unlease(connection, subject, epoch, still):
            await pipeline_jobs.job_interrupted(connection, app, subject.id)
    await ring(connection, "runners:all")


async def end_within(it: Change, epoch: int, still: ColumnElement[bool], why: str) -> bool:
    """Ends the lease on a session that is locked already, and with it the calls that it had; False if it is none."""
    subject = Subject("session", it.session.id)
    if not await _unlease(it.connection, subject, epoch, still):
        return False
    for call_id, call, used in await _given(it):
        it.append(_interrupted(call_id, call.tool, it.state.executor, why, used))
        await finish_offer(it.connection, call_id)
    return True


async def remove(connection: AsyncConnection, runner_id: int) -> None:
    """Ends an executor: its leases run out with the next `expire`, and it goes when nothing is held in its name."""
    mine = leases.c.runner_id == runner_id
    await connection.execute(select(leases.c.subject).where(mine).order_by(leases.c.subject).with_for_update())
    await connection.execute(update(leases).where(mine).values(expires_at=func.now() - timedelta(seconds=1)))
    await connection.execute(delete(tokens).where(tokens.c.runner_id == runner_id))
    await connection.execute(update(runners).where(runners.c.id == runner_id).values(state="removed"))
    await ring(connection, state_bell(runner_id))


async def _unlease(connection: AsyncConnection, subject: Subject, epoch: int, still: ColumnElement[bool]) -> bool:
    done = await connection.execute(
        update(leases)
        .where(leases.c.subject == str(subject), leases.c.epoch == epoch, still)
        .values(runner_id=None)
        .returning(leases.c.subject)
    )
    if done.one_or_none() is None:
        return False
    await _forget_keys(connection, subject)
    return True


async def _forget_keys(connection: AsyncConnection, subject: Subject) -> None:
    """Whoever had the subject fetches nothing more for it."""
    await connection.execute(delete(tokens).where(tokens.c.kind == "workspace", tokens.c.subject == str(subject)))


async def sent(it: Change) -> dict[str, Used]:
    """The session's calls that its executor was sent, with what each took by now, for whoever won't hear it of that.

    It keeps nothing running for longer than its lease is good.
    """
    until = func.least(func.now(), leases.c.expires_at)
    seconds = func.greatest(0, func.coalesce(func.extract("epoch", until - offers.c.started_at), 0))
    rows = await it.connection.execute(
        select(offers.c.call_id, offers.c.output_bytes, cast(seconds * 1000, BigInteger).label("ms"))
        .join(leases, leases.c.subject == offers.c.subject)
        .where(offers.c.subject == f"session:{it.session.id}", offers.c.status.in_(("offered", "running")))
    )
    return {row.call_id: Used(ms=row.ms, output=row.output_bytes) for row in rows}


async def _given(it: Change) -> list[tuple[str, Call, Used]]:
    """Of the calls that the dead executor was sent those that end with it; what still waits goes to the next one."""
    used = await sent(it)
    return [
        (call_id, call, used[call_id])
        for call_id, call in it.state.calls.items()
        if call_id in used and call.side == "executor" and call.status in (CallStatus.OFFERED, CallStatus.RUNNING)
    ]


def in_time() -> ColumnElement[datetime]:
    """When a lease that is renewed now runs out, by the database's clock."""
    return func.now() + timedelta(seconds=p.DROP_SECONDS)


def _overdue() -> ColumnElement[bool]:
    """Those that ran out, and those that a clock gave too long which was put back since and that nobody renews."""
    end, now = leases.c.expires_at, func.now()
    over = (end < now) | (end > now + timedelta(seconds=2 * p.DROP_SECONDS))
    return leases.c.runner_id.is_not(None) & over & leases.c.cancelled.is_(False)


_UNHEARD = f"was not heard of for {p.DROP_SECONDS} s while it had this call"


def _interrupted(call_id: str, tool: str, executor: str, why: str, used: Used) -> log.Draft:
    return log.Draft(
        e.ToolCallFinished(
            call_id=call_id,
            tool=tool,
            outcome=e.Outcome.INTERRUPTED,
            text=f"The executor {executor} {why}. It may or may not have been carried out; the workspace is made anew "
            "from its last snapshot.",
            used=used,
        ),
        e.Level.CONCISE,
    )
