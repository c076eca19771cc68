"""Server-sent events: one chunk for all that waits, and a polite end when the server stops.

An open stream would hold the server back from stopping, so every stream also waits for `Closing` and ends with a
`closing` event. Who it is for is let in again while it goes on. Nothing is awaited in the clean-up: it would not run
after a client has left. A task of its own closes the source.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Annotated

import structlog
from litestar.di import Dependency
from litestar.params import SkipValidationMarker
from litestar.response import Stream

from quarterdeck.doors.problem import problem_of

KEEPALIVE = b": keep-alive\n\n"
CHECK_SECONDS = 15.0
"""How long somebody may go on watching who has signed out or lost their role."""
_OPENING = b": quarterdeck\n\n"

_log = structlog.get_logger(__name__)


class Closing:
    """Set once, when the server begins to stop: all open streams end."""

    def __init__(self) -> None:
        self.begun = False
        self._told: set[Callable[[], None]] = set()

    def begin(self) -> None:
        """Ends all streams, those that are opened later too. Call it in the server's event loop."""
        self.begun = True
        for tell in tuple(self._told):
            tell()

    @contextmanager
    def telling(self, tell: Callable[[], None]) -> Generator[None]:
        """Calls `tell` if the server begins to stop within the block."""
        self._told.add(tell)
        try:
            yield
        finally:
            self._told.discard(tell)


Closes = Annotated[Closing, Dependency("named"), SkipValidationMarker()]
"""How a handler asks for it."""


def message(event: str, data: str, identity: int | None = None) -> bytes:
    """One event; `data` is JSON, which has no line breaks of its own."""
    head = f"id: {identity}\n" if identity is not None else ""
    return f"{head}event: {event}\ndata: {data}\n\n".encode()


def chunk(messages: Iterable[bytes]) -> bytes:
    """All messages as one write; a comment when there is none, which keeps the connection alive."""
    return b"".join(messages) or KEEPALIVE


Check = Callable[[], Awaitable[object]]
"""Whether who watches still may: it raises what they would be told if they asked now."""


def stream(
    chunks: AsyncIterator[bytes], closing: Closing, *beside: AsyncIterator[bytes], check: Check | None = None
) -> Stream:
    """The response that sends `chunks`, and what is told beside them.

    It ends when all have ended (`end`), one fails or the check does (`error`), or the server stops (`closing`).
    """
    return Stream(
        _until_closing((chunks, *beside), closing, check),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _until_closing(
    sources: tuple[AsyncIterator[bytes], ...], closing: Closing, check: Check | None
) -> AsyncIterator[bytes]:
    inbox = _Inbox(len(sources))
    pumps = [asyncio.create_task(inbox.pump(source)) for source in sources]
    timer = inbox.due_later() if check else None
    try:
        with closing.telling(inbox.wake):
            yield _OPENING
            while inbox.open and not closing.begun:
                due, inbox.due = inbox.due, False
                if due and check is not None:
                    await check()
                    timer = inbox.due_later()
                if (data := inbox.take()) or due:
                    yield data or KEEPALIVE
                    inbox.go_on()
                else:
                    await inbox.wait()
            yield message("closing" if inbox.open else "end", "{}")
    except Exception as error:
        yield message("error", problem_of(error).model_dump_json(exclude_none=True))
    finally:
        if timer is not None:
            timer.cancel()
        for pump in pumps:
            pump.cancel()
            _endings.add(pump)
            pump.add_done_callback(_endings.discard)


_endings: set[asyncio.Task[None]] = set()


class _Inbox:
    """What the sources of a stream have brought; one that brought something waits until it was sent."""

    def __init__(self, sources: int) -> None:
        self.open = sources
        """Sources that may still bring something."""
        self.due = False
        """Whether who watches has to be let in again."""
        self._loop = asyncio.get_running_loop()
        self._chunks: list[bytes] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._sending: list[asyncio.Future[None]] = []
        self._error: Exception | None = None
        self._news: asyncio.Future[None] | None = None

    async def pump(self, source: AsyncIterator[bytes]) -> None:
        """Brings what a source has, and closes it, also one that had given a chunk that nobody took."""
        try:
            async for data in source:
                sent = self._loop.create_future()
                self._chunks.append(data)
                self._waiting.append(sent)
                self.wake()
                await sent
            self.open -= 1
        except Exception as error:
            self._error = error
        finally:
            self.wake()
            if isinstance(source, AsyncGenerator):
                await source.aclose()

    def take(self) -> bytes:
        """All that is there. Raises what a source broke with, behind what it had brought."""
        if self._error is not None and not self._chunks:
            raise self._error
        there, self._chunks = b"".join(self._chunks), []
        self._sending, self._waiting = self._waiting, []
        return there

    def go_on(self) -> None:
        """What was taken is sent."""
        for one in self._sending:
            if not one.done():
                one.set_result(None)

    def due_later(self) -> asyncio.TimerHandle:
        """Has who watches let in again after a while."""
        return self._loop.call_later(CHECK_SECONDS, self._is_due)

    def _is_due(self) -> None:
        self.due = True
        self.wake()

    async def wait(self) -> None:
        """Returns when there may be something."""
        self._news = self._loop.create_future()
        await self._news

    def wake(self) -> None:
        """Something is there, or over."""
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
