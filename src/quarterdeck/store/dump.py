"""All rows of a database as of one moment, table by table, and their way back into empty tables.

By COPY in its text form and not by pg_dump: it speaks to every PostgreSQL from `OLDEST_VERSION` on, older or newer than
the programs that are at hand, and what it wrote can be read by every other.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Sequence
from contextlib import asynccontextmanager, contextmanager
from graphlib import TopologicalSorter
from typing import Any, cast

import psycopg
from psycopg import sql
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.store.database import DatabaseFullError, DatabaseUnavailableError

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

_OURS = """
    c.relnamespace = current_schema()::text::regnamespace and c.relkind = 'r' and not exists
    (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')"""
_TABLES = f"""
    select c.relname::text, array_agg(a.attname::text order by a.attnum)
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where {_OURS} and c.relpersistence = 'p' and a.attgenerated = '' and c.relname <> 'alembic_version'
    group by 1 order by 1"""  # noqa: S608 - constants alone
_REFERENCES = """
    select c.relname::text, f.relname::text from pg_constraint r
    join pg_class c on c.oid = r.conrelid join pg_class f on f.oid = r.confrelid
    where r.contype = 'f' and c.oid <> f.oid"""
_FORMS = {"DateStyle": "ISO", "IntervalStyle": "postgres", "TimeZone": "UTC", "extra_float_digits": "3"}
"""How values are written, whatever the database is set to."""


class TableForm(BaseModel, frozen=True):
    """A table, and its columns in the order in which a row has them."""

    name: str
    columns: tuple[str, ...]


class Snapshot:
    """A database as of one moment, however long it takes to read it."""

    def __init__(self, connection: Connection, step: str, tables: Sequence[TableForm]) -> None:
        self._connection = connection
        self.step = step
        """Of the schema."""
        self.tables = tables
        """What they refer to comes before them; without what a crash empties, too."""

    async def rows(self, table: TableForm) -> AsyncIterator[bytes]:
        """The table's rows, in pieces of any size."""
        with _plain_errors():
            async with self._connection.cursor().copy(_copy(table, "to stdout")) as copy:
                async for piece in copy:
                    yield bytes(piece)

    async def sequences(self) -> dict[str, int]:
        """The numbers that were given last; some may be later than the snapshot, none is earlier."""
        query = "select sequencename, last_value from pg_sequences where schemaname = current_schema()"
        rows = await self._asked(f"{query} and last_value is not null")
        return {str(name): int(last) for name, last in rows}

    async def projects(self) -> list[int]:
        """Those that may have a repository."""
        return [number for (number,) in await self._asked("select id from projects order by id")]

    async def _asked(self, query: str) -> list[tuple[Any, ...]]:
        with _plain_errors():
            return await (await self._connection.execute(query.encode())).fetchall()


@asynccontextmanager
async def snapshot(url: str) -> AsyncGenerator[Snapshot | None]:
    """The database as of now; None when there is nothing of ours in it.

    Nobody who reads or writes is held up, only who wants to change a table's form.
    """
    with _plain_errors():
        connection = await psycopg.AsyncConnection.connect(url, autocommit=True, application_name="quarterdeck backup")
    async with connection:
        with _plain_errors():
            for name, value in {**_FORMS, "client_encoding": "UTF8"}.items():
                await connection.execute("select set_config(%s, %s, false)", (name, value))
            await connection.set_autocommit(False)
            await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
            tables = await _tables(connection)
            await connection.rollback()
            if not any(table.name == "projects" for table in tables):
                yield None
                return
            # A lock looks at no row, so that what is seen is not older than it.
            names = sql.SQL(", ").join(sql.Identifier(table.name) for table in tables)
            await connection.execute(sql.SQL("lock table {} in access share mode").format(names))
            found = await (await connection.execute("select version_num from alembic_version")).fetchone()
            step, tables = str(found[0] if found else ""), await _tables(connection)
        yield Snapshot(connection, step, tables)
        await connection.rollback()


async def _tables(connection: Connection) -> list[TableForm]:
    rows = await (await connection.execute(_TABLES.encode())).fetchall()
    forms = {str(name): TableForm(name=name, columns=tuple(columns)) for name, columns in rows}
    order: TopologicalSorter[str] = TopologicalSorter({name: () for name in forms})
    for name, needed in await (await connection.execute(_REFERENCES)).fetchall():
        if name in forms and needed in forms:
            order.add(name, needed)
    return [forms[name] for name in order.static_order()]


async def occupied(connection: AsyncConnection) -> bool:
    """Whether there is any table in the database."""
    found = await connection.exec_driver_sql(f"select exists (select from pg_class c where {_OURS})")  # noqa: S608 - constants alone
    return bool(found.scalar_one())


async def empty(connection: AsyncConnection, tables: Sequence[TableForm]) -> None:
    """Takes what the schema's steps put there, and lets the rows that come be all that is done."""
    names = ", ".join(_quoted(table.name) for table in tables)
    await connection.exec_driver_sql(f"truncate {names}")
    for table in tables:
        await connection.exec_driver_sql(f"alter table {_quoted(table.name)} disable trigger user")
    for name, value in {**_FORMS, "idle_in_transaction_session_timeout": "0", "statement_timeout": "0"}.items():
        await connection.exec_driver_sql("select set_config(%s, %s, true)", (name, value))


async def load(connection: AsyncConnection, table: TableForm, pieces: Iterable[bytes]) -> None:
    """The rows of a table."""
    driver = cast(Connection, (await connection.get_raw_connection()).driver_connection)
    with _plain_errors():
        async with driver.cursor().copy(_copy(table, "from stdin")) as copy:
            for piece in pieces:
                await copy.write(piece)


async def complete(connection: AsyncConnection, tables: Sequence[TableForm], sequences: dict[str, int]) -> None:
    """Goes on counting where it was, and with the triggers."""
    for name, last in sequences.items():
        await connection.exec_driver_sql("select setval(%s::regclass, %s)", (_quoted(name), last))
    for table in tables:
        await connection.exec_driver_sql(f"alter table {_quoted(table.name)} enable trigger user")


def _quoted(name: str) -> str:
    return sql.Identifier(name).as_string().replace("%", "%%")


def _copy(table: TableForm, way: str) -> sql.Composed:
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    return sql.SQL("copy {} ({}) {}").format(sql.Identifier(table.name), columns, sql.SQL(cast(Any, way)))


@contextmanager
def _plain_errors() -> Generator[None]:
    """One sentence in place of the driver's words."""
    try:
        yield
    except psycopg.errors.DiskFull as error:
        raise DatabaseFullError from error
    except psycopg.Error as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise DatabaseUnavailableError(f"PostgreSQL could not do it: {said[0]}") from error
