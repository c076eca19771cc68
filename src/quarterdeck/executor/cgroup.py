"""Control groups, where this process may make them: a bound on the number of processes, and one write that kills all.

Best effort: on most machines only root may make groups, and neither walls nor kill depend on them.
"""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

_REMOVE_TRIES = 50
_PREFIX = "quarterdeck-"


class Cgroup:
    """The groups of one command: a v2 one for `cgroup.kill`, and whichever one bounds the number of its processes."""

    def __init__(self, folders: list[Path]) -> None:
        self._folders = folders

    @classmethod
    def made(cls, max_processes: int) -> "Cgroup | None":
        """New groups, or None where none can be made."""
        name = f"{_PREFIX}{os.getpid()}-{uuid4().hex[:12]}"
        folders: list[Path] = []
        for parent in parents():
            folder = parent / name
            try:
                folder.mkdir()
            except OSError:
                continue
            folders.append(folder)
            with suppress(OSError):
                (folder / "pids.max").write_text(str(max_processes))
        return cls(folders) if folders else None

    @staticmethod
    def sweep() -> None:
        """Delete what runners left that were killed; a group with a process in it can't be deleted."""
        for parent in parents():
            for folder in parent.glob(f"{_PREFIX}*"):
                if not Path("/proc", folder.name.removeprefix(_PREFIX).partition("-")[0]).exists():
                    with suppress(OSError):
                        folder.rmdir()

    def add(self, pid: int) -> None:
        """Put a process, and with it all that it will start, into the groups."""
        for folder in self._folders:
            with suppress(OSError):
                (folder / "cgroup.procs").write_text(str(pid))

    def kill(self) -> bool:
        """Kill all within; False where the kernel has no such switch."""
        for folder in self._folders:
            if (folder / "cgroup.kill").exists():
                with suppress(OSError):
                    (folder / "cgroup.kill").write_text("1")
                    return True
        return False

    async def remove(self) -> None:
        """Delete the groups, which the kernel allows a moment after the last process is gone."""
        for folder in self._folders:
            for _ in range(_REMOVE_TRIES):
                try:
                    os.rmdir(folder)
                except FileNotFoundError:
                    break
                except OSError:
                    await asyncio.sleep(0.01)
                else:
                    break


def parents() -> list[Path]:
    """This process's own groups in the v2 hierarchy, and in v1's for pids."""
    own = {controllers: path for line in _lines("/proc/self/cgroup") for _, controllers, path in [line.split(":", 2)]}
    parents: list[Path] = []
    for line in _lines("/proc/self/mounts"):
        _, place, kind, options, *_ = line.split(" ")
        if kind == "cgroup2" and "" in own:
            parents.append(Path(place) / own[""].lstrip("/"))
        elif kind == "cgroup" and "pids" in options.split(","):
            path = next((path for names, path in own.items() if "pids" in names.split(",")), "/")
            parents.append(Path(place) / path.lstrip("/"))
    return parents


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
