"""Watching over real HTTP: resumable to the event, one write for all that waits, never in the way of a stop."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import cast

import httpx
from httpx_sse import ServerSentEvent, aconnect_sse

from quarterdeck.doors.sse import Closing, chunk, message, stream
from tests.conftest import PERSON
from tests.doors.conftest import Running

HEADERS = {"Authorization": f"Bearer {PERSON}"}


def client(running: Running) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"{running.url}/api/v1", headers=HEADERS, timeout=60)


async def begun(http: httpx.AsyncClient) -> str:
    answer = await http.post(
        "/sessions", json={"project": "sample", "model": "scripted", "inputs": {"pipeline": {"id": 1}}}
    )
    assert answer.status_code == 201, answer.text
    return f"/sessions/{answer.json()['id']}"


async def read(
    http: httpx.AsyncClient, path: str, *, until: str, after: int | None = None, open_: asyncio.Event | None = None
) -> list[ServerSentEvent]:
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    found: list[ServerSentEvent] = []
    async with asyncio.timeout(60), aconnect_sse(http, "GET", f"{path}/stream", headers=headers) as source:
        async for signal in source.aiter_sse():
            found.append(signal)
            if open_ is not None:
                open_.set()
            if signal.event == until:
                break
    return found


async def test_a_stream_resumes_behind_what_was_seen(running: Running) -> None:
    async with client(running) as http:
        path = await begun(http)
        waiting = asyncio.create_task(read(http, path, until="end"))
        first = await read(http, path, until="session.created")
        assert [signal.id for signal in first] == ["1"]
        for number in range(3):
            await http.patch(path, json={"title": f"title {number}"})
        await http.post(f"{path}/cancel", json={})

        live = await waiting
        rest = await read(http, path, until="end", after=2)
        whole = await read(http, path, until="end")
        by_query = [signal.id async for signal in _signals(http, f"{path}/stream?after=2")]
        entries = [signal async for signal in _signals(http, f"{path}/stream?form=entries")][:-1]
    ids = [int(signal.id) for signal in whole[:-1]]
    assert ids == list(range(1, len(ids) + 1))
    assert [(signal.event, int(signal.id)) for signal in entries] == [("entry", number) for number in ids]
    assert json.loads(entries[0].data)["head"].startswith("ada starts fix_pipeline")
    assert [signal.data for signal in live] == [signal.data for signal in whole]
    assert [signal.data for signal in rest] == [signal.data for signal in whole[2:]]
    assert by_query[:-1] == [signal.id for signal in rest][:-1]
    assert [signal.event for signal in whole][-2:] == ["status.changed", "end"]
    assert all(json.loads(signal.data)["payload"]["kind"] == signal.event for signal in whole[:-1])


async def _signals(http: httpx.AsyncClient, url: str) -> AsyncIterator[ServerSentEvent]:
    async with asyncio.timeout(60), aconnect_sse(http, "GET", url) as source:
        async for signal in source.aiter_sse():
            yield signal


async def test_strangers_and_nobody_get_a_status_not_a_stream(running: Running) -> None:
    async with client(running) as http:
        assert (await http.get("/sessions/999/stream")).status_code == 404
        assert (await http.get("/sessions/999/stream", headers={"Authorization": ""})).status_code == 401
        assert (await http.get("/executor/stream?runner=1")).status_code == 401


async def test_an_open_stream_does_not_hold_the_server_back(running: Running) -> None:
    async with client(running) as http:
        path = await begun(http)
        is_open = asyncio.Event()
        watching = asyncio.create_task(read(http, path, until="closing", open_=is_open))
        await asyncio.wait_for(is_open.wait(), 60)
        await asyncio.to_thread(running.stop)
        assert (await watching)[-1].event == "closing"


async def test_a_client_that_leaves_ends_its_source() -> None:
    left = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b""
                await asyncio.sleep(0.01)
        finally:
            await asyncio.sleep(0)  # awaited clean-up runs too: it is in a task of its own
            left.set()

    body = cast("AsyncIterator[bytes]", stream(source(), Closing()).iterator)

    async def watch() -> None:
        async for _ in body:
            pass

    task = asyncio.create_task(watch())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(60):
        await left.wait()


async def test_a_client_that_leaves_at_a_chunk_ends_its_source() -> None:
    left = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b""
        finally:
            left.set()

    chunks = source()  # held here, so that no collector ends it
    body = cast("AsyncGenerator[bytes]", stream(chunks, Closing()).iterator)
    assert await anext(body)
    await asyncio.sleep(0.05)  # a chunk is there, and nobody takes it
    await body.aclose()
    async with asyncio.timeout(60):
        await left.wait()


async def test_a_source_that_breaks_ends_with_an_error() -> None:
    async def source() -> AsyncIterator[bytes]:
        yield chunk([message("one", "{}", 1), message("two", "{}", 2)])
        raise RuntimeError("select secret")

    body = cast("AsyncIterator[bytes]", stream(source(), Closing()).iterator)
    sent = [piece async for piece in body]
    assert sent[1] == b"id: 1\nevent: one\ndata: {}\n\nid: 2\nevent: two\ndata: {}\n\n"
    assert sent[2].startswith(b"event: error\n")
    assert b"secret" not in sent[2]
    assert len(sent) == 3


def test_silence_is_a_comment() -> None:
    assert chunk([]).startswith(b":")
