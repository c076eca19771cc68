"""Brings a database to today's tables, one starter at a time."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.exc import InterfaceError, OperationalError

from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.store.database import driver_url, major_version, translated

if TYPE_CHECKING:
    from alembic.config import Config

_STEPS = Path(__file__).with_name("migrations")
_LOCK = 7_433_001
"""Any number that no other program takes an advisory lock with in this database."""


class SchemaTooNewError(QuarterdeckError):
    """The database was written by a newer Quarterdeck. Upgrade this one; an older one can't read it."""

    code = "schema_too_new"


def config(connection: Connection | None = None) -> "Config":
    """Alembic's configuration, without a file."""
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(_STEPS))
    settings.attributes["connection"] = connection
    return settings


def steps() -> list[str]:
    """All steps in order: the numbers that the files of `migrations/versions` begin with."""
    return sorted(file.name.partition("_")[0] for file in (_STEPS / "versions").glob("[0-9]*_*.py"))


def upgrade(url: str) -> None:
    """Takes all steps that are missing. When there are none, it is one look, and Alembic is not even imported.

    Raises:
        DatabaseUnavailableError, DatabaseFullError: nothing was changed then, a step is a transaction.
        DatabaseVersionError: the server is too old.
        SchemaTooNewError: this code doesn't know the database's step.
    """
    known = steps()
    engine = create_engine(driver_url(url))
    try:
        with engine.connect() as connection:
            major_version(int(connection.execute(text("show server_version_num")).scalar_one()))
            connection.execute(text("select pg_advisory_lock(:lock)"), {"lock": _LOCK})
            present = _present(connection)
            connection.commit()
            if present == known[-1]:
                return
            if present is not None and present not in known:
                raise SchemaTooNewError
            from alembic import command

            command.upgrade(config(connection), "head")
            connection.commit()
    except (OperationalError, InterfaceError) as error:
        raise translated(error) from error
    finally:
        engine.dispose()


def take_steps(connection: Connection, last: str = "head") -> None:
    """Takes the steps that are missing up to `last`, all in the transaction that is open on the connection."""
    from alembic import command

    connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    command.upgrade(config(connection), last)


def _present(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("select version_num from alembic_version")).scalar_one_or_none()
