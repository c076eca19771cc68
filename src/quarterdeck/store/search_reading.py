"""The texts of the pieces that search found: nothing is stored twice, so they are read where they lie."""

import json
from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.core import events as e
from quarterdeck.core import limits
from quarterdeck.store import log
from quarterdeck.store.search import Found

_EVENTS = text(
    "select asked.id, asked.session_id, asked.seq, asked.last_seq, batch.first_seq, batch.data"
    " from unnest(cast(:ids as bigint[]), cast(:sessions as bigint[]), cast(:seqs as bigint[]),"
    " cast(:lasts as bigint[])) as asked(id, session_id, seq, last_seq)"
    " join event_batches as batch on batch.session_id = asked.session_id and batch.first_seq <= asked.last_seq"
    " and batch.first_seq >= coalesce((select max(first_seq) from event_batches as before"
    " where before.session_id = asked.session_id and before.first_seq <= asked.seq), 0)"
    " order by asked.id, batch.first_seq"
)
_OUTPUTS = text(
    "select asked.id, substring(data from greatest(asked.start - o.offset, 0)::int + 1"
    " for (asked.stop - greatest(asked.start, o.offset))::int) as data"
    " from unnest(cast(:ids as bigint[]), cast(:calls as text[]), cast(:starts as bigint[]),"
    " cast(:stops as bigint[])) as asked(id, call_id, start, stop)"
    " join outputs as o on o.call_id = asked.call_id and o.offset < asked.stop"
    " and o.offset > asked.start - cast(:chunk as int) and o.offset + length(o.data) > asked.start"
    " order by asked.id, o.offset"
).bindparams(chunk=limits.OUTPUT_CHUNK_BYTES)


async def events_of(
    connection: AsyncConnection, found: Sequence[Found], needles: Sequence[bytes]
) -> dict[int, list[e.Event]]:
    """The events of pieces by their numbers; of several only those that may have all `needles`, folded, in them."""
    if not found:
        return {}
    asked = {
        "ids": [row.id for row in found],
        "sessions": [row.session_id for row in found],
        "seqs": [row.seq for row in found],
        "lasts": [row.last_seq for row in found],
    }
    read: dict[int, list[e.Event]] = {}
    for row in await connection.execute(_EVENTS, asked):
        lines = log.lines(row.data)[max(0, row.seq - row.first_seq) : row.last_seq - row.first_seq + 1]
        several = row.seq != row.last_seq
        read.setdefault(row.id, []).extend(
            e.Event.model_validate({"session": row.session_id, **json.loads(line)})
            for line in lines
            if not (several and line.isascii()) or all(needle in line.lower() for needle in needles)
        )
    return read


async def outputs_of(connection: AsyncConnection, found: Sequence[Found]) -> dict[int, bytes]:
    """The bytes of pieces of outputs by their numbers."""
    if not found:
        return {}
    asked = {
        "ids": [row.id for row in found],
        "calls": [row.call_id for row in found],
        "starts": [row.start for row in found],
        "stops": [row.stop for row in found],
    }
    read: dict[int, bytes] = {}
    for row in await connection.execute(_OUTPUTS, asked):
        read[row.id] = read.get(row.id, b"") + row.data
    return read
