"""What a fork begins with, copied within the database: events in batches, the output of their calls, their snapshots.

Copies, so that a fork outlives its source and the deletion of either knows nothing of the other.
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import attachments
from quarterdeck.core import events as e
from quarterdeck.core import limits
from quarterdeck.core.errors import ConflictError, TooLargeError
from quarterdeck.core.fork import Copy
from quarterdeck.store import blobs, log, output

BATCH_EVENTS, BATCH_BYTES = 250, 4 * 1024 * 1024
"""How many events are copied at once; a batch is a row of the fork's log."""


async def copy_history(
    connection: AsyncConnection, source_id: int, session: log.Locked, seq: int, files: dict[int, int]
) -> int:
    """Copies the history up to event `seq` and what was committed with it, and answers the last event of it.

    `files` names the fork's copies of attached files: those of the start are in it, those of each message are added.

    Raises:
        ConflictError: a snapshot of it is gone.
        TooLargeError: its bytes are more than `FORK_BYTES`.
    """
    copy, through = Copy(session.id, files), 1
    size = sum(one.size for one in session.state.created.attachments if one.id)
    while True:
        events = await log.read(connection, source_id, after=through, limit=BATCH_EVENTS, most_bytes=BATCH_BYTES)
        taken, printed = 0, dict[str, str]()
        copied = await _blobs(connection, source_id, session, [one for one in events if one.seq <= seq])
        size += copied.size
        for event in events:
            if event.seq > seq and not copy.belongs(event, session.state):
                break
            if isinstance(event.payload, e.MessageAdded) and (given := event.payload.attachments):
                files |= await attachments.copy(connection, source_id, session.id, given)
                size += sum(one.size for one in given if one.id in files)
            own = copy.take(event, copied.ids)
            taken, through = taken + 1, event.seq
            if own is not None:
                log.adopt(session, own)
            if isinstance(event.payload, e.ToolCallFinished) and event.payload.output_bytes:
                printed[event.payload.call_id] = copy.call_id(event.payload.call_id)
        await log.flush(connection, session)
        size += await output.copy(connection, printed, session.id) if printed else 0
        if size > limits.FORK_BYTES:
            raise _too_large(source_id)
        if taken < len(events) or not events:
            return through


@dataclass(frozen=True)
class _Copied:
    ids: dict[int, int]
    size: int


async def _blobs(connection: AsyncConnection, source_id: int, session: log.Locked, events: list[e.Event]) -> _Copied:
    """The bytes of all snapshots of these events, copied for the fork: they must outlive the source."""
    of = {
        blob: (event.seq, event.payload.step)
        for event in events
        if isinstance(event.payload, e.SnapshotTaken)
        for blob in (event.payload.bundle_blob, event.payload.step_diff_blob, event.payload.whole_diff_blob)
    }
    if not of:
        return _Copied({}, 0)
    there = await blobs.sizes(connection, of)
    if gone := [place for blob, place in of.items() if blob not in there]:
        seq, step = gone[0]
        raise ConflictError(
            f"The snapshot of step {step} (event {seq} of session #{source_id}) is gone, so the workspace can't be "
            "made as it was. Fork from an event before it."
        )
    size = sum(there.values())
    if size > limits.FORK_BYTES:
        raise _too_large(source_id)
    return _Copied(await blobs.copy(connection, list(of), f"session:{session.id}"), size)


def _too_large(source_id: int) -> TooLargeError:
    most = limits.FORK_BYTES // 1024**2
    return TooLargeError(
        f"The output and the snapshots of session #{source_id} up to there have more than {most:,} MiB, which is what "
        "is copied for a fork. Fork it from an earlier event."
    )
