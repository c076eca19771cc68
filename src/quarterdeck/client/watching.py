"""Watching a session to its end, through whatever breaks the stream: each event once, in order."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from httpx_sse import ServerSentEvent

from quarterdeck.client.async_calls import AsyncLog
from quarterdeck.client.calls import Log
from quarterdeck.client.errors import ClientError, RefusedError
from quarterdeck.client.models import Event

TRIES = 8
"""How often in a row nobody may answer before it is given up; with the waits between them about two minutes."""


@dataclass(frozen=True)
class Partial:
    """The model's answer so far; each takes the place of the one before, and the event of the answer that of all."""

    turn_no: int
    text: str


@dataclass(frozen=True)
class Output:
    """Bytes that a running call printed; after a broken stream they come again, by their offsets."""

    call_id: str
    offset: int
    data: bytes


Signal = Event | Partial | Output


class _Progress:
    """How far a watcher has come."""

    def __init__(self, after: int) -> None:
        self.seq = after
        self.ended = False
        self._tries = 0

    def take(self, message: ServerSentEvent) -> Signal | None:
        """What a message of the stream says to the watcher."""
        self._tries = 0
        match message.event:
            case "end":
                self.ended = True
                return None
            case "error":
                problem = message.json()
                raise RefusedError(int(problem.get("status", 500)), problem)
            case "closing":
                return None
            case "message" if not message.data:  # a comment that keeps the line alive
                return None
            case "partial":
                said = message.json()
                return Partial(said["turn_no"], said["text"])
            case "output":
                said = message.json()
                return Output(said["call_id"], said["offset"], base64.b64decode(said["data"]))
            case _:
                event = Event.model_validate_json(message.data)
                self.seq = event.seq
                return event

    def wait(self, error: ClientError | None) -> float:
        """Seconds until the next try. Raises `error` when it does not pass, or after too many."""
        if error is not None and (self._tries >= TRIES or not error.passes):
            raise error
        self._tries += 1
        return min(30.0, 0.25 * 2.0**self._tries)


def watch(log: Log, session_id: int, after: int) -> Iterator[Signal]:
    """What happened behind event `after`, then what happens, until the session has ended and was torn down."""
    progress = _Progress(after)
    while not progress.ended:
        failed: ClientError | None = None
        try:
            with log.follow(session_id, last_event_id=progress.seq) as messages:
                for message in messages:
                    if (signal := progress.take(message)) is not None:
                        yield signal
        except ClientError as error:
            failed = error
        if not progress.ended:
            time.sleep(progress.wait(failed))


async def watch_async(log: AsyncLog, session_id: int, after: int) -> AsyncIterator[Signal]:
    """The same with asyncio."""
    progress = _Progress(after)
    while not progress.ended:
        failed: ClientError | None = None
        try:
            async with log.follow(session_id, last_event_id=progress.seq) as messages:
                async for message in messages:
                    if (signal := progress.take(message)) is not None:
                        yield signal
        except ClientError as error:
            failed = error
        if not progress.ended:
            await asyncio.sleep(progress.wait(failed))
