"""The steps from an empty database lead to the tables that the code knows."""

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from quarterdeck.store import schema
from quarterdeck.store.database import Database, DatabaseUnavailableError, driver_url
from quarterdeck.store.schema import SchemaTooNewError
from quarterdeck.store.tables import metadata


def test_the_steps_lead_to_the_tables_of_the_code(database_url: str) -> None:
    schema.upgrade(database_url)
    engine = create_engine(driver_url(database_url))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": _ours})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def _ours(name: str | None, kind: str, _: object) -> bool:
    return not (kind == "table" and (name or "").startswith("procrastinate_"))


def test_a_database_of_a_newer_version_is_refused(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
    with pytest.raises(SchemaTooNewError):
        schema.upgrade(database_url)


async def test_an_unreachable_database_is_one_sentence_without_the_password() -> None:
    url = "postgresql://somebody:geheim-wort@127.0.0.1:9/none"
    with pytest.raises(DatabaseUnavailableError) as refused:
        schema.upgrade(url)
    database = Database(url)
    with pytest.raises(DatabaseUnavailableError) as away:
        await database.check()
    await database.close()
    for error in (refused.value, away.value):
        assert "PostgreSQL can't be reached" in error.message
        assert "geheim-wort" not in error.message
        assert "\n" not in error.message


async def test_an_old_postgresql_is_refused_with_the_way_out(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quarterdeck.store import database as module

    monkeypatch.setattr(module, "OLDEST_VERSION", 99)
    database = Database(database_url)
    with pytest.raises(module.DatabaseVersionError, match="DATABASE_URL"):
        await database.check()
    await database.close()
