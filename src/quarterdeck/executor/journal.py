"""The runner's own record of calls: a call is on disk before it starts and after it ends, so none is done twice.

One file of JSON lines. Each line is synced before the thing it tells of happens; a last line that a crash tore is
dropped when the file is opened, and the file is then rewritten without what has been wiped.
"""

import asyncio
import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from quarterdeck.core.errors import UnavailableError
from quarterdeck.core.protocol import Offer, Result
from quarterdeck.core.session_limits import Used

_log = structlog.get_logger(__name__)


class JournalError(UnavailableError):
    """The runner can't write its journal."""


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Begun(_Line):
    """A call is about to start; what may hold secrets is not kept: arguments, token, job, MCP server."""

    entry: Literal["begun"] = "begun"
    offer: Offer


class Ended(_Line):
    """A call ended with this."""

    entry: Literal["ended"] = "ended"
    call_id: str
    result: Result


class Told(_Line):
    """The server has the result, or doesn't want it."""

    entry: Literal["told"] = "told"
    call_id: str


class Wiped(_Line):
    """Nothing is known of a subject any more."""

    entry: Literal["wiped"] = "wiped"
    subject: str


_Entry = TypeAdapter[Begun | Ended | Told | Wiped](
    Annotated[Begun | Ended | Told | Wiped, Field(discriminator="entry")]
)


@dataclass
class Record:
    """What the journal knows of one call."""

    offer: Offer
    result: Result | None = None
    told: bool = False


class Journal:
    """The file and what it says; one process at a time has it open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records: dict[str, Record] = {}
        self._lock = asyncio.Lock()
        self._wiped = 0
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._read()
        self._compact()

    def record(self, call_id: str) -> Record | None:
        """What is known of a call; None when it never began here."""
        return self._records.get(call_id)

    def untold(self) -> tuple[Record, ...]:
        """The calls whose end the server may not know of."""
        return tuple(record for record in self._records.values() if not record.told)

    def subjects(self) -> dict[str, int]:
        """Every subject with calls in the journal, and the newest lease that one of them came with."""
        newest: dict[str, int] = {}
        for record in self._records.values():
            offer = record.offer
            newest[offer.subject] = max(offer.lease_epoch, newest.get(offer.subject, 0))
        return newest

    def used(self, subject: str) -> Used:
        """What commands of the subject took, by the results of all its calls that have ended."""
        results = [one.result for one in self._records.values() if one.result and one.offer.subject == subject]
        return sum((one.used or Used(ms=one.duration_ms, output=one.output_bytes) for one in results), Used())

    async def begin(self, offer: Offer) -> None:
        """Put on disk that a call is about to start."""
        spare = offer.workspace.model_copy(update={"token": ""})
        await self._append(
            Begun(offer=offer.model_copy(update={"args": {}, "job": None, "mcp": None, "workspace": spare}))
        )

    async def end(self, call_id: str, result: Result) -> None:
        """Put on disk how a call ended."""
        await self._append(Ended(call_id=call_id, result=result))

    async def tell(self, call_id: str) -> None:
        """Note that the server has the result; losing this note costs one more report, so it is not synced."""
        await self._append(Told(call_id=call_id), sync=False)

    async def wipe(self, subject: str) -> None:
        """Forget a subject's calls; what the file has of them goes with the next `forget`."""
        await self._append(Wiped(subject=subject))
        self._wiped += 1

    async def forget(self) -> None:
        """Write the file without what has been wiped, if there is any. Raises OSError; then it is as it was."""
        async with self._lock:
            if self._wiped:
                before = self._file
                await asyncio.to_thread(self._compact)
                before.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    async def _append(self, entry: Begun | Ended | Told | Wiped, *, sync: bool = True) -> None:
        # A cancelled call must not leave a line on disk that this object doesn't know of.
        await asyncio.shield(self._write(entry, sync=sync))

    async def _write(self, entry: Begun | Ended | Told | Wiped, *, sync: bool) -> None:
        async with self._lock:
            try:
                await asyncio.to_thread(self._put, entry.model_dump_json().encode() + b"\n", sync=sync)
            except OSError as error:
                raise JournalError(f"The runner can't write its journal {self._path}: {error.strerror}.") from error
            self._apply(entry)

    def _put(self, data: bytes, *, sync: bool) -> None:
        size = self._file.tell()
        try:
            written = self._file.write(data)
            if written != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if sync:
                os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(size)
            raise

    def _apply(self, entry: Begun | Ended | Told | Wiped) -> None:
        match entry:
            case Begun(offer=offer):
                self._records[offer.call_id] = Record(offer)
            case Ended(call_id=call_id, result=result):
                if call_id in self._records:
                    self._records[call_id].result = result
            case Told(call_id=call_id):
                if call_id in self._records:
                    self._records[call_id].told = True
            case Wiped(subject=subject):
                self._records = {
                    call_id: record for call_id, record in self._records.items() if record.offer.subject != subject
                }

    def _read(self) -> None:
        if not self._path.exists():
            return
        lines = self._path.read_bytes().splitlines()
        for number, data in enumerate(lines, 1):
            try:
                self._apply(_Entry.validate_json(data))
            except ValidationError as error:
                # A torn last line tells of something that didn't happen yet. Any other is damage, and said so.
                if number != len(lines):
                    _log.warning("journal line unreadable", path=str(self._path), line=number, fault=str(error))

    def _compact(self) -> None:
        """Write the file anew, in a way that a crash in the middle leaves the old one."""
        fresh = self._path.with_suffix(".new")
        with fresh.open("wb") as file:
            for call_id, record in self._records.items():
                entries: list[Begun | Ended | Told] = [Begun(offer=record.offer)]
                entries += [Ended(call_id=call_id, result=record.result)] if record.result else []
                entries += [Told(call_id=call_id)] if record.told else []
                file.writelines(entry.model_dump_json().encode() + b"\n" for entry in entries)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        self._file = self._path.open("ab", buffering=0)
        self._wiped = 0
