"""Server-sent events: one chunk for all that waits, and a polite end when the server stops.

An open stream would hold the server back from stopping, so every stream also waits for `Closing` and ends with a
`closing` event. Who it is for is let in again while it goes on. Nothing is awaited in the clean-up: it would not run
after a client has left. A task of its own closes the source.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
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
        self._event = asyncio.Event()

    def begin(self) -> None:
        """Ends all streams, those that are opened later too. Call it in the server's event loop."""
        self._event.set()

    async def wait(self) -> None:
        """Returns when the server stops."""
        await self._event.wait()


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
    leave = asyncio.ensure_future(closing.wait())
    following = {asyncio.ensure_future(_next(source)): source for source in sources}
    clock = asyncio.get_running_loop().time
    due = clock() + CHECK_SECONDS
    try:
        yield _OPENING
        while following:
            patience = None if check is None else max(0.0, due - clock())
            done, _ = await asyncio.wait({leave, *following}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if done == {leave}:
                yield message("closing", "{}")
                return
            if check is not None and clock() >= due:
                await check()
                due = clock() + CHECK_SECONDS
            there = [(one, data) for one in following if one in done and (data := one.result()) is not None]
            going_on = [following[one] for one, _ in there]
            for one in done - {leave}:
                del following[one]
            if there or not done:
                yield b"".join(data for _, data in there) or KEEPALIVE
            following |= {asyncio.ensure_future(_next(source)): source for source in going_on}
        yield message("end", "{}")
    except Exception as error:
        yield message("error", problem_of(error).model_dump_json(exclude_none=True))
    finally:
        leave.cancel()
        for future, source in following.items():
            future.cancel()
            ending = asyncio.ensure_future(_close(source, future))
            _endings.add(ending)
            ending.add_done_callback(_endings.discard)


_endings: set[asyncio.Task[None]] = set()


async def _close(chunks: AsyncIterator[bytes], following: asyncio.Future[bytes | None]) -> None:
    """Closes the source too when it had given a chunk that nobody took: its clean-up would wait for the collector."""
    await asyncio.wait({following})
    if not following.cancelled():
        following.exception()  # of two that broke at once the stream told one
    if isinstance(chunks, AsyncGenerator):
        await chunks.aclose()


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    return await anext(chunks, None)
