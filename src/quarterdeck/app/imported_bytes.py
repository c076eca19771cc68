"""The outputs, diffs and snapshots of a session that is imported, checked and redacted on their way in."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.core import archive, limits
from quarterdeck.core import events as e
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.redaction import Redactor, Stream
from quarterdeck.store import blobs
from quarterdeck.store import output as outputs
from quarterdeck.store.tables import offers

OUTPUT_BYTES = limits.OUTPUT_BYTES + 1024 * 1024
"""Of one call; an executor's note of what it left out comes on top of its own limit."""


@dataclass
class _Output:
    """The call whose output is being read."""

    call_id: str
    stream: Stream
    read: int = 0
    written: int = 0


class ImportedOutputs:
    """Keeps what the calls of a session printed."""

    def __init__(self, connection: AsyncConnection, redactor: Redactor, session_id: int) -> None:
        self._connection = connection
        self._redactor = redactor
        self._session_id = session_id
        self._subject = f"session:{session_id}"
        self._calls: dict[str, e.ToolCallRequested] = {}
        """Those that have no output yet."""
        self._open: _Output | None = None

    def requested(self, call: e.ToolCallRequested) -> None:
        """A call of the log."""
        self._calls[call.call_id] = call

    async def take(self, line: archive.OutputLine) -> None:
        """The next piece. Raises InvalidInputError."""
        call_id = archive.local_id(self._session_id, line.call_id)
        if self._open is None or self._open.call_id != call_id:
            await self.close()
            self._open = await self._begin(call_id)
        current, data = self._open, line.bytes
        if line.offset != current.read:
            raise InvalidInputError(f"the output of {line.call_id} goes on at {current.read}, not at {line.offset}")
        current.read += len(data)
        if current.read > OUTPUT_BYTES:
            raise InvalidInputError(f"the output of {line.call_id} has more than {OUTPUT_BYTES:,} bytes")
        await self._write(current, await _fed(current.stream, data))

    async def close(self) -> None:
        """No more comes."""
        if self._open is not None:
            await self._write(self._open, self._open.stream.close())
            self._open = None

    async def _begin(self, call_id: str) -> _Output:
        call = self._calls.pop(call_id, None)
        if call is None:
            raise InvalidInputError("it is the output of no call of the log, or of one whose output was here before")
        await self._connection.execute(
            insert(offers).values(
                call_id=call_id, subject=self._subject, session_id=self._session_id, side=call.side, tool=call.tool,
                args={}, status="finished",
            )
        )  # fmt: skip
        return _Output(call_id, self._redactor.stream())

    async def _write(self, to: _Output, data: bytes) -> None:
        if data:
            await outputs.write(self._connection, self._subject, to.call_id, to.written, data)
            to.written += len(data)


async def _fed(stream: Stream, data: bytes) -> bytes:
    """In a thread: what is large, or hostile, takes its time."""
    return await asyncio.to_thread(stream.feed, data)


@dataclass
class _Blob:
    """A blob of the log, on its way in."""

    blob_id: int
    diff: bool = False
    """It is shown to people; a snapshot is not."""
    digest: Any = field(default_factory=hashlib.sha256)
    kept: Any = field(default_factory=hashlib.sha256)
    stream: Stream | None = None
    read: int = 0
    written: int = 0
    chunks: int = 0
    whole: bool = False


class ImportedBlobs:
    """Keeps the diffs and snapshots of a session."""

    def __init__(self, connection: AsyncConnection, redactor: Redactor, session_id: int) -> None:
        self._connection = connection
        self._redactor = redactor
        self._subject = f"session:{session_id}"
        self._blobs: dict[int, _Blob] = {}

    async def named(self, line: archive.EventLine) -> None:
        """Takes note of the blobs that an event speaks of."""
        for name in archive.BLOB_FIELDS:
            number = line.payload.get(name)
            if isinstance(number, int) and number > 0:
                if number not in self._blobs:
                    self._blobs[number] = _Blob(await blobs.reserve(self._connection, self._subject))
                self._blobs[number].diff |= name != "bundle_blob"

    def id(self, number: int) -> int:
        """The id of a blob here; 0 when the file was made without it."""
        return self._blobs[number].blob_id if number in self._blobs else 0

    async def take(self, line: archive.BlobLine) -> None:
        """The next piece. Raises InvalidInputError."""
        blob = self._blobs.get(line.blob)
        if blob is None or blob.whole:
            raise InvalidInputError(f"blob {line.blob} is none of the log's, or was here before")
        if line.offset != blob.read:
            raise InvalidInputError(f"blob {line.blob} goes on at {blob.read}, not at {line.offset}")
        data = line.bytes
        blob.read += len(data)
        if blob.read > limits.BUNDLE_BYTES:
            raise InvalidInputError(f"blob {line.blob} has more than {limits.BUNDLE_BYTES:,} bytes")
        blob.digest.update(data)
        if blob.diff and blob.stream is None:
            blob.stream = self._redactor.stream()
        await self._write(blob, await _fed(blob.stream, data) if blob.stream else data)
        if line.size is not None:
            await self._end(blob, line)

    def close(self) -> None:
        """Raises InvalidInputError when a blob of the log is not in the file."""
        for number, blob in self._blobs.items():
            if not blob.whole:
                raise InvalidInputError(f"blob {number} is missing")

    async def _end(self, blob: _Blob, line: archive.BlobLine) -> None:
        if (line.size, line.sha256) != (blob.read, blob.digest.hexdigest()):
            raise InvalidInputError(f"blob {line.blob} is not what its size and hash say")
        if blob.stream is not None:
            await self._write(blob, blob.stream.close())
        blob.whole = True
        await blobs.seal(self._connection, blob.blob_id, size=blob.written, sha256=blob.kept.hexdigest())

    async def _write(self, blob: _Blob, data: bytes) -> None:
        for start in range(0, len(data), blobs.CHUNK_BYTES):
            chunk = data[start : start + blobs.CHUNK_BYTES]
            await blobs.put(self._connection, blob.blob_id, blob.chunks, chunk)
            blob.kept.update(chunk)
            blob.chunks += 1
            blob.written += len(chunk)
