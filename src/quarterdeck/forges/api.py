"""The HTTP of all forges' APIs: bounded in time and size, to public addresses, and the token to its own host alone."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, ip_address
from typing import Any, cast
from urllib.parse import urlsplit

import httpx2

from quarterdeck.app.remote_forge import Remote
from quarterdeck.core.errors import (
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    RateLimitedError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)
from quarterdeck.core.text import cut

SECONDS = 30.0
CONNECT_SECONDS = 10.0
ANSWER_BYTES = 16 * 1024 * 1024
PAGES = 20
"""Of a list, of a hundred entries each: what is older comes when it changes."""
LONGEST_PAUSE = timedelta(hours=1)
AGENT = "Quarterdeck"

Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a forge answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Its value. Raises UnavailableError when it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise UnavailableError("The forge answered with what is no JSON.") from None


class Api:
    """Asks one forge; `headers` are those that it wants with a token."""

    def __init__(self, remote: Remote, headers: Mapping[str, str]) -> None:
        self._remote = remote
        self._headers = {"User-Agent": AGENT, "Accept-Encoding": "identity", **headers}
        self._base = remote.api_url.rstrip("/")

    async def get(self, path: str, **params: str | int) -> Any:
        """The value at a path."""
        return (await self.ask("GET", path, params=params)).json()

    async def send(self, method: str, path: str, body: Json) -> Any:
        """What a request with a body is answered with."""
        return (await self.ask(method, path, body=body)).json()

    async def pages(self, path: str, **params: str | int) -> AsyncIterator[Json]:
        """The entries of a list, page by page, at most `PAGES`."""
        for number in range(1, PAGES + 1):
            found = await self.get(path, **params, per_page=100, page=number)
            listed = cast("list[Json]", found if isinstance(found, list) else [])
            for one in listed:
                yield one
            if len(listed) < 100:
                return

    async def ask(
        self, method: str, path: str, *, params: Mapping[str, str | int] | None = None, body: Json | None = None
    ) -> Answer:
        """One request. Raises what `RemoteForge` says."""
        answer = await _request(self._remote, method, f"{self._base}{path}", self._headers, params=params, body=body)
        self._demand(answer)
        return answer

    async def tail(self, path: str, limit: int) -> bytes:
        """The last bytes of a file; a redirect to where it lies is followed once, without the token."""
        answer = await _request(self._remote, "GET", f"{self._base}{path}", self._headers, limit=limit)
        if answer.status in (301, 302, 303, 307, 308):
            place = answer.headers.get("location", "")
            if urlsplit(place).scheme not in ("https", urlsplit(self._base).scheme):
                raise UnavailableError("The forge names no place of a log that can be used.")
            answer = await _request(self._remote, "GET", place, {"User-Agent": AGENT}, limit=limit)
        self._demand(answer)
        return answer.body

    def _demand(self, answer: Answer) -> None:
        """Raises the error that a status stands for."""
        if answer.status < 300:
            return
        if (wait := _pause(answer)) is not None:
            raise RateLimitedError("The forge asks for a pause: too many requests with this token.", wait=wait)
        said = self._said(answer)
        match answer.status:
            case 401:
                raise UnauthenticatedError(f"The forge doesn't accept the token any more: {said}")
            case 403:
                raise ForbiddenError(f"The token may not do that at the forge: {said}")
            case 404 | 410:
                raise NotFoundError(f"The forge has nothing there that the token may see: {said}")
            case status if status < 400:
                raise UnavailableError("The forge answers with a redirect, which is not followed with a token.")
            case status if status < 500:
                raise InvalidInputError(f"The forge refused it ({status}): {said}")
            case status:
                raise UnavailableError(f"The forge has a fault ({status}): {said}")

    def _said(self, answer: Answer) -> str:
        try:
            told: object = json.loads(answer.body)
        except (ValueError, RecursionError):
            told = answer.body.decode("utf-8", "replace")
        if isinstance(told, dict):
            given = cast("Json", told)
            told = " ".join(str(given[name]) for name in ("message", "error", "errors") if given.get(name))
        return cut(str(told), 500).replace(self._remote.token, "[redacted]") or "no reason given."


def _pause(answer: Answer) -> timedelta | None:
    """How long nothing more is to be asked; None when that is not what the answer says."""
    if answer.status not in (403, 429):
        return None
    told = answer.headers.get("retry-after", "")
    if told.isdigit() and len(told) < 10:
        return min(timedelta(seconds=int(told)), LONGEST_PAUSE)
    if "0" in (answer.headers.get("x-ratelimit-remaining"), answer.headers.get("ratelimit-remaining")):
        reset = answer.headers.get("x-ratelimit-reset") or answer.headers.get("ratelimit-reset") or ""
        left = int(reset) - time.time() if reset.isdigit() and len(reset) < 12 else 60.0
        return min(max(timedelta(seconds=left), timedelta(seconds=1)), LONGEST_PAUSE)
    return timedelta(minutes=1) if answer.status == 429 else None


async def _request(
    remote: Remote,
    method: str,
    url: str,
    headers: Mapping[str, str],
    *,
    params: Mapping[str, str | int] | None = None,
    body: Json | None = None,
    limit: int | None = None,
) -> Answer:
    """One request to an address that was looked at; with `limit` the end of the answer, else all or TooLargeError."""
    name = urlsplit(url).hostname or ""
    try:
        bound = httpx2.URL(url, params=dict(params) if params else None)
        address = await _address(name, bound.port or (443 if bound.scheme == "https" else 80), private=remote.private)
        host = bound.netloc.decode()
        async with (
            asyncio.timeout(4 * SECONDS),
            httpx2.AsyncClient(
                follow_redirects=False, trust_env=False, timeout=httpx2.Timeout(SECONDS, connect=CONNECT_SECONDS)
            ) as client,
            client.stream(
                method,
                bound.copy_with(host=address),
                headers={**headers, "Host": host},
                json=body,
                extensions={"sni_hostname": name},
            ) as response,
        ):
            kept = bytearray()
            async for piece in response.aiter_raw():
                kept += piece
                if limit is not None:
                    del kept[:-limit]
                elif len(kept) > ANSWER_BYTES:
                    raise TooLargeError(f"The forge answered with more than {ANSWER_BYTES:,} bytes.")
            return Answer(response.status_code, response.headers, bytes(kept))
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise UnavailableError(f"{name} can't be reached now: {cut(reason, 300)}") from None


async def _address(name: str, port: int, *, private: bool) -> str:
    """Where a name leads now; what is asked is that, whatever the name leads to a moment later."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UnavailableError(f"There is no host {name} ({error.strerror}).") from None
    addresses = [str(entry[4][0]) for entry in found]
    if not private and not all(map(_public, addresses)):
        raise ForbiddenError(
            f"{name} is on this machine or in its private network; only an administrator connects such a forge."
        )
    return addresses[0]


def _public(address: str) -> bool:
    ip = ip_address(address)
    ip = (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip
    return ip.is_global and not ip.is_multicast
