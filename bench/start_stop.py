"""From a start to `turn.started` at a client of the stream, and from a cancel to a dead process tree.

The client posts the session and opens its stream, so the start holds two requests. The tree is five processes that left
their group and session and whose parents have ended, below a command in the sandbox; the time ends when none is left.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from bench.figures import Figure, run, server, spread
from bench.scripted import wish
from tests.instance import Instance

TREE = 5


def measure(options: argparse.Namespace) -> Iterator[Figure]:
    """Both, some times one after the other on a warm server."""
    times = 3 if options.small else options.times
    with server() as instance:
        _begun(instance)
        yield from spread(
            "start to turn.started", [_begun(instance) for _ in range(times)], "ms", "p50 <= 10, p99 <= 50"
        )
        killed = [_killed(instance, 90_000 + number) for number in range(times)]
    yield from spread("cancel to no process left", [one[0] for one in killed], "ms", "p99 <= 15")
    yield from spread("the runner's own figure", [one[1] for one in killed], "ms")


def _begun(instance: Instance) -> float:
    with instance.client() as client:
        client.get("/sessions")  # the connection is there
        began = time.perf_counter()
        made = client.post("/sessions", json=wish("run_command", ())).json()
        with client.stream("GET", f"/sessions/{made['id']}/stream") as answer:
            for line in answer.iter_lines():
                if line == "event: turn.started":
                    break
        return (time.perf_counter() - began) * 1_000


def _killed(instance: Instance, mark: int) -> tuple[float, float]:
    """In ms: until the last process is gone, and what the teardown's event says."""
    command = f"for i in 1 2 3 4 5; do setsid sh -c '(sleep {mark} &)' & done; sleep {mark}"
    session_id = int(instance.post("/sessions", wish("run_command", [f'{{command: "{command}"}}']))["id"])
    instance.wait(lambda: len(_with(mark)) > TREE, 60, "the tree stands")
    tree = _with(mark)
    with instance.client() as client:
        began = time.perf_counter()
        client.post(f"/sessions/{session_id}/cancel", json={})
        while any(_lives(pid) for pid in tree):
            time.sleep(0.000_5)
        taken = (time.perf_counter() - began) * 1_000
    found: list[float] = []

    def told() -> bool:
        found[:] = [
            float(one["payload"]["duration_ms"])
            for one in instance.events(session_id)
            if one["payload"]["kind"] == "workspace.torn_down"
        ]
        return bool(found)

    instance.wait(told, 60, "the teardown is in the log")
    return taken, found[0]


def _with(mark: int) -> set[int]:
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "cmdline").read_bytes() == f"sleep\0{mark}\0".encode():
                found.add(int(entry.name))
    return found


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def options(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("--times", type=int, default=100, help="how often each")


if __name__ == "__main__":
    run(str(__doc__), measure, options)
