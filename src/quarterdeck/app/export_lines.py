"""An export as a file that can be imported again: the lines of `core/archive`, one after the other."""

import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import quarterdeck
from quarterdeck.app.exports import Export
from quarterdeck.core import archive
from quarterdeck.core import events as e
from quarterdeck.core.attachment import NAME_CHARACTERS
from quarterdeck.core.text import line


async def lines(export: Export, *, files: bool) -> AsyncIterator[bytes]:
    """The file; without `files` it has no attachments, diffs and snapshots."""
    writer = archive.Writer()
    yield writer.line(_header(export, files=files))
    async for document in export.documents():
        yield writer.line(document)
    attached = {number: n for n, number in enumerate(export.attachments, 1)} if files else dict[int, int]()
    async for attachment in _attachments(export, attached):
        yield writer.line(attachment)
    kept = await export.blob_ids() if files else set[int]()
    numbers: dict[int, int] = {}
    calls: list[str] = []

    def number_of(blob_id: int) -> int:
        return numbers.setdefault(blob_id, len(numbers) + 1) if blob_id in kept else 0

    async for event in export.events():
        match event.payload:
            case e.ToolCallRequested(call_id=call_id):
                calls.append(call_id)
            case e.SnapshotTaken(bundle_blob=bundle) if export.redacted:
                kept.discard(bundle)
            case _:
                pass
        yield writer.line(archive.event_line(event, number_of, lambda one: attached.get(one, 0)))
    async for output in _outputs(export, calls):
        yield writer.line(output)
    async for blob in _blobs(export, numbers):
        yield writer.line(blob)
    yield writer.footer()


def _header(export: Export, *, files: bool) -> archive.Header:
    return archive.Header(
        quarterdeck=quarterdeck.__version__,
        exported_at=datetime.now(UTC),
        redacted=export.redacted,
        files=files,
        events=export.seq,
        session=export.session(),
    )


async def _attachments(export: Export, numbers: Mapping[int, int]) -> AsyncIterator[archive.AttachmentLine]:
    for attachment_id, number in numbers.items():
        one = export.attachments[attachment_id]
        name, category = (line(export.text(text), NAME_CHARACTERS) for text in (one.about.name, one.about.category))
        async for part in _parts(export.blob(one.blob_id)):
            yield archive.AttachmentLine(attachment=number, name=name, category=category, **part)


async def _outputs(export: Export, calls: Iterable[str]) -> AsyncIterator[archive.OutputLine]:
    printing = await export.printing()
    for call_id in (one for one in calls if one in printing):
        offset = 0
        async for piece in export.output(call_id):
            name = call_id.removeprefix(f"{export.session_id}.")
            yield archive.OutputLine(call_id=name, offset=offset, data=archive.encoded(piece))
            offset += len(piece)


async def _blobs(export: Export, numbers: Mapping[int, int]) -> AsyncIterator[archive.BlobLine]:
    for blob_id, number in numbers.items():
        async for part in _parts(export.blob(blob_id)):
            yield archive.BlobLine(blob=number, **part)


async def _parts(pieces: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    """The last piece is known to be the last when there is none behind it; what is empty is one piece of nothing."""
    digest, offset, held = hashlib.sha256(), 0, b""
    async for piece in pieces:
        if held:
            yield {"offset": offset, "data": archive.encoded(held)}
            offset += len(held)
        digest.update(piece)
        held = piece
    size, sha256 = offset + len(held), digest.hexdigest()
    yield {"offset": offset, "data": archive.encoded(held), "size": size, "sha256": sha256}
