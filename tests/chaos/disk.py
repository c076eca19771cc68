"""A disk of PostgreSQL's own that can be filled: a small tmpfs, else a limit on how far its files may grow."""

import os
import resource
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.instance import processes_below

TMPFS_BYTES = 640 * 1024 * 1024
FULL_BYTES = 64 * 1024
"""As far as a file may grow while the disk is full, where that is done by a limit; those that are there are longer."""


class Disk:
    """The folder in which PostgreSQL's home is; `how` says in what way it is filled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"
        folder.mkdir(mode=0o755)
        size = f"size={TMPFS_BYTES},mode=0755"
        mounted = os.geteuid() == 0 and not _failed("mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder))
        self.how = f"tmpfs of {TMPFS_BYTES >> 20} MB" if mounted else "limit on the size of files (no mount allowed)"
        self._mounted = mounted

    def fill(self, postmaster: int) -> None:
        """Leaves no room."""
        if not self._mounted:
            _limit(postmaster, FULL_BYTES)
            return
        with self._ballast.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(1024 * 1024))

    def clear(self, postmaster: int) -> None:
        """Gives the room back."""
        if self._mounted:
            self._ballast.unlink(missing_ok=True)
        else:
            _limit(postmaster, resource.RLIM_INFINITY)

    def remove(self) -> None:
        """Nothing of it is left."""
        if self._mounted and _failed("umount", str(self.folder)):
            _failed("umount", "-l", str(self.folder))


def _failed(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode != 0


def _limit(postmaster: int, size: int) -> None:
    """The soft limit of all that PostgreSQL has started; what it starts later has that of the postmaster."""
    for pid in (postmaster, *processes_below(postmaster)):
        with suppress(OSError):
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size if hard == resource.RLIM_INFINITY else hard, hard))
