"""The live tail: from an event's own time to the watcher that reads it, beside a floor without a database.

Included: the commit, the bell, the one look for all watchers, the stream, and the watchers' own reading, which shares
the machine. The floor is the same kind of server and stream in a process of its own that sends as many bytes to as many
watchers, made from memory. A watcher's memory is the growth of the web process while they come, divided.
"""

import argparse
import asyncio
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx

from bench.figures import Figure, run, server, spread
from bench.processes import pss, tree

_AT = re.compile(rb'"at":"([^"]+)"')
_BYTES = 40
"""A title can have no more; the events are as long on both sides."""
PAUSE_SECONDS = 0.05


@dataclass
class Watched:
    """What the watchers saw."""

    latencies: list[float] = field(default_factory=list[float])
    bytes_each: float = 0.0


def measure(options: argparse.Namespace) -> Iterator[Figure]:
    """One watcher and many, each beside a floor with as many."""
    events = 20 if options.small else options.events
    for watchers in (1, 10 if options.small else options.watchers):
        with server() as instance:
            wish = {"message": "Hello", "model": "scripted", "script": "components: {chat: [{say: Hello}]}"}
            session_id = int(instance.post("/chats", wish)["id"])
            instance.wait_for(session_id, "idle")
            web = next(pid for pid, part in tree(instance).items() if part == "web")
            path = f"/api/v1/sessions/{session_id}"
            seen = instance.session(session_id)["seq"]
            place = Place(instance.url, f"{path}/stream?after={seen}", ("PATCH", path), instance.token, web)
            yield from _told(f"{watchers:,} watching", asyncio.run(watch(place, watchers, events)), watchers)
        with _floor() as place:
            yield from _told(f"floor of {watchers:,}", asyncio.run(watch(place, watchers, events)), watchers)


def _told(name: str, result: Watched, watchers: int) -> Iterator[Figure]:
    floor = name.startswith("floor")
    aim = "" if floor else "p99 <= 3 ms" if watchers == 1 else "p99 <= 1.2 x its floor"
    yield from spread(name, result.latencies, "ms", aim)
    if watchers > 1:
        yield Figure(f"{name}: memory", result.bytes_each / 1024, "KiB/watcher", "" if floor else "<= 16")


@dataclass(frozen=True)
class Place:
    """A server that is watched and made to say something."""

    url: str
    stream: str
    cause: tuple[str, str]
    token: str
    pid: int


async def watch(place: Place, watchers: int, events: int) -> Watched:
    """So many watchers, and so many causes one after the other."""
    result, before = Watched(), pss(place.pid)
    bearer = {"Authorization": f"Bearer {place.token}"}
    lines = [await opened(place.url, place.stream, bearer) for _ in range(watchers)]
    await asyncio.sleep(1)
    result.bytes_each = (pss(place.pid) - before) / watchers
    readers = [asyncio.create_task(_read(reader, events, result)) for reader, _ in lines]
    async with httpx.AsyncClient(base_url=place.url, headers=bearer) as client:
        for number in range(events):
            body = {"title": f"{number} ".ljust(_BYTES, "x")}
            (await client.request(*place.cause, json=body)).raise_for_status()
            await asyncio.sleep(PAUSE_SECONDS)
    async with asyncio.timeout(60):
        await asyncio.gather(*readers)
    for _, writer in lines:
        writer.close()
    return result


async def opened(url: str, stream: str, headers: dict[str, str]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A stream of a server, once it has answered."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    lines = [
        f"GET {stream} HTTP/1.1",
        f"Host: {parts.netloc}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head.splitlines()[0]:
        raise ConnectionError(head.decode())
    return reader, writer


async def _read(reader: asyncio.StreamReader, events: int, result: Watched) -> None:
    seen, held = 0, b""
    while seen < events and (data := await reader.read(65536)):
        now, held = time.time(), held + data
        for found in _AT.finditer(held):
            at = datetime.fromisoformat(found[1].decode()).timestamp()
            result.latencies.append((now - at) * 1_000)
            seen += 1
        held = held[-200:].rpartition(b"\n\n")[2] if b"\n\n" in held else held


@contextmanager
def _floor() -> Generator[Place]:
    """A process that streams from memory what it is posted."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    process = subprocess.Popen([sys.executable, "-m", "bench.tail", "--floor", str(port)])
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                httpx.get(f"{url}/nothing")
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield Place(url, "/stream", ("POST", "/event"), "none", process.pid)
    finally:
        process.kill()  # it would wait for the streams to end
        process.wait()


def _serve_floor(port: int) -> None:
    import uvicorn
    from litestar import Litestar, Response, get, post
    from litestar.response import Stream

    from quarterdeck.doors.sse import Closing, chunk, message, stream

    queues, number = list[asyncio.Queue[bytes]](), [0]

    async def chunks() -> AsyncIterator[bytes]:
        mine = asyncio.Queue[bytes]()
        queues.append(mine)
        while True:
            yield await mine.get()

    @get("/stream")
    async def follow() -> Stream:
        return stream(chunks(), Closing())

    @post("/event")
    async def cause() -> Response[bytes]:
        number[0] += 1
        at = datetime.now(UTC).isoformat()
        body = f'{{"session":1,"seq":{number[0]},"at":"{at}","level":"full","payload":{{"title":"{"x" * _BYTES}"}}}}'
        said = chunk([message("session.renamed", body, number[0])])
        for one in queues:
            one.put_nowait(said)
        return Response(b"{}")

    uvicorn.run(Litestar([follow, cause]), host="127.0.0.1", port=port, log_level="error")


def options(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("--events", type=int, default=400, help="how many events come")
    parser.add_argument("--watchers", type=int, default=1_000, help="how many watch at once; mind `ulimit -n`")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--floor"]:
        _serve_floor(int(sys.argv[2]))
    else:
        run(str(__doc__), measure, options)
