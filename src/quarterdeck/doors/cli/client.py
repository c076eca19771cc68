"""The HTTP client of all commands: finds the server and the token, and turns every error into one sentence."""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import httpx
from httpx_sse import ServerSentEvent
from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

import quarterdeck
from quarterdeck.client.async_calls import AsyncGroups
from quarterdeck.client.async_connection import AsyncTransport
from quarterdeck.client.errors import PASSING, ClientError, RefusedError, UnreachableError
from quarterdeck.client.request import STREAM_TIMEOUT, TIMEOUT, checked, parts, unreachable
from quarterdeck.core.exposure import exposed
from quarterdeck.doors.cli.configuration import settings
from quarterdeck.doors.cli.failure import Exit, Failure, exit_of
from quarterdeck.doors.cli.plain import line

T = TypeVar("T")
UPLOAD_TIMEOUT = httpx.Timeout(600, connect=5)
"""A large file is read and checked whole before it is answered."""
UPLOAD_PIECE_BYTES = 256 * 1024
Value = str | int | bool | list[str] | None


@dataclass(frozen=True)
class Place:
    """Where the server is and what lets us in."""

    url: str
    token: str | None
    home: Path


def find(server: str | None, token_file: Path | None) -> Place:
    """The server and the token: as given, else from the files that a server writes in its home.

    Raises:
        Failure: a setting, the URL or the token can't be used, the file that was named can't be read, or the token
            would be sent where others can read it.
    """
    configured = settings()
    url = server or _written_url(configured.home) or configured.url
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise Failure(f"{line(url, 200)} is not a URL of a server: {error}", Exit.USAGE) from None
    token = _token(token_file, configured.home / "token")
    if token and exposed(parsed.scheme, parsed.host) and not configured.allow_plain_http:
        raise Failure(
            f"Your token would be sent to {line(url, 200)} where others can read it on the way. Use https, or set "
            "QUARTERDECK_ALLOW_PLAIN_HTTP=true.",
            Exit.USAGE,
        )
    return Place(url.rstrip("/"), token, configured.home)


def _token(named: Path | None, written: Path) -> str | None:
    file = named or written
    try:
        token = file.read_bytes().decode("ascii", "replace").strip()
    except OSError as error:
        if named is None:
            return None
        raise Failure(f"The token file can't be read: {error}", Exit.FORBIDDEN) from None
    if not _TOKEN.fullmatch(token):
        raise Failure(f"{file} holds no token. Name the file that does with --token-file FILE.", Exit.FORBIDDEN)
    return token


_TOKEN = re.compile(r"[\w.-]*", re.ASCII)


def _written_url(home: Path) -> str | None:
    try:
        return str(json.loads((home / "server.json").read_text(encoding="utf-8"))["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


class _Transport(AsyncTransport):
    """The client library's way to the server, whose errors are those of a command."""

    def __init__(self, place: Place) -> None:
        super().__init__(place.url, place.token)
        self._place = place

    async def send(self, method: str, path: str, *, timeout: httpx.Timeout = TIMEOUT, **parts: Any) -> httpx.Response:
        try:
            return await super().send(method, path, timeout=timeout, **parts)
        except ClientError as error:
            raise failure(self._place, error) from None

    async def ask(self, answer: type[T], method: str, path: str, **parts: Any) -> T:
        try:
            return await super().ask(answer, method, path, **parts)
        except ClientError as error:
            raise failure(self._place, error) from None

    @asynccontextmanager
    async def stream(self, path: str, **parts: Any) -> AsyncGenerator[AsyncIterator[ServerSentEvent]]:
        try:
            async with super().stream(path, **parts) as messages:
                yield messages
        except ClientError as error:
            raise failure(self._place, error) from None


class Client(AsyncGroups):
    """All calls of the API, and requests by path; `async with` closes it. Whatever goes wrong is a Failure."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._transport = _Transport(place)
        super().__init__(self._transport)

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.http.aclose()

    async def get(self, path: str, **query: Value) -> JsonValue:
        """The JSON at `path`; parameters that are None are left out."""
        return _json(await self._transport.send("GET", path, query=query))

    async def read(self, path: str, **query: Value) -> bytes:
        """The bytes at `path`."""
        return (await self._transport.send("GET", path, query=query)).content

    async def post(
        self,
        path: str,
        body: object = None,
        *,
        headers: dict[str, str] | None = None,
        timeout: httpx.Timeout = TIMEOUT,
    ) -> JsonValue:
        """The JSON answer to `body`."""
        body = {} if body is None else body
        return _json(await self._transport.send("POST", path, body=body, header=headers, timeout=timeout))

    async def post_bytes(self, path: str, data: bytes, **query: Value) -> JsonValue:
        """The JSON answer to bytes."""
        return _json(
            await self._transport.send("POST", path, query=query, content=data, content_type="application/octet-stream")
        )

    async def delete(self, path: str) -> None:
        """Deletes what is at `path`."""
        await self._transport.send("DELETE", path)

    async def patch(self, path: str, body: object) -> JsonValue:
        """The JSON answer to a change."""
        return _json(await self._transport.send("PATCH", path, body=body))

    async def put(self, path: str, body: object, *, timeout: httpx.Timeout = TIMEOUT) -> JsonValue:
        """The JSON answer to what is put at `path`."""
        return _json(await self._transport.send("PUT", path, body=body, timeout=timeout))

    async def download(self, path: str, **query: str | int | bool | None) -> AsyncGenerator[bytes]:
        """The bytes at `path` as they come. Raises Failure, also when they break off before their end."""
        try:
            async with self._transport.http.stream(
                "GET", path, timeout=STREAM_TIMEOUT, **parts(query=query)
            ) as response:
                if response.is_error:
                    await response.aread()
                checked(response)
                async for piece in response.aiter_bytes():
                    yield piece
        except httpx.TransportError as error:
            raise failure(self.place, unreachable(self._transport.http.base_url, error)) from None
        except ClientError as error:
            raise failure(self.place, error) from None

    async def upload(self, path: str, file: Path, kind: str, **query: str | int | bool | None) -> JsonValue:
        """The JSON answer to a file that is sent piece by piece."""
        try:
            return _json(
                await self._transport.send(
                    "POST", path, query=query, content=_pieces(file), content_type=kind, timeout=UPLOAD_TIMEOUT
                )
            )
        except OSError as error:
            raise Failure(f"{file} can't be read: {error}", Exit.USAGE) from None

    def stream(self, path: str, *, last_event_id: int) -> AbstractAsyncContextManager[AsyncIterator[ServerSentEvent]]:
        """Server-sent events behind `last_event_id`. Inside, and when it is opened, a Failure when it breaks off."""
        return self._transport.stream(path, header={"Last-Event-ID": last_event_id})


async def _pieces(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(UPLOAD_PIECE_BYTES):
            yield piece


def failure(place: Place, error: ClientError) -> Failure:
    """What to say, and to type, when the server can't be asked or refuses."""
    match error:
        case RefusedError():
            return refusal(error.status, error.detail)
        case UnreachableError():
            return Failure(
                f"No Quarterdeck server answers at {place.url} ({line(error.reason, 200)}). Start one with `qd serve`, "
                "or name another with --server URL.",
                Exit.UNREACHABLE,
                passes=True,
            )
        case _:
            return Failure(line(str(error)))


def refusal(status: int, detail: str) -> Failure:
    """What a status and its problem's detail mean to the command."""
    if status == HTTPStatus.UNAUTHORIZED:
        detail += " The command looks for a token in QUARTERDECK_HOME/token; --token-file FILE names another."
    return Failure("\n".join(line(part) for part in detail.splitlines()), exit_of(status), passes=status in PASSING)


def parse(kind: type[T], answer: JsonValue) -> T:
    """The answer as a type of ours.

    Raises:
        Failure: the server speaks of something else; its version and ours don't fit.
    """
    try:
        return TypeAdapter(kind).validate_python(answer)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise Failure(
            f"The server's answer isn't what this qd ({quarterdeck.__version__}) expects ({where}). "
            "Use the qd of the server's version."
        ) from None


def dump(value: object) -> JsonValue:
    """A model or a list of them as JSON."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return TypeAdapter(Any).dump_python(value, mode="json")


def _json(response: httpx.Response) -> JsonValue:
    if not response.content:
        return None
    try:
        return response.json()
    except ValueError:
        raise Failure(f"What answers at {response.url} is not a Quarterdeck server.", Exit.UNREACHABLE) from None
