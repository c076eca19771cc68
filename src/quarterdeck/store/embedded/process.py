"""Processes of this machine, told apart even when the system uses a number again."""

import os
import select
import socket
import struct
from pathlib import Path


def birth(pid: int) -> int | None:
    """When the process started, in the kernel's ticks since boot; None when there is none, or only its remains."""
    try:
        # The name in brackets may hold anything; the state is the first field after it, the start time the twentieth.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else int(fields[19])


def works_in(pid: int, folder: Path) -> bool:
    """Whether the process lives and has this folder as its current one, as every PostgreSQL has its data."""
    try:
        return Path(f"/proc/{pid}/cwd").samefile(folder)
    except OSError:
        return False


def listener(address: Path, uid: int) -> int | None:
    """The process that opened a listening socket, by the kernel's word, if it works as `uid`; else None."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(5)
        try:
            line.connect(os.fspath(address))
        except OSError:
            return None
        credentials = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, owner, _ = struct.unpack("3i", credentials)
    return pid if owner == uid and pid > 0 else None


def ended(pidfd: int, *, seconds: float = 0) -> bool:
    """Wait at most so long for the end of the process that a pidfd means."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
