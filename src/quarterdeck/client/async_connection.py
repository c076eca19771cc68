"""The way to a server for programs with asyncio."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

import httpx
from httpx_sse import EventSource, ServerSentEvent

from quarterdeck.client import request
from quarterdeck.client.request import API, STREAM_TIMEOUT, TIMEOUT, checked, parsed, unreachable

T = TypeVar("T")
Content = bytes | AsyncIterable[bytes]
Events = AbstractAsyncContextManager[AsyncIterator[ServerSentEvent]]
"""Use it by `async with`: inside, the messages of a stream as they come, until it ends or breaks (UnreachableError)."""


class AsyncTransport:
    """One server and one person's token."""

    def __init__(self, url: str, token: str | None) -> None:
        self.http = httpx.AsyncClient(
            base_url=f"{url.rstrip('/')}{API}",
            headers=request.headers(token),
            timeout=TIMEOUT,
            verify=request.trust(url),
        )

    async def send(self, method: str, path: str, *, timeout: httpx.Timeout = TIMEOUT, **parts: Any) -> httpx.Response:
        """The response; `parts` are those of `request.parts`. Raises RefusedError, UnreachableError."""
        try:
            return checked(await self.http.request(method, path, timeout=timeout, **request.parts(**parts)))
        except httpx.TransportError as error:
            raise unreachable(self.http.base_url, error) from None

    async def ask(self, answer: type[T], method: str, path: str, **parts: Any) -> T:
        """The answer as a type of ours. Raises what `send` does, and UnexpectedAnswerError."""
        return parsed(answer, await self.send(method, path, **parts))

    @asynccontextmanager
    async def stream(self, path: str, **parts: Any) -> AsyncGenerator[AsyncIterator[ServerSentEvent]]:
        """The messages of a stream. Raises RefusedError, UnreachableError."""
        try:
            async with self.http.stream("GET", path, timeout=STREAM_TIMEOUT, **request.parts(**parts)) as response:
                if response.is_error:
                    await response.aread()
                checked(response)
                yield EventSource(response).aiter_sse()
        except httpx.TransportError as error:
            raise unreachable(self.http.base_url, error) from None


class AsyncCalls:
    """What the calls of one noun are made with."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def _send(self, method: str, path: str, answer: type[T], **parts: Any) -> T:
        return await self._transport.ask(answer, method, path, **parts)

    async def _do(self, method: str, path: str, **parts: Any) -> None:
        await self._transport.send(method, path, **parts)

    async def _read(self, method: str, path: str, **parts: Any) -> bytes:
        return (await self._transport.send(method, path, **parts)).content

    def _events(self, _method: str, path: str, **parts: Any) -> Events:
        return self._transport.stream(path, **parts)
