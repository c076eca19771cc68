"""What all tiers share: a real PostgreSQL, a database for each test, and an assembled Quarterdeck on it."""

import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings as hypothesis_settings

from quarterdeck import server
from quarterdeck.app import first_start
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.settings import Settings
from quarterdeck.store import schema
from quarterdeck.store.embedded import EmbeddedPostgres

hypothesis_settings.register_profile("quarterdeck", deadline=None)  # no test asserts a time
hypothesis_settings.register_profile("search", deadline=None, max_examples=200)  # by hand, to look further
hypothesis_settings.load_profile("quarterdeck")

PERSON = "qdp_a-person-of-the-tests"
RUNNER = "qdr_a-runner-of-the-tests"
UNSYNCED = ("fsync", "synchronous_commit", "full_page_writes")
"""No database of this server outlives its test; those that have to outlive a crash are in `store`, scenarios, chaos."""
LONG = ("docs", "chaos", "scenarios", "browser", "bench")
"""The folders of the tests that take longest and wait most."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first: at the end of a run on several processes none is left alone with it."""

    def rank(item: pytest.Item) -> int:
        folder = item.path.parent.name
        return LONG.index(folder) if folder in LONG else len(LONG)

    for item in items:
        if item.path.parent.name == "unit":
            item.add_marker("unit")
    items.sort(key=rank)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL of this test process; its database `template` has all tables and is empty."""
    home = Path(tempfile.mkdtemp(prefix="qd-tests-", dir="/tmp"))
    home.chmod(0o755)
    embedded = EmbeddedPostgres(home)
    url = embedded.start()
    try:
        with psycopg.connect(url.replace("quarterdeck@", "postgres@"), autocommit=True) as connection:
            for setting in UNSYNCED:
                connection.execute(f"alter system set {setting} = off")  # pyright: ignore[reportArgumentType, reportCallIssue]
            connection.execute("select pg_reload_conf()")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("create database template")
        schema.upgrade(named(url, "template"))
        yield url
    finally:
        embedded.stop(immediate=True)
        shutil.rmtree(home, ignore_errors=True)


def named(url: str, database: str) -> str:
    """`url` with another database."""
    return url.replace("/quarterdeck?", f"/{database}?")


@pytest.fixture
def database_url(postgres: str) -> Iterator[str]:
    """A database of this test alone, with all tables and nothing in them."""
    name = f"test_{os.urandom(6).hex()}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"create database {name} template template strategy file_copy")  # pyright: ignore[reportArgumentType, reportCallIssue]
    yield named(postgres, name)
    with psycopg.connect(postgres, autocommit=True) as connection:
        for left in range(20, 0, -1):
            try:
                connection.execute(f"drop database {name} with (force)")  # pyright: ignore[reportArgumentType, reportCallIssue]
                return
            except psycopg.errors.InsufficientPrivilege:  # a vacuum is at work there, which ends by itself
                if left == 1:
                    raise
                time.sleep(0.5)


@contextmanager
def empty_database(postgres: str) -> Generator[str]:
    """A database in which nothing is."""
    name = f"empty_{os.urandom(6).hex()}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"create database {name}")  # pyright: ignore[reportArgumentType, reportCallIssue]
    yield named(postgres, name)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")  # pyright: ignore[reportArgumentType, reportCallIssue]


@pytest.fixture
def empty_url(postgres: str) -> Iterator[str]:
    """The same, of this test alone."""
    with empty_database(postgres) as url:
        yield url


@pytest.fixture
def home() -> Iterator[Path]:
    """A home that other accounts may enter, as a real one."""
    path = Path(tempfile.mkdtemp(prefix="qd-home-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
async def app(database_url: str, home: Path) -> AsyncIterator[App]:
    """A Quarterdeck without processes: use cases on a real database, no worker takes the jobs."""
    settings = Settings.model_validate({"home": home, "port": 7433})
    assembled = server.assemble(settings, database_url)
    assembled.doorbell.start()
    yield assembled
    await assembled.doorbell.stop()
    await assembled.database.close()


@dataclass(frozen=True)
class Start:
    """What the first start made."""

    owner: Actor
    token: str
    runner_token: str


@pytest.fixture
async def start(app: App) -> Start:
    """The administrator, their token, the runner's token, and the project `sample`."""
    made = await first_start.ensure(app, administrator="ada", token=PERSON, runner_token=RUNNER)
    return Start(made.administrator, PERSON, RUNNER)


@pytest.fixture
def owner(start: Start) -> Actor:
    """The administrator."""
    return start.owner
