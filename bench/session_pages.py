"""Pages of the log of one long session: first, last, middle, a deep link, concise, by kind and by words.

Each is one request by HTTP on loopback over one connection, one after the other, with its ability check and its JSON,
beside the same on a session of 1,000 events. The client takes the bytes and does nothing with them, for it shares an
interpreter with the server. The log is written with `--rows` events a row, as sealing leaves a quiet one, and again
with one to three a row, as a session writes it while it runs. `--plans` prints what the database does for some.
"""

import argparse
import asyncio
import http.client
import json
import random
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

from sqlalchemy.ext.asyncio import AsyncConnection

from bench.figures import Figure, database, run, spread
from quarterdeck.core import events as e
from quarterdeck.store import log, log_pages, search
from quarterdeck.store.database import Database
from tests.conftest import PERSON
from tests.doors.conftest import Running

WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "the",
    "lazy",
    "dog",
    "and",
    "reads",
    "a",
    "file",
    "of",
    "the",
    "repository",
    "again",
]
LIMIT = 100
START = {"project": "sample", "model": "scripted", "inputs": {"pipeline": {"id": 1}}}


def options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    parser.add_argument("--events", type=int, default=100_000, help="events of the long session (%(default)s)")
    parser.add_argument("--rows", type=int, default=400, help="events of a row of a sealed one (%(default)s)")
    parser.add_argument("--requests", type=int, default=200, help="requests of each page (%(default)s)")
    parser.add_argument("--plans", action="store_true", help="also print what the database does for a page")


def measure(chosen: argparse.Namespace) -> Iterator[Figure]:
    """The figures of all pages."""
    size, requests = (3_000, 5) if chosen.small else (chosen.events, chosen.requests)
    with (
        database() as url,
        tempfile.TemporaryDirectory(prefix="qd-bench-") as home,
        Running(url, Path(home)).up() as it,
    ):
        for name, events, most in (
            ("1,000 events", 1_000, chosen.rows),
            (f"{size:,} events", size, chosen.rows),
            (f"{size:,} events, not sealed", size, 3),
        ):
            number = json.loads(_Client(it.port).ask("POST", "/sessions", START))["id"]
            asyncio.run(_write(url, number, events, most))
            client = _Client(it.port)
            for page, path in _pages(events).items():
                samples = [client.timed(f"/sessions/{number}{path}") for _ in range(requests + 2)][2:]
                yield from spread(f"{name}: {page}", samples, "ms", "p50 <= 3 ms", f"{LIMIT} events a page")
            if chosen.plans:
                asyncio.run(_plans(url, number, events))


def _pages(events: int) -> dict[str, str]:
    paged = {
        "first": {},
        "last": {"order": "desc"},
        "middle": {"after": events // 2},
        "concise, last": {"level": "concise", "order": "desc"},
        "one kind": {"kind": "message.added", "after": events // 2},
        "rare words": {"text": "needle"},
    }
    return {
        **{name: f"/events?{urlencode({'limit': LIMIT, **query})}" for name, query in paged.items()},
        "deep link": f"/events/{events // 3}",
        "the same words by search": "/search?q=needle",
    }


class _Client:
    """One connection that is kept."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, method: str, path: str, body: object = None) -> bytes:
        headers = {"Authorization": f"Bearer {PERSON}", "Content-Type": "application/json"}
        self._connection.request(method, f"/api/v1{path}", json.dumps(body) if body else None, headers)
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{path}: {data.decode()}")
        return data

    def timed(self, path: str) -> float:
        """Milliseconds from the request to the last byte."""
        began = time.perf_counter()
        self.ask("GET", path)
        return (time.perf_counter() - began) * 1_000


async def _write(url: str, number: int, events: int, most: int) -> None:
    chance, store = random.Random(1), Database(url)
    async with store.transaction() as connection:
        state = (await log.lock(connection, number)).state
        seq, about = state.seq, search.scope("api", state.created.project_id, state.created.initiator_id)
        while seq < events:
            rows = min(most if most > 3 else chance.randint(1, most), events - seq)
            written = await _row(connection, chance, number, seq, rows)
            await search.keep(connection, search.rows(number, about, written))
            seq += rows
        await connection.exec_driver_sql("update sessions set seq = %s where id = %s", (seq, number))
    async with store.transaction() as connection:
        await connection.exec_driver_sql("analyze event_batches, search_pieces")
    await store.close()


async def _row(connection: AsyncConnection, chance: random.Random, number: int, after: int, size: int) -> list[e.Event]:
    """One row: of ten events about two are concise and one is a result, as in a flow's own log."""
    made: list[e.Event] = []
    for seq in range(after + 1, after + size + 1):
        words = " ".join(chance.choices(WORDS, k=30)) + (" needle" if seq % 5_000 == 0 else "")
        payload: e.AnyPayload = e.ToolCallFinished(call_id=f"c_{seq}", tool="grep", outcome=e.Outcome.OK, text=words)
        level = chance.choices(list(e.Level), (1, 2, 7))[0]
        if level is e.Level.RESULT:
            payload = e.MessageAdded(text=words, by="ada")
        made.append(e.Event(session=number, seq=seq, at=datetime.now(UTC), level=level, payload=payload))
    await log._write(connection, number, made)  # pyright: ignore[reportPrivateUsage]
    return made


async def _plans(url: str, number: int, events: int) -> None:
    store = Database(url)
    for name, level, low, newest in (
        ("middle", e.Level.FULL, events // 2, False),
        ("concise, last", e.Level.CONCISE, 0, True),
    ):
        asked = {"session": number, "low": low, "high": events + 1, "most": LIMIT}
        query = log_pages.query(level, newest_first=newest).params(asked)
        async with store.transaction() as connection:
            dialect = connection.dialect
            sql = str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True})).replace("%%", "%")
            rows = await connection.exec_driver_sql(f"explain (analyze, buffers) {sql}")
            print(f"-- {name}", *(row[0] for row in rows), sep="\n")
    await store.close()


if __name__ == "__main__":
    run(__doc__ or "", measure, options)
