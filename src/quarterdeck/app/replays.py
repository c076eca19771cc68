"""Replaying a session: its log at the times at which it was written, faster or slower, long silences cut short.

It is what watching was like, without the half answers, which no log has. No connection of the database is held while it
waits.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from quarterdeck.app import session_log
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.signals import EventSignal, OutputSignal, Signal
from quarterdeck.core import events as e
from quarterdeck.core.errors import NotFoundError

PAGE_EVENTS = 500
OUTPUT_BYTES = 256 * 1024
KEEPALIVE_SECONDS = 15.0


@dataclass(frozen=True)
class Pace:
    """How fast: `speed` 4 is four times as fast, 0 is at once; no silence is longer than `longest` seconds."""

    speed: float
    longest: float

    def wait(self, before: e.Event, after: e.Event) -> float:
        """The seconds between two events."""
        if self.speed == 0:
            return 0.0
        return min(max(0.0, (after.at - before.at).total_seconds()) / self.speed, self.longest)


async def replay(app: App, actor: Actor, session_id: int, *, after: int, pace: Pace) -> AsyncIterator[list[Signal]]:
    """The events behind `after` at their times, and before the end of each call what it printed.

    Ends with the log as it was when it came to its last page; an empty list keeps the connection alive.

    Raises:
        NotFoundError: there is no such session for the actor.
    """
    before: e.Event | None = None
    printing: set[str] = set()
    ready: list[Signal] = []
    while page := await session_log.events(app, actor, session_id, after=after, limit=PAGE_EVENTS):
        for event in page:
            waiting = pace.wait(before, event) if before else 0.0
            if waiting > 0 and ready:
                yield ready
                ready = []
            while waiting > 0:
                await asyncio.sleep(min(waiting, KEEPALIVE_SECONDS))
                waiting -= KEEPALIVE_SECONDS
                if waiting > 0:
                    yield []
            match event.payload:
                case e.ToolCallStarted(call_id=call_id):
                    printing.add(call_id)
                case e.ToolCallFinished(call_id=call_id) if call_id in printing:
                    printing.discard(call_id)
                    async for signal in _output(app, actor, session_id, call_id):
                        yield [*ready, signal]
                        ready = []
                case _:
                    pass
            ready.append(EventSignal(event, event.model_dump_json()))
            before = event
        yield ready
        ready, after = [], page[-1].seq


async def _output(app: App, actor: Actor, session_id: int, call_id: str) -> AsyncIterator[Signal]:
    offset = 0
    while data := await _read(app, actor, session_id, call_id, offset):
        yield OutputSignal(call_id, offset, data)
        offset += len(data)


async def _read(app: App, actor: Actor, session_id: int, call_id: str, offset: int) -> bytes:
    try:
        return await session_log.output(app, actor, session_id, call_id, offset=offset, limit=OUTPUT_BYTES)
    except NotFoundError:  # an imported call that printed nothing has nothing to read
        return b""
