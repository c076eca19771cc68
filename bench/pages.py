"""Pages of a long session's log: first, middle and last page, a deep link, and one that shows concise events alone.

Included: the ability, the query, unpacking and checking of each event. Not included: HTTP and JSON.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Iterator

from bench.assembled import append, assembled, chat, line
from bench.figures import Figure, run, spread
from quarterdeck.app import sealing, session_log
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.events import Level

PAGE = 100


def measure(options: argparse.Namespace) -> Iterator[Figure]:
    """The same pages of a session of 1,000 events and of a long one."""
    yield from asyncio.run(_measure(3_000 if options.small else options.events, 20 if options.small else 200))


async def _measure(events: int, times: int) -> list[Figure]:
    found: list[Figure] = []
    async with assembled() as (app, actor):
        for size in (1_000, events):
            chance = random.Random(size)
            session_id = await chat(app, actor)
            for _ in range(size // 20):
                await append(app, session_id, [line(chance) for _ in range(20)])
            await sealing.seal(app, session_id)
            aim = "p50 <= 3 ms, <= 1.2 x that of 1,000" if size == events else ""
            for name, after in (
                ("first page", 0),
                ("middle page", size // 2),
                ("last page", size - PAGE),
                ("deep link, 1 event", size - 7),
            ):
                limit = 1 if "link" in name else PAGE
                taken = [await _page(app, actor, session_id, after, limit) for _ in range(times)]
                found += spread(f"{size:,} events: {name}", taken, "ms", aim)
            taken = [await _page(app, actor, session_id, size // 2, PAGE, Level.CONCISE) for _ in range(times)]
            found += spread(f"{size:,} events: concise page", taken, "ms", aim)
    return found


async def _page(app: App, actor: Actor, session_id: int, after: int, limit: int, level: Level = Level.FULL) -> float:
    began = time.perf_counter()
    events = await session_log.events(app, actor, session_id, after=after, limit=limit)
    [one for one in events if session_log.shown(one.level, level)]
    return (time.perf_counter() - began) * 1_000


def options(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("--events", type=int, default=100_000, help="how long the long session is")


if __name__ == "__main__":
    run(str(__doc__), measure, options)
