"""Watching a session: its events, the answer being written, the output of its running calls, as they come."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_access import may
from quarterdeck.core import events as e
from quarterdeck.core.access import Ability
from quarterdeck.core.state import CallStatus, SessionState
from quarterdeck.store import log
from quarterdeck.store import output as outputs
from quarterdeck.store.tables import leases, partials, sessions

CHUNK_EVENTS = 500


@dataclass(frozen=True)
class EventSignal:
    """A new event."""

    event: e.Event


@dataclass(frozen=True)
class PartialSignal:
    """The model's answer so far; replaces the one before."""

    turn_no: int
    text: str


@dataclass(frozen=True)
class OutputSignal:
    """Bytes that a running call printed."""

    call_id: str
    offset: int
    data: bytes


Signal = EventSignal | PartialSignal | OutputSignal


@dataclass
class _Cursor:
    """How far one watcher has read."""

    seq: int
    partial: PartialSignal | None = None
    running: dict[str, int] = field(default_factory=dict[str, int])
    """Calls that print, and how many bytes of each were sent."""
    ended: bool = False


async def session(app: App, actor: Actor, session_id: int, *, after: int) -> AsyncIterator[list[Signal]]:
    """What is new since event `after`, then whatever comes; one list for all that waits, an empty one keeps alive.

    Ends when the session has ended and its teardown, if it had an executor, is in the log; or when it is deleted.

    Raises:
        NotFoundError: there is no such session for the actor.
    """
    cursor = _Cursor(after)
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        if after:
            cursor.running = await _printing(connection, session_id)
    with app.doorbell.listener(f"session:{session_id}") as listener:
        while True:
            async with app.database.transaction() as connection:
                found = await _look(connection, session_id, cursor)
            if found:
                yield found
            if cursor.ended:
                return
            if len(found) < CHUNK_EVENTS and not await listener.wait():
                yield []


async def _look(connection: AsyncConnection, session_id: int, cursor: _Cursor) -> list[Signal]:
    found: list[Signal] = []
    row = (
        await connection.execute(
            select(sessions.c.seq, sessions.c.turn_open, sessions.c.ended_at, leases.c.torn_down)
            .outerjoin(leases, (leases.c.subject == f"session:{session_id}") & leases.c.runner_id.is_not(None))
            .where(sessions.c.id == session_id)
        )
    ).one_or_none()
    if row is None:
        cursor.ended = True
        return found
    for call_id in tuple(cursor.running):
        found += await _output(connection, call_id, cursor)  # before the event that may end the call
    if row.seq > cursor.seq:
        for event in await log.read(connection, session_id, after=cursor.seq, limit=CHUNK_EVENTS):
            if isinstance(event.payload, e.ToolCallFinished) and event.payload.call_id in cursor.running:
                found += await _output(connection, event.payload.call_id, cursor)
            found.append(EventSignal(event))
            cursor.seq = event.seq
            _follow(cursor, event.payload)
    if row.turn_open:
        found += await _partial(connection, session_id, cursor)
    cursor.ended = row.ended_at is not None and row.torn_down is not False and cursor.seq >= row.seq
    return found


async def _output(connection: AsyncConnection, call_id: str, cursor: _Cursor) -> list[Signal]:
    """What a call printed that was not sent yet."""
    found: list[Signal] = []
    while data := await outputs.read(connection, call_id, cursor.running[call_id]):
        found.append(OutputSignal(call_id, cursor.running[call_id], data))
        cursor.running[call_id] += len(data)
    return found


async def _printing(connection: AsyncConnection, session_id: int) -> dict[str, int]:
    """The executor's calls that run now. One who comes back is sent what they printed from the start, by offset."""
    state = SessionState.model_validate(
        (await connection.execute(select(sessions.c.state).where(sessions.c.id == session_id))).scalar_one()
    )
    return {i: 0 for i, call in state.calls.items() if call.side == "executor" and call.status is CallStatus.RUNNING}


def _follow(cursor: _Cursor, payload: e.AnyPayload) -> None:
    match payload:
        case e.ToolCallStarted(call_id=call_id, executor=executor) if executor != "server":
            cursor.running[call_id] = 0
        case e.ToolCallFinished(call_id=call_id):
            cursor.running.pop(call_id, None)
        case e.ModelAnswered() | e.ModelInterrupted():
            cursor.partial = None
        case _:
            pass


async def _partial(connection: AsyncConnection, session_id: int, cursor: _Cursor) -> list[Signal]:
    row = (
        await connection.execute(select(partials.c.turn_no, partials.c.text).where(partials.c.session_id == session_id))
    ).one_or_none()
    if row is None:
        return []
    now = PartialSignal(row.turn_no, row.text)
    if now == cursor.partial:
        return []
    cursor.partial = now
    return [now]
