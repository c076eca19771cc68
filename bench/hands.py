"""What the hands cost: walls, the kill of a stubborn tree, a call from the server to a runner and back, a snapshot.

Walls are a command that does nothing, beside the same without any. The tree is three shells in sessions of their own
that are deaf to TERM, and a process that was forked twice. A call is a command that changes nothing, from its offer in
the log to its result there: it holds the way to the runner and back, its two syncs, the walls, and a look at 1,000
files for changes. A snapshot is what a call takes longer that changes one of them: a commit, a bundle, two diffs, and
their way to the server.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from bench.figures import Figure, run, server, spread
from bench.scripted import wish
from quarterdeck.executor.probe import probe
from quarterdeck.executor.processes import Processes
from quarterdeck.executor.sandbox import Sandbox
from tests.instance import Instance

TREE = """
trap '' TERM HUP INT
for number in 1 2 3; do (setsid sh -c "trap '' TERM; sleep 9999; :" &) ; done
(setsid sh -c "(sleep 9999 &)" &)
echo up
sleep 9999
"""
FILES = 1_000


def measure(options: argparse.Namespace) -> Iterator[Figure]:
    """One after the other."""
    times = 3 if options.small else options.times
    started, bare, killed = asyncio.run(_commands(times))
    yield from spread("a command in the sandbox", started, "ms", "p50 <= 16")
    yield from spread("the same without walls", bare, "ms")
    yield Figure("stop to dead, median", statistics.median(killed), "ms", "9", f"{times} trees")
    yield Figure("stop to dead, worst", max(killed), "ms", "", f"{times} trees")
    with server() as instance:
        idle = _calls(instance, times, "true")
        writes = _calls(instance, times, "echo x >> changed")
    yield from spread("a call, offer to result", idle, "ms", "p50 <= 50")
    snapshot = statistics.median(writes) - statistics.median(idle)
    yield Figure("a snapshot within it, median", snapshot, "ms", "24", f"{FILES:,} files, one changed")


async def _commands(times: int) -> tuple[list[float], list[float], list[float]]:
    """In ms: a command with walls and without, and the end of a tree."""
    walls = await probe()
    with tempfile.TemporaryDirectory(prefix="qd-bench-") as folder:
        root = Path(folder)
        started = [await _ran(Processes(walls), root) for _ in range(times)]
        bare = [await _ran(Processes(Sandbox("none", "to compare")), root) for _ in range(times)]
        killed = [await _killed(Processes(walls), root) for _ in range(times)]
    return started, bare, killed


async def _ran(processes: Processes, root: Path) -> float:
    began = time.perf_counter()
    await processes.run("session:1", ["true"], root=root, timeout=60)
    return (time.perf_counter() - began) * 1_000


async def _killed(processes: Processes, root: Path) -> float:
    up = asyncio.Event()

    async def hear(_: bytes) -> None:
        up.set()

    task = asyncio.create_task(processes.run("session:1", ["sh", "-c", TREE], root=root, timeout=600, sink=hear))
    await up.wait()
    began = time.perf_counter()
    proof = await processes.kill_tree("session:1")
    taken = (time.perf_counter() - began) * 1_000
    await task
    if proof.left:
        raise RuntimeError(f"{proof.left} processes are left")
    return taken


def _calls(instance: Instance, times: int, command: str) -> list[float]:
    """In ms, from the offer of a command to its result, one after the other in one session."""
    fill = f"mkdir -p many; for n in $(seq {FILES}); do echo $n > many/$n; done"
    calls = (f'{{command: "{line}"}}' for line in [fill, *[command] * times])
    session_id = int(instance.post("/sessions", wish("run_command", calls))["id"])
    instance.wait_for(session_id, "finished", seconds=600)
    offered: dict[str, datetime] = {}
    taken: list[float] = []
    for event in instance.events(session_id):
        payload, at = event["payload"], datetime.fromisoformat(event["at"])
        if payload["kind"] == "tool_call.offered":
            offered |= dict.fromkeys(payload["call_ids"], at)
        elif payload["kind"] == "tool_call.finished" and payload["call_id"] in offered:
            taken.append((at - offered[payload["call_id"]]).total_seconds() * 1_000)
    return taken[1:]


def options(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("--times", type=int, default=100, help="how often each")


if __name__ == "__main__":
    run(str(__doc__), measure, options)
