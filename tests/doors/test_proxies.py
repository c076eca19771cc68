"""What a reverse proxy says of who asks is believed only of those that a setting names."""

from typing import Any, cast

import httpx
import pytest
from litestar import Litestar, Request, get
from litestar.datastructures import State

from quarterdeck.doors.http import Server

SAID = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}


@get("/")
async def seen(request: Request[None, None, State]) -> str:
    return f"{request.scope['scheme']} {request.client.host if request.client else ''}"


@pytest.mark.parametrize(
    ("trusted", "expected"),
    [
        ("", "http 127.0.0.1"),
        ("192.0.2.1", "http 127.0.0.1"),
        ("127.0.0.1", "https 198.51.100.7"),
        ("192.0.2.1, 127.0.0.0/8", "https 198.51.100.7"),
    ],
)
async def test_only_named_proxies_are_believed(trusted: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")  # uvicorn's own, which is no setting of ours
    server = Server(Litestar([seen]), host="127.0.0.1", port=0, trusted_proxies=trusted)
    server.config.load()
    loaded = cast("Any", server.config).loaded_app
    transport = httpx.ASGITransport(loaded, client=("127.0.0.1", 5))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/", headers=SAID)).text == expected
