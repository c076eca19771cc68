"""Output of calls: bytes at offsets, beside the log, appended in order and read by range."""

from sqlalchemy import BigInteger, Select, Text, bindparam, column, func, insert, literal, select, update, values
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.core.errors import NotFoundError
from quarterdeck.store import search
from quarterdeck.store.doorbell import ring
from quarterdeck.store.tables import offers, outputs


async def write(connection: AsyncConnection, subject: str, call_id: str, offset: int, data: bytes) -> int | None:
    """Takes `data` at `offset` and answers how many bytes there are now; None when there is a gap before it.

    Rings the subject's bell. Bytes that are there already are left as they are, so a repeated chunk comes to the same.
    The offer's row is locked: chunks of one call are taken one after the other.
    """
    known = (
        await connection.execute(select(offers.c.output_bytes).where(offers.c.call_id == call_id).with_for_update())
    ).scalar_one_or_none()
    if known is None:
        raise NotFoundError(f"There is no call {call_id} any more.")
    if offset > known:
        return None
    fresh = data[known - offset :]
    if not fresh:
        return known
    await connection.execute(insert(outputs).values(call_id=call_id, offset=known, data=fresh))
    if not known and subject.startswith("session:"):
        await search.began(connection, int(subject.removeprefix("session:")), call_id)
    size = known + len(fresh)
    await connection.execute(update(offers).where(offers.c.call_id == call_id).values(output_bytes=size))
    await ring(connection, subject)
    return size


async def keep(connection: AsyncConnection, call_id: str, data: bytes) -> None:
    """All output of a call at once, whose call nobody was offered."""
    await connection.execute(insert(outputs).values(call_id=call_id, offset=0, data=data))


def _reading() -> Select[int, bytes]:
    """The chunks of a call with its bytes from `begin` to before `end`, the first found by the key."""
    call, begin, end = bindparam("call", type_=Text), *(bindparam(name, type_=BigInteger) for name in ("begin", "end"))
    of = outputs.c
    first = select(func.max(of.offset)).where(of.call_id == call, of.offset <= begin).scalar_subquery()
    rows = select(of.offset, of.data).where(of.call_id == call, of.offset < end)
    return rows.where(of.offset >= func.coalesce(first, 0)).order_by(of.offset)


_READ = _reading()
"""Made once, which costs more than to run it."""


async def read(connection: AsyncConnection, call_id: str, offset: int = 0, limit: int = 1 << 20) -> bytes:
    """At most `limit` bytes of a call's output from `offset`."""
    rows = await connection.execute(_READ, {"call": call_id, "begin": offset, "end": offset + limit})
    parts = [row.data[max(0, offset - row.offset) :] for row in rows]
    return b"".join(parts)[:limit]


async def size(connection: AsyncConnection, call_id: str) -> int:
    """How many bytes of a call's output there are."""
    return (await connection.execute(_SIZE, {"call": call_id})).scalar() or 0


_SIZE = select(offers.c.output_bytes).where(offers.c.call_id == bindparam("call"))


async def tail(connection: AsyncConnection, call_id: str, most: int) -> bytes:
    """The last `most` bytes of a call's output."""
    return await read(connection, call_id, max(0, await size(connection, call_id) - most), most)


async def copy(connection: AsyncConnection, calls: dict[str, str], session_id: int) -> int:
    """Keeps the output of ended calls for another session too, under other ids, and answers how many bytes it has.

    The bytes stay within the database. Calls that printed nothing leave nothing.
    """
    pairs = values(column("old", Text), column("new", Text), name="copies").data(list(calls.items()))
    made = await connection.execute(
        insert(offers)
        .from_select(
            ["call_id", "subject", "session_id", "side", "tool", "args", "status", "output_bytes"],
            select(
                pairs.c.new,
                literal(f"session:{session_id}"),
                literal(session_id),
                offers.c.side,
                offers.c.tool,
                offers.c.args,
                literal("finished"),
                offers.c.output_bytes,
            )
            .join(pairs, pairs.c.old == offers.c.call_id)
            .where(offers.c.output_bytes > 0),
        )
        .returning(offers.c.output_bytes)
    )
    await connection.execute(
        insert(outputs).from_select(
            ["call_id", "offset", "data"],
            select(pairs.c.new, outputs.c.offset, outputs.c.data).join(pairs, pairs.c.old == outputs.c.call_id),
        )
    )
    return sum(made.scalars())
