"""Making a home and its database from a backup: whole, or not at all.

All of the database is one transaction, with the steps to today's schema. The repositories are made before it is
committed, under a mark in the home with which no server starts: cut off at any moment, the same command again begins
anew, or finds that it had come to its end.
"""

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck import __version__, server, supervisor
from quarterdeck.app import leases
from quarterdeck.app.application import App
from quarterdeck.backup import file as files
from quarterdeck.backup.file import Contents, Head
from quarterdeck.backup.taking import database
from quarterdeck.core.errors import ConflictError, InvalidInputError, VersionMismatchError
from quarterdeck.forges.local import copies
from quarterdeck.forges.local.repository import LocalForge
from quarterdeck.settings import Settings
from quarterdeck.store import dump, schema
from quarterdeck.store.vault import KEY_FILE

_INTERRUPTED = "had this call when the backup was taken that the server was restored from"


class NotEmptyError(ConflictError):
    """The home or the database has something already; a backup is restored into empty ones."""


class Restored(BaseModel, frozen=True):
    """What was restored."""

    head: Head
    repositories: int
    interrupted: int
    """How many sessions and jobs had an executor."""
    key: bool
    """Whether stored secrets can be read."""


async def restore(settings: Settings, source: Path) -> Restored:
    """Restores `source` into the empty home and database of the settings.

    Raises:
        BackupFileError: it is no backup, or damaged; nothing was touched.
        VersionMismatchError: a newer Quarterdeck wrote it; nothing was touched.
        NotEmptyError: something is there already; nothing was touched.
    """
    try:
        with source.open("rb") as file:
            head, contents = await asyncio.to_thread(files.verified, file)
            _known(head)
            with supervisor.own_home(settings.home):
                async with database(settings, new=True) as url:
                    return await _Restore(settings.home, file, head, contents).run(server.assemble(settings, url))
    except OSError as error:
        raise InvalidInputError(f"{error.filename or source} can't be used: {error.strerror}.") from error


def _known(head: Head) -> None:
    if head.step not in schema.steps():
        raise VersionMismatchError(
            f"Quarterdeck {head.version} wrote this backup, and this one ({__version__}) is older. Nothing was "
            f"touched. Install {head.version} or a newer version and restore with it."
        )


class _Restore:
    """One restore."""

    def __init__(self, home: Path, file: IO[bytes], head: Head, contents: Contents) -> None:
        self._home, self._file, self._head, self._contents = home, file, head, contents
        self._mark = home / supervisor.UNFINISHED
        self._repositories = home / files.REPOSITORIES
        self._keyed = False

    async def run(self, app: App) -> Restored:
        try:
            async with app.database.transaction() as connection:
                if await dump.occupied(connection):
                    interrupted = self._had_ended()
                else:
                    interrupted = await self._cleanly(app, connection)
            self._mark.unlink(missing_ok=True)
        finally:
            await app.database.close()
        return Restored(
            head=self._head,
            repositories=len(self._contents.repositories),
            interrupted=interrupted,
            key=(self._home / KEY_FILE).exists(),
        )

    def _had_ended(self) -> int:
        """The database is filled: by this backup, when only the last word is missing."""
        with suppress(FileNotFoundError):
            if self._mark.read_text(encoding="utf-8") == self._contents.sha256:
                return 0
        raise NotEmptyError("The database has tables already. Restore into an empty one; nothing was touched.")

    async def _cleanly(self, app: App, connection: AsyncConnection) -> int:
        """Everything but the commit; what can be seen without it is taken away again when it fails."""
        if self._mark.exists():
            shutil.rmtree(self._repositories, ignore_errors=True)
        if self._repositories.exists() and any(self._repositories.iterdir()):
            raise NotEmptyError(f"{self._repositories} has repositories already; nothing was touched.")
        self._mark.write_text(self._contents.sha256, encoding="utf-8")
        try:
            await connection.run_sync(schema.take_steps, self._head.step)
            await dump.empty(connection, self._head.tables)
            await self._sections(connection)
            await dump.complete(connection, self._head.tables, self._contents.sequences)
            await connection.run_sync(schema.take_steps)
            interrupted = await leases.end_all(app, connection, _INTERRUPTED)
            await asyncio.to_thread(os.sync)
        except BaseException:
            shutil.rmtree(self._repositories, ignore_errors=True)
            if self._keyed:
                (self._home / KEY_FILE).unlink()
            self._mark.unlink()
            raise
        return interrupted

    async def _sections(self, connection: AsyncConnection) -> None:
        tables = {table.name: table for table in self._head.tables}
        made: set[int] = set()
        for kind, name, pieces in files.sections(self._file):
            match kind:
                case "database":
                    await dump.load(connection, tables[name], pieces)
                case "repositories":
                    made.add(int(name))
                    await self._repository(int(name), pieces)
                case "secrets.key":
                    self._key(b"".join(pieces))
        for project in self._contents.repositories.keys() - made:
            await self._repository(project, iter(()))

    async def _repository(self, project: int, pieces: Iterator[bytes]) -> None:
        self._repositories.mkdir(mode=0o700, exist_ok=True)
        form = self._contents.repositories[project]
        await copies.remake(LocalForge(self._home).folder(project), form, pieces)

    def _key(self, key: bytes) -> None:
        path = self._home / KEY_FILE
        if path.exists():
            if path.read_bytes() != key:
                raise NotEmptyError(
                    f"{path} is another key than the backup's; nothing was changed. Move it away first."
                )
            return
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        self._keyed = True
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
