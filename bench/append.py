"""Durable appends, and what an event takes on disk.

Included: the lock of the session's row, its state read and written, redaction, compression, the batch's row, the
bell, the commit. Not included: HTTP, for no door takes batches of events yet. One process, a connection a writer.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Iterator

from sqlalchemy import text

from bench.assembled import append, assembled, chat, line
from bench.figures import Figure, run, spread
from quarterdeck.app import sealing
from quarterdeck.app.application import App

BATCH = 100
WRITERS = 8


def measure(options: argparse.Namespace) -> Iterator[Figure]:
    """Batches by one writer, singles by eight on sessions of their own, then the disk, open and sealed."""
    yield from asyncio.run(_measure(20 if options.small else options.batches))


async def _measure(batches: int) -> list[Figure]:
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
