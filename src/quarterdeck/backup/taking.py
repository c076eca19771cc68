"""Taking a backup: while the server works, or while none runs."""

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ValidationError

from quarterdeck import __version__
from quarterdeck.backup.file import DATABASE, REPOSITORIES, SECRETS, Head, Writer, writing
from quarterdeck.core.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from quarterdeck.forges.local import copies
from quarterdeck.forges.local.copies import RepositoryForm
from quarterdeck.forges.local.repository import LocalForge
from quarterdeck.settings import Settings
from quarterdeck.store import dump
from quarterdeck.store.embedded import EmbeddedPostgres
from quarterdeck.store.vault import KEY_FILE

LAST_FILE = "last-backup.json"
"""In the home: what was taken last."""


class Taken(BaseModel, frozen=True):
    """A backup that is there."""

    file: Path
    at: datetime
    size: int
    repositories: int
    secrets: bool
    """Whether it has the key that stored secrets are read with."""


async def take(settings: Settings, file: Path, *, with_secrets: bool) -> Taken:
    """Writes a backup to `file`, whole or not at all.

    Raises:
        NotFoundError: there is no Quarterdeck in the home, or in the database.
        ConflictError: the file is there already.
        ForbiddenError, InvalidInputError: the file can't be written.
    """
    with _whole(file) as stream:
        async with database(settings) as url:
            with writing(stream) as writer:
                at, repositories = await _write(settings, url, writer, with_secrets=with_secrets)
        size = stream.tell()
    taken = Taken(file=file, at=at, size=size, repositories=repositories, secrets=with_secrets)
    await asyncio.to_thread(_note, settings.home, taken)
    return taken


def _note(home: Path, taken: Taken) -> None:
    told = taken.model_copy(update={"file": taken.file.absolute()})
    with suppress(OSError):  # there is a backup, whether it can be noted or not
        (home / LAST_FILE).write_text(told.model_dump_json(), encoding="utf-8")


def last(home: Path) -> Taken | None:
    """The backup that was taken of this home last, as far as is known."""
    try:
        return Taken.model_validate_json((home / LAST_FILE).read_bytes())
    except (OSError, ValidationError):
        return None


@contextmanager
def _whole(file: Path) -> Generator[IO[bytes]]:
    """What is written in the block is `file`, for its owner alone, when the block has come to its end."""
    if file.exists():
        raise ConflictError(f"{file} is there already. Choose another name.")
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            draft.rename(file)
        finally:
            draft.unlink(missing_ok=True)
    except PermissionError as error:
        raise ForbiddenError(f"{file} can't be written: {error.strerror}.") from error
    except OSError as error:
        raise InvalidInputError(f"{file} can't be written: {error.strerror}.") from error


async def _write(settings: Settings, url: str, writer: Writer, *, with_secrets: bool) -> tuple[datetime, int]:
    """The database first: what it names is in the repositories then, because commits come to them before it."""
    forms: dict[int, RepositoryForm] = {}
    forge = LocalForge(settings.home)
    async with dump.snapshot(url) as snapshot:
        if snapshot is None:
            raise NotFoundError("There is nothing in this database yet; `qd serve` makes it.")
        at = datetime.now(UTC)
        writer.head(Head(version=__version__, step=snapshot.step, at=at, tables=tuple(snapshot.tables)))
        for table in snapshot.tables:
            await writer.parts(f"{DATABASE}/{table.name}", snapshot.rows(table))
        sequences = await snapshot.sequences()
        for project in await snapshot.projects():
            folder = forge.folder(project)
            if folder.exists():  # else its deletion is under way
                forms[project] = await copies.form(folder)
                if not forms[project].empty:
                    await writer.parts(f"{REPOSITORIES}/{project}", copies.bundle(folder))
    if with_secrets:
        writer.put(SECRETS, _key(settings.home))
    writer.contents(sequences, forms)
    return at, len(forms)


def _key(home: Path) -> bytes:
    try:
        return (home / KEY_FILE).read_bytes()
    except FileNotFoundError:
        raise NotFoundError(
            f"{home} has no {KEY_FILE}: no secret was ever stored. Take the backup without --with-secrets."
        ) from None


@asynccontextmanager
async def database(settings: Settings, *, new: bool = False) -> AsyncGenerator[str]:
    """The URL of the home's database; an embedded one is started for the time, unless it runs.

    Raises:
        NotFoundError: there is none, and it is not to be a `new` one.
    """
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    if not new and not any((settings.home / name).exists() for name in ("postgres", "postgres.path")):
        raise NotFoundError(
            f"There is no Quarterdeck in {settings.home}. Name its home with --home, or its database by DATABASE_URL."
        )
    embedded = EmbeddedPostgres(settings.home)
    url = await asyncio.to_thread(embedded.start)
    try:
        yield url
    finally:
        if embedded.ours:
            await asyncio.to_thread(embedded.stop)
