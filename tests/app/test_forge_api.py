"""The HTTP of forges' APIs: the token goes to its own host alone, and answers are bounded and understood."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

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
from quarterdeck.forges import api
from quarterdeck.forges.api import Api

TOKEN = "ghp_a-token-that-nobody-sees"


class Server:
    """Answers what a test says, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answer = b""
        self.asked: list[str] = []
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(self.answer)
        await writer.drain()
        writer.close()

    def says(self, status: str, body: bytes = b"{}", *headers: str) -> None:
        head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers])
        self.answer = head.encode() + b"\r\n\r\n" + body


@pytest.fixture
async def there() -> AsyncIterator[Server]:
    made = Server()
    async with await asyncio.start_server(made.handle, "127.0.0.1", 0) as server:
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield made


def asker(there: Server, **more: bool) -> Api:
    remote = Remote("github", there.url, "octo/hello", TOKEN, private=True)
    return Api(dataclasses.replace(remote, **more), {"Authorization": f"Bearer {TOKEN}"})


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("401 No", UnauthenticatedError),
        ("403 No", ForbiddenError),
        ("404 No", NotFoundError),
        ("410 No", NotFoundError),
        ("422 No", InvalidInputError),
        ("302 There", UnavailableError),
        ("500 Oh", UnavailableError),
    ],
)
async def test_a_refusal_is_told_without_the_token(there: Server, status: str, error: type[Exception]) -> None:
    there.says(status, f'{{"message": "not with {TOKEN}"}}'.encode(), "Location: http://127.0.0.1:9/elsewhere")
    with pytest.raises(error) as told:
        await asker(there).get("/x")
    assert TOKEN not in str(told.value)
    assert len(there.asked) == 1, "a redirect is not followed"


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        (("Retry-After: 7",), timedelta(seconds=7)),
        (("Retry-After: 999999",), api.LONGEST_PAUSE),
        (("X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 1"), timedelta(seconds=1)),
        (("RateLimit-Remaining: 0", "RateLimit-Reset: 99999999999"), api.LONGEST_PAUSE),
    ],
)
async def test_a_pause_that_is_asked_for_is_kept_within_bounds(
    there: Server, headers: tuple[str, ...], wait: timedelta
) -> None:
    there.says("403 Forbidden", b"{}", *headers)
    with pytest.raises(RateLimitedError) as told:
        await asker(there).get("/x")
    assert told.value.wait == wait


async def test_a_log_lies_elsewhere_and_gets_no_token(there: Server) -> None:
    elsewhere = Server()
    elsewhere.says("200 OK", b"0123456789")
    async with await asyncio.start_server(elsewhere.handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        there.says("302 There", b"", f"Location: http://127.0.0.1:{port}/log")
        assert await asker(there).tail("/log", 4) == b"6789"
    assert TOKEN in there.asked[0]
    assert TOKEN not in elsewhere.asked[0]


async def test_what_it_answers_is_bounded_and_json(there: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    there.says("200 OK", b"[" * 100_000)
    with pytest.raises(UnavailableError, match="no JSON"):
        await asker(there).get("/x")
    monkeypatch.setattr(api, "ANSWER_BYTES", 10)
    with pytest.raises(TooLargeError):
        await asker(there).get("/x")
    there.answer = b""
    with pytest.raises(UnavailableError, match="can't be reached"):
        await asker(there).get("/x")


async def test_the_servers_own_network_is_for_administrators(there: Server) -> None:
    there.says("200 OK")
    with pytest.raises(ForbiddenError, match="private network"):
        await asker(there, private=False).get("/x")
    assert there.asked == []
