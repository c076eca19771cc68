"""HTTP to where people say: to public addresses, no further than asked, and no more than is bearable."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from functools import cache

import httpx2
from typing_extensions import override

from quarterdeck.core.errors import ForbiddenError, TooLargeError, UnavailableError
from quarterdeck.core.network import refusal_of

CONNECT_SECONDS = 10


def connection(
    *, private: bool, setting: str, headers: dict[str, str], seconds: float, most_bytes: int
) -> httpx2.AsyncClient:
    """A client that follows no redirect, takes nothing of the environment, and sends `headers` with each request.

    `private` lets it go to the private network; without it `setting` is what would. All answers together may have
    `most_bytes`.
    """
    return httpx2.AsyncClient(
        transport=_Bounded(private, setting, most_bytes),
        headers={**headers, "Accept-Encoding": "identity"},
        follow_redirects=False,
        trust_env=False,
        timeout=httpx2.Timeout(seconds, connect=CONNECT_SECONDS),
    )


class _Bounded(httpx2.AsyncBaseTransport):
    """Connects to an address that was looked at, and ends an answer that grows too large."""

    def __init__(self, private: bool, setting: str, most_bytes: int) -> None:
        self._private, self._setting = private, setting
        limits = httpx2.Limits(max_connections=4)
        self._inner = httpx2.AsyncHTTPTransport(verify=_certificates(), trust_env=False, limits=limits)
        self._most = self._left = most_bytes

    @override
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        name = request.url.host
        address = await self._address(name, request.url.port or (443 if request.url.scheme == "https" else 80))
        # What answers is the address that was found fit, whatever the name leads to a moment later.
        bound = httpx2.Request(
            method=request.method,
            url=request.url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": name},
        )
        response = await self._inner.handle_async_request(bound)
        if response.is_redirect:
            await response.aclose()
            raise UnavailableError(
                "It answers with a redirect, which is not followed. Give the address that it leads to."
            )
        if response.headers.get("content-encoding", "identity") != "identity":  # its size is known too late
            await response.aclose()
            raise UnavailableError("It answers compressed, which it was asked not to.")
        if not isinstance(response.stream, httpx2.AsyncByteStream):
            raise TypeError("an asynchronous transport answers with an asynchronous stream")
        return httpx2.Response(
            status_code=response.status_code,
            headers=response.headers,
            stream=_Counted(self, response.stream),
            extensions=response.extensions,
        )

    @override
    async def aclose(self) -> None:
        await self._inner.aclose()

    def count(self, size: int) -> None:
        """Takes bytes off what may still come."""
        self._left -= size
        if self._left < 0:
            raise TooLargeError(f"It answered with more than {self._most:,} bytes.")

    async def _address(self, name: str, port: int) -> str:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise UnavailableError(f"There is no host {name} ({error.strerror}).") from None
        addresses = [str(entry[4][0]) for entry in found]
        if not self._private and not all(map(public, addresses)):
            raise ForbiddenError(
                f"{name} is on this machine or in its private network. An administrator can allow that: "
                f"{self._setting}."
            )
        return addresses[0]


@cache
def _certificates() -> ssl.SSLContext:
    """Whom to believe, read once: it takes longer than a whole request."""
    return httpx2.create_ssl_context(trust_env=False)


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, transport: _Bounded, stream: httpx2.AsyncByteStream) -> None:
        self._transport = transport
        self._stream = stream

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._transport.count(len(chunk))
            yield chunk

    @override
    async def aclose(self) -> None:
        await self._stream.aclose()


def public(address: str) -> bool:
    """Whether an address is one of the internet."""
    return not refusal_of(address, host="", named=False)
