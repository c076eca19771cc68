"""Nobody waits for somebody who waits for them.

Each test stops a use case in the middle of its locks, and takes what it comes to next. Where the use case had that
before, the two wait for each other, and PostgreSQL ends one of them.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import ColumnElement, Table, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import deletion, executors, hellos, notifications, pipelines, retention, sessions, steering
from quarterdeck.app.application import App
from quarterdeck.app.project_settings import EditProject, edit
from quarterdeck.core import protocol as p
from quarterdeck.core.status import Status
from quarterdeck.store.tables import leases, pipeline_waits
from quarterdeck.store.tables import notifications_wanted as wanted
from quarterdeck.store.tables import pipelines as pipeline_rows
from quarterdeck.store.tables import sessions as rows
from tests.app.chats import stored
from tests.app.test_retention import begin, left, request
from tests.conftest import Start


async def take(connection: AsyncConnection, table: Table, row: ColumnElement[bool]) -> None:
    await connection.execute(select(table).where(row).with_for_update())


async def waits(app: App) -> bool:
    """Whether anybody waits for a lock in the test's database."""
    query = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    async with app.database.transaction() as connection:
        return (await connection.exec_driver_sql(query)).scalar_one() > 0


@asynccontextmanager
async def waiting(
    app: App, table: Table, row: ColumnElement[bool], other: Coroutine[Any, Any, object]
) -> AsyncGenerator[AsyncConnection]:
    """A transaction that has the row, for which `other` has come to wait; it goes on behind the block."""
    async with asyncio.timeout(60):
        async with app.database.transaction() as connection:
            await take(connection, table, row)
            task = asyncio.create_task(other)
            while not await waits(app):
                assert not task.done(), "it did not need the row"
                await asyncio.sleep(0.01)
            yield connection
        await task


async def family(app: App, start: Start) -> tuple[int, int, int, int]:
    """A session, its two children, and a child of the first of these, which is the youngest."""
    top = await begin(app, start)
    first, second = [await begin(app, start, parent=top) for _ in range(2)]
    return top, first, second, await begin(app, start, parent=first)


@pytest.mark.parametrize("does", ["cancel", "delete", "another time"])
async def test_many_sessions_are_locked_the_older_first(app: App, start: Start, does: str) -> None:
    top, first, second, youngest = await family(app, start)
    project = await edit(app, start.owner, "sample", EditProject(retention_days=3))
    other = {
        "cancel": lambda: steering.cancel(app, start.owner, top),
        "delete": lambda: deletion.delete_session(app, start.owner, top),
        "another time": lambda: retention.apply(app, project.id),
    }[does]()
    async with waiting(app, rows, rows.c.id == second, other) as connection:
        await take(connection, rows, rows.c.id == youngest)
    below = [await stored(app, one) for one in (first, second, youngest)]
    if does == "another time":
        assert [one.retention_days for one in below] == [3, 3, 3]
    else:
        assert [one.status for one in below] == [Status.STOPPED] * 3
        assert (top in await left(app)) == (does == "cancel")


async def test_a_child_that_begins_meanwhile_is_stopped_too(app: App, start: Start) -> None:
    top, first, _, _ = await family(app, start)
    async with asyncio.timeout(60):
        async with app.database.transaction() as connection:
            late = await sessions.start_within(app, connection, start.owner, request(), None, parent_id=first)
            younger = await begin(app, start, parent=top)
            stop = asyncio.create_task(steering.cancel(app, start.owner, top))
            await asyncio.wait([stop], timeout=0.3)
            assert not stop.done()
        await stop
    assert late < younger
    assert {(await stored(app, one)).status for one in (late, younger)} == {Status.STOPPED}


async def test_below_one_that_has_ended_all_are_stopped(app: App, start: Start) -> None:
    top, first, _, youngest = await family(app, start)
    async with app.database.transaction() as connection:  # it finished, and what it started works on
        await connection.execute(update(rows).where(rows.c.id == first).values(status="finished"))
    await steering.cancel(app, start.owner, top)
    assert (await stored(app, youngest)).status is Status.STOPPED


async def test_the_end_of_a_pipeline_and_a_deletion(app: App, start: Start) -> None:
    session_id = await begin(app, start)
    pipeline = await pipelines.start(app, start.owner, "sample")
    assert await pipelines.wait_for(app, pipeline.id, session_id, "c_" + "1" * 26) is None
    end = pipelines.cancel(app, start.owner, pipeline.id)
    async with waiting(app, rows, rows.c.id == session_id, end) as connection:
        await deletion.erase(connection, [session_id], by="test")
    assert session_id not in await left(app)
    assert (await pipelines.show(app, start.owner, pipeline.id)).status == "canceled"


async def test_the_end_of_a_pipeline_locks_who_waits_the_older_first(app: App, start: Start) -> None:
    older, between, younger = [await begin(app, start) for _ in range(3)]
    pipeline = await pipelines.start(app, start.owner, "sample")
    for one in (younger, between):
        assert await pipelines.wait_for(app, pipeline.id, one, f"c_{one:026}") is None
    async with app.database.transaction() as connection:
        mine = update(pipeline_rows).where(pipeline_rows.c.id == pipeline.id)
        await connection.execute(mine.values(session_id=older))
    end = pipelines.cancel(app, start.owner, pipeline.id)
    async with waiting(app, rows, rows.c.id == between, end) as connection:
        await take(connection, rows, rows.c.id == younger)
    async with app.database.transaction() as connection:
        assert not (await connection.execute(select(pipeline_waits))).all()
    assert (await stored(app, older)).checks_failed == 1


async def test_pipelines_of_a_session_are_cancelled_one_by_one(app: App, start: Start) -> None:
    session_id = await begin(app, start)
    first, second = [(await pipelines.start(app, start.owner, "sample")).id for _ in range(2)]
    async with app.database.transaction() as connection:
        both = update(pipeline_rows).where(pipeline_rows.c.id.in_((first, second)))
        await connection.execute(both.values(session_id=session_id))
    cancel = pipelines.cancel_of_session(app, session_id)
    async with waiting(app, pipeline_rows, pipeline_rows.c.id == second, cancel) as connection:
        await take(connection, rows, rows.c.id == session_id)
    assert (await stored(app, session_id)).checks_failed == 2


async def test_a_session_that_waits_for_its_child_and_its_stop(app: App, start: Start) -> None:
    top, child, *_ = await family(app, start)
    wish = notifications.Wish("session", child)
    want = notifications.want(app, start.owner, top, "c_" + "2" * 26, wish)
    async with waiting(app, rows, rows.c.id == top, want) as connection:
        await take(connection, rows, rows.c.id == child)
    async with app.database.transaction() as connection:
        assert (await connection.execute(select(wanted.c.target_id))).scalars().all() == [child]


async def test_two_that_want_to_hear_of_each_others_end(app: App, start: Start) -> None:
    one, other = [await begin(app, start) for _ in range(2)]
    for mine, theirs in ((one, other), (other, one)):
        await notifications.want(app, start.owner, mine, f"c_{mine:026}", notifications.Wish("session", theirs))
    async with asyncio.timeout(60), app.database.transaction() as connection:
        await take(connection, wanted, wanted.c.session_id == one)  # as the end of the other has it
        await steering.cancel(app, start.owner, one)
        await take(connection, wanted, wanted.c.session_id == other)
    await steering.cancel(app, start.owner, other)
    async with app.database.transaction() as connection:
        left_over = (await connection.execute(select(wanted.c.id))).scalars().all()
    for wish in left_over:
        await notifications.send(app, wish)
    states = [await stored(app, session_id) for session_id in (one, other)]
    assert [(state.status, state.last_message) for state in states] == [(Status.STOPPED, 0)] * 2


async def test_a_heartbeat_waits_for_no_lease(app: App, start: Start) -> None:
    hands = await executors.authenticate(app, start.runner_token)
    said = p.Hello(protocol=1, version="0", name="r", capacity=4, isolation="full")
    runner = (await hellos.hello(app, hands, said)).runner
    async with app.database.transaction() as connection:
        for subject in ("session:7", "session:8"):
            values = {"subject": subject, "runner_id": runner, "epoch": 1, "expires_at": text("now()")}
            await connection.execute(insert(leases).values(values))
    past = select(leases.c.subject).where(leases.c.expires_at <= text("now()"))
    async with asyncio.timeout(60), app.database.transaction() as connection:
        await take(connection, leases, leases.c.subject == "session:8")
        await executors.heartbeat(app, hands, p.Heartbeat(runner=runner))
        assert (await connection.execute(past)).scalars().all() == ["session:8"]
