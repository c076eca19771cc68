"""Control groups, where this process may make them: bounds on memory and processes, and one write that kills all.

Best effort: on most machines only root may make groups, or whoever was given some (`Delegate=yes` of systemd), and
neither walls nor kill depend on them. A session has a group with its bounds, and in it one for each of its commands.
"""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from quarterdeck.core.session_limits import LimitName, Limits

_REMOVE_TRIES = 50
_PREFIX = "quarterdeck-"
_CONTROLLERS = "+memory +pids"
_COUNTERS: dict[LimitName, tuple[tuple[str, str], ...]] = {
    "memory": (("memory.events", "oom_kill"), ("memory.oom_control", "oom_kill")),
    "processes": (("pids.events", "max"),),
}
"""What the kernel counts when it holds somebody to a bound: a file of the group, and the number's name in it."""


class SessionGroup:
    """The groups of one session, in each hierarchy that has some use: v2's, and v1's for memory and for processes."""

    def __init__(self, folders: list[Path], bounded: frozenset[LimitName]) -> None:
        self._folders = folders
        self.bounded = bounded
        """Which limits the kernel holds the session to."""

    @classmethod
    def made(cls, limits: Limits) -> "SessionGroup | None":
        """New groups, or None where none can be made."""
        name = f"{_PREFIX}{os.getpid()}-{uuid4().hex[:12]}"
        folders: list[Path] = []
        bounded: set[LimitName] = set()
        for parent in parents():
            folder = parent / name
            _write(parent / "cgroup.subtree_control", _CONTROLLERS)
            try:
                folder.mkdir()
            except OSError:
                continue
            folders.append(folder)
            bounded |= _bound(folder, limits)
        return cls(folders, frozenset(bounded)) if folders else None

    def command(self) -> "Cgroup":
        """A group within for one command."""
        made = [folder / uuid4().hex[:12] for folder in self._folders]
        for folder in made:
            with suppress(OSError):
                folder.mkdir()
        return Cgroup(made)

    async def remove(self) -> None:
        """Delete the groups, when those of its commands are gone."""
        await _remove(self._folders)

    def discard(self) -> None:
        """Delete groups that never had a command."""
        for folder in self._folders:
            with suppress(OSError):
                folder.rmdir()

    @staticmethod
    def sweep() -> None:
        """Delete what runners left that were killed; a group with a process in it can't be deleted."""
        for parent in parents():
            for folder in parent.glob(f"{_PREFIX}*"):
                if not Path("/proc", folder.name.removeprefix(_PREFIX).partition("-")[0]).exists():
                    for within in [*(path for path in folder.glob("*") if path.is_dir()), folder]:
                        with suppress(OSError):
                            within.rmdir()


class Cgroup:
    """The groups of one command."""

    def __init__(self, folders: list[Path]) -> None:
        self._folders = folders
        self._before = {name: self._count(name) for name in _COUNTERS}

    def add(self, pid: int) -> None:
        """Put a process, and with it all that it will start, into the groups."""
        for folder in self._folders:
            _write(folder / "cgroup.procs", str(pid))

    def kill(self) -> bool:
        """Kill all within; False where the kernel has no such switch."""
        return any([_write(folder / "cgroup.kill", "1") for folder in self._folders])

    def reached(self) -> LimitName | None:
        """The limit that the kernel has held this command to since it began, if there is one."""
        return next((name for name in _COUNTERS if self._count(name) > self._before[name]), None)

    async def remove(self) -> None:
        """Delete the groups, which the kernel allows a moment after the last process is gone."""
        await _remove(self._folders)

    def _count(self, name: LimitName) -> int:
        # Some kernels count where the bound is, which is the session's group, some where the process is.
        places = [place for folder in self._folders for place in (folder, folder.parent)]
        return sum(_counted(place / file, key) for place in places for file, key in _COUNTERS[name])


def parents() -> list[Path]:
    """This process's own groups in the v2 hierarchy, and in v1's for memory and for pids."""
    own = {controllers: path for line in _lines("/proc/self/cgroup") for _, controllers, path in [line.split(":", 2)]}
    parents: list[Path] = []
    for line in _lines("/proc/self/mounts"):
        _, place, kind, options, *_ = line.split(" ")
        if kind == "cgroup2" and "" in own:
            parents.append(_with_room(Path(place) / own[""].lstrip("/")))
        elif kind == "cgroup" and (found := {"memory", "pids"} & set(options.split(","))):
            path = next((path for names, path in own.items() if found & set(names.split(","))), "/")
            parents.append(Path(place) / path.lstrip("/"))
    return parents


def _with_room(own: Path) -> Path:
    """A group of v2 that has processes bounds no groups within it, so theirs are beside it where that place is ours.

    That is how systemd does it with `Delegate=yes` and `DelegateSubgroup=`.
    """
    return own.parent if _delegated(own.parent) else own


def _delegated(folder: Path) -> bool:
    try:
        return os.getxattr(folder, "user.delegate") == b"1" and os.access(folder, os.W_OK)
    except OSError:
        return False


def _bound(folder: Path, limits: Limits) -> set[LimitName]:
    """Write the bounds; those that the kernel took."""
    _write(folder / "memory.use_hierarchy", "1")
    _write(folder / "memory.swap.max", "0")
    bounded: set[LimitName] = set()
    for file in ("memory.max", "memory.limit_in_bytes"):
        if _write(folder / file, str(limits.memory)):
            bounded.add("memory")
    _write(folder / "memory.memsw.limit_in_bytes", str(limits.memory))
    if _write(folder / "pids.max", str(limits.processes)):
        bounded.add("processes")
    _write(folder / "cgroup.subtree_control", _CONTROLLERS)
    return bounded


async def _remove(folders: list[Path]) -> None:
    for folder in folders:
        for _ in range(_REMOVE_TRIES):
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                break
            except OSError:
                await asyncio.sleep(0.01)
            else:
                break


def _counted(file: Path, key: str) -> int:
    words = " ".join(_lines(str(file))).split()
    return int(words[words.index(key) + 1]) if key in words else 0


def _write(file: Path, text: str) -> bool:
    """Whether there is such a file and it took the text; groups have no others, and none is made."""
    try:
        fd = os.open(file, os.O_WRONLY)
    except OSError:
        return False
    try:
        os.write(fd, text.encode())
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
