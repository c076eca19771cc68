"""Turns a second: each is one scripted answer, one file that the runner reads in its sandbox, and the result.

Included: everything, in all processes of `quarterdeck serve` on one machine, PostgreSQL and the runner's sandbox too;
workspaces are made before the first turn and count. By CPU: the turns for each second that any process computed.
"""

import argparse
import time
from collections.abc import Iterator

from bench.figures import Figure, run, server
from bench.processes import cpu_seconds, tree
from bench.scripted import wish


def measure(options: argparse.Namespace) -> Iterator[Figure]:
    """Some sessions at once, each with so many turns."""
    sessions, turns = (2, 5) if options.small else (options.sessions, options.turns)
    with server() as instance:
        used = sum(map(cpu_seconds, tree(instance)))
        began = time.perf_counter()
        reads = ["{file_path: README.md}"] * turns
        made = [int(instance.post("/sessions", wish("read_file", reads))["id"]) for _ in range(sessions)]
        for one in made:
            instance.wait_for(one, "finished", seconds=1_200)
        wall = time.perf_counter() - began
        cpu = sum(map(cpu_seconds, tree(instance))) - used
        done = sum(instance.session(one)["turn_no"] - 1 for one in made)
    yield Figure("turns", done / wall, "turns/s", "", f"{sessions} sessions at once, to the clock")
    yield Figure("turns by CPU", done / cpu, "turns/s per core", ">= 60", f"{cpu / done * 1_000:.1f} ms of CPU a turn")


def options(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("--sessions", type=int, default=4, help="at once; the local runner works on 4")
    parser.add_argument("--turns", type=int, default=100, help="of each session")


if __name__ == "__main__":
    run(str(__doc__), measure, options)
