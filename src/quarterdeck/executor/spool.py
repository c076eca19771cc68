"""A call's output on its way to the server: kept in a file until the server has all of it, sent in order by offset."""

import asyncio
import hashlib
from contextlib import suppress
from io import FileIO
from pathlib import Path

import structlog

from quarterdeck.core.limits import OUTPUT_CHUNK_BYTES
from quarterdeck.core.redaction import Redactor
from quarterdeck.executor.client import Client, OutputGapError

_log = structlog.get_logger(__name__)

BATCH_SECONDS = 0.05
BATCH_BYTES = 64 * 1024


class Spool:
    """One call's output. A file that a runner before this one left behind is sent on, not begun anew."""

    def __init__(self, path: Path, client: Client, call_id: str, epoch: int, redactor: Redactor) -> None:
        self._path = path
        self._client = client
        self._call_id = call_id
        self._epoch = epoch
        self._redaction = redactor.stream()
        self._hash = hashlib.sha256()
        self._news = asyncio.Event()
        self._full = asyncio.Event()
        self._closed = False
        self._sent = 0
        self.size = 0
        self.truncated = False
        """Whether the disk took or kept less than there was; what comes after that is dropped."""
        self._file: FileIO | None = None
        try:
            if path.exists():
                self._count(path.read_bytes())
                self._open()
        except OSError as error:
            self._truncate(error)

    @property
    def sha256(self) -> str:
        """Of all bytes so far, in hexadecimal; empty when there are none."""
        return self._hash.hexdigest() if self.size else ""

    async def write(self, data: bytes) -> None:
        """Take the next bytes; secrets are taken out, which holds back an end that may be the beginning of one."""
        self._keep(self._redaction.feed(data))
        if self.size - self._sent >= BATCH_BYTES:
            self._full.set()
            await asyncio.sleep(0)

    def _keep(self, data: bytes) -> None:
        while data and not self.truncated and not self._closed:
            try:
                written = (self._file or self._open()).write(data)
            except OSError as error:
                self._truncate(error)
                break
            self._count(data[:written])
            data = data[written:]
            self._news.set()

    def _open(self) -> FileIO:
        """Its file, made when there is something to keep: most calls print nothing."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("ab", buffering=0)
        return self._file

    def _truncate(self, error: OSError) -> None:
        self.truncated = True
        _log.error("output not kept", call_id=self._call_id, fault=str(error))

    def close(self) -> None:
        """No more will come; `send` ends when the server has everything."""
        if not self._closed:
            self._keep(self._redaction.close())
        self._closed = True
        if self._file:
            self._file.close()
        self._news.set()
        self._full.set()

    def discard(self) -> None:
        """Delete the file."""
        self.close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
            self._path.parent.rmdir()  # unless another call's output waits there

    async def send(self) -> None:
        """Hand the output over as it comes, until it is closed and the server has all of it.

        Raises:
            SubjectLostError: the server wants none of it.
        """
        while not (self._closed and self._sent >= self.size):
            await self._news.wait()
            await self._batch()
            await self._send_next()

    async def _batch(self) -> None:
        if self.size - self._sent < BATCH_BYTES and not self._closed:
            self._full.clear()
            try:
                async with asyncio.timeout(BATCH_SECONDS):
                    await self._full.wait()
            except TimeoutError:
                pass

    async def _send_next(self) -> None:
        data = self._read(self._sent) if self._sent < self.size else b""
        if self._sent < self.size and not data:
            self.size, self.truncated = self._sent, True
        if data:
            try:
                got = await self._client.output(self._call_id, self._epoch, self._sent, data)
            except OutputGapError as gap:
                got = gap.expected
            self._sent = min(got, self.size)
        if self._sent >= self.size and not self._closed:
            self._news.clear()

    def _read(self, offset: int) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(offset)
                return file.read(OUTPUT_CHUNK_BYTES)
        except OSError as error:
            self._truncate(error)
            return b""

    def _count(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += len(data)
