"""A session is held to its limits: with and without namespaces, by cgroups as root, without as a normal user."""

import asyncio
import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck.core.events import Outcome
from quarterdeck.core.protocol import Isolation
from quarterdeck.core.session_limits import LimitName, Limits, ProjectLimits, Used
from quarterdeck.executor import confines
from quarterdeck.executor.cgroup import SessionGroup, parents
from quarterdeck.executor.probe import probe
from quarterdeck.executor.processes import Ended, LimitReachedError, Processes
from quarterdeck.executor.sandbox import Sandbox
from quarterdeck.executor.watch import enforced
from tests.executor.people import as_normal_user
from tests.executor.test_processes import new_mark, sleepers

MB = 1024**2
LIMITS = Limits(memory=128 * MB, processes=48, workspace=24 * MB, files=300, output=MB)


@pytest.fixture(params=["full", "none"])
async def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return await probe() if request.param == "full" else Sandbox("none", "for a test")


async def ran(processes: Processes, root: Path, script: str, subject: str = "session:1", seconds: float = 60) -> Ended:
    """A program in Python, as a hostile command may bring one."""
    (root / "program.py").write_text(script, encoding="utf-8")
    command = ["/usr/bin/env", "python3", "program.py"]
    return await processes.run(subject, command, root=root, timeout=seconds, sink=_unheard)


async def _unheard(_: bytes) -> None:
    pass


HOG = "import time\nhog = []\nwhile True: hog.append(b'x' * (1 << 20)); time.sleep(0.005)\n"
HOGS = """
import os, time
for _ in range(6):
    if os.fork() == 0: break
hog = b'x' * (40 << 20)
time.sleep(600)
"""
SHARED = """
import mmap, time
hog = mmap.mmap(-1, 256 << 20)
for at in range(0, 256 << 20, 4096):
    hog[at] = 1
    if at % (1 << 20) == 0: time.sleep(0.005)
time.sleep(600)
"""
DETACHED = f"""
import os, signal, time
if os.fork(): time.sleep(600)
os.setsid()
if os.fork(): os._exit(0)
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
{HOG}
"""
"""Forked twice, in a session of its own, deaf to TERM."""
BOMB = """
import os, time
while True:
    try:
        if os.fork() == 0: time.sleep(600)
    except OSError: time.sleep(0.01)
"""
DOUBLES = """
import os
while True:
    try: os.fork()
    except OSError: pass
"""
"""Every process of it goes on to fork: whoever kills some makes room for others."""
DOUBLES_AND_GROWS = """
import os
hog = []
while True:
    hog.append(b'x' * (20 << 20))
    try: os.fork()
    except OSError: pass
"""
DOUBLES_AND_FILLS = """
import os
for _ in range(3): os.fork()
file = open(f'filler-{os.getpid()}', 'wb', buffering=0)
while True:
    try: file.write(bytes(1 << 16))
    except OSError: pass
"""
THREADS = """
import threading, time
while True:
    try: threading.Thread(target=time.sleep, args=[600]).start()
    except RuntimeError: time.sleep(0.01)
"""
FILL = """
import time
file = open('filler', 'wb', buffering=0)
for _ in range(8192):
    file.write(bytes(1 << 16))
    time.sleep(0.001)
time.sleep(600)
"""
UNSEEN = FILL.replace("\nfor", "\nimport os; os.unlink('filler')\nfor")
MANY = "import time\nfor number in range(2000): open(f'{number}', 'w')\ntime.sleep(600)\n"
DEEP = "import os, time\nfor number in range(2000): os.mkdir('d'); os.chdir('d')\ntime.sleep(600)\n"
FLOOD = "while True: print('x' * 1000)\n"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param(HOG, "128M of memory", id="hog"),
        pytest.param(HOGS, "128M of memory", id="hogs"),
        pytest.param(SHARED, "128M of memory", id="shared"),
        pytest.param(DETACHED, "128M of memory", id="detached"),
        pytest.param(BOMB, "48 processes", id="bomb"),
        pytest.param(THREADS, "48 processes", id="threads"),
        pytest.param(FILL, "24M for the files", id="fill"),
        pytest.param(UNSEEN, "24M for the files", id="unseen"),
        pytest.param(MANY, "300 files", id="many"),
        pytest.param(DEEP, "300 files", id="deep"),
        pytest.param(FLOOD, "1M of output", id="flood"),
    ],
)
async def test_what_takes_too_much_is_ended_with_the_reason(
    sandbox: Sandbox, tmp_path: Path, script: str, reason: str, request: pytest.FixtureRequest
) -> None:
    processes = Processes(sandbox, LIMITS)
    mark = new_mark()
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir()
    other.mkdir()
    request.addfinalizer(lambda: subprocess.run(["rm", "-rf", str(own)], check=True))  # pytest can't, so deep it is
    neighbour = asyncio.create_task(processes.run("session:2", ["sleep", mark], root=other, timeout=120))

    ended = await ran(processes, own, script)

    assert (ended.outcome, ended.exit_code) == (Outcome.ERROR, None), ended
    assert reason in ended.limit, ended
    assert len(sleepers(mark)) >= 1, "another session goes on"
    proof = await processes.kill_tree("session:2")
    await neighbour
    assert (proof.left, sleepers(mark)) == (0, [])
    ours = [folder for parent in parents() for folder in parent.glob(f"quarterdeck-{os.getpid()}-*")]
    assert ours == [], "no group is left"


@pytest.mark.parametrize("kind", ["none", "reduced"])
async def test_what_grows_ever_faster_is_ended_without_a_namespace_too(
    kind: Isolation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In a container the bound may be as far as thousands of processes, which would take the machine from all others.
    monkeypatch.setattr(confines, "UNSEEN_PROCESSES", 0)
    if os.geteuid() == 0 and "processes" not in bounded():
        return  # nothing holds root's processes but a control group, and the machine would be lost
    processes = Processes(Sandbox(kind, "for a test"), LIMITS)
    for number, script in enumerate((DOUBLES, DOUBLES_AND_GROWS, DOUBLES_AND_FILLS), 1):
        root = tmp_path / str(number)
        root.mkdir()
        ended = await ran(processes, root, script, subject=f"session:{number}")
        assert ended.outcome is Outcome.ERROR, ended
        assert ended.limit, ended
        proof = await processes.kill_tree(f"session:{number}")
        assert proof.left == 0
        assert not [pid for pid, at in working() if at.is_relative_to(root)]


def working() -> Iterator[tuple[int, Path]]:
    """Living processes that may be seen, and the folder that each is in."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX":
                yield int(folder.name), (folder / "cwd").readlink()


async def test_commands_of_one_session_share_its_memory(sandbox: Sandbox, tmp_path: Path) -> None:
    processes = Processes(sandbox, LIMITS)
    script = "import time\nhog = b'x' * (80 << 20)\nprint('up', flush=True)\ntime.sleep(2)\n"

    alone = await ran(processes, tmp_path, script)
    both = await asyncio.gather(ran(processes, tmp_path, script), ran(processes, tmp_path, script))

    assert (alone.outcome, alone.limit) == (Outcome.OK, "")
    assert any("of memory" in ended.limit for ended in both), both


async def test_a_full_workspace_can_be_cleaned_up_and_not_filled_further(sandbox: Sandbox, tmp_path: Path) -> None:
    processes = Processes(sandbox, LIMITS)
    more = FILL.replace("filler", "more")

    assert "24M" in (await ran(processes, tmp_path, FILL)).limit
    assert "24M" in (await ran(processes, tmp_path, more)).limit
    assert (await ran(processes, tmp_path, "import time; time.sleep(2)")).outcome is Outcome.OK
    cleaned = await ran(processes, tmp_path, "import os, time; os.unlink('filler'); os.unlink('more'); time.sleep(2)")
    assert (cleaned.outcome, cleaned.limit) == (Outcome.OK, "")
    assert (await ran(processes, tmp_path, "open('little', 'wb').write(bytes(1 << 20))")).outcome is Outcome.OK
    assert "24M" in (await ran(processes, tmp_path, more)).limit


async def test_time_and_output_that_are_used_up_stay_so(sandbox: Sandbox, tmp_path: Path) -> None:
    limits = Limits(call=1, session=2, output=MB)
    processes = Processes(sandbox, limits, lambda subject: Used(output=MB if subject == "session:3" else 0))
    for reason in ("1s for one call", "2s for all"):
        ended = await ran(processes, tmp_path, "import time; print('up', flush=True); time.sleep(600)")
        assert (ended.outcome, ended.text) == (Outcome.TIMED_OUT, "up\n")
        assert reason in ended.limit
    with pytest.raises(LimitReachedError, match="2s for all its commands"):
        await ran(processes, tmp_path, "print('no')")
    with pytest.raises(LimitReachedError, match="1M of output"):
        await ran(processes, tmp_path, "print('no')", subject="session:3")
    assert (await ran(processes, tmp_path, "print('yes')", subject="session:4")).text == "yes\n"


async def test_what_a_project_asks_for_and_what_others_have_used_comes_with_the_call(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    processes = Processes(sandbox, Limits(memory=128 * MB, processes=48, call=60))
    asked = ProjectLimits(memory=64 * MB, processes=1000, session=10, output=MB)
    processes.admit("session:1", asked, Used(ms=4_000, output=10))
    spared = await ran(processes, tmp_path, "print('up')")
    told = processes.used("session:1")
    assert (spared.text, told.output, 0 < told.ms < 10_000) == ("up\n", 3, True)
    assert processes.used("session:1") == Used(), "it is told once"
    assert (await ran(processes, tmp_path, HOG)).limit.startswith("This session's limit was reached: 64M of memory")
    assert "48 processes" in (await ran(processes, tmp_path, BOMB)).limit, "the runner's own is stricter"
    since = processes.used("session:1")
    counted = Used(ms=4_000, output=10) + told + since
    processes.admit("session:1", asked, counted)  # the server has heard of all of it, and of nothing else
    assert processes.used("session:1") == Used()
    processes.admit("session:1", asked, counted + Used(ms=20_000))
    with pytest.raises(LimitReachedError, match=r"10s for all its commands .* An owner can raise `session`") as refused:
        await ran(processes, tmp_path, "print('no')")
    assert (refused.value.reached.total, refused.value.reached.of) == (True, "project")
    processes.admit("session:1", ProjectLimits(session=86_400), counted + Used(ms=20_000))
    assert (await ran(processes, tmp_path, "print('yes')")).text == "yes\n", "it was raised"
    assert processes.used("session:1").ms < 10_000, "what others used is not told as ours"


@pytest.mark.parametrize("contained", [False, True])
def test_where_others_of_the_user_are_not_seen_there_is_room_for_them(
    contained: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = os.stat("/proc/self/ns/pid").st_ino
    monkeypatch.setattr(confines, "_MACHINES_PIDS", here + contained)
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)  # nobody
    bounds = [dict(confines.rlimits(LIMITS, own_user_namespace=own))[resource.RLIMIT_NPROC] for own in (False, True)]
    assert bounds == [confines.UNSEEN_PROCESSES if contained else 64, 64]


def test_how_the_limits_are_kept_is_said() -> None:
    assert bounded() or os.geteuid(), "root needs cgroups for these bounds"
    words = enforced(LIMITS)
    assert ("limited by cgroups" in words) == bool(bounded())
    assert ("a look every" in words) == (not {"memory", "processes"} <= bounded())


def bounded() -> frozenset[LimitName]:
    """What the kernel holds sessions to here."""
    group = SessionGroup.made(LIMITS)
    if group:
        group.discard()
    return group.bounded if group else frozenset()


@pytest.mark.timeout(300)
def test_all_of_this_as_a_normal_user() -> None:
    as_normal_user(__file__, 280)
