"""Many watchers of one session's page: from what is said to each stream that has it, and what that costs the server.

Each watcher is a stream as a page has it: entries as HTML, beside them the parts that depend on rights, and the
person's own sessions. Of an entry all that is made once for all; a new title also lets each watcher in again. Times are
from before the request to the reading of the last watcher's bytes, by one process that has all of them and shares the
machine; CPU is the web process's, for a watcher and a cause.
"""

import argparse
import asyncio
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx

from bench.figures import Figure, run, server, spread
from bench.processes import cpu_seconds, pss, tree
from bench.tail import opened
from tests.instance import Instance

_MARK = re.compile(rb"mark(\d+)x")
PAUSE_SECONDS = 0.2


@dataclass
class Watched:
    """What the watchers saw of causes of one kind."""

    latencies: list[float] = field(default_factory=list[float])
    slowest: list[float] = field(default_factory=list[float])
    cpu_seconds: float = 0.0


def measure(options: argparse.Namespace) -> Iterator[Figure]:
    """So many watchers of a session from elsewhere, which says something and is renamed."""
    watchers, causes = (10, 5) if options.small else (options.watchers, options.causes)
    with server() as instance:
        about = {"title": "Watched", "agent": "bot", "project": "sample", "goal": "Much"}
        number = int(instance.post("/sessions/external", about)["id"])
        instance.post(
            f"/sessions/{number}/events", {"events": [{"seq": 1, "kind": "status.changed", "transition": "start"}]}
        )
        web = next(pid for pid, part in tree(instance).items() if part == "web")
        grown, results = asyncio.run(_watch(instance, number, web, watchers, causes))
    yield Figure(f"{watchers:,} pages: memory", grown / 1024, "KiB/watcher")
    for name, result in results.items():
        yield from spread(f"{watchers:,} pages, {name}", result.latencies, "ms", "p99 <= 500")
        yield from spread(f"{watchers:,} pages, {name}: the last", result.slowest, "ms")
        cost = result.cpu_seconds / watchers / causes * 1e6
        yield Figure(f"{watchers:,} pages, {name}: CPU", cost, "us/watcher", "", "the web process")


async def _watch(
    instance: Instance, number: int, web: int, watchers: int, causes: int
) -> tuple[float, dict[str, Watched]]:
    cookie = _signed_in(instance)
    before, seen = pss(web), instance.session(number)["seq"]
    path = f"/sessions/{number}/stream?level=concise&after={seen}"
    lines = [await opened(instance.url, path, {"Cookie": cookie}) for _ in range(watchers)]
    await asyncio.sleep(2)
    grown = (pss(web) - before) / watchers
    said = _Said()
    readers = [asyncio.create_task(said.read(reader)) for reader, _ in lines]

    def entry(mark: str, nth: int) -> tuple[str, str, object]:
        events = [{"seq": nth + 2, "kind": "message.added", "text": mark, "by": "bot", "level": "result"}]
        return "POST", f"/sessions/{number}/events", {"events": events}

    def title(mark: str, _: int) -> tuple[str, str, object]:
        return "PATCH", f"/sessions/{number}", {"title": mark}

    results: dict[str, Watched] = {}
    async with httpx.AsyncClient(
        base_url=f"{instance.url}/api/v1", headers={"Authorization": f"Bearer {instance.token}"}, timeout=60
    ) as client:
        for name, cause in (("an entry", entry), ("a title", title)):
            used = cpu_seconds(web)
            results[name] = await said.to_all(client, cause, watchers, causes)
            results[name].cpu_seconds = cpu_seconds(web) - used
    for reader in readers:
        reader.cancel()
    for _, writer in lines:
        writer.close()
    return grown, results


class _Said:
    """What was said when, and who has heard it."""

    def __init__(self) -> None:
        self._number = 0
        self._at = 0.0
        self._heard: list[float] = []
        self._all = asyncio.Event()
        self._watchers = 0

    async def to_all(
        self,
        client: httpx.AsyncClient,
        cause: Callable[[str, int], tuple[str, str, object]],
        watchers: int,
        causes: int,
    ) -> Watched:
        result = Watched()
        self._watchers = watchers
        for nth in range(causes):
            self._number += 1
            self._heard, self._at = [], time.perf_counter()
            self._all.clear()
            method, path, body = cause(f"mark{self._number}x", nth)
            (await client.request(method, path, json=body)).raise_for_status()
            async with asyncio.timeout(60):
                await self._all.wait()
            result.latencies += self._heard
            result.slowest.append(max(self._heard))
            await asyncio.sleep(PAUSE_SECONDS)
        return result

    async def read(self, reader: asyncio.StreamReader) -> None:
        """Reads one stream, and notes when it first has what was said last."""
        heard, held = 0, b""
        while data := await reader.read(65536):
            held += data
            for found in _MARK.finditer(held):
                if int(found[1]) > heard:
                    heard = int(found[1])
                    self._heard.append((time.perf_counter() - self._at) * 1_000)
            held = held[-32:]
            if len(self._heard) == self._watchers:
                self._all.set()


def _signed_in(instance: Instance) -> str:
    """The cookie of a browser that followed the sign-in link."""
    link = str(instance.post("/sign-in-links")["url"])
    answer = httpx.post(
        f"{instance.url}/sign-in",
        data={"token": link.partition("token=")[2]},
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    return answer.headers["set-cookie"].partition(";")[0]


def options(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("--causes", type=int, default=30, help="how many entries, and how many titles (%(default)s)")
    parser.add_argument("--watchers", type=int, default=1_000, help="how many watch at once; mind `ulimit -n`")


if __name__ == "__main__":
    run(str(__doc__), measure, options)
