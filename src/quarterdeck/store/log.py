"""The log: batch rows of events, and the session's row as their fold. The only writer of both."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import zstandard
from sqlalchemy import (
    JSON,
    BigInteger,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.core import events as e
from quarterdeck.core.errors import FencedError, SessionGoneError
from quarterdeck.core.fold import apply, begin
from quarterdeck.core.state import SessionState
from quarterdeck.store import clock, outbox, search, session_columns, steps
from quarterdeck.store.doorbell import CHANNEL, ring
from quarterdeck.store.tables import (
    approvals,
    artifacts,
    event_batches,
    sessions,
    usage,
)

_pack = zstandard.ZstdCompressor(level=3)
_unpack = zstandard.ZstdDecompressor()
PAGE_EVENTS = 10_000
"""So many are read at once; more come row by row."""
PAST = timedelta(days=1)
"""An event that a source tells of later counts as that old: what comes now is activity now, by which a log is kept."""
_END_PARTIAL = (e.TurnStarted, e.ModelAnswered, e.ModelInterrupted, e.ContextCompacted, e.TurnEnded, e.StatusChanged)
"""With any of these there is no partial answer any more."""


@dataclass
class Locked:
    """A session whose row this transaction holds: its state, moved along by what is appended."""

    id: int
    project_id: int | None
    flow_hash: str
    script_hash: str | None
    state: SessionState
    fresh: list[e.Event] = field(default_factory=list[e.Event])
    copied: int = 0
    """The last event that another session's log brought: no news, so nobody outside is told of it."""
    source_seq: int | None = None
    """The last event of its source that was stored; None when its work is done here."""
    initiator_role: int | None = None
    """In the session's project, where its work is done elsewhere."""


@dataclass(frozen=True)
class Draft:
    """An event before it has its number; `level` None means the kind's own, `at` None now."""

    payload: e.AnyPayload
    level: e.Level | None = None
    at: datetime | None = None


async def lock(connection: AsyncConnection, session_id: int, *, turn_no: int | None = None) -> Locked:
    """Takes the session's row for this transaction.

    Raises:
        NotFoundError: there is no such session.
        FencedError: `turn_no` is given and another turn has the session.
    """
    session = (await lock_all(connection, [session_id])).get(session_id)
    if session is None:
        raise SessionGoneError(f"There is no session #{session_id}.")
    state = session.state
    if turn_no is not None and (state.turn_no != turn_no or not state.turn_open):
        raise FencedError(f"Turn {turn_no} of session #{session_id} is over; the session is at turn {state.turn_no}.")
    return session


async def lock_all(
    connection: AsyncConnection, session_ids: Sequence[int], *, external: bool = False, patient: bool = True
) -> dict[int, Locked]:
    """Takes the rows of those of these sessions that are there, in the order of their numbers; or of external ones.

    Unless it is `patient`, those that another has are left out.
    """
    found: dict[int, Locked] = {}
    statement = _LOCK if patient else f"{_LOCK} skip locked"
    for row in await connection.exec_driver_sql(statement, {"ids": list(session_ids), "external": external}):
        state = SessionState.model_validate_json(row.state)
        found[row.id] = Locked(
            row.id, row.project_id, row.flow_hash, row.script_hash, state, source_seq=row.source_seq,
            initiator_role=row.role,
        )  # fmt: skip
    return found


async def reserve(connection: AsyncConnection) -> int:
    """The number of a session that is to be made; nobody else gets it, also when nothing comes of it."""
    found = await connection.execute(text("select nextval(pg_get_serial_sequence('sessions', 'id'))"))
    return int(found.scalar_one())


async def create(
    connection: AsyncConnection,
    created: e.SessionCreated,
    *,
    flow_hash: str,
    script_hash: str | None,
    idempotency_key: str | None,
    session_id: int | None = None,
) -> Locked:
    """Makes a session with its first event, under the number that was reserved for it if there is one.

    Raises:
        sqlalchemy.exc.IntegrityError: the initiator has used the idempotency key before.
    """
    now = clock.now()
    first = e.Event(
        session=0,
        seq=1,
        at=now,
        level=created.default_level,
        v=created.version,
        payload=created,
    )
    state = begin(first)
    if session_id is None:
        session_id = await reserve(connection)
    await keep_row(
        connection, session_id, state, flow_hash=flow_hash, script_hash=script_hash, idempotency_key=idempotency_key
    )
    await _write(connection, session_id, [first])
    await search.keep(connection, search.rows(session_id, search.scope_of(created), [first]))
    await outbox.note(connection, outbox.rows(session_id, created.project_id, [first]))
    await ring(connection, f"session:{session_id}", 1)
    return Locked(
        session_id, created.project_id, flow_hash, script_hash, state, source_seq=0 if state.elsewhere else None
    )


async def keep_row(
    connection: AsyncConnection,
    session_id: int,
    state: SessionState,
    *,
    flow_hash: str,
    script_hash: str | None,
    idempotency_key: str | None = None,
) -> None:
    """Makes the row of a session that has none."""
    created, columns = state.created, _columns(state)
    identity = {
        "id": session_id,
        "project_id": created.project_id,
        "initiator_id": created.initiator_id,
        "origin": created.origin,
        "flow": created.flow,
        "flow_hash": flow_hash,
        "script_hash": script_hash,
        "model": created.model,
        "created_at": state.created_at,
        "idempotency_key": idempotency_key,
        "parent_id": created.parent_id,
        "source_seq": 0 if state.elsewhere else None,
        "state": cast(literal(columns["state"], Text), JSON),
        "waiting_for": state.waiting.model_dump(mode="json") if state.waiting else None,
    }
    await connection.execute(insert(sessions).values(columns | identity))


async def keep_events(
    connection: AsyncConnection, session_id: int, created: e.SessionCreated, events: Sequence[e.Event]
) -> None:
    """Stores a piece of a log that was written elsewhere; what it used there is not counted here."""
    await _write(connection, session_id, events)
    await search.keep(connection, search.rows(session_id, search.scope_of(created), events))
    await _project(connection, session_id, [one for one in events if not isinstance(one.payload, e.UsageRecorded)])


def append(session: Locked, *drafts: Draft | e.AnyPayload) -> None:
    """Puts events behind the log of a locked session and moves its state; `flush` stores them.

    Raises:
        SessionEndedError, IllegalTransitionError: from the fold; the transaction must not go on then.
    """
    now = max(clock.now(), session.state.last_activity)
    for draft in drafts:
        whole = draft if isinstance(draft, Draft) else Draft(draft)
        event = e.Event(
            session=session.id,
            seq=session.state.seq + 1,
            at=now if whole.at is None else min(max(whole.at, session.state.last_activity, now - PAST), now),
            level=whole.level or whole.payload.default_level,
            v=whole.payload.version,
            payload=whole.payload,
        )
        apply(session.state, event)
        session.fresh.append(event)


def adopt(session: Locked, event: e.Event) -> None:
    """Puts an event of another session's log, renumbered for this one, behind it; it keeps its time and level."""
    apply(session.state, event)
    session.fresh.append(event)
    session.copied = event.seq


async def flush(connection: AsyncConnection, *held: Locked) -> None:
    """Stores what was appended to these sessions: of each one batch row, its row, one ring of its bell."""
    fresh: list[tuple[Locked, list[e.Event]]] = []
    words: list[search.Row] = []
    statuses: list[dict[str, Any]] = []
    for session in held:
        if session.fresh:
            events, session.fresh = session.fresh, []
            fresh.append((session, events))
            words += search.rows(session.id, search.scope_of(session.state.created), events)
            await _project(connection, session.id, events)
            news = [event for event in events if event.seq > session.copied]
            statuses += outbox.rows(session.id, session.project_id, news)
    if fresh:
        await outbox.note(connection, statuses)
        await connection.exec_driver_sql(_STORE if words else _STORE_UNSEARCHED, _stored(fresh) | search.columns(words))


def _stored(fresh: Sequence[tuple[Locked, Sequence[e.Event]]]) -> dict[str, list[Any]]:
    """The parameters of `_STORE`: of each column all values."""
    batches = [_batch(session.id, events) for session, events in fresh]
    rows = [{"id": session.id, "source_seq": session.source_seq, **_columns(session.state)} for session, _ in fresh]
    ended = [session.id for session, events in fresh if any(isinstance(one.payload, _END_PARTIAL) for one in events)]
    return {
        **{f"b_{name}": [one[name] for one in batches] for name in _BATCH_COLUMNS},
        **{f"s_{name}": [one[name] for one in rows] for name in _MOVED_COLUMNS},
        "ended": ended,
    }


def _unnested(table: Table, names: Sequence[str], prefix: str) -> str:
    """Arrays of values as rows: one text for any number of sessions, which the driver prepares once."""
    types = (table.c[name].type.compile(dialect=postgresql.dialect()) for name in names)
    return ", ".join(f"cast(%({prefix}_{name})b as {of}[])" for name, of in zip(names, types, strict=True))


_BATCH_COLUMNS = ("session_id", "first_seq", "n", "results", "concise", "data")
_MOVED_COLUMNS = (
    "id", "title", "status", "seq", "turn_no", "turn_open", "waiting_for", "state", "cost", "warnings", "errors",
    "started_at", "ended_at", "last_activity", "expires_on", "retention_days", "held", "scripted", "reason",
    "executor_id", "status_order", "source_seq", "verified",
)  # fmt: skip
_LOCK = (
    "select sessions.id, sessions.project_id, flow_hash, script_hash, cast(state as text) as state, source_seq, role"
    " from sessions left join members"
    " on members.project_id = sessions.project_id and members.user_id = initiator_id and source_seq is not null"
    " where sessions.id = any(%(ids)s) and (source_seq is not null or not %(external)s)"
    " order by sessions.id for update of sessions"
)
# The batch, the row, the end of an answer that was being written and the bell as one statement: one round trip.
_STORE_UNSEARCHED = (  # of our own tables' names alone
    f"with batch as (insert into event_batches ({', '.join(_BATCH_COLUMNS)})"  # noqa: S608 - names of our own columns
    f" select * from unnest({_unnested(event_batches, _BATCH_COLUMNS, 'b')})),"
    f" moved as (update sessions set {', '.join(f'{name} = new.{name}' for name in _MOVED_COLUMNS[1:])}"
    f" from unnest({_unnested(sessions, _MOVED_COLUMNS, 's')}) as new({', '.join(_MOVED_COLUMNS)})"
    " where sessions.id = new.id returning sessions.id, sessions.seq),"
    " partial as (delete from partials where session_id = any(cast(%(ended)b as bigint[])))"
    f" select pg_notify('{CHANNEL}', 'session:' || id || ' ' || seq) from moved"
)
_STORE = _STORE_UNSEARCHED.replace("with ", f"with words as ({search.KEEP}), ", 1)


def _reading() -> Select[int, bytes]:
    """The rows with the events from `begin` to before `end` of a session, the first found by the key."""
    of = event_batches.c
    session, begin, end = (bindparam(name, type_=BigInteger) for name in ("session", "begin", "end"))
    first = select(func.max(of.first_seq)).where(of.session_id == session, of.first_seq <= begin).scalar_subquery()
    rows = select(of.first_seq, of.data).where(of.session_id == session, of.first_seq < end)
    return rows.where(of.first_seq >= func.coalesce(first, 0)).order_by(of.first_seq)


_READ = _reading()
"""Made once, which costs more than to run it."""


async def read(
    connection: AsyncConnection,
    session_id: int,
    *,
    after: int = 0,
    before: int | None = None,
    limit: int = PAGE_EVENTS,
    most_bytes: int | None = None,
) -> list[e.Event]:
    """The events behind `after` and before `before`, oldest first, at most `limit`.

    With `most_bytes` it ends earlier where they are large: behind the row of the log in which they come to so much.
    """
    end = after + limit + 1 if before is None else min(before, after + limit + 1)
    asked = {"session": session_id, "begin": after + 1, "end": end}
    found: list[e.Event] = []
    if limit <= PAGE_EVENTS:  # a cursor would be three round trips more
        size = 0
        for first_seq, data in await connection.execute(_READ, asked):
            text = unpacked(data)
            found += _within(session_id, first_seq, text, after + 1, end)
            size += len(text)
            if most_bytes is not None and size >= most_bytes:
                break
        return found
    async with connection.stream(_READ, asked) as result:
        async for first_seq, data in result:
            found += _within(session_id, first_seq, unpacked(data), after + 1, end)
    return found


def unpack(session_id: int, data: bytes) -> list[e.Event]:
    """The events of one batch row."""
    return [_event(session_id, line) for line in lines(data)]


def lines(data: bytes) -> list[bytes]:
    """The events of one batch row as they were written, each the JSON of an event without its session."""
    return unpacked(data).split(b"\n")


def unpacked(data: bytes) -> bytes:
    """The lines of one batch row as one text."""
    return _unpack.decompress(data)


def _within(session_id: int, first_seq: int, text: bytes, begin: int, end: int) -> list[e.Event]:
    """Those events of a row that are wanted; no other is made."""
    wanted = text.split(b"\n")[max(0, begin - first_seq) : end - first_seq]
    return [_event(session_id, line) for line in wanted]


def _event(session_id: int, line: bytes) -> e.Event:
    return e.Event.model_validate_json(b'{"session":%d,%b' % (session_id, line[1:]))


async def _write(connection: AsyncConnection, session_id: int, events: Sequence[e.Event]) -> None:
    await connection.execute(insert(event_batches).values(_batch(session_id, events)))


def _batch(session_id: int, events: Sequence[e.Event]) -> dict[str, Any]:
    whole = b"\n".join(event.model_dump_json(exclude={"session"}).encode() for event in events)
    return {
        "session_id": session_id,
        "first_seq": events[0].seq,
        "n": len(events),
        "results": sum(event.level is e.Level.RESULT for event in events),
        "concise": sum(event.level is e.Level.CONCISE for event in events),
        "data": _pack.compress(whole),
    }


def _columns(state: SessionState) -> dict[str, Any]:
    """The session's row as its state has it, JSON as text; `last_activity` to the second, so that the row stays HOT."""
    waiting = state.waiting
    return {
        "title": state.title,
        "status": state.status.value,
        "seq": state.seq,
        "turn_no": state.turn_no,
        "turn_open": state.turn_open,
        "waiting_for": waiting.model_dump_json() if waiting else None,
        "state": state.model_dump_json(),
        "cost": state.usage.cost,
        "warnings": state.warnings,
        "errors": state.errors,
        "started_at": state.started_at,
        "ended_at": state.ended_at,
        "last_activity": state.last_activity.replace(microsecond=0),
        "expires_on": state.expires_on,
        "retention_days": state.retention_days,
        **session_columns.listed(state),
    }


async def _project(connection: AsyncConnection, session_id: int, events: Sequence[e.Event]) -> None:
    """The rows beside the session that lists and sums read."""
    used: list[dict[str, Any]] = []
    made: list[dict[str, Any]] = []
    for event in events:
        match event.payload:
            case e.UsageRecorded() as p:
                used.append(_used(session_id, event, p))
            case e.SnapshotTaken() as p:
                await steps.keep(connection, session_id, event.seq, p)
            case e.ArtifactCreated() as p:
                whole = {"session_id": session_id, "seq": event.seq, "kind": p.artifact, "name": p.name, "url": p.url}
                made.append(whole)
            case e.ApprovalRequested() as p:
                await connection.execute(
                    insert(approvals).values(
                        id=p.approval_id,
                        session_id=session_id,
                        ask=p.ask,
                        question=p.question,
                        requested_at=event.at,
                    )
                )
            case e.ApprovalGranted() | e.ApprovalDenied() | e.QuestionAnswered() as p:
                decision = {"approval.granted": "granted", "approval.denied": "denied"}.get(p.kind, "answered")
                await connection.execute(
                    update(approvals)
                    .where(approvals.c.id == p.approval_id)
                    .values(decision=decision, decided_by=p.by, decided_at=event.at)
                )
            case _:
                pass
    if used:
        await connection.execute(insert(usage), used)
    if made:
        await connection.execute(insert(artifacts), made)


def _used(session_id: int, event: e.Event, recorded: e.UsageRecorded) -> dict[str, Any]:
    return {
        "session_id": session_id,
        "seq": event.seq,
        "model": recorded.model,
        "at": event.at,
        "component": recorded.component,
        **recorded.usage.model_dump(),
    }
