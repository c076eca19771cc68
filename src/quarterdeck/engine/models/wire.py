"""A way over the loop's connections for a library that blocks its thread: it waits there, we send and read here."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from threading import Lock
from typing import Any, TypeVar

import httpx2

from quarterdeck.engine.models.clients import connections

T = TypeVar("T")


class Wire:
    """One request and its answer. `send` and `stream` are for the thread, `aclose` is for the loop.

    Closing it ends whatever a thread waits for here at once, so that no thread outlives the question.
    """

    def __init__(self, timeout: httpx2.Timeout) -> None:
        self._loop, self._timeout = asyncio.get_running_loop(), timeout
        self._pending: Future[Any] | None = None
        self._closed = False
        self._guard = Lock()
        self._using = asyncio.Lock()
        self._response: httpx2.Response | None = None
        self._chunks: Any = None

    def send(self, method: str, url: str, headers: dict[str, str], content: bytes) -> httpx2.Response:
        """The answer's head. Raises httpx2's errors."""
        return self._wait(lambda: self._send(method, url, headers, content))

    def stream(self) -> Iterator[bytes]:
        """The answer's body as it comes. Raises httpx2's errors."""
        while (chunk := self._wait(self._read)) is not None:
            yield chunk

    def close(self) -> None:
        """Ends what a thread waits for; the connection is left to `aclose`."""
        with self._guard:
            self._closed = True
            if self._pending is not None:
                self._pending.cancel()

    async def aclose(self) -> None:
        """Ends what a thread waits for, and closes the connection unless it was read to its end."""
        self.close()
        async with self._using:
            if self._response is not None:
                await self._response.aclose()

    def _wait(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        with self._guard:
            if self._closed:
                raise httpx2.ReadError("the question was given up")
            self._pending = future = asyncio.run_coroutine_threadsafe(work(), self._loop)
        return future.result()

    async def _send(self, method: str, url: str, headers: dict[str, str], content: bytes) -> httpx2.Response:
        async with self._using:
            client = connections()
            request = client.build_request(method, url, headers=headers, content=content, timeout=self._timeout)
            self._response = await client.send(request, stream=True)
            self._chunks = self._response.aiter_raw()
            return self._response

    async def _read(self) -> bytes | None:
        async with self._using:
            return await anext(self._chunks, None)
