"""Blobs: larger bytes (bundles, diffs, artifacts) behind one interface; kept in PostgreSQL in chunks for now."""

import hashlib
from collections.abc import AsyncIterator, Collection, Sequence

from sqlalchemy import BigInteger, column, delete, insert, literal, select, text, update, values
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.core.errors import NotFoundError, TooLargeError
from quarterdeck.core.limits import BUNDLE_BYTES
from quarterdeck.store.tables import blob_chunks, blobs

CHUNK_BYTES = 1 << 20


async def write(connection: AsyncConnection, subject: str, data: AsyncIterator[bytes]) -> int:
    """Keeps the bytes for `subject` (`session:12`, `job:7`) and answers the blob's id.

    Raises:
        TooLargeError: more than `BUNDLE_BYTES`.
    """
    blob_id = (
        await connection.execute(insert(blobs).values(subject=subject, size=0, sha256="").returning(blobs.c.id))
    ).scalar_one()
    digest, size, n, buffer = hashlib.sha256(), 0, 0, bytearray()

    async def flush(least: int) -> None:
        nonlocal n
        while len(buffer) >= least and buffer:
            chunk = bytes(buffer[:CHUNK_BYTES])
            del buffer[:CHUNK_BYTES]
            await connection.execute(insert(blob_chunks).values(blob_id=blob_id, n=n, data=chunk))
            n += 1

    async for piece in data:
        size += len(piece)
        if size > BUNDLE_BYTES:
            raise TooLargeError(f"A blob may have {BUNDLE_BYTES:,} bytes; this one is larger.")
        digest.update(piece)
        buffer += piece
        await flush(CHUNK_BYTES)
    await flush(1)
    await connection.execute(update(blobs).where(blobs.c.id == blob_id).values(size=size, sha256=digest.hexdigest()))
    return blob_id


async def read(connection: AsyncConnection, blob_id: int, *, subject: str | None = None) -> AsyncIterator[bytes]:
    """The blob's bytes in chunks; with `subject` only if it is that subject's.

    Raises:
        NotFoundError: there is no such blob.
    """
    query = select(blobs.c.id).where(blobs.c.id == blob_id)
    if subject is not None:
        query = query.where(blobs.c.subject == subject)
    if (await connection.execute(query)).one_or_none() is None:
        raise NotFoundError(f"There is no blob {blob_id}.")
    rows = await connection.stream(
        select(blob_chunks.c.data).where(blob_chunks.c.blob_id == blob_id).order_by(blob_chunks.c.n)
    )
    async for row in rows:
        yield row.data


async def whole(connection: AsyncConnection, blob_id: int) -> bytes:
    """The blob's bytes at once; for diffs and other things that are shown."""
    return b"".join([chunk async for chunk in read(connection, blob_id)])


async def sizes(connection: AsyncConnection, ids: Collection[int]) -> dict[int, int]:
    """How large each of these blobs is; one that is gone is missing."""
    rows = await connection.execute(select(blobs.c.id, blobs.c.size).where(blobs.c.id.in_(ids)))
    return {row.id: row.size for row in rows}


async def copy(connection: AsyncConnection, ids: Sequence[int], subject: str) -> dict[int, int]:
    """Keeps the bytes of these blobs for another subject too, within the database, and answers their copies' ids."""
    if not ids:
        return {}
    fresh = await connection.execute(
        text("select nextval(pg_get_serial_sequence('blobs', 'id')) from generate_series(1, :n)"), {"n": len(ids)}
    )
    copies = dict(zip(ids, map(int, fresh.scalars()), strict=True))
    pairs = values(column("old", BigInteger), column("new", BigInteger), name="copies").data(list(copies.items()))
    await connection.execute(
        insert(blobs).from_select(
            ["id", "subject", "size", "sha256"],
            select(pairs.c.new, literal(subject), blobs.c.size, blobs.c.sha256).join(pairs, pairs.c.old == blobs.c.id),
        )
    )
    await connection.execute(
        insert(blob_chunks).from_select(
            ["blob_id", "n", "data"],
            select(pairs.c.new, blob_chunks.c.n, blob_chunks.c.data).join(pairs, pairs.c.old == blob_chunks.c.blob_id),
        )
    )
    return copies


async def remove(connection: AsyncConnection, subject: str) -> None:
    """Deletes all blobs of a subject."""
    await connection.execute(delete(blobs).where(blobs.c.subject == subject))
