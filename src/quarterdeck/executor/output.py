"""What a command prints: passed on as it comes, bounded, its head and tail kept."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from quarterdeck.core.limits import OUTPUT_BYTES, RESULT_CHARACTERS
from quarterdeck.core.text import decode

Sink = Callable[[bytes], Awaitable[None]]
"""Gets the output of a command in order, in pieces of at most `CHUNK_BYTES`; the command waits while it is awaited."""

CHUNK_BYTES = 64 * 1024
KEPT_BYTES = 4 * RESULT_CHARACTERS
"""How much of the head, and of the tail, a body gets to see; UTF-8 needs at most four bytes for a character."""


class Output:
    """Takes all that a command prints and holds a bounded part of it.

    The sink gets the first half of `limit` while the command runs; of the rest it gets the last half, after a note of
    how much is missing, when the command has ended.
    """

    def __init__(self, sink: Sink | None, limit: int = OUTPUT_BYTES) -> None:
        self._sink = sink
        self._limit = limit if sink else 0
        self._half = limit // 2
        self._rest = _Tail(self._half if sink else 0)
        self._tail = _Tail(KEPT_BYTES)
        self._head = bytearray()
        self.total = 0

    async def drain(self, stream: asyncio.StreamReader) -> None:
        """Read until the end, whatever comes."""
        while chunk := await stream.read(CHUNK_BYTES):
            await self._take(chunk)

    def mute(self) -> None:
        """Pass on nothing more: whoever listened is gone."""
        self._sink = None

    async def finish(self) -> None:
        """Pass on what was held back."""
        if not self._sink or not self._rest.size:
            return
        if self._rest.dropped:
            await self._sink(f"\n[… {self._rest.dropped:,} bytes left out …]\n".encode())
        for chunk in self._rest.chunks:
            await self._sink(chunk)

    async def _take(self, chunk: bytes) -> None:
        room = max(0, KEPT_BYTES - len(self._head))
        self._head += chunk[:room]
        self._tail.add(chunk[room:])
        live = max(0, self._half - self.total)
        self.total += len(chunk)
        if self._sink and chunk[:live]:
            await self._sink(chunk[:live])
        self._rest.add(chunk[live:])

    @property
    def kept(self) -> int:
        """How much of it the sink has got or will get."""
        return min(self.total, self._limit)

    @property
    def truncated(self) -> bool:
        """Whether bytes were dropped that neither the sink nor the body will see."""
        return bool(self._rest.dropped if self._sink else self._tail.dropped)

    @property
    def text(self) -> str:
        """Head and tail as storable text, with a note of how much is missing between them."""
        if not self._tail.dropped:
            return decode(bytes(self._head) + b"".join(self._tail.chunks))
        tail = decode(b"".join(self._tail.chunks))
        return f"{decode(bytes(self._head))}\n[… {self._tail.dropped:,} bytes left out …]\n{tail}"


class _Tail:
    """The last bytes of a stream, in the pieces they came in."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.chunks: deque[bytes] = deque()
        self.size = 0
        self.dropped = 0

    def add(self, chunk: bytes) -> None:
        if not chunk:
            return
        # Small pieces are joined, so that a stream of single bytes doesn't become a million objects.
        if self.chunks and len(self.chunks[-1]) + len(chunk) <= CHUNK_BYTES // 8:
            self.chunks[-1] += chunk
        else:
            self.chunks.append(chunk)
        self.size += len(chunk)
        while self.size > self._limit:
            first = self.chunks.popleft()
            excess = self.size - self._limit
            if len(first) > excess:
                self.chunks.appendleft(first[excess:])
            self.dropped += min(excess, len(first))
            self.size -= min(excess, len(first))
