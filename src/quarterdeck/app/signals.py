"""What a watcher of a session is told, and the look that finds what is new behind a cursor."""

from copy import copy
from dataclasses import dataclass, field

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.core import events as e
from quarterdeck.core.state import CallStatus, SessionState
from quarterdeck.store import log
from quarterdeck.store import output as outputs
from quarterdeck.store.tables import leases, partials, sessions

CHUNK_EVENTS, CHUNK_BYTES = 500, 4 * 1024 * 1024
"""What one look takes of a log, unless one row of it is larger."""


@dataclass(frozen=True, slots=True)
class EventSignal:
    """A new event, and the same as JSON, which is written once for all who watch."""

    event: e.Event
    json: str

    @property
    def size(self) -> int:
        """About how many bytes it takes to send it."""
        return len(self.json)


@dataclass(frozen=True, slots=True)
class PartialSignal:
    """The model's answer so far; replaces the one before."""

    turn_no: int
    text: str

    @property
    def size(self) -> int:
        """About how many bytes it takes to send it."""
        return len(self.text)


@dataclass(frozen=True, slots=True)
class OutputSignal:
    """Bytes that a running call printed."""

    call_id: str
    offset: int
    data: bytes
    skipped: bool = False
    """What stands before it was left out."""

    @property
    def size(self) -> int:
        """About how many bytes it takes to send it."""
        return len(self.data)


Signal = EventSignal | PartialSignal | OutputSignal


@dataclass
class Cursor:
    """How far a session has been read."""

    seq: int
    partial: PartialSignal | None = None
    running: dict[str, int] = field(default_factory=dict[str, int])
    """Calls that print, and how many bytes of each were sent."""
    ended: bool = False
    most_output: int | None = None
    """How much is read of what a call has printed and was not sent; None for all."""
    behind: bool = False
    """Whether the last look left some of the log for the next."""

    def copy(self) -> "Cursor":
        """Another one at the same place, which leaves out nothing from there on."""
        other = copy(self)
        other.most_output = None
        other.running = dict(self.running)
        return other

    def unseen(self, signals: tuple[Signal, ...], through: int) -> tuple[Signal, ...]:
        """What of these is not behind this cursor, which moves along; they were true when the log stood at `through`.

        All of them, the same object, when none is known.
        """
        found: list[Signal] = []
        known = False
        for signal in signals:
            match signal:
                case EventSignal() if signal.event.seq <= self.seq:
                    known = True
                case EventSignal():
                    self.seq = signal.event.seq
                    _follow(self, signal.event.payload)
                    found.append(signal)
                case PartialSignal() if through < self.seq:
                    known = True
                case OutputSignal() if (sent := self._sent(signal)) > 0:
                    known = True
                    if sent < len(signal.data):
                        found.append(OutputSignal(signal.call_id, signal.offset + sent, signal.data[sent:]))
                        self.running[signal.call_id] = signal.offset + len(signal.data)
                case OutputSignal():
                    self.running[signal.call_id] = signal.offset + len(signal.data)
                    found.append(signal)
                case _:
                    found.append(signal)
        return tuple(found) if known else signals

    def _sent(self, output: OutputSignal) -> int:
        """How many bytes of it are behind the cursor: all when the call's end is."""
        return max(0, self.running.get(output.call_id, output.offset + len(output.data)) - output.offset)


_STAND = (
    select(sessions.c.seq, sessions.c.turn_open, sessions.c.ended_at, leases.c.torn_down)
    .outerjoin(leases, (leases.c.subject == bindparam("subject")) & leases.c.runner_id.is_not(None))
    .where(sessions.c.id == bindparam("session"))
)
_STATE = select(sessions.c.state).where(sessions.c.id == bindparam("session"))
_PARTIAL = select(partials.c.turn_no, partials.c.text).where(partials.c.session_id == bindparam("session"))
# Made once, which costs more than to run them.


async def look(connection: AsyncConnection, session_id: int, cursor: Cursor) -> list[Signal]:
    """What is new behind the cursor, which moves along."""
    found: list[Signal] = []
    asked = {"session": session_id, "subject": f"session:{session_id}"}
    row = (await connection.execute(_STAND, asked)).one_or_none()
    if row is None:
        cursor.ended = True
        return found
    for call_id in tuple(cursor.running):
        found += await _output(connection, call_id, cursor)  # before the event that may end the call
    if row.seq > cursor.seq:
        fresh = await log.read(connection, session_id, after=cursor.seq, limit=CHUNK_EVENTS, most_bytes=CHUNK_BYTES)
        for event in fresh:
            if isinstance(event.payload, e.ToolCallFinished) and event.payload.call_id in cursor.running:
                found += await _output(connection, event.payload.call_id, cursor)
            found.append(EventSignal(event, event.model_dump_json()))
            cursor.seq = event.seq
            _follow(cursor, event.payload)
    cursor.behind = cursor.seq < row.seq
    if row.turn_open:
        found += await _partial(connection, session_id, cursor)
    cursor.ended = row.ended_at is not None and row.torn_down is not False and cursor.seq >= row.seq
    return found


async def _output(connection: AsyncConnection, call_id: str, cursor: Cursor) -> list[Signal]:
    """What a call printed that was not sent yet."""
    found: list[Signal] = []
    skipped = False
    if cursor.most_output is not None:
        first = await outputs.size(connection, call_id) - cursor.most_output
        skipped = first > cursor.running[call_id]
        cursor.running[call_id] = max(first, cursor.running[call_id])
    while data := await outputs.read(connection, call_id, cursor.running[call_id]):
        found.append(OutputSignal(call_id, cursor.running[call_id], data, skipped))
        skipped = False
        cursor.running[call_id] += len(data)
    return found


async def printing(connection: AsyncConnection, session_id: int) -> dict[str, int]:
    """The executor's calls that run now. One who comes back is sent what they printed from the start, by offset."""
    stored = (await connection.execute(_STATE, {"session": session_id})).scalar_one()
    state = SessionState.model_validate(stored)
    return {i: 0 for i, call in state.calls.items() if call.side == "executor" and call.status is CallStatus.RUNNING}


def _follow(cursor: Cursor, payload: e.AnyPayload) -> None:
    match payload:
        case e.ToolCallStarted(call_id=call_id, executor=executor) if executor != "server":
            cursor.running.setdefault(call_id, 0)
        case e.ToolCallFinished(call_id=call_id):
            cursor.running.pop(call_id, None)
        case e.ModelAnswered() | e.ModelInterrupted():
            cursor.partial = None
        case _:
            pass


async def _partial(connection: AsyncConnection, session_id: int, cursor: Cursor) -> list[Signal]:
    row = (await connection.execute(_PARTIAL, {"session": session_id})).one_or_none()
    if row is None:
        return []
    now = PartialSignal(row.turn_no, row.text)
    if now == cursor.partial:
        return []
    cursor.partial = now
    return [now]
