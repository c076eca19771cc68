"""Retention: who goes, who stays, and that another time is in the log."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import DateTime, insert, literal, select, update

from quarterdeck.app import (
    deletion,
    executors,
    hellos,
    leftovers,
    offers,
    project_settings,
    projects,
    retention,
    retention_views,
    sessions,
    steering,
    turns,
)
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.change import change
from quarterdeck.app.project_settings import EditProject
from quarterdeck.app.retention import Swept
from quarterdeck.app.sessions import StartSession
from quarterdeck.core import events as e
from quarterdeck.core import protocol as p
from quarterdeck.core.access import Role
from quarterdeck.core.answer import Reply, RequestedCall
from quarterdeck.core.errors import ConflictError, ForbiddenError, NotFoundError, SessionGoneError
from quarterdeck.core.fold import fold
from quarterdeck.core.state import SessionState
from quarterdeck.core.usage import Usage
from quarterdeck.store import log
from quarterdeck.store.tables import blobs as blob_rows
from quarterdeck.store.tables import documents, metadata, partials, sweeps, tombstones, users
from quarterdeck.store.tables import sessions as rows
from tests.app.test_sessions import FLOW, SCRIPT
from tests.conftest import Start


def later(days: int = 31) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def request(flow: str = FLOW) -> StartSession:
    return StartSession(project="sample", flow_yaml=flow, goal="g", model="scripted", script=SCRIPT)


async def begin(app: App, start: Start, *, parent: int | None = None, flow: str = FLOW) -> int:
    async with app.database.transaction() as connection:
        return await sessions.start_within(app, connection, start.owner, request(flow), None, parent_id=parent)


async def ended(app: App, start: Start, *, flow: str = FLOW) -> int:
    session_id = await begin(app, start, flow=flow)
    await steering.cancel(app, start.owner, session_id)
    return session_id


async def left(app: App) -> set[int]:
    async with app.database.transaction() as connection:
        return set((await connection.execute(select(rows.c.id))).scalars())


async def whole(app: App, session_id: int) -> SessionState:
    """The state, by its log and by its row: promise 1."""
    async with app.database.transaction() as connection:
        events = await log.read(connection, session_id, limit=100_000)
        row: Any = (await connection.execute(select(rows).where(rows.c.id == session_id))).one()
    state = fold(events)
    assert SessionState.model_validate(row.state) == state
    told = (state.expires_on, state.retention_days, state.last_activity.replace(microsecond=0))
    assert (row.expires_on, row.retention_days, row.last_activity) == told
    return state


async def test_what_is_past_its_time_goes_and_leaves_a_tombstone(app: App, start: Start) -> None:
    over, waits, works, held = await ended(app, start), *[await begin(app, start) for _ in range(3)]
    assert await turns.claim(app, works, 1, job=1) is not None
    await steering.hold(app, start.owner, held, held=True)
    assert await retention.sweep(app, at=later(29)) == Swept(0, 0)
    assert await left(app) == {over, waits, works, held}
    assert await retention.sweep(app, at=later()) == Swept(stopped=1, deleted=2)
    assert await left(app) == {works, held}
    async with app.database.transaction() as connection:
        stones = (await connection.execute(select(tombstones).order_by(tombstones.c.session_id))).all()
        swept = (await connection.execute(select(sweeps))).one()
    assert [(row.session_id, row.deleted_by) for row in stones] == [(over, "retention"), (waits, "retention")]
    assert (swept.deleted, swept.ended_at is not None) == (2, True)
    for session_id in (over, waits):
        with pytest.raises(NotFoundError):
            await sessions.show(app, start.owner, session_id)
    with pytest.raises(ConflictError, match="held"):
        await deletion.delete_session(app, start.owner, held)
    await steering.hold(app, start.owner, held, held=False)
    await retention.sweep(app, at=later())
    assert await left(app) == {works}


async def test_a_call_that_runs_is_not_touched_and_one_that_waits_for_a_runner_is(app: App, start: Start) -> None:
    hands = await executors.authenticate(app, start.runner_token)
    said = p.Hello(protocol=1, version="0", name="r", capacity=4, isolation="full")
    runner = (await hellos.hello(app, hands, said)).runner
    runs, waits = [await calling(app, start) for _ in range(2)]
    orders = offers.stream(app, hands, runner)
    given = {order.subject: order for order in await anext(orders) if isinstance(order, p.Offer)}
    await orders.aclose()
    mine = given[f"session:{runs}"]
    await executors.started(app, hands, mine.call_id, p.Started(turn_no=mine.turn_no, lease_epoch=mine.lease_epoch))
    await steering.pause(app, start.owner, runs)  # it takes effect after the call
    assert await retention.sweep(app, at=later()) == Swept(1, 1)
    assert await left(app) == {runs}
    orders = offers.stream(app, hands, runner)
    told = await anext(orders)
    await orders.aclose()
    assert [one.subject for one in told if isinstance(one, p.Cancel)] == [f"session:{waits}"], "its executor is told"
    epoch = given[f"session:{waits}"].lease_epoch
    proof = p.Teardown(lease_epoch=epoch, killed=0, left=0, duration_ms=1, method="none")
    await executors.teardown(app, hands, f"session:{waits}", proof)
    orders = offers.stream(app, hands, runner)
    told = await anext(orders)
    await orders.aclose()
    assert p.Wipe(subject=f"session:{waits}") in told
    with pytest.raises(SessionGoneError):
        await executors.write_blob(app, hands, f"session:{runs}", mine.lease_epoch, behind(app, start, runs))
    async with app.database.transaction() as connection:
        assert (await connection.execute(select(blob_rows.c.id))).all() == []


async def behind(app: App, start: Start, session_id: int):
    """A body whose session is deleted while it comes in."""
    yield b"part"
    await deletion.delete_session(app, start.owner, session_id)
    yield b"part"


async def calling(app: App, start: Start) -> int:
    """A session whose one call is offered to runners."""
    session_id = await begin(app, start)
    turn = await turns.claim(app, session_id, 1, job=session_id)
    assert turn is not None
    question = await turns.advance(app, turn)
    assert question is not None
    calls = (RequestedCall("p1", "read_file", {"file_path": "a"}),)
    await turns.answered(app, turn, question, Reply("", "", calls, "", "scripted:x", Usage(requests=1), 5))
    await turns.advance(app, turn)
    return session_id


async def test_a_session_is_not_stopped_while_one_that_it_started_works(app: App, start: Start) -> None:
    parent = await begin(app, start)
    working, waiting = [await begin(app, start, parent=parent) for _ in range(2)]
    turn = await turns.claim(app, working, 1, job=1)
    assert turn is not None
    assert await retention.sweep(app, at=later()) == Swept(1, 1)
    assert await left(app) == {parent, working}
    async with change(app, working) as it:
        it.append(e.TurnEnded(turn_no=turn.turn_no))
    assert await retention.sweep(app, at=later()) == Swept(2, 2), "the child first, then the one above it"
    assert await left(app) == set()
    assert waiting


async def test_one_that_cannot_be_stopped_holds_nobody_back(app: App, start: Start) -> None:
    numbers = [await begin(app, start) for _ in range(5)]
    async with app.database.transaction() as connection:
        broken = update(rows).where(rows.c.id == numbers[1]).values(state={"unreadable": True})
        await connection.execute(broken)
    assert await retention.sweep(app, at=later()) == Swept(4, 4)
    assert await left(app) == {numbers[1]}


async def test_batches_pass_by_what_somebody_works_with(
    app: App, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    monkeypatch.setattr(retention, "BATCH_EVENTS", 5)
    numbers = [await ended(app, start) for _ in range(7)]
    async with app.database.transaction() as connection:
        await log.lock(connection, numbers[3])
        async with asyncio.timeout(60):
            assert await retention.sweep(app, at=later()) == Swept(0, 6)
    assert await left(app) == {numbers[3]}


async def test_another_time_reaches_every_session_by_its_log(
    app: App, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHANGES", 2)
    over, waits, held = await ended(app, start), await begin(app, start), await begin(app, start)
    await steering.hold(app, start.owner, held, held=True)
    before = {one: await whole(app, one) for one in (over, waits, held)}
    view = await project_settings.edit(app, start.owner, "sample", EditProject(retention_days=3, name="Sample"))
    assert (view.retention_days, view.name, view.description) == (3, "Sample", "")
    assert await retention.apply(app, view.id) == 3
    assert await retention.apply(app, view.id) == 0, "once"
    for one, old in before.items():
        now = await whole(app, one)
        assert (now.retention_days, now.last_activity, now.status) == (3, old.last_activity, old.status)
        assert now.expires_at == (None if one == held else old.last_activity + timedelta(days=3))
    assert (await sessions.show(app, start.owner, waits)).expires_soon
    assert await left(app) == set(before)
    # One that began in the same moment may have the old time: the next sweep sees to it.
    async with change(app, waits) as it:
        it.append(e.RetentionChanged(days=30, by="ada"))
    await retention.sweep(app, at=datetime.now(UTC))
    assert (await whole(app, waits)).retention_days == 3
    await retention.sweep(app, at=later(4))
    assert await left(app) == {held}


async def test_who_may_change_the_time_and_see_what_goes(app: App, start: Start) -> None:
    async with app.database.transaction() as connection:
        made = insert(users).values(username="dev", admin=False).returning(users.c.id)
        number = (await connection.execute(made)).scalar_one()
    dev, stranger = Actor(number, "dev", "Dev", "", admin=False), Actor(number + 1, "eve", "Eve", "", admin=False)
    await projects.set_member(app, start.owner, "sample", "dev", Role.DEVELOPER)
    private = await begin(app, start)
    shown = await ended(app, start)
    async with app.database.transaction() as connection:
        await connection.execute(update(rows).where(rows.c.id == private).values(origin="chat"))
    with pytest.raises(ForbiddenError):
        await project_settings.edit(app, dev, "sample", EditProject(retention_days=1))
    with pytest.raises(NotFoundError):
        await project_settings.edit(app, stranger, "sample", EditProject(retention_days=1))
    with pytest.raises(NotFoundError):
        await retention_views.preview_project(app, stranger, "sample")
    with pytest.raises(ForbiddenError):
        await retention_views.preview(app, dev)
    assert (await retention_views.preview(app, start.owner)).sessions == 0
    async with app.database.transaction() as connection:  # as a sweep that comes a month from now finds it
        await connection.execute(insert(sweeps).values(id=1, due_at=later()))
    seen = await retention_views.preview_project(app, dev, "sample")
    assert (seen.sessions, seen.waiting, [one.id for one in seen.items]) == (2, 1, [shown])
    seen = await retention_views.preview_project(app, dev, "sample", days=40)
    assert (seen.sessions, seen.retention_days) == (0, 40)
    seen = await retention_views.preview(app, start.owner)
    assert (seen.sessions, seen.held, seen.events) == (2, 0, 3)
    assert (await retention.sweep(app, at=later())).deleted == seen.sessions


async def test_one_sweep_an_hour_whoever_asks(app: App, start: Start) -> None:
    asked = [await retention.due(app) for _ in range(2)]
    assert asked == [True, False]
    async with app.database.transaction() as connection:
        jobs = await connection.exec_driver_sql("select count(*) from procrastinate_jobs where task_name = 'sweep'")
        assert jobs.scalar_one() == 1
    over = "update sweeps set due_at = now()"
    for status in ("todo", "doing"):  # the hour is over, and the last one is not
        async with app.database.transaction() as connection:
            await connection.exec_driver_sql(over)
            await connection.exec_driver_sql("update procrastinate_jobs set status = %s", (status,))
        assert not any(await asyncio.gather(*(retention.due(app) for _ in range(4))))
        assert (await retention_views.preview(app, start.owner)).next_sweep > datetime.now(UTC), (
            "it is looked for later"
        )
    async with app.database.transaction() as connection:
        await connection.exec_driver_sql(over)
        await connection.exec_driver_sql("delete from procrastinate_jobs")
    assert sorted(await asyncio.gather(*(retention.due(app) for _ in range(4)))) == [False, False, False, True]


async def test_a_day_has_24_hours_wherever_the_database_stands(app: App, start: Start) -> None:
    session_id = await ended(app, start)
    began = datetime(2026, 10, 20, 23, 30, tzinfo=UTC)  # before summer time ends, late in the evening
    until = began + timedelta(days=30)
    async with app.database.transaction() as connection:
        values = {"last_activity": began, "expires_on": until.date(), "retention_days": 30}
        await connection.execute(update(rows).where(rows.c.id == session_id).values(values))
    for zone in ("UTC", "America/New_York", "Pacific/Kiritimati"):
        async with app.database.transaction() as connection:
            await connection.exec_driver_sql(f"set local timezone = '{zone}'")
            at = (await connection.execute(select(literal(until, DateTime(timezone=True))))).scalar_one()
            for moment, over in ((at, [session_id]), (at - timedelta(seconds=1), [])):
                for days in (None, 30):
                    found = await connection.execute(select(rows.c.id).where(retention.expired(moment, days)))
                    assert found.scalars().all() == over, (zone, moment, days)


async def test_flows_and_scripts_go_with_their_last_session(app: App, start: Start) -> None:
    other = FLOW.replace('user: "{{ goal }}"', 'user: "marker-of-the-flow {{ goal }}"')
    first, second = await ended(app, start, flow=other), await ended(app, start, flow=other)
    stays = await begin(app, start)

    async def flows() -> int:
        async with app.database.transaction() as connection:
            found = await connection.execute(select(documents.c.hash).where(documents.c.text.contains("marker-of-the")))
            return len(found.all())

    await deletion.delete_session(app, start.owner, first)
    assert await flows() == 1
    # A start that has found its document, but has no session yet, does not lose it.
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def starting() -> int:
        async with app.database.transaction() as connection:
            number = await sessions.start_within(app, connection, start.owner, request(other), None)
            begun.set()
            await go_on.wait()
            return number

    slow = asyncio.create_task(starting())
    await begun.wait()
    deleting = asyncio.create_task(deletion.delete_session(app, start.owner, second))
    await asyncio.sleep(0.3)
    assert not deleting.done()
    go_on.set()
    third = await slow
    await deleting
    assert await flows() == 1
    await steering.cancel(app, start.owner, third)
    await retention.sweep(app, at=later())
    assert await flows() == 0
    assert stays not in await left(app)


async def test_what_was_in_the_air_goes_later(app: App, start: Start) -> None:
    session_id = await ended(app, start)
    await deletion.delete_session(app, start.owner, session_id)
    async with app.database.transaction() as connection:
        await connection.execute(insert(partials).values(session_id=session_id, turn_no=1, text="late"))
    await leftovers.clear(app)
    async with app.database.transaction() as connection:
        assert (await connection.execute(select(partials))).all() == []


def test_every_table_with_a_session_is_known_for_what_it_is() -> None:
    """A new one that is a session's own needs nothing; a new one of the project's is named here, with a thought."""
    shared = {table.name for table in metadata.sorted_tables if "session_id" in table.c and table.c.session_id.nullable}
    # A delivery is the project's record of what a trigger was told.
    # An attachment is nobody's session's until it is given to one; it goes with its blob, whose subject is the session.
    assert shared == {"offers", "merge_requests", "issues", "comments", "pipelines", "attachments", "deliveries"}
    assert {"event_batches", "outbox", "partials", "usage", "session_subjects"} <= {one.name for one in deletion.OWN}
