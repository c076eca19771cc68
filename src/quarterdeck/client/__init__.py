"""The client library: all of the API as typed calls, with asyncio and without.

    with Client("http://127.0.0.1:7433", token) as quarterdeck:
        session = quarterdeck.sessions.start(project="sample", goal="Repair the pipeline.")
        for signal in quarterdeck.watch(session.id):
            ...

The calls of a noun stand under its name. Whatever goes wrong is a ClientError.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Self

from quarterdeck.client import models
from quarterdeck.client.async_calls import AsyncGroups
from quarterdeck.client.async_connection import AsyncTransport
from quarterdeck.client.calls import Groups
from quarterdeck.client.connection import Transport
from quarterdeck.client.errors import ClientError, RefusedError, UnexpectedAnswerError, UnreachableError
from quarterdeck.client.watching import Output, Partial, Signal, watch, watch_async

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "Output",
    "Partial",
    "RefusedError",
    "Signal",
    "UnexpectedAnswerError",
    "UnreachableError",
    "models",
]


class Client(Groups):
    """A server and one person's token; `with` closes the connections."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._transport = Transport(url, token)
        super().__init__(self._transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.http.close()

    def watch(self, session_id: int, *, after: int = 0) -> Iterator[Signal]:
        """A session's events behind `after`, and then what happens, until it has ended; broken streams are resumed.

        Raises:
            RefusedError: there is no such session for the token.
            UnreachableError: nobody answers for about two minutes.
        """
        return watch(self.log, session_id, after)


class AsyncClient(AsyncGroups):
    """The same with asyncio; `async with` closes the connections."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._transport = AsyncTransport(url, token)
        super().__init__(self._transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.http.aclose()

    def watch(self, session_id: int, *, after: int = 0) -> AsyncIterator[Signal]:
        """As `Client.watch`."""
        return watch_async(self.log, session_id, after)
