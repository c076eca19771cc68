"""The HTTP client of all commands: finds the server and the token, and turns every error into one sentence."""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import httpx
from httpx_sse import EventSource, ServerSentEvent
from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

import quarterdeck
from quarterdeck.doors.cli.configuration import settings
from quarterdeck.doors.cli.failure import Exit, Failure, exit_of
from quarterdeck.doors.cli.plain import line

T = TypeVar("T")
Value = str | int | bool | list[str] | None
Query = dict[str, Value]

TIMEOUT = httpx.Timeout(30, connect=5)
PASSING = frozenset({429, 500, 502, 503, 504})
"""The statuses of a server that may answer a little later, as while its database restarts."""
STREAM_SILENCE_SECONDS = 45.0
"""The server sends something every 15 seconds; after three of them it is gone."""


@dataclass(frozen=True)
class Place:
    """Where the server is and what lets us in."""

    url: str
    token: str | None
    home: Path


def find(server: str | None, token_file: Path | None) -> Place:
    """The server and the token: as given, else from the files that a server writes in its home.

    Raises:
        Failure: a setting, the URL or the token can't be used, or the file that was named can't be read.
    """
    configured = settings()
    url = server or _written_url(configured.home) or configured.url
    try:
        httpx.URL(url)
    except httpx.InvalidURL as error:
        raise Failure(f"{line(url, 200)} is not a URL of a server: {error}", Exit.USAGE) from None
    return Place(url.rstrip("/"), _token(token_file, configured.home / "token"), configured.home)


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


class Client:
    """Requests to one server; `async with` closes it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        headers = {"User-Agent": f"quarterdeck-cli/{quarterdeck.__version__}"}
        if place.token:
            headers["Authorization"] = f"Bearer {place.token}"
        self._http = httpx.AsyncClient(base_url=f"{place.url}/api/v1", headers=headers, timeout=TIMEOUT)

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def get(self, path: str, **query: Value) -> JsonValue:
        """The JSON at `path`; parameters that are None are left out."""
        return _json(await self._request("GET", path, query))

    async def read(self, path: str, **query: Value) -> bytes:
        """The bytes at `path`."""
        return (await self._request("GET", path, query)).content

    async def post(self, path: str, body: object = None, *, headers: dict[str, str] | None = None) -> JsonValue:
        """The JSON answer to `body`."""
        return _json(await self._request("POST", path, {}, body={} if body is None else body, headers=headers))

    async def upload(self, path: str, data: bytes, **query: Value) -> JsonValue:
        """The JSON answer to bytes."""
        return _json(await self._request("POST", path, query, data=data))

    async def delete(self, path: str) -> None:
        """Deletes what is at `path`."""
        await self._request("DELETE", path, {})

    async def patch(self, path: str, body: object) -> JsonValue:
        """The JSON answer to a change."""
        return _json(await self._request("PATCH", path, {}, body=body))

    async def put(self, path: str, body: object, *, timeout: httpx.Timeout = TIMEOUT) -> JsonValue:
        """The JSON answer to what is put at `path`."""
        return _json(await self._request("PUT", path, {}, body=body, timeout=timeout))

    @asynccontextmanager
    async def stream(self, path: str, *, last_event_id: int) -> AsyncGenerator[AsyncIterator[ServerSentEvent]]:
        """Server-sent events behind `last_event_id`.

        Raises:
            Failure: the server refuses.
            httpx.TransportError: it can't be reached or went away.
        """
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(last_event_id)}
        timeout = httpx.Timeout(STREAM_SILENCE_SECONDS, connect=5)
        async with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
            if response.is_error:
                await response.aread()
                raise failure(response)
            yield EventSource(response).aiter_sse()

    async def _request(
        self,
        method: str,
        path: str,
        query: Query,
        *,
        body: object = None,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout: httpx.Timeout = TIMEOUT,
    ) -> httpx.Response:
        params = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
        given = {name: value for name, value in params.items() if value is not None}
        try:
            response = await self._http.request(
                method, path, params=given, json=body, content=data, headers=headers, timeout=timeout
            )
        except httpx.TransportError as error:
            raise unreachable(self.place, error) from None
        if response.is_error:
            raise failure(response)
        return response


def unreachable(place: Place, error: Exception) -> Failure:
    """What to say, and to type, when nobody answers."""
    reason = line(str(error), 200) or type(error).__name__
    return Failure(
        f"No Quarterdeck server answers at {place.url} ({reason}). Start one with `qd serve`, "
        "or name another with --server URL.",
        Exit.UNREACHABLE,
        passes=True,
    )


def failure(response: httpx.Response) -> Failure:
    """An answer that is an error, as its sentence."""
    detail = ""
    if response.headers.get("content-type", "").startswith("application/problem+json"):
        problem: Any = response.json()
        detail = str(problem.get("detail", ""))
    if not detail:
        detail = f"The server at {response.url.host} answered {response.status_code} {response.reason_phrase}."
    return refusal(response.status_code, detail)


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
