"""The outbox: an entry for each status of a session and each artifact, written in the transaction of the change itself.

It holds ids and the status, no content, and it rings a bell. Whoever tells others of changes takes entries in a
transaction of their own: what that transaction writes (deliveries, say) and the marks are committed together, or
neither is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.core import events as e
from quarterdeck.core.status import Status
from quarterdeck.store.doorbell import CHANNEL
from quarterdeck.store.tables import outbox

BELL = "outbox"
"""Rings when there is something to take."""
KEPT = timedelta(days=7)
"""An entry goes after that, delivered or not."""


@dataclass(frozen=True)
class Entry:
    """A session came to a status, or made an artifact; `seq` is the event that says so."""

    id: int
    at: datetime
    session_id: int
    project_id: int | None
    seq: int
    status: Status | None
    """None of an artifact."""


def rows(session_id: int, project_id: int | None, events: Sequence[e.Event]) -> list[dict[str, Any]]:
    """The entries of these events of one session."""
    return [
        {"at": one.at, "session_id": session_id, "project_id": project_id, "seq": one.seq, "status": status}
        for one in events
        if (status := _status(one.payload)) is not None
    ]


async def note(connection: AsyncConnection, entries: Sequence[dict[str, Any]]) -> None:
    """Writes these; the rows of their sessions are locked, so the entries of each are in its order."""
    if entries:
        columns = {name: [one[name] for one in entries] for name in _COLUMNS}
        await connection.exec_driver_sql(_NOTE, {**columns, "channel": CHANNEL, "bell": f"{BELL} 0"})


_COLUMNS = ("at", "session_id", "project_id", "seq", "status")
_NOTE = (  # in one round, because sessions at work wait for it
    "with noted as (insert into outbox (at, session_id, project_id, seq, status)"
    " select * from unnest(%(at)s::timestamptz[], %(session_id)s::bigint[], %(project_id)s::bigint[],"
    " %(seq)s::bigint[], %(status)s::text[])) select pg_notify(%(channel)s, %(bell)s)"
)


def _status(payload: e.AnyPayload) -> str | None:
    """The status that an event brings, empty for an artifact; None where there is nothing to tell."""
    match payload:
        case e.SessionCreated():
            return Status.CREATED.value
        case e.StatusChanged():
            return payload.to_status.value
        case e.HistoryCopied(status=Status.RUNNING | Status.IDLE):  # from any other the fork goes on at once
            return payload.status.value
        case e.ArtifactCreated():
            return ""
        case _:
            return None


async def take(connection: AsyncConnection, limit: int) -> list[Entry]:
    """Marks the oldest entries as delivered and answers them; at most one of a session, and never past an earlier one.

    Several may take at the same time: none gets what another has, nor what comes behind it in the same session.
    """
    earlier = outbox.alias("earlier")
    free = (
        select(outbox.c.id)
        .where(outbox.c.delivered_at.is_(None))
        .where(
            ~select(earlier.c.id)
            .where(earlier.c.session_id == outbox.c.session_id, earlier.c.id < outbox.c.id)
            .where(earlier.c.delivered_at.is_(None))
            .exists()
        )
        .order_by(outbox.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=outbox)
        .cte("free")
    )
    taken = await connection.execute(
        update(outbox)
        .where(outbox.c.id == free.c.id)
        .values(delivered_at=func.now())
        .returning(outbox.c.id, outbox.c.at, outbox.c.session_id, outbox.c.project_id, outbox.c.seq, outbox.c.status)
    )
    entries = [Entry(row.id, row.at, row.session_id, row.project_id, row.seq, _known(row.status)) for row in taken]
    return sorted(entries, key=lambda entry: entry.id)


def _known(status: str) -> Status | None:
    return Status(status) if status else None


async def prune(connection: AsyncConnection, now: datetime, limit: int = 10_000) -> int:
    """Deletes the oldest entries that are older than `KEPT`, at most `limit`, and answers how many."""
    old = select(outbox.c.id).where(outbox.c.at < now - KEPT).order_by(outbox.c.id).limit(limit)
    return (await connection.execute(delete(outbox).where(outbox.c.id.in_(old)))).rowcount
