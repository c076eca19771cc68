"""Control groups of version 2, over a folder that behaves as the kernel's does: most machines of tests offer version 1.

What the kernel then does with the bounds is not seen here, only that it is asked for the right thing.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from quarterdeck.core.session_limits import Limits
from quarterdeck.executor import cgroup
from quarterdeck.executor.cgroup import SessionGroup, parents

LIMITS = Limits(memory=64 * 1024**2, processes=32)
CONTROLLERS = {
    "memory": {"memory.max": "max\n", "memory.swap.max": "max\n", "memory.events": "low 0\nmax 0\noom 0\noom_kill 0\n"},
    "pids": {"pids.max": "max\n", "pids.events": "max 0\n"},
}  # fmt: skip
MOUNTS = "sysfs /sys sysfs rw 0 0\ncgroup2 {root} cgroup2 rw,nosuid,nsdelegate 0 0\nproc /proc proc rw 0 0\n"


class Kernel:
    """Groups below `root`: a new one has the files that all have, and those of what its parent hands down."""

    def __init__(self, root: Path, handed: str = "memory pids") -> None:
        self.root = root
        self._mkdir, self._rmdir, self._write = Path.mkdir, os.rmdir, os.write
        self.made(root, handed)

    def made(self, folder: Path, available: str) -> None:
        """The files of a group."""
        self._mkdir(folder, exist_ok=True)
        files = {"cgroup.procs": "", "cgroup.kill": "", "cgroup.controllers": available, "cgroup.subtree_control": ""}
        for name in available.split() if folder != self.root else []:
            files |= CONTROLLERS[name]
        for name, text in files.items():
            (folder / name).write_text(text)

    def mkdir(self, folder: Path, mode: int, parents: bool, exist_ok: bool) -> None:
        """A group, where the folder is one."""
        if self.root not in folder.parents:
            self._mkdir(folder, mode, parents, exist_ok)
            return
        handed = (folder.parent / "cgroup.subtree_control").read_text()
        self.made(folder, " ".join(name for name in CONTROLLERS if f"+{name}" in handed))

    def rmdir(self, folder: Path) -> None:
        """Its files are no obstacle, processes and groups within are."""
        if self.root in folder.parents:
            if (folder / "cgroup.procs").read_text() or any(path.is_dir() for path in folder.iterdir()):
                raise OSError(16, "Device or resource busy")
            for path in folder.iterdir():
                path.unlink()
        self._rmdir(folder)

    def write(self, descriptor: int, data: bytes) -> int:
        """A group that has processes hands no controllers down, except the root; and none that it has not itself."""
        file = Path(f"/proc/self/fd/{descriptor}").readlink()
        if file.name == "cgroup.subtree_control" and self.root in file.parents:
            if file.parent != self.root and (file.parent / "cgroup.procs").read_text():
                raise OSError(16, "Device or resource busy")
            own = (file.parent / "cgroup.controllers").read_text().split()
            if not {word[1:] for word in data.decode().split()} <= set(own):
                raise OSError(2, "No such file or directory")
        if self.root in file.parents:
            os.ftruncate(descriptor, 0)
        return self._write(descriptor, data)


Boot = Callable[..., Kernel]


@pytest.fixture
def boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Boot:
    """A machine of version 2 whose runner is in the group `own`."""

    def booted(own: str, *groups: str, delegated: str = "", handed: str = "memory pids") -> Kernel:
        kernel = Kernel(tmp_path / "cgroup", handed)
        told = {"/proc/self/cgroup": f"0::/{own}", "/proc/self/mounts": MOUNTS.format(root=kernel.root)}
        true_lines = cgroup._lines  # pyright: ignore[reportPrivateUsage]

        def mkdir(self: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
            kernel.mkdir(self, mode, parents, exist_ok)

        def rmdir(folder: str | Path) -> None:
            kernel.rmdir(Path(folder))

        def lines(path: str) -> list[str]:
            return told[path].splitlines() if path in told else true_lines(path)

        def is_delegated(folder: Path) -> bool:
            return bool(delegated) and folder == kernel.root / delegated

        monkeypatch.setattr(Path, "mkdir", mkdir)
        monkeypatch.setattr(Path, "rmdir", rmdir)
        monkeypatch.setattr(os, "rmdir", rmdir)
        monkeypatch.setattr(os, "write", kernel.write)
        monkeypatch.setattr(cgroup, "_lines", lines)
        monkeypatch.setattr(cgroup, "_delegated", is_delegated)
        for group in (*groups, own):
            handing = (kernel.root / group).parent / "cgroup.subtree_control"
            handing.write_text(" ".join(f"+{name}" for name in handed.split()))
            (kernel.root / group).mkdir()
        (kernel.root / own / "cgroup.procs").write_text(f"{os.getpid()}")
        return kernel

    return booted


async def test_a_session_s_groups_lie_beside_the_runner_in_what_was_delegated(boot: Boot) -> None:
    """`Delegate=yes` with `DelegateSubgroup=main`."""
    kernel = boot("unit/main", "unit", delegated="unit")
    unit = kernel.root / "unit"
    assert parents() == [unit]

    group = SessionGroup.made(LIMITS)

    assert group is not None
    assert group.bounded == {"memory", "processes"}
    (session,) = unit.glob("quarterdeck-*")
    read = [(session / name).read_text() for name in ("memory.max", "memory.swap.max", "pids.max")]
    assert read == [str(64 * 1024**2), "0", "32"]
    command = group.command()
    (within,) = (path for path in session.iterdir() if path.is_dir())
    command.add(4321)
    assert (within / "cgroup.procs").read_text() == "4321"
    assert command.reached() is None
    (session / "pids.events").write_text("max 3\n")
    assert command.reached() == "processes"
    (within / "memory.events").write_text("low 0\noom 1\noom_kill 1\noom_group_kill 0\n")
    assert command.reached() == "memory"
    later = group.command()
    assert later.reached() is None, "what came before it is not its own"
    assert command.kill()
    assert (within / "cgroup.kill").read_text() == "1"
    (within / "cgroup.procs").write_text("")
    await command.remove()
    await later.remove()
    await group.remove()
    assert not list(unit.glob("quarterdeck-*"))


async def test_a_group_that_has_the_runner_in_it_bounds_nothing_and_still_kills(boot: Boot) -> None:
    """Without a group of its own for the runner: version 2 hands nothing down from a group that has processes."""
    kernel = boot("unit", delegated="")
    group = SessionGroup.made(LIMITS)
    assert group is not None
    assert group.bounded == frozenset()
    (session,) = (kernel.root / "unit").glob("quarterdeck-*")
    assert not (session / "memory.max").exists(), "a file is never made where the kernel has none"
    command = group.command()
    assert command.kill()
    await command.remove()
    await group.remove()


async def test_controllers_that_version_1_has_are_not_asked_of_version_2(boot: Boot) -> None:
    """A hybrid machine: the tree of version 2 has no controllers, and kills."""
    kernel = boot("unit/main", "unit", delegated="unit", handed="")
    group = SessionGroup.made(LIMITS)
    assert group is not None
    assert group.bounded == frozenset()
    command = group.command()
    command.add(os.getpid())
    assert command.kill()
    for folder in (kernel.root / "unit").glob("quarterdeck-*/*/cgroup.procs"):
        folder.write_text("")
    await command.remove()
    await group.remove()
    dead = kernel.root / "unit" / "quarterdeck-999999999-x"
    dead.mkdir()
    (dead / "call").mkdir()
    SessionGroup.sweep()
    assert not dead.exists(), "what a killed runner left"
