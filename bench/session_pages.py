"""Pages of the log of one long session: first, last, middle, a deep link, concise, by kind and by words.

Each is a request by HTTP on loopback to a whole server, with its ability check, beside the same requests on a session
of 1,000 events. The log is written as `--rows` events a row, as many as sealing makes of a quiet session, and again
with one to three a row, as a session writes it while it runs. What the database looks at is printed with `--plans`.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
from sqlalchemy import text

from bench.figures import Figure, run, server, spread
from quarterdeck.core import events as e
from quarterdeck.store import log, log_pages
from quarterdeck.store.database import Database

WORDS = "the quick brown fox jumps over the lazy dog and reads a file of the repository again".split()
LIMIT = 100


def options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    parser.add_argument("--events", type=int, default=100_000, help="events of the long session")
    parser.add_argument("--rows", type=int, default=400, help="events of a row of the sealed one")
    parser.add_argument("--requests", type=int, default=200, help="requests of each page")
    parser.add_argument("--plans", action="store_true", help="also print what the database does for a page")


def measure(chosen: argparse.Namespace) -> Iterator[Figure]:
    """The figures of all pages."""
    size, requests = (5_000, 10) if chosen.small else (chosen.events, chosen.requests)
    with server("--no-runner") as instance:
        numbers = asyncio.run(_write(instance.database_url, size, chosen.rows, instance.project))
        with httpx.Client(base_url=instance.url, headers=instance.headers, timeout=60) as client:
            for name, (number, events) in numbers.items():
                for page, query in _pages(events).items():
                    samples = [_ask(client, number, query) for _ in range(requests)]
                    yield from spread(f"{name}, {page}", samples, "ms", "p50 <= 3 ms" if name == "sealed" else "")
        if chosen.plans:
            asyncio.run(_plans(instance.database_url, *numbers["sealed"]))
