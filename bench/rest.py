"""A server at rest: how long a cold start takes, what memory each process has, what a waiting session adds.

The start is measured from the command to the first answer of /health with a living runner and worker, on a home that
was set up before and holds so many ended sessions. Memory is each process's proportional share (PSS), 10 s later.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator

import psycopg

from bench.figures import Figure, run, server
from bench.processes import pss, tree
from tests.chaos.proof import database_url
from tests.instance import Instance

MIB = 1024 * 1024


def measure(options: argparse.Namespace) -> Iterator[Figure]:
    """A first start, sessions put in, a second start, memory, and then sessions that wait."""
    sessions, waiting = (1_000, 10) if options.small else (options.sessions, options.waiting)
    with server() as instance:
        wish = {"message": "Hello", "model": "scripted", "script": "components: {chat: [{say: Hello}]}"}
        model = int(instance.post("/chats", wish)["id"])
        instance.wait_for(model, "idle")
        _fill(instance, model, sessions)
        instance.stop()
        began = time.perf_counter()
        instance.start()
        yield Figure("cold start", time.perf_counter() - began, "s", "<= 0.8", f"{sessions:,} sessions stored")
        time.sleep(1 if options.small else 10)
        before = _memory(instance)
        for part, size in sorted(before.items()):
            yield Figure(f"memory at rest: {part}", size / MIB, "MiB")
        whole = sum(before.values())
        yield Figure("memory at rest: in all", whole / MIB, "MiB", "<= 160")
        for _ in range(waiting):
            instance.post("/chats", wish)
        instance.wait_for(int(instance.post("/chats", wish)["id"]), "idle")
        time.sleep(1 if options.small else 10)
        grown = sum(_memory(instance).values()) - whole
        yield Figure("memory of a waiting session", grown / waiting / 1024, "KiB", "", "all processes, caches too")


def _memory(instance: Instance) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for pid, part in tree(instance).items():
        found[part] += pss(pid)
    return found


def _fill(instance: Instance, model: int, count: int) -> None:
    """Copies of one session and its log."""
    with psycopg.connect(database_url(instance), autocommit=True) as connection:
        names = [
            str(row[0])
            for row in connection.execute(
                "select column_name from information_schema.columns where table_name = 'sessions'"
                " and is_generated = 'NEVER' and column_name not in ('id', 'idempotency_key') order by 1"
            )
        ]
        columns = ", ".join(f'"{name}"' for name in names)
        first = 1_000_000
        connection.execute(
            f"insert into sessions (id, {columns}) overriding system value"  # pyright: ignore[reportArgumentType, reportCallIssue]
            f" select {first} + n, {columns} from sessions, generate_series(1, {count}) n where id = {model}"
        )
        connection.execute(
            "insert into event_batches (session_id, first_seq, n, results, concise, data)"
            " select %s + own, first_seq, n, results, concise, data"
            " from event_batches, generate_series(1, %s) own where session_id = %s",
            (first, count, model),
        )
        connection.execute("vacuum analyze sessions")


def options(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("--sessions", type=int, default=1_000_000, help="how many are stored before the start")
    parser.add_argument("--waiting", type=int, default=200, help="how many then wait for a person")


if __name__ == "__main__":
    run(str(__doc__), measure, options)
