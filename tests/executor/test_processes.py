"""Commands end as promised, with and without a pid namespace, as root and as a normal user."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from quarterdeck.core.errors import SessionEndedError
from quarterdeck.core.events import Outcome
from quarterdeck.core.limits import OUTPUT_BYTES
from quarterdeck.core.protocol import Isolation
from quarterdeck.executor import procfs
from quarterdeck.executor.cgroup import parents
from quarterdeck.executor.command import SandboxBrokenError
from quarterdeck.executor.probe import probe
from quarterdeck.executor.processes import Processes
from quarterdeck.executor.sandbox import Sandbox
from tests.executor.people import as_normal_user

STUBBORN = """
trap '' TERM HUP INT
for number in 1 2 3; do (setsid sh -c "trap '' TERM; sleep {mark}; :" &) ; done
(setsid sh -c "(sleep {mark} &)" &)
echo up
sleep {mark}
"""
"""Six sleepers and their shells: in sessions of their own, forked twice, deaf to TERM."""


async def walls(isolation: Isolation) -> Sandbox:
    return await probe() if isolation == "full" else Sandbox(isolation, "for a test")


@pytest.fixture(params=["full", "reduced", "none"])
async def processes(request: pytest.FixtureRequest) -> Processes:
    return Processes(await walls(request.param))


def new_mark() -> str:
    """A number of seconds that no other sleep on this machine has."""
    return f"9{uuid4().int % 10**12}"


def sleepers(mark: str) -> list[int]:
    """Ids of living processes that have the mark in their command line."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                dead = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] in "ZX"
                if mark.encode() in (folder / "cmdline").read_bytes() and not dead:
                    found.append(int(folder.name))
    return found


class Listener:
    """A sink that notes what comes, and tells when something came."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.came = asyncio.Event()

    async def __call__(self, data: bytes) -> None:
        self.heard += data
        self.came.set()


async def started(processes: Processes, root: Path, mark: str, subject: str = "session:1") -> asyncio.Task[object]:
    """A stubborn tree that is known to be up."""
    listener = Listener()
    command = ["sh", "-c", STUBBORN.format(mark=mark)]
    task = asyncio.create_task(processes.run(subject, command, root=root, timeout=60, sink=listener))
    await asyncio.wait_for(listener.came.wait(), 60)
    await asyncio.wait_for(all_up(mark), 60)
    return task


async def all_up(mark: str) -> None:
    while len(sleepers(mark)) < 6:
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("command", "outcome", "exit_code", "text"),
    [
        ("echo out; echo err >&2; echo last", Outcome.OK, 0, "out\nerr\nlast\n"),
        ("printf half; exit 3", Outcome.ERROR, 3, "half"),
        ("kill -9 $$", Outcome.ERROR, 137, ""),
        ("printf 'a\\377\\000b'", Outcome.OK, 0, "a\ufffd\ufffdb"),
        ("cat; echo no input", Outcome.OK, 0, "no input\n"),
        ("exec >&- 2>&-; sleep 0.2; exit 5", Outcome.ERROR, 5, ""),
    ],
)
async def test_how_a_command_ends(
    processes: Processes, tmp_path: Path, command: str, outcome: Outcome, exit_code: int, text: str
) -> None:
    ended = await processes.run("session:1", ["sh", "-c", command], root=tmp_path, timeout=60)

    assert (ended.outcome, ended.exit_code, ended.text) == (outcome, exit_code, text)
    assert not ended.truncated


async def test_a_program_that_is_not_there(processes: Processes, tmp_path: Path) -> None:
    ended = await processes.run("session:1", ["no-such-program"], root=tmp_path, timeout=60)

    assert ended.exit_code == 127
    assert "no-such-program" in ended.text


async def test_a_stop_leaves_nothing(processes: Processes, tmp_path: Path) -> None:
    mark = new_mark()
    task = await started(processes, tmp_path, mark)
    bystander = await started(processes, tmp_path, other := new_mark(), subject="session:2")

    proof = await processes.kill_tree("session:1")

    assert sleepers(mark) == []
    assert (proof.killed >= 6, proof.left) == (True, 0)
    assert getattr(await task, "outcome", None) is Outcome.CANCELLED
    assert len(sleepers(other)) >= 6
    with pytest.raises(SessionEndedError):
        await processes.run("session:1", ["true"], root=tmp_path, timeout=60)
    processes.admit("session:1")
    assert (await processes.run("session:1", ["true"], root=tmp_path, timeout=60)).exit_code == 0
    await processes.kill_tree("session:2")
    await bystander
    assert sleepers(other) == []


async def test_a_stop_in_the_middle_of_a_start(processes: Processes, tmp_path: Path) -> None:
    mark = new_mark()
    command = ["sh", "-c", STUBBORN.format(mark=mark)]
    for turns in range(8):
        task = asyncio.create_task(processes.run("session:1", command, root=tmp_path, timeout=60))
        for _ in range(turns * 2):
            await asyncio.sleep(0.001)
        proof = await processes.kill_tree("session:1")
        with contextlib.suppress(SessionEndedError):
            assert (await asyncio.wait_for(task, 30)).outcome is Outcome.CANCELLED
        assert (proof.left, sleepers(mark)) == (0, [])
        processes.admit("session:1")


async def test_a_timeout_keeps_what_came(processes: Processes, tmp_path: Path) -> None:
    mark = new_mark()
    command = ["sh", "-c", STUBBORN.format(mark=mark)]

    ended = await processes.run("session:1", command, root=tmp_path, timeout=1.5)

    assert (ended.outcome, ended.exit_code, ended.text) == (Outcome.TIMED_OUT, None, "up\n")
    assert sleepers(mark) == []


async def test_cancelling_kills(processes: Processes, tmp_path: Path) -> None:
    mark = new_mark()
    task = await started(processes, tmp_path, mark)

    task.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(60):
        while sleepers(mark):
            await asyncio.sleep(0.02)


async def test_what_a_command_leaves_behind_ends_with_it(processes: Processes, tmp_path: Path) -> None:
    mark = new_mark()

    ended = await processes.run(
        "session:1", ["sh", "-c", f"(setsid sleep {mark} &); echo done"], root=tmp_path, timeout=30
    )

    assert (ended.outcome, ended.text) == (Outcome.OK, "done\n")
    assert sleepers(mark) == []


async def test_output_comes_while_the_command_runs(processes: Processes, tmp_path: Path) -> None:
    listener = Listener()
    command = ["sh", "-c", "echo first; until test -e go; do sleep 0.02; done; echo second"]
    task = asyncio.create_task(processes.run("session:1", command, root=tmp_path, timeout=60, sink=listener))

    await asyncio.wait_for(listener.came.wait(), 60)

    assert bytes(listener.heard) == b"first\n"
    (tmp_path / "go").touch()
    assert (await task).text == "first\nsecond\n"
    assert bytes(listener.heard) == b"first\nsecond\n"


async def test_a_flood_keeps_its_head_and_its_tail(processes: Processes, tmp_path: Path) -> None:
    pieces: list[int] = []
    edges = [b"", b""]

    async def sink(data: bytes) -> None:
        pieces.append(len(data))
        edges[0] = edges[0] or data[:6]
        edges[1] = data[-5:]

    command = ["sh", "-c", "echo begin; yes | head -c 100000000; echo last"]
    ended = await processes.run("session:1", command, root=tmp_path, timeout=60, sink=sink)

    assert (ended.outcome, ended.truncated) == (Outcome.OK, True)
    assert ended.output_bytes == 100_000_011
    assert (edges, max(pieces) <= 64 * 1024) == ([b"begin\n", b"last\n"], True)
    assert OUTPUT_BYTES <= sum(pieces) < OUTPUT_BYTES + 100
    assert ended.text.startswith("begin\n")
    assert ended.text.endswith("last\n")
    assert "bytes left out" in ended.text
    assert len(ended.text) < 300_000


async def test_a_sink_that_fails_ends_the_command(processes: Processes, tmp_path: Path) -> None:
    mark = new_mark()

    async def sink(_: bytes) -> None:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        await processes.run("session:1", ["sh", "-c", STUBBORN.format(mark=mark)], root=tmp_path, timeout=60, sink=sink)
    assert sleepers(mark) == []


async def test_a_command_that_kills_its_supervisor(tmp_path: Path) -> None:
    processes = Processes(await walls("none"))
    mark = new_mark()
    command = ["sh", "-c", f"(setsid sleep {mark} &); kill -9 $PPID; sleep {mark}"]

    with pytest.raises(SandboxBrokenError):
        await processes.run("session:1", command, root=tmp_path, timeout=60)
    assert sleepers(mark) == []


SWEPT = """
import os, sys
from quarterdeck.executor import landlock, supervisor
landlock.libc.prctl(36, 1, 0, 0, 0)
os.system(f"(setsid sleep {sys.argv[1]} > /dev/null 2>&1 & kill -STOP $!)")
supervisor._PATIENCE_SECONDS = 0
print(*supervisor._sweep())
"""


def test_what_was_made_to_stand_is_killed_when_patience_ends() -> None:
    mark = new_mark()
    ended = subprocess.run([sys.executable, "-c", SWEPT, mark], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "1 0\n"
    assert sleepers(mark) == []


RUNNER = """
import asyncio, sys
from pathlib import Path
from quarterdeck.executor.probe import probe
from quarterdeck.executor.processes import Processes
from quarterdeck.executor.sandbox import Sandbox

async def main(kind, command, root):
    sandbox = await probe() if kind == "full" else Sandbox(kind, "for a test")
    await Processes(sandbox).run("session:1", ["sh", "-c", command], root=Path(root), timeout=600)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("isolation", ["full", "reduced", "none"])
def test_a_killed_runner_takes_its_commands_along(isolation: str, tmp_path: Path) -> None:
    mark = new_mark()
    command = STUBBORN.format(mark=mark)
    (tmp_path / "scratch").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "scratch")}
    runner = subprocess.Popen([sys.executable, "-c", RUNNER, isolation, command, str(tmp_path)], env=environment)
    try:
        wait_for(lambda: len(sleepers(mark)) >= 6)
    finally:
        os.kill(runner.pid, signal.SIGKILL)
        runner.wait(20)

    wait_for(lambda: not sleepers(mark))
    wait_for(lambda: not list((tmp_path / "scratch").iterdir()))
    groups = [folder for parent in parents() for folder in parent.glob(f"quarterdeck-{runner.pid}-*")]
    wait_for(lambda: Processes(Sandbox("none", "for a test")) and not any(group.exists() for group in groups))


def test_the_dead_that_nobody_buries_count_as_dead() -> None:
    with subprocess.Popen(["sleep", new_mark()]) as child:
        mine = [one for one in procfs.descendants(os.getpid()) if one.pid == child.pid]
        assert (len(mine), procfs.alive(mine[0])) == (1, True)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert child.pid not in {one.pid for one in (*procfs.descendants(os.getpid()), *procfs.offspring(os.getpid()))}
        assert not procfs.alive(mine[0])


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def test_all_of_this_as_a_normal_user() -> None:
    as_normal_user(__file__)
