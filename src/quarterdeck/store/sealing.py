"""Sealing: the batch rows of a quiet session become fewer and larger ones of the same form."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import zstandard
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.store.tables import event_batches, sessions

SEALED_EVENTS = 1_000
SEALED_BYTES = 128 * 1024
"""How much one row may hold of each, as the rows that go into it are compressed."""
SEALED_TEXT = 4 * 1024 * 1024
"""How many bytes it may come to when it is read: who repeats themselves is packed to next to nothing."""

_MOST = (SEALED_EVENTS, SEALED_BYTES, SEALED_TEXT)
_HEAD_BYTES = 18
"""Of a frame of zstd, which says there how long its text is."""

_pack = zstandard.ZstdCompressor(level=12)  # a quarter less than as written, in 8 us an event; 17 takes 70 for 3 % more
_unpack = zstandard.ZstdDecompressor()


class Batch(NamedTuple):
    """A batch row without its events."""

    first_seq: int
    n: int
    bytes: int
    text: int
    """Its bytes when they are unpacked."""


async def seal(connection: AsyncConnection, session_id: int) -> int:
    """Merges the session's rows within this transaction, and answers how many rows it took away.

    The session's row is locked, as an append locks it; who reads meanwhile sees the rows from before or from after.
    """
    here = await connection.execute(select(sessions.c.id).where(sessions.c.id == session_id).with_for_update())
    if here.one_or_none() is None:
        return 0
    rows = await connection.execute(
        select(
            event_batches.c.first_seq,
            event_batches.c.n,
            func.length(event_batches.c.data),
            func.substr(event_batches.c.data, 1, _HEAD_BYTES),
        )
        .where(event_batches.c.session_id == session_id)
        .order_by(event_batches.c.first_seq)
    )
    away = 0
    found = (Batch(seq, n, size, zstandard.get_frame_parameters(head).content_size) for seq, n, size, head in rows)
    for group in groups(found):
        await _merge(connection, session_id, group)
        away += len(group) - 1
    return away


def groups(rows: Iterable[Batch]) -> list[list[Batch]]:
    """The neighbours that fit into one row together; a row that stays alone is in none."""
    found: list[list[Batch]] = []
    now: list[Batch] = []
    for row in rows:
        whole = [sum(column) for column in zip(*((one.n, one.bytes, one.text) for one in (*now, row)), strict=True)]
        if now and any(size > most for size, most in zip(whole, _MOST, strict=True)):
            found.append(now)
            now = []
        now.append(row)
    return [group for group in (*found, now) if len(group) > 1]


async def _merge(connection: AsyncConnection, session_id: int, group: Sequence[Batch]) -> None:
    first, last = group[0].first_seq, group[-1].first_seq
    inside = (event_batches.c.session_id == session_id) & event_batches.c.first_seq.between(first, last)
    rows = (await connection.execute(select(event_batches).where(inside).order_by(event_batches.c.first_seq))).all()
    whole = b"\n".join(_unpack.decompress(row.data) for row in rows)
    await connection.execute(delete(event_batches).where(inside, event_batches.c.first_seq > first))
    await connection.execute(
        update(event_batches)
        .where(inside)
        .values(
            n=sum(row.n for row in rows),
            results=sum(row.results for row in rows),
            concise=sum(row.concise for row in rows),
            data=_pack.compress(whole),
        )
    )
