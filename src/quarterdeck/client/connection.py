"""The way to a server for programs without asyncio."""

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import httpx
from httpx_sse import EventSource, ServerSentEvent

from quarterdeck.client import request
from quarterdeck.client.request import API, STREAM_TIMEOUT, TIMEOUT, checked, parsed, unreachable

T = TypeVar("T")
Values = Mapping[str, object]
Content = bytes | Iterable[bytes]
Events = AbstractContextManager[Iterator[ServerSentEvent]]
"""Use it by `with`: inside, the messages of a stream as they come, until it ends or breaks (UnreachableError)."""


class Transport:
    """One server and one person's token."""

    def __init__(self, url: str, token: str | None) -> None:
        self.http = httpx.Client(
            base_url=f"{url.rstrip('/')}{API}",
            headers=request.headers(token),
            timeout=TIMEOUT,
            verify=request.trust(url),
        )

    def send(self, method: str, path: str, *, timeout: httpx.Timeout = TIMEOUT, **parts: Any) -> httpx.Response:
        """The response; `parts` are those of `request.parts`. Raises RefusedError, UnreachableError."""
        try:
            return checked(self.http.request(method, path, timeout=timeout, **request.parts(**parts)))
        except httpx.TransportError as error:
            raise unreachable(self.http.base_url, error) from None

    def ask(self, answer: type[T], method: str, path: str, **parts: Any) -> T:
        """The answer as a type of ours. Raises what `send` does, and UnexpectedAnswerError."""
        return parsed(answer, self.send(method, path, **parts))

    @contextmanager
    def stream(self, path: str, **parts: Any) -> Generator[Iterator[ServerSentEvent]]:
        """The messages of a stream. Raises RefusedError, UnreachableError."""
        try:
            with self.http.stream("GET", path, timeout=STREAM_TIMEOUT, **request.parts(**parts)) as response:
                if response.is_error:
                    response.read()
                checked(response)
                yield EventSource(response).iter_sse()
        except httpx.TransportError as error:
            raise unreachable(self.http.base_url, error) from None


class Calls:
    """What the calls of one noun are made with."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _send(self, method: str, path: str, answer: type[T], **parts: Any) -> T:
        return self._transport.ask(answer, method, path, **parts)

    def _do(self, method: str, path: str, **parts: Any) -> None:
        self._transport.send(method, path, **parts)

    def _read(self, method: str, path: str, **parts: Any) -> bytes:
        return (self._transport.send(method, path, **parts)).content

    def _events(self, _method: str, path: str, **parts: Any) -> Events:
        return self._transport.stream(path, **parts)
