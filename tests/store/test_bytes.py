"""Output by offset and blobs in chunks, on a real database."""

import random
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import insert

from quarterdeck.app.application import App
from quarterdeck.core.errors import NotFoundError
from quarterdeck.store import blobs, output
from quarterdeck.store.tables import offers


async def _call(app: App, call_id: str) -> None:
    async with app.database.transaction() as connection:
        await connection.execute(
            insert(offers).values(
                call_id=call_id, subject="session:1", side="executor", tool="run_command", args={}, status="running"
            )
        )


@pytest.mark.parametrize("seed", range(5))
async def test_chunks_repeated_and_overlapping_come_to_the_same_bytes(app: App, seed: int) -> None:
    chance = random.Random(seed)
    whole = chance.randbytes(5_000)
    await _call(app, "c_1")
    known = 0
    while known < len(whole):
        offset = max(0, known - chance.randrange(200)) if chance.random() < 0.5 else known
        if chance.random() < 0.1:
            offset = known + 1 + chance.randrange(50)
        data = whole[offset : offset + chance.randrange(1, 700)]
        async with app.database.transaction() as connection:
            answer = await output.write(connection, "session:1", "c_1", offset, data)
        if offset > known:
            assert answer is None, "a gap is refused"
        else:
            known = max(known, offset + len(data))
            assert answer == known
    async with app.database.transaction() as connection:
        assert await output.read(connection, "c_1", 0, 10_000) == whole
        start = chance.randrange(4_000)
        assert await output.read(connection, "c_1", start, 333) == whole[start : start + 333]
        assert await output.tail(connection, "c_1", 100) == whole[-100:]


async def test_a_blob_comes_back_as_it_was_and_belongs_to_one(app: App) -> None:
    data = random.Random(1).randbytes(3 * blobs.CHUNK_BYTES + 17)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 70_001):
            yield data[start : start + 70_001]

    async with app.database.transaction() as connection:
        kept = await blobs.write(connection, "session:1", pieces())
        empty = await blobs.write(connection, "session:2", _nothing())
    async with app.database.transaction() as connection:
        assert await blobs.whole(connection, kept) == data
        assert await blobs.whole(connection, empty) == b""
        with pytest.raises(NotFoundError):
            async for _ in blobs.read(connection, kept, subject="session:2"):
                pass
        await blobs.remove(connection, "session:1")
        with pytest.raises(NotFoundError):
            await blobs.whole(connection, kept)


async def _nothing() -> AsyncIterator[bytes]:
    for piece in ():
        yield piece
