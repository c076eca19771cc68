"""An upgrade of a database that has sessions: their rows are what their logs fold to, and each step stands by itself.

`states-of-0.2.ndjson` holds states as that version stored them, after so many events of the logs of `tests/unit/logs`;
the file is never changed. A field of the state that comes later fails here until a step fills it.
"""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
import zstandard
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.exc import ProgrammingError

from quarterdeck.core import events as e
from quarterdeck.core.events import Event
from quarterdeck.core.fold import apply, fold
from quarterdeck.core.state import SessionState
from quarterdeck.store import log, schema
from quarterdeck.store.database import Database, driver_url
from tests.archives import corpus

STORED = Path(__file__).with_name("states-of-0.2.ndjson").read_text(encoding="utf-8").splitlines()


def upgrade_to(url: str, step: str) -> None:
    engine = create_engine(driver_url(url))
    with engine.connect() as connection:
        command.upgrade(schema.config(connection), step)
    engine.dispose()


def before(step: str) -> str:
    revision = ScriptDirectory.from_config(schema.config()).get_revision(step).down_revision
    assert isinstance(revision, str)
    return revision


def linked(events: list[Event], count: int) -> list[Event]:
    """The log with so many links behind it."""
    last = events[-1]
    links = (e.LinkAdded(relation="created", target="issue", name=f"#{n}") for n in range(count))
    more = [
        last.model_copy(update={"seq": last.seq + n, "payload": link, "level": link.default_level, "v": 1})
        for n, link in enumerate(links, 1)
    ]
    return [*events, *more]


def keep(connection: psycopg.Connection, number: int, state: dict[str, Any], events: list[Event]) -> None:
    """The session as the version wrote it, its log in two rows."""
    connection.execute(
        "insert into sessions (id, initiator_id, origin, flow, flow_hash, model, title, status, seq, turn_no,"
        " turn_open, state, warnings, errors, created_at, last_activity)"
        " values (%s, 1, 'api', 'f', 'h', 'm', %s, %s, %s, 0, false, %s, 0, 0, now(), now())",
        (number, state["title"], state["status"], state["seq"], json.dumps(state)),
    )
    half = len(events) // 2
    for part in filter(None, (events[:half], events[half:])):
        lines = b"\n".join(one.model_dump_json(exclude={"session"}).encode() for one in part)
        connection.execute(
            "insert into event_batches (session_id, first_seq, n, results, concise, data)"
            " values (%s, %s, %s, 0, 0, %s)",
            (number, part[0].seq, len(part), zstandard.compress(lines)),
        )


async def test_the_rows_of_earlier_sessions_are_what_their_logs_fold_to(empty_url: str) -> None:
    upgrade_to(empty_url, before("0014"))
    logs: dict[int, list[Event]] = {}
    with psycopg.connect(empty_url) as connection:
        connection.execute("insert into users (username, name) values ('ada', 'Ada')")
        for number, row in enumerate(map(json.loads, STORED * 5), 1):  # more than are read at once
            state, events = row["state"], corpus(row["log"])[: row["seq"]]
            if number <= len(
                STORED
            ):  # as they stand; the others went on under a version in between, or have many links
                logs[number] = events
            else:
                logs[number] = linked(events, 120 if number % 2 else 1)
                touched = SessionState.model_validate(state)
                for event in logs[number][len(events) :]:
                    apply(touched, event)
                state = touched.model_dump(mode="json")
            keep(connection, number, state, logs[number])
    schema.upgrade(empty_url)
    database = Database(empty_url)
    async with database.transaction() as connection:
        for number, events in logs.items():
            assert [one.seq for one in await log.read(connection, number)] == [one.seq for one in events]
            locked = await log.lock(connection, number)
            assert locked.state == fold(events), number
            assert list(locked.state.calls) == list(fold(events).calls), "in their order"
    await database.close()


def test_a_step_that_fails_leaves_those_before_it(empty_url: str) -> None:
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute("create table session_steps (in_the_way integer)")
    with pytest.raises(ProgrammingError, match="session_steps"):
        schema.upgrade(empty_url)
    with psycopg.connect(empty_url, autocommit=True) as connection:
        stands = connection.execute("select version_num from alembic_version").fetchone()
        assert stands == (before("0012"),)
        assert connection.execute("select to_regclass('attachments')").fetchone() == (None,), "nothing of that step"
        connection.execute("drop table session_steps")
    schema.upgrade(empty_url)
    with psycopg.connect(empty_url, autocommit=True) as connection:
        assert connection.execute("select version_num from alembic_version").fetchone() == (schema.steps()[-1],)


def test_sessions_that_were_started_on_pipelines_are_known_to_be(empty_url: str) -> None:
    """Those of the session's own project; whatever else an input of that name was is nothing."""
    upgrade_to(empty_url, before("0025"))
    given: list[Any] = [{"id": 1}, {"id": "1"}, {"id": 2}, {"id": "x"}, ["id"], "id", {"id": 1}]
    with psycopg.connect(empty_url) as connection:
        connection.execute("insert into users (username, name) values ('ada', 'Ada')")
        for number in (1, 2):
            connection.execute("insert into projects (path, name, default_branch) values (%s, '', '')", (f"p{number}",))
            connection.execute(
                "insert into pipelines (project_id, ref, sha, source, status, definition)"
                " values (%s, 'r', 's', 'api', 'failed', '{}')",
                (number,),
            )
        values = "(project_id, iid, title, status, author_id) values (1, 1, 't', 'opened', 1)"
        connection.execute(f"insert into issues {values}")
        for number, pipeline in enumerate(given, 1):
            state = {
                "title": "t",
                "status": "stopped",
                "seq": 0,
                "created": {"goal": "", "inputs": {"pipeline": pipeline}},
            }
            keep(connection, number, state, [])
        connection.execute("update sessions set project_id = 1")
        connection.execute("insert into session_subjects (session_id, issue_id) values (7, 1)")
    schema.upgrade(empty_url)
    with psycopg.connect(empty_url) as connection:
        found = connection.execute(
            "select session_id, issue_id, pipeline_id from session_subjects order by 1"
        ).fetchall()
    assert found == [(1, None, 1), (2, None, 1), (7, 1, 1)]
