"""What setup scripts made, kept for the next sessions of the same project: archives in the runner's home.

An archive is written before any call of a session, from a workspace that stands at the default branch (the server says
so), so that nothing in it is of an agent, of another branch or of a fork. Who is given it gets a copy.
"""

import asyncio
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from threading import Event
from time import time
from uuid import uuid4

from quarterdeck.core.errors import InvalidInputError, QuarterdeckError
from quarterdeck.core.limits import CACHE_BYTES, CACHES_BYTES
from quarterdeck.core.protocol import CacheSpec
from quarterdeck.executor import artifacts
from quarterdeck.executor.workspace import Workspace

FRESH_SECONDS = 24 * 3600
"""One that is younger is not written again."""
KEPT_SECONDS = 7 * 24 * 3600
"""One that nobody asked for in so long is deleted."""
_SCOPE = re.compile(r"[0-9a-f]{32}")
_SUFFIX, _FRESH = ".tar.gz", ".new"


@dataclass(frozen=True)
class Cache:
    """One key of one project in one folder of caches."""

    spec: CacheSpec
    folder: Path
    """Of the caches of all projects."""
    file: Path

    async def restore(self, workspace: Workspace) -> str:
        """Copy it into a workspace that nothing has run in; what came of that, for whoever reads the output."""
        await asyncio.to_thread(trim, self.folder)
        try:
            made = self.file.stat().st_mtime
            os.utime(self.file, (time(), made))
        except OSError:
            return f"There is no cache {self.spec.key!r} here yet."
        try:
            await _unpacked(self.file, workspace.files)
            words = f"Restored the cache {self.spec.key!r} of {datetime.fromtimestamp(made, UTC):%Y-%m-%d %H:%M} UTC."
        except (QuarterdeckError, OSError) as error:
            words = f"WARNING: the cache {self.spec.key!r} could not be restored: {error}"
        # A file of the repository is what the commit says, whatever an archive has in its place.
        await workspace.restore_tracked()
        return words

    async def save(self, workspace: Workspace) -> str:
        """Keep what the setup script made, if it is to be; what came of that, empty when there is nothing to say."""
        if not self.spec.save or self._is_fresh():
            return ""
        fresh = self.file.with_name(f"{uuid4().hex}{_FRESH}")
        try:
            fresh.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            count = await asyncio.to_thread(artifacts.pack, workspace.files, self.spec.paths, fresh, level=1)
            size = fresh.stat().st_size
            if not count:
                return f"WARNING: no file matches the paths of the cache: {', '.join(self.spec.paths)}."
            if size > CACHE_BYTES:
                return f"WARNING: the cache has more than {CACHE_BYTES:,} bytes when packed; it is not kept."
            fresh.replace(self.file)
            await asyncio.to_thread(trim, self.folder)
            return (
                f"Kept the cache {self.spec.key!r}: {count:,} file{'' if count == 1 else 's'}, {size:,} bytes packed."
            )
        except (QuarterdeckError, OSError) as error:
            return f"WARNING: the cache could not be kept: {error}"
        finally:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)

    def _is_fresh(self) -> bool:
        with suppress(OSError):
            return time() - self.file.stat().st_mtime < FRESH_SECONDS
        return False


async def of(spec: CacheSpec, folder: Path, workspace: Workspace) -> Cache:
    """The cache of a session: its key is the text that was given, the paths, and what the named files have in them.

    Raises:
        InvalidInputError: the server named no place for it.
    """
    if not _SCOPE.fullmatch(spec.scope):
        raise InvalidInputError(f"{spec.scope!r} is no place for a cache.")
    parts = [spec.key, *spec.paths, "", *[f"{name}\0{await workspace.object_of(name)}" for name in spec.files]]
    name = sha256("\n".join(parts).encode()).hexdigest()[:32]
    return Cache(spec, folder, folder / spec.scope / f"{name}{_SUFFIX}")


async def _unpacked(archive: Path, folder: Path) -> None:
    """Whoever cancels it may delete the folder after it: the thread writes nothing any more."""
    gone = Event()
    work = asyncio.create_task(asyncio.to_thread(artifacts.unpack, archive, folder, wanted=lambda: not gone.is_set()))
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        gone.set()
        await asyncio.wait({work})
        work.exception()  # nobody needs to hear of it
        raise


def trim(folder: Path) -> None:
    """Delete what nobody asked for any more, what a runner left half-written, and the rest while it is too much."""
    now, total = time(), 0
    found: list[tuple[float, int, Path]] = []
    for path in folder.glob("*/*"):
        with suppress(OSError):
            seen = path.lstat()
            found.append((max(seen.st_atime, seen.st_mtime), seen.st_size, path))
    for used, size, path in sorted(found, reverse=True):
        total += size
        half = path.suffix == _FRESH and now - used > 3600
        if half or now - used > KEPT_SECONDS or total > CACHES_BYTES:
            total -= size
            with suppress(OSError):
                path.unlink()
                path.parent.rmdir()  # unless it has others
