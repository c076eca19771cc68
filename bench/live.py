"""Many live sessions on one worker: each waits for a slow scripted answer while one of them is watched.

The worker has a place for every session. The tail's figure is from the event's own time to the watcher that reads it,
for chats' renames while all other sessions are in a turn; memory is the growth of the worker, divided.
"""

import argparse
import asyncio
from collections.abc import Iterator

from bench.figures import Figure, run, server, spread
from bench.processes import pss, tree
from bench.tail import Place, watch


def measure(options: argparse.Namespace) -> Iterator[Figure]:
    """Starts them all, waits until all are in a turn, then measures the tail."""
    count, events = (10, 20) if options.small else (options.sessions, 200)
    with server(settings={"QUARTERDECK_CONCURRENCY": str(min(1_000, count))}) as instance:
        parts = {part: pid for pid, part in tree(instance).items()}
        before = pss(parts["worker"])
        script = "components: {chat: [{say: '%s', delay: 600}]}" % ("word " * 200)
        wish = {"message": "Hello", "model": "scripted", "script": script}
        made = [int(instance.post("/chats", wish)["id"]) for _ in range(count)]
        for one in made:
            instance.wait(lambda one=one: instance.session(one)["status"] == "running", 300, "all are running")
        grown = pss(parts["worker"]) - before
        path = f"/api/v1/sessions/{made[0]}"
        seen = instance.session(made[0])["seq"]
        place = Place(instance.url, f"{path}/stream?after={seen}", ("PATCH", path), instance.token, parts["web"])
        result = asyncio.run(watch(place, 1, events))
        living = sum(instance.session(one)["status"] == "running" for one in made)
    yield Figure("live sessions on one worker", living, "sessions", f">= {count:,}", "all in a turn at the end")
    yield Figure("memory of a live session", grown / count / 1024, "KiB", "", "the worker's growth")
    yield from spread("tail meanwhile", result.latencies, "ms", "p99 <= 100")


def options(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("--sessions", type=int, default=1_000, help="how many are live at once, 1,000 at most")


if __name__ == "__main__":
    run(str(__doc__), measure, options)
