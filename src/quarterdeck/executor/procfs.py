"""The process table: who descends from whom, who is still alive. Standard library only, as the supervisor loads it."""

import os


class Process(tuple[int, int]):
    """A process id together with its start time, so that a reused id is not taken for it."""

    __slots__ = ()

    @property
    def pid(self) -> int:
        """Its id in this namespace."""
        return self[0]


def _stat(pid: int) -> tuple[int, str, int] | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return int(fields[1]), fields[0].decode(), int(fields[19])


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def descendants(root: int) -> list[Process]:
    """Every living process below `root`, without it; zombies count as dead."""
    table = {pid: found for pid in _pids() if (found := _stat(pid))}
    children: dict[int, list[int]] = {}
    for pid, (parent, _, _) in table.items():
        children.setdefault(parent, []).append(pid)
    below: list[Process] = []
    waiting = list(children.get(root, ()))
    while waiting:
        pid = waiting.pop()
        _, state, start = table[pid]
        if state not in "ZX":
            below.append(Process((pid, start)))
        waiting += children.get(pid, ())
    return below


def alive(process: Process) -> bool:
    """Whether it runs still; a zombie doesn't."""
    found = _stat(process.pid)
    return found is not None and found[2] == process[1] and found[1] not in "ZX"


def confined(folder: str) -> list[Process]:
    """Every living bubblewrap that was told to show its sandbox something below `folder`."""
    below = os.fsencode(folder) + b"/"
    found: list[Process] = []
    for pid in _pids():
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                program, *arguments = file.read().split(b"\x00")
        except OSError:
            continue
        shown = os.path.basename(program) == b"bwrap" and any(one.startswith(below) for one in arguments)
        seen = _stat(pid) if shown else None
        if seen and seen[1] not in "ZX":
            found.append(Process((pid, seen[2])))
    return found


def marked(mark: str) -> list[Process]:
    """Every living process that was started with `mark` (`NAME=value`) in its environment, as far as it can be read."""
    wanted = mark.encode()
    found: list[Process] = []
    for pid in _pids():
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                has_mark = wanted in file.read().split(b"\x00")
        except OSError:
            continue
        seen = _stat(pid) if has_mark else None
        if seen and seen[1] not in "ZX":
            found.append(Process((pid, seen[2])))
    return found
