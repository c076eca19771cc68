"""Server-sent events: one chunk for all that waits, and a polite end when the server stops.

An open stream would hold the server back from stopping, so every stream also waits for `Closing` and ends with a
`closing` event. Nothing is awaited in the clean-up: it would not run after a client has left. A task of its own
closes the source.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import Annotated

import structlog
from litestar.di import Dependency
from litestar.params import SkipValidationMarker
from litestar.response import Stream

from quarterdeck.doors.problem import problem_of

KEEPALIVE = b": keep-alive\n\n"
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


def stream(chunks: AsyncIterator[bytes], closing: Closing) -> Stream:
    """The response that sends `chunks` until they end (`end`), fail (`error`) or the server stops (`closing`)."""
    return Stream(
        _until_closing(chunks, closing),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _until_closing(chunks: AsyncIterator[bytes], closing: Closing) -> AsyncIterator[bytes]:
    leave = asyncio.ensure_future(closing.wait())
    following = asyncio.ensure_future(_next(chunks))
    try:
        yield _OPENING
        while True:
            await asyncio.wait({following, leave}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                yield message("closing", "{}")
                return
            data = following.result()
            if data is None:
                yield message("end", "{}")
                return
            yield data
            following = asyncio.ensure_future(_next(chunks))
    except Exception as error:
        yield message("error", problem_of(error).model_dump_json(exclude_none=True))
    finally:
        following.cancel()
        leave.cancel()
        ending = asyncio.ensure_future(_close(chunks, following))
        _endings.add(ending)
        ending.add_done_callback(_endings.discard)


_endings: set[asyncio.Task[None]] = set()


async def _close(chunks: AsyncIterator[bytes], following: asyncio.Future[bytes | None]) -> None:
    """Closes the source too when it had given a chunk that nobody took: its clean-up would wait for the collector."""
    await asyncio.wait({following})
    if isinstance(chunks, AsyncGenerator):
        await chunks.aclose()


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    return await anext(chunks, None)
