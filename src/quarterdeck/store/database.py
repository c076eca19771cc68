"""The connection to PostgreSQL: one pool per process, transactions, and plain sentences when it can't be reached."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, cast

import psycopg
from sqlalchemy import Executable, Row
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from quarterdeck.core.errors import InvalidInputError, QuarterdeckError, UnavailableError
from quarterdeck.store import clock

OLDEST_VERSION = 16
"""The oldest PostgreSQL major version that is accepted from outside; the embedded one is 18."""

CLOSE_SECONDS = 5.0
"""So long what is being done is waited for at the end."""


class DatabaseUnavailableError(UnavailableError):
    """PostgreSQL can't be reached now."""

    code = "database_unavailable"


class DatabaseFullError(UnavailableError):
    """PostgreSQL has no room left on its disk; nothing was stored. Free some space and try again."""

    code = "database_full"


class DatabaseVersionError(QuarterdeckError):
    """This PostgreSQL is too old."""

    code = "database_version"


def driver_url(url: str) -> URL:
    """`url` (libpq's form) for SQLAlchemy with psycopg.

    Raises:
        InvalidInputError: it is none of PostgreSQL; the message doesn't repeat it, for it may hold a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise InvalidInputError(
            "DATABASE_URL is no URL of PostgreSQL. Its form is postgresql://USER@HOST:PORT/DATABASE."
        )
    return parsed.set(drivername="postgresql+psycopg")


def major_version(number: int) -> int:
    """The major version in `server_version_num`. Raises DatabaseVersionError when it is too old."""
    major = number // 10_000
    if major < OLDEST_VERSION:
        raise DatabaseVersionError(
            f"This PostgreSQL is version {major}; Quarterdeck needs {OLDEST_VERSION} or newer. "
            "Point DATABASE_URL at a newer one, or unset it to use the embedded server."
        )
    return major


class Database:
    """One process's pool of connections."""

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        self.url = url
        self._pool_size = pool_size
        self.engine: AsyncEngine = create_async_engine(
            driver_url(url),
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_pre_ping=False,
            pool_recycle=1800,
            pool_timeout=10,
            connect_args={"connect_timeout": 10, "application_name": "quarterdeck"},
        )
        self._reading = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._uses = 0
        self._unused = asyncio.Event()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction, committed at the end of the block and rolled back on any error.

        Raises:
            DatabaseUnavailableError, DatabaseFullError: in place of the driver's words.
            InvalidInputError: a value is none that PostgreSQL has: a NUL in a text, a number beyond its type.
        """
        with self._used():
            async with self.engine.begin() as connection:
                await _told_the_time(connection)
                yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection]:
        """A connection whose statements are transactions of their own: reads that need no lock and no cursor.

        They see what they would see in one transaction, whose statements have a snapshot each, too; but BEGIN and
        COMMIT are two ways to the server and back. Raises what `transaction` raises.
        """
        with self._used():
            async with self._reading.connect() as connection:
                await _told_the_time(connection)
                yield connection

    @contextmanager
    def _used(self) -> Generator[None]:
        """Counts who uses a connection, and has plain errors in place of the driver's."""
        self._uses += 1
        try:
            yield
        except (OperationalError, InterfaceError) as error:
            raise translated(error) from error
        except PoolTimeoutError as error:
            raise DatabaseUnavailableError(
                f"All {2 * self._pool_size} connections to PostgreSQL are busy. Try again in a moment."
            ) from error
        except DataError as error:
            raise InvalidInputError(f"A value can't be stored or looked for: {_reason(error)}.") from error
        finally:
            self._uses -= 1
            if not self._uses:
                self._unused.set()

    async def check(self) -> int:
        """The server's major version.

        Raises:
            DatabaseUnavailableError: it can't be reached.
            DatabaseVersionError: it is older than `OLDEST_VERSION`.
        """
        async with self.transaction() as connection:
            number = (await connection.exec_driver_sql("show server_version_num")).scalar_one()
        return major_version(int(number))

    async def close(self) -> None:
        """Closes all connections, once those who were called off a moment ago have given theirs back."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._uses:
                    self._unused.clear()
                    await self._unused.wait()
        await self.engine.dispose()


async def _told_the_time(connection: AsyncConnection) -> None:
    if clock.due():
        await clock.ask(connection)


async def planned(connection: AsyncConnection, query: Executable) -> Sequence[Row[Any]]:
    """The rows of a query, planned for its values: what is rare and what is common want other indexes.

    The driver prepares what comes often, and PostgreSQL then takes one plan for all values.
    """
    driver = cast(psycopg.AsyncConnection[Any], (await connection.get_raw_connection()).driver_connection)
    usual, driver.prepare_threshold = driver.prepare_threshold, None
    try:
        return (await connection.execute(query)).all()
    finally:
        driver.prepare_threshold = usual


def translated(error: DBAPIError) -> QuarterdeckError:
    """The driver's error as one sentence, without the statement and without the password."""
    match getattr(error.orig, "sqlstate", None):
        case "53100":
            return DatabaseFullError()
        case "40P01":
            return DatabaseUnavailableError("Two changes of the same things met, and this one gave way. Try again.")
        case _:
            pass
    return DatabaseUnavailableError(f"PostgreSQL can't be reached now: {_reason(error)}")


def _reason(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0] if error.orig else str(error)
