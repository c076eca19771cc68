"""What others made, as it is: plain text of which a browser makes nothing, in pieces where it may be long."""

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from litestar import MediaType
from litestar.response import Stream

from quarterdeck.doors.web.rendering import HEADERS

PIECE_BYTES = 256 * 1024
"""Read at once."""
PLAIN = {**HEADERS, "Content-Security-Policy": "default-src 'none'; sandbox"}

Read = Callable[[int, int], Coroutine[Any, Any, bytes]]
"""Answers so many bytes from an offset on."""


def raw(size: int, read: Read, **headers: str) -> Stream:
    """All `size` bytes of it."""
    return Stream(_pieces(size, read), media_type=MediaType.TEXT, headers={**PLAIN, **headers})


async def _pieces(size: int, read: Read) -> AsyncIterator[bytes]:
    for offset in range(0, size, PIECE_BYTES):
        yield await read(offset, min(PIECE_BYTES, size - offset))
