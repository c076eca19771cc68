"""Brings a database to today's tables, one starter at a time."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import InterfaceError, OperationalError

from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.store.database import driver_url, translated

_LOCK = 7_433_001
"""Any number that no other program takes an advisory lock with in this database."""


class SchemaTooNewError(QuarterdeckError):
    """The database was written by a newer Quarterdeck. Upgrade this one; an older one can't read it."""

    code = "schema_too_new"


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, without a file."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    settings.attributes["connection"] = connection
    return settings


def upgrade(url: str) -> None:
    """Takes all steps that are missing; returns at once when there are none.

    Raises:
        DatabaseUnavailableError, DatabaseFullError: nothing was changed then, a step is a transaction.
        SchemaTooNewError: this code doesn't know the database's step.
    """
    engine = create_engine(driver_url(url))
    scripts = ScriptDirectory.from_config(config())
    try:
        with engine.connect() as connection:
            connection.execute(text("select pg_advisory_lock(:lock)"), {"lock": _LOCK})
            connection.commit()
            present = MigrationContext.configure(connection).get_current_revision()
            connection.commit()
            if present == scripts.get_current_head():
                return
            if present is not None and present not in {step.revision for step in scripts.walk_revisions()}:
                raise SchemaTooNewError
            command.upgrade(config(connection), "head")
            connection.commit()
    except (OperationalError, InterfaceError) as error:
        raise translated(error) from error
    finally:
        engine.dispose()
