"""Durable appends over HTTP and beneath it, and what an event takes on disk.

Over HTTP: a whole `quarterdeck serve`, asked by plain sockets whose requests were made before; each answer comes behind
the commit. Included: HTTP, who asks and whether they may, validation, the lock of the session's row, its state read
and written, redaction, the words of search, compression, the batch's row, the bell, the commit. CPU is that of the web
process, and of PostgreSQL's beside it. Beneath HTTP: the same without HTTP and validation, one process, a connection a
writer. Messages are searched; checks are not.
"""

import argparse
import asyncio
import json
import random
import re
import socket
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from sqlalchemy import text

from bench.assembled import append, assembled, chat, line
from bench.figures import Figure, run, server, spread
from bench.processes import cpu_seconds, tree
from quarterdeck.app import sealing
from quarterdeck.app.application import App
from tests.instance import Instance

BATCH = 100
WRITERS = 8


def measure(options: argparse.Namespace) -> Iterator[Figure]:
    """Batches by one writer, singles by eight on sessions of their own, then the disk, open and sealed."""
    batches = 20 if options.small else options.batches
    with server() as instance:
        for kind in ("check.recorded", "message.added"):
            yield from _over_http(instance, kind, batches)
        yield from _singles(instance, batches)
    yield from asyncio.run(_beneath(batches))


def _over_http(instance: Instance, kind: str, batches: int) -> Iterator[Figure]:
    chance, number = random.Random(7), _external(instance)
    requests = [
        _request(instance, number, [_event(kind, seq, line(chance)) for seq in range(at, at + BATCH)])
        for at in range(1, (batches + 1) * BATCH, BATCH)
    ]
    parts = tree(instance)
    taken: list[float] = []
    with socket.create_connection((urlsplit(instance.url).hostname, urlsplit(instance.url).port)) as line_:
        _ask(line_, requests[0])
        before, began = _cpu(parts), time.perf_counter()
        for request in requests[1:]:
            at = time.perf_counter()
            _ask(line_, request)
            taken.append((time.perf_counter() - at) * 1_000)
        wall, after = time.perf_counter() - began, _cpu(parts)
    cpu, rows = after["web"] - before["web"], after["postgres"] - before["postgres"]
    events, name = (batches - 1) * BATCH, kind.partition(".")[0]
    yield Figure(f"over HTTP: batches of 100, {name}s", events / wall, "events/s", ">= 40,000", "one writer")
    yield Figure(f"over HTTP: CPU of the web process, {name}s", cpu / events * 1e6, "us/event", "<= 20")
    yield Figure(f"over HTTP: CPU of PostgreSQL, {name}s", rows / events * 1e6, "us/event")
    yield from spread(f"over HTTP: a batch of 100, {name}s", taken, "ms")


def _cpu(parts: dict[int, str]) -> dict[str, float]:
    found = defaultdict[str, float](float)
    for pid, part in parts.items():
        found[part] += cpu_seconds(pid)
    return found


def _singles(instance: Instance, batches: int) -> Iterator[Figure]:
    chance, each = random.Random(8), max(20, batches)
    numbers = [_external(instance) for _ in range(WRITERS)]
    requests = [
        [_request(instance, number, [_event("message.added", seq, line(chance))]) for seq in range(1, each + 1)]
        for number in numbers
    ]

    def write(mine: list[bytes]) -> None:
        with socket.create_connection((urlsplit(instance.url).hostname, urlsplit(instance.url).port)) as line_:
            for request in mine:
                _ask(line_, request)

    began = time.perf_counter()
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, requests))
    rate = WRITERS * each / (time.perf_counter() - began)
    yield Figure("over HTTP: singles over 8 connections", rate, "events/s", ">= 3,000", "committed before the answer")


def _external(instance: Instance) -> int:
    return int(instance.post("/sessions/external", {"title": "Elsewhere", "agent": "bench", "project": "sample"})["id"])


def _event(kind: str, seq: int, text: str) -> dict[str, object]:
    said = {"name": text, "passed": True} if kind == "check.recorded" else {"text": text, "by": "ada"}
    return {"seq": seq, "kind": kind, **said}


def _request(instance: Instance, number: int, events: list[dict[str, object]]) -> bytes:
    body = json.dumps({"events": events}).encode()
    head = (
        f"POST /api/v1/sessions/{number}/events HTTP/1.1\r\nHost: {urlsplit(instance.url).netloc}\r\n"
        f"Authorization: Bearer {instance.token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _ask(line_: socket.socket, request: bytes) -> None:
    line_.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += line_.recv(65_536)
    head, _, body = answer.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)content-length: (\d+)", head)
    assert found is not None, answer
    while len(body) < int(found[1]):
        body += line_.recv(65_536)
    assert head.startswith(b"HTTP/1.1 200"), answer


async def _beneath(batches: int) -> list[Figure]:
    chance = random.Random(7)
    texts = [line(chance) for _ in range(batches * BATCH)]
    async with assembled() as (app, actor):
        session_id = await chat(app, actor)
        await append(app, session_id, texts[:BATCH])
        taken: list[float] = []
        began, used = time.perf_counter(), time.process_time()
        for first in range(0, len(texts), BATCH):
            at = time.perf_counter()
            await append(app, session_id, texts[first : first + BATCH])
            taken.append((time.perf_counter() - at) * 1_000)
        wall, cpu = time.perf_counter() - began, time.process_time() - used
        found = [
            Figure("batches of 100", len(texts) / wall, "events/s", ">= 40,000 over HTTP", "one writer"),
            Figure("CPU of our process", cpu / len(texts) * 1e6, "us/event", "<= 20"),
            *spread("a batch of 100", taken, "ms"),
        ]
        sessions = [await chat(app, actor) for _ in range(WRITERS)]
        singles = max(20, batches // 2)

        async def write(own: int) -> None:
            for number in range(singles):
                await append(app, own, [texts[number]])

        began = time.perf_counter()
        await asyncio.gather(*(write(own) for own in sessions))
        rate = WRITERS * singles / (time.perf_counter() - began)
        found.append(Figure("singles by 8 writers", rate, "events/s", ">= 3,000 over HTTP"))
        opened = await _bytes_an_event(app, sessions[0])
        for own in (*sessions, session_id):
            await sealing.seal(app, own)
        sealed = await _bytes_an_event(app, session_id)
        found += [
            Figure("disk, open, single events", opened, "B/event"),
            Figure("disk, sealed", sealed, "B/event", "<= 90", "rows and their share of pages and index"),
        ]
    return found


async def _bytes_an_event(app: App, session_id: int) -> float:
    async with app.database.transaction() as connection:
        await connection.execute(
            text("create table one as select * from event_batches where session_id = :id"), {"id": session_id}
        )
        await connection.execute(text("alter table one add primary key (session_id, first_seq)"))
        size, n = (
            await connection.execute(text("select pg_total_relation_size('one'), (select sum(n) from one)"))
        ).one()
        await connection.execute(text("drop table one"))
    return size / float(n)


def options(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("--batches", type=int, default=2_000, help="how many batches of 100 events")


if __name__ == "__main__":
    run(str(__doc__), measure, options)
