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


def offspring(root: int) -> list[Process]:
    """As `descendants`, from the kernel's own lists of children where it keeps them: the sooner they are killed.

    One that ends meanwhile may hide another, so it is no proof that there is none.
    """
    below: list[Process] = []
    waiting = [root]
    try:
        while waiting:
            found = _children(waiting.pop())
            waiting += found
            seen = ((pid, _stat(pid)) for pid in found)
            below += [Process((pid, stat[2])) for pid, stat in seen if stat and stat[1] not in "ZX"]
    except FileNotFoundError:
        return descendants(root)
    return below


def _children(pid: int) -> list[int]:
    """Raises FileNotFoundError where the kernel keeps no such lists, not for a process that is gone."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
        except ProcessLookupError:
            continue
        except FileNotFoundError:
            if os.path.exists(f"/proc/{pid}/task/{thread}"):
                raise
    return found


def alive(process: Process) -> bool:
    """Whether it runs still; a zombie doesn't."""
    found = _stat(process.pid)
    return found is not None and found[2] == process[1] and found[1] not in "ZX"


def threads(process: Process) -> int:
    """How many threads it has; none when it is gone."""
    return _field(f"/proc/{process.pid}/status", b"Threads:")


def resident(process: Process) -> int:
    """Bytes of memory that it has, with those that it shares."""
    return _field(f"/proc/{process.pid}/status", b"VmRSS:") * 1024


def proportional(process: Process) -> int:
    """Bytes of memory that it has, those that it shares divided by all who do; all of them where that can't be read."""
    return _field(f"/proc/{process.pid}/smaps_rollup", b"Pss:") * 1024 or resident(process)


def _field(path: str, name: bytes) -> int:
    try:
        with open(path, "rb") as file:
            return next((int(line.split()[1]) for line in file if line.startswith(name)), 0)
    except OSError:
        return 0


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
