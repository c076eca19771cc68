"""A proxy for one command: CONNECT, and plain HTTP by whole URLs. What speaks anything else is sent away.

It runs outside of the sandbox, on a socket that listens inside: see `netns`.
"""

import asyncio
import contextlib
import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from quarterdeck.executor.network import Network, RefusedError

CONNECTIONS = 64
"""At once; further ones are told to come back."""
HEAD_BYTES = 16 * 1024
HEAD_SECONDS = 10
CONNECT_SECONDS = 10
LINGER_SECONDS = 1
_CHUNK = 64 * 1024
_FIRST_LINE = re.compile(r"([A-Z]{1,20}) (\S{1,8000}) HTTP/1\.[01]")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OWN = frozenset({"host", "connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "upgrade"})
"""Headers that are between a program and its proxy, or that the proxy says itself."""


class _BadError(Exception):
    """A request that isn't carried on: its status, and why."""

    def __init__(self, status: str, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True)
class _Request:
    host: str
    port: int
    head: bytes
    """What is sent on; nothing of a CONNECT."""


class Proxy:
    """Serves until it is closed, which ends all its connections."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self, listening: socket.socket) -> None:
        """Take connections of a socket that listens, which is closed with this."""
        self._server = await asyncio.start_server(self._client, sock=listening, limit=HEAD_BYTES)

    async def close(self) -> None:
        """Nothing is carried on after this."""
        if self._server:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("a connection is served in a task")
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except* (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # it ends with the connection, or with the command
        finally:
            self._tasks.discard(task)
            writer.transport.abort() if writer.transport.is_closing() else writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if len(self._tasks) > CONNECTIONS:
                raise _BadError("503 Service Unavailable", f"More than {CONNECTIONS} connections at once.")
            request = await _request(reader)
            far_reader, far_writer = await self._connected(request)
        except _BadError as error:
            await _say(reader, writer, error.status, str(error))
            return
        try:
            if request.head:
                far_writer.write(request.head)
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await _both_ways((reader, far_writer), (far_reader, writer))
        finally:
            far_writer.close()

    async def _connected(self, request: _Request) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            addresses = await self._network.addresses(request.host, request.port)
        except RefusedError as error:
            raise _BadError("403 Forbidden", str(error)) from None
        except (OSError, UnicodeError):
            raise _BadError("502 Bad Gateway", f"There is no host {request.host}.") from None
        for address in addresses:
            with contextlib.suppress(OSError):  # a TimeoutError is one
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await asyncio.open_connection(address, request.port, limit=_CHUNK)
        raise _BadError("502 Bad Gateway", f"{request.host}:{request.port} doesn't answer.")


async def _request(reader: asyncio.StreamReader) -> _Request:
    try:
        async with asyncio.timeout(HEAD_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
    except TimeoutError:
        raise _BadError("408 Request Timeout", "The request didn't come to its end.") from None
    except asyncio.LimitOverrunError:
        raise _BadError("431 Request Header Fields Too Large", f"More than {HEAD_BYTES:,} bytes of head.") from None
    first, *headers = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    found = _FIRST_LINE.fullmatch(first)
    if not found:
        raise _BadError("400 Bad Request", "This is a proxy for HTTP: CONNECT host:port, or a whole http:// URL.")
    if found[1] == "CONNECT":
        host, port = _place(f"//{found[2]}", None)
        return _Request(host, port, b"")
    if not found[2].startswith("http://"):
        raise _BadError("400 Bad Request", "A whole http:// URL is needed; for https use CONNECT.")
    host, port = _place(found[2], 80)
    return _Request(host, port, _carried_on(found[1], found[2], headers))


def _place(url: str, usual: int | None) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or usual
    except ValueError:
        raise _BadError("400 Bad Request", "No host and port can be read of it.") from None
    if not host or not port or (usual is None and (parts.path or parts.query or parts.username is not None)):
        raise _BadError("400 Bad Request", "No host and port can be read of it.")
    return host, port


def _carried_on(method: str, url: str, headers: list[str]) -> bytes:
    """The head for the host itself: its name as the URL says it, and one request to a connection."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kept = [f"{method} {path} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}"]
    for header in headers:
        name, colon, _ = header.partition(":")
        if not colon or not _NAME.fullmatch(name) or "\n" in header or "\r" in header:
            raise _BadError("400 Bad Request", "A header can't be read.")
        if name.lower() not in _OWN:
            kept.append(header)
    return "\r\n".join([*kept, "Connection: close", "", ""]).encode("latin-1")


async def _say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: str, why: str) -> None:
    """Say why not, and hear a while what else was sent: a line that is closed with that unread loses the answer."""
    text = f"{why}\n".encode("utf-8", "replace")
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + text)
    writer.write_eof()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while await reader.read(_CHUNK):
                pass


async def _both_ways(*ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    async with asyncio.TaskGroup() as group:
        for reader, writer in ways:
            group.create_task(_one_way(reader, writer))


async def _one_way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry on until the end, and carry on the end; a connection that breaks is the end of both ways."""
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
