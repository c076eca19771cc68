"""What a workspace takes of the disk: measured by `du`, and only when it may have grown beyond its bound."""

import asyncio
import os
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from time import monotonic

import structlog

from quarterdeck.core.session_limits import LimitName, Limits
from quarterdeck.executor import procfs
from quarterdeck.executor.git import dying_with_us

_log = structlog.get_logger(__name__)

_REST = 20
"""A measurement is followed by so many times its own duration without one, but not by more than the longest rest."""
_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.5, 5.0
_SELDOM_SECONDS = 30
"""Others who delete files hide what a command writes from a look at the whole disk, but not for longer than this."""
_PATIENCE_SECONDS = 60
_SLACK = 16 * 1024**2, 1_000
"""What a workspace that is full may still take, in bytes and files: for the commands that clean it up."""


@dataclass
class Disk:
    """One workspace, over all the commands that run in it."""

    root: Path
    limits: Limits
    _size: tuple[int, int] = (0, 0)
    _disk: tuple[int, int] = (0, 0)
    """What the whole disk had in use at the last measurement."""
    _bound: tuple[int, int] = field(init=False)
    _next: float = 0
    _stale: float = 0

    def __post_init__(self) -> None:
        self._bound = self.limits.workspace, self.limits.files

    async def reached(self, top: int) -> LimitName | None:
        """The limit that the files are over; `top` is the process below which all others of the command are."""
        if not self._may_be_over():
            return None
        began, self._next = monotonic(), inf  # another command of the session leaves it to this one
        try:
            before = _in_use(self.root)
            measured = await _du(self.root)
            if measured is None:
                return None
            open_bytes = await asyncio.to_thread(_unlinked, top, self.root)
            self._size, self._disk = (measured[0] + open_bytes, measured[1]), before
            return self._judged()
        finally:
            ended = monotonic()
            self._next = ended + min(_LONGEST_SECONDS, max(_SHORTEST_SECONDS, _REST * (ended - began)))
            self._stale = max(self._next, ended + _SELDOM_SECONDS)

    def _may_be_over(self) -> bool:
        now = monotonic()
        if now < self._next:
            return False
        if now > self._stale or self._bound != (self.limits.workspace, self.limits.files):
            return True  # a workspace that was full is looked at until it isn't
        used = _in_use(self.root)
        grown = [size + max(0, new - old) for size, new, old in zip(self._size, used, self._disk, strict=True)]
        return any(size > bound for size, bound in zip(grown, self._bound, strict=True))

    def _judged(self) -> LimitName | None:
        limits = (self.limits.workspace, self.limits.files)
        over: LimitName | None = None
        names: tuple[LimitName, LimitName] = ("workspace", "files")
        bounds: list[int] = []
        for name, size, limit, bound, slack in zip(names, self._size, limits, self._bound, _SLACK, strict=True):
            if size > bound:
                over = over or name
                # What cleans it up has to be let run, and whatever fills it further has not.
                bounds.append(size + slack)
            else:
                bounds.append(max(limit, min(bound, size + slack)))
        self._bound = bounds[0], bounds[1]
        return over


def _in_use(folder: Path) -> tuple[int, int]:
    """Bytes and files of the whole disk, which the kernel knows without looking."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0, 0
    return (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_files - found.f_ffree


async def _du(folder: Path) -> tuple[int, int] | None:
    """Bytes and files below a folder, however deep; None when it can't be told.

    Not with a lower priority: a command that takes all processors must not keep its files from being measured.
    """
    found: list[int] = []
    for form in ("--block-size=1", "--inodes"):
        process = await asyncio.create_subprocess_exec(
            *(*dying_with_us(), "du", "--summarize", "--one-file-system", form, "--", str(folder)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                said, _ = await process.communicate()
        except TimeoutError:
            _log.warning("workspace not measured in time", folder=str(folder))
            return None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        number = said.split(b"\t")[0]
        if not number.isdigit():
            _log.warning("workspace not measured", folder=str(folder))
            return None
        found.append(int(number))
    return found[0], found[1]


def _unlinked(top: int, root: Path) -> int:
    """Bytes of files on the workspace's disk that have no name any more and live as long as a process has them open."""
    try:
        device = os.stat(root).st_dev
    except OSError:
        return 0
    seen: dict[int, int] = {}
    for process in procfs.offspring(top):
        for name in _names(f"/proc/{process.pid}/fd"):
            try:
                found = os.stat(f"/proc/{process.pid}/fd/{name}")
            except OSError:
                continue
            if found.st_dev == device and found.st_nlink == 0:
                seen[found.st_ino] = found.st_blocks * 512
    return sum(seen.values())


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
