"""What processes take: memory and CPU time of a server's tree, from /proc."""

import os
from contextlib import suppress
from pathlib import Path

from tests.instance import Instance, processes_below


def pss(pid: int) -> int:
    """A process's share of memory in bytes: what is shared with others counts in part. 0 when it is gone or refused."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def cpu_seconds(pid: int) -> float:
    """The time that a process has used, with that of its children that ended; 0 when it is gone."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def tree(instance: Instance) -> dict[int, str]:
    """The server's processes and the part that each plays."""
    assert instance.process is not None
    found = {instance.process.pid: "supervisor"}
    for pid, command in processes_below(instance.process.pid).items():
        found[pid] = _part(command)
    return found


def _part(command: str) -> str:
    for part, words in (
        ("web", "quarterdeck.server web"),
        ("worker", "quarterdeck.server worker"),
        ("postgres", "postgres"),
        ("runner", "runner"),
    ):
        if words in command:
            return part
    return "other"
