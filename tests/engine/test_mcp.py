"""MCP servers by HTTP: pydantic-ai's client over our own connections, against servers that lie."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from mcp.server import MCPServer

from quarterdeck.app.outside import McpEndpoint
from quarterdeck.core.errors import (
    ForbiddenError,
    InvalidInputError,
    QuarterdeckError,
    TooLargeError,
    UnavailableError,
)
from quarterdeck.engine import bounded_http, mcp
from quarterdeck.engine.mcp import HttpMcp
from quarterdeck.tools.mcp import PAGES, listed
from tests.mcp_server import ECHO, serving

SECRET = "sesame-open-now"
CLIENT = HttpMcp(private=True)


def at(url: str) -> McpEndpoint:
    return McpEndpoint("stub", url, {"Authorization": f"Bearer {SECRET}"})


@pytest.fixture(scope="module")
def real() -> Iterator[str]:
    """A server made with the protocol's own library."""
    made = MCPServer("library")

    @made.tool()
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    @made.tool()
    def fail() -> str:
        """Fails."""
        raise ValueError("as it must")

    assert add
    assert fail
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(made.streamable_http_app(), log_config=None))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
    server.should_exit = True
    thread.join(60)


async def test_a_server_of_the_protocols_own_library(real: str) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                raw = await CLIENT.tools(at(real))
                break
            except UnavailableError:
                await asyncio.sleep(0.1)
    found = listed("library", raw, room=100_000)
    assert ([one.name for one in found.tools], found.left_out) == (["mcp__library__add", "mcp__library__fail"], 0)
    result = await CLIENT.call(at(real), "add", {"a": 2, "b": 3})
    assert (result["content"], result["isError"]) == ([{"type": "text", "text": "5"}], False)
    failed = await CLIENT.call(at(real), "fail", {})
    assert failed["isError"] is True


async def test_it_is_asked_with_its_headers_alone() -> None:
    async with serving() as server:
        assert await CLIENT.tools(at(server.url)) == [ECHO]
        result = await CLIENT.call(at(server.url), "echo", {"text": "hi"})
        assert result["content"] == [{"type": "text", "text": "echo: hi"}]
        assert {one["authorization"] for one in server.headers} == {f"Bearer {SECRET}"}
        (call,) = server.calls("tools/call")
        assert (call["name"], call["arguments"]) == ("echo", {"text": "hi"})
        assert all(one["accept-encoding"] == "identity" for one in server.headers)
    assert SECRET not in repr(at(server.url))


async def test_what_is_on_this_machine_or_near_it_is_refused() -> None:
    async with serving() as server:
        for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"):
            with pytest.raises(ForbiddenError, match="QUARTERDECK_MCP_PRIVATE_ADDRESSES"):
                await HttpMcp(private=False).tools(at(server.url.replace("127.0.0.1", host)))
        assert server.asked == []
    refused = ("10.0.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "::1", "fd00::1")
    assert not any(map(bounded_http.public, refused))
    assert all(map(bounded_http.public, ("1.1.1.1", "2606:4700:4700::1111")))


async def test_the_address_that_was_looked_at_is_the_one_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads elsewhere a moment later leads nobody there."""
    loop = asyncio.get_running_loop()
    asked: list[str] = []
    real_one = loop.getaddrinfo

    async def changing(host: str, *args: Any, **kinds: Any) -> Any:
        asked.append(host)
        return await real_one("127.0.0.1" if host == "tools.example" else host, *args, **kinds)

    monkeypatch.setattr(loop, "getaddrinfo", changing)
    async with serving() as server:
        assert await CLIENT.tools(at(server.url.replace("127.0.0.1", "tools.example"))) == [ECHO]
        assert {one["host"].partition(":")[0] for one in server.headers} == {"tools.example"}
    assert set(asked) <= {"tools.example", "127.0.0.1"}


def _long(_: object) -> dict[str, Any]:
    return {"tools": [{**ECHO, "description": "x" * 5_000_000}]}


def _refuse(_: object) -> dict[str, Any]:
    return {"error": {"code": 1, "message": f"no {SECRET}"}}


def _lie(_: object) -> dict[str, Any]:
    return {"tools": 7}


async def _hang(_: object) -> dict[str, Any]:
    await asyncio.sleep(600)
    return {}


@pytest.mark.parametrize(
    ("answers", "fault", "says"),
    [
        ({"tools_list": _long}, TooLargeError, "more than"),
        ({"tools_list": _hang}, UnavailableError, "did not answer within 1 seconds"),
        ({"initialize": _hang}, UnavailableError, "did not answer within 1 seconds"),
        ({"tools_list": _refuse}, InvalidInputError, r"no \["),
        ({"tools_list": _lie}, UnavailableError, "stub"),
    ],
)
async def test_what_it_may_not_do(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any], fault: type[QuarterdeckError], says: str
) -> None:
    monkeypatch.setattr(mcp, "LIST_SECONDS", 1 if _hang in answers.values() else 60)
    async with serving(**answers) as server:
        with pytest.raises(fault, match=says) as caught:
            await CLIENT.tools(at(server.url))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "header", "says"),
    [
        (302, "Location: http://169.254.169.254/", "redirect"),
        (307, "Location: /elsewhere", "redirect"),
        (401, "", "stub"),
        (500, "", "stub"),
        (201, "Content-Encoding: gzip", "compressed"),
    ],
)
async def test_answers_that_are_none(status: int, header: str, says: str) -> None:
    async with serving() as server:
        server.status = (status, header)
        with pytest.raises(QuarterdeckError, match=says) as caught:
            await CLIENT.tools(at(server.url))
    assert SECRET not in str(caught.value)
    with pytest.raises(UnavailableError):
        await CLIENT.tools(at(server.url))


async def test_pages_without_end_come_to_one() -> None:
    pages = 0

    def page(_: object) -> dict[str, Any]:
        nonlocal pages
        pages += 1
        return {"tools": [{**ECHO, "name": f"t{pages}"}], "nextCursor": str(pages)}

    async with serving(tools_list=page) as server:
        assert len(await CLIENT.tools(at(server.url))) == PAGES
