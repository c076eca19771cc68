"""The pool of connections: what each kind of use leaves behind on one that the next use is given."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Row, literal, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.store.database import Database, planned


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """With one connection, which all have one after the other."""
    opened = Database(database_url, pool_size=1)
    yield opened
    await opened.close()


async def test_what_is_planned_for_its_values_is_never_prepared(database: Database) -> None:
    async def kept(connection: AsyncConnection) -> list[Row[str]]:
        asked = text("select statement from pg_prepared_statements where statement ~ 'of_its_own' and statement !~ '~'")
        return list((await connection.execute(asked)).all())

    async with database.reading() as connection:
        for number in range(12):
            rows = await planned(connection, select(literal(number).label("of_its_own")))
            assert [row.of_its_own for row in rows] == [number]
        assert not await kept(connection)
        for number in range(12):
            await connection.execute(select(literal(number).label("of_its_own")))
        assert await kept(connection), "all others are prepared as before"


async def fails(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("create table half_done (id integer)"))
        raise ZeroDivisionError


async def misreads(database: Database) -> None:
    async with database.reading() as connection:
        await connection.execute(text("select cast('x' as integer)"))


async def test_a_transaction_is_one_also_where_somebody_has_read(database: Database) -> None:
    open_one = text("select now() <> statement_timestamp()")
    for _ in range(2):
        async with database.reading() as connection:
            await connection.execute(text("select pg_sleep(0.01)"))
            assert not (await connection.execute(open_one)).scalar_one(), "each statement is by itself"
        with pytest.raises(ZeroDivisionError):
            await fails(database)
        with pytest.raises(InvalidInputError):
            await misreads(database)
    async with database.reading() as connection:
        assert (await connection.execute(text("select to_regclass('half_done')"))).scalar_one() is None


async def test_closing_waits_for_who_was_called_off(database: Database) -> None:
    begun = asyncio.Event()

    async def look() -> None:
        async with database.reading() as connection:
            begun.set()
            await connection.execute(text("select pg_sleep(60)"))

    looking = asyncio.create_task(look())
    await begun.wait()
    looking.cancel()
    await database.close()
    assert looking.cancelled(), "and its connection was given back before the pool is gone"
