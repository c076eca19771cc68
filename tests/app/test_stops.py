"""Limits and stops as the server keeps them: totals over all runners, the proof of a stop, sessions below a session."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from quarterdeck.app import (
    budgets,
    child_sessions,
    executors,
    leases,
    model_usage,
    project_settings,
    runners,
    sessions,
    signals,
    steering,
    turns,
)
from quarterdeck.app.application import App
from quarterdeck.app.executors import Hands
from quarterdeck.app.project_settings import EditProject
from quarterdeck.core import events as e
from quarterdeck.core import protocol as p
from quarterdeck.core.access import Role
from quarterdeck.core.answer import Reply, RequestedCall
from quarterdeck.core.budget import Budget
from quarterdeck.core.errors import ConflictError, FencedError, ForbiddenError
from quarterdeck.core.session_limits import Limits, ProjectLimits, Reached, Used
from quarterdeck.core.status import Status
from quarterdeck.core.usage import Usage
from quarterdeck.store.tables import leases as lease_rows
from quarterdeck.store.tables import offers as offer_rows
from quarterdeck.store.tables import runners as runner_rows
from quarterdeck.store.tables import sessions as session_rows
from tests.app.chats import asked as question_of
from tests.app.chats import stored
from tests.app.test_mcp import person
from tests.app.test_reports import FLOW as ONE
from tests.app.test_reports import READ, calls, payloads
from tests.app.test_reports import asked as session_asking
from tests.app.test_runners import given, joined
from tests.app.test_start_options import begun, finish_call
from tests.conftest import Start


async def answered(app: App, session_id: int, *made: RequestedCall, used: Usage | None = None) -> None:
    turn, question = await question_of(app, session_id)
    await turns.answered(app, turn, question, Reply("", "", made, "", "m", used or Usage(), 1))
    assert await turns.advance(app, turn) is None


async def walked_on(app: App, session_id: int) -> sessions.SessionView:
    """A turn that asks no model."""
    state = await stored(app, session_id)
    turn = await turns.claim(app, session_id, state.turn_no + 1, job=99)
    assert turn is not None
    assert await turns.advance(app, turn) is None
    async with app.database.transaction() as connection:
        return await sessions.views.load(app, connection, session_id)


def result(offer: p.Offer, **more: Any) -> p.Result:
    return p.Result(
        turn_no=offer.turn_no, lease_epoch=offer.lease_epoch, begun=True, outcome=e.Outcome.OK, text="", **more
    )


async def begin_call(app: App, hands: Hands, offer: p.Offer) -> None:
    await executors.started(app, hands, offer.call_id, p.Started(turn_no=offer.turn_no, lease_epoch=offer.lease_epoch))


async def one_call(app: App, hands: Hands, runner: int, session_id: int) -> p.Offer:
    (offer,) = (one for one in calls(await given(app, hands, runner)) if one.subject == f"session:{session_id}")
    return offer


async def age(app: App, table: Any, column: str, seconds: float) -> None:
    async with app.database.transaction() as connection:
        await connection.execute(update(table).values({column: func.now() - timedelta(seconds=seconds)}))


async def test_totals_are_counted_over_runners_and_pause_the_session_until_they_are_raised(
    app: App, start: Start
) -> None:
    developer = await person(app, start, "dev", Role.DEVELOPER)
    limits = ProjectLimits(session=10, memory=2**30)
    with pytest.raises(ForbiddenError):
        await project_settings.edit(app, developer, "sample", EditProject(limits=limits))
    shown = await project_settings.edit(app, start.owner, "sample", EditProject(limits=limits))
    assert shown.limits == limits
    session_id = await session_asking(app, start, 2)
    hands, first = await joined(app, start.owner, "first")
    one, other = calls(await given(app, hands, first))
    assert (one.limits, one.used) == (limits, Used())
    assert p.Offer.model_validate_json(one.model_dump_json()) == one
    await begin_call(app, hands, other)
    await executors.output(app, hands, other.call_id, other.lease_epoch, 0, b"12345")
    await executors.result(app, hands, one.call_id, result(one, used=Used(ms=4_000, output=10), duration_ms=9_000))
    await age(app, offer_rows, "started_at", 3)
    await runners.remove(app, start.owner, first)
    lost = (await stored(app, session_id)).used
    assert lost.output == 15, "what the lost one had brought counts"
    assert 5_500 <= lost.ms < 10_000, "and the time that it had, for as long as it was heard of"

    await answered(app, session_id, READ)
    hands, heir = await joined(app, start.owner, "heir")
    offer = await one_call(app, hands, heir, session_id)
    assert offer.used == lost
    old = result(offer, duration_ms=1_500, output_bytes=7).model_dump(exclude={"used", "limit"})
    await executors.result(app, hands, offer.call_id, p.Result.model_validate(old))
    assert (await stored(app, session_id)).used == lost + Used(ms=1_500, output=7), "one of the version before"
    memory = Reached(name="memory", bound="1G", of="project")
    await answered(app, session_id, READ)
    offer = await one_call(app, hands, heir, session_id)
    await executors.result(app, hands, offer.call_id, result(offer, used=Used(), limit=memory))
    await answered(app, session_id, READ)
    offer = await one_call(app, hands, heir, session_id)
    total = Limits(session=10).reached("session", of=Limits())
    await executors.result(app, hands, offer.call_id, result(offer, used=Used(ms=6_000), limit=total))
    view = await walked_on(app, session_id)
    assert (view.status, view.reason, view.limits) == (Status.PAUSED, total.pause, limits)
    assert view.used.ms == lost.ms + 7_500
    ended = [one for one in await payloads(app, session_id) if isinstance(one, e.ToolCallFinished)]
    assert [one.limit for one in ended[-2:]] == [memory, total], "a limit of one call ends that call alone"

    with pytest.raises(ConflictError, match="raise `session` in the project's limits"):
        await steering.resume(app, start.owner, session_id)
    assert (await stored(app, session_id)).status is Status.PAUSED
    await project_settings.edit(app, start.owner, "sample", EditProject(limits=ProjectLimits(session=60)))
    async with app.database.transaction() as connection:
        holder = runner_rows.c.id == heir
        await connection.execute(update(runner_rows).where(holder).values(capabilities={"limits": "session=11"}))
    with pytest.raises(ConflictError):
        await steering.resume(app, start.owner, session_id)
    async with app.database.transaction() as connection:
        await connection.execute(
            update(runner_rows).where(holder).values(capabilities={"limits": "of a later version"})
        )
    assert (await steering.resume(app, start.owner, session_id)).status is Status.RUNNING
    await answered(app, session_id, READ)
    offer = await one_call(app, hands, heir, session_id)
    assert offer.limits == ProjectLimits(session=60)
    await begin_call(app, hands, offer)
    await age(app, offer_rows, "started_at", 2)
    before = (await stored(app, session_id)).used
    died = result(offer, used=Used(output=4)).model_copy(update={"outcome": e.Outcome.INTERRUPTED})
    await executors.result(app, hands, offer.call_id, died)
    used = (await stored(app, session_id)).used
    assert used.output == before.output + 4
    assert used.ms >= before.ms + 2_000, "a runner that was killed doesn't know the time of its calls"
    assert (
        await project_settings.edit(app, start.owner, "sample", EditProject(limits=ProjectLimits()))
    ).limits.words() == ""


async def test_a_lease_that_can_not_be_ended_keeps_no_other(app: App, start: Start) -> None:
    broken, most = await session_asking(app, start, 1), await session_asking(app, start, 1)
    hands, runner = await joined(app, start.owner)
    (offer,) = (one for one in calls(await given(app, hands, runner)) if one.subject == f"session:{most}")
    told = Used(ms=10**15, output=10**15)
    await executors.result(app, hands, offer.call_id, result(offer, used=told))
    await answered(app, most, READ)
    await begin_call(app, hands, await one_call(app, hands, runner, most))
    await age(app, offer_rows, "started_at", 3)
    async with app.database.transaction() as connection:
        await connection.execute(update(session_rows).where(session_rows.c.id == broken).values(state={}))
    await age(app, lease_rows, "expires_at", 1)
    await leases.expire(app)
    assert not (await stored(app, most)).in_flight
    assert (await stored(app, most)).used == told, "a runner may tell as much of each call, and it stays a sum"
    async with app.database.reading() as connection:
        held = select(lease_rows.c.subject).where(lease_rows.c.runner_id.is_not(None))
        assert (await connection.execute(held)).scalars().all() == [f"session:{broken}"]


async def test_a_proof_that_does_not_come_is_told_once_and_comes_when_the_runner_is_back(
    app: App, start: Start
) -> None:
    back, far = await session_asking(app, start, 1), await joined(app, start.owner, "far")
    await begin_call(app, far[0], await one_call(app, *far, back))
    await runners.change(app, start.owner, far[1], "paused")
    gone, lost = await session_asking(app, start, 1), await joined(app, start.owner, "lost")
    await begin_call(app, lost[0], await one_call(app, *lost, gone))
    for session_id in (back, gone):
        assert (await steering.cancel(app, start.owner, session_id)).waiting_for is not None
    assert not await told(app, back)
    await age(app, lease_rows, "expires_at", 1)
    for _ in range(2):
        await leases.expire(app)
    assert await told(app, back) == [e.TeardownMissed(executor="far", why="unreachable")]
    view = await sessions.show(app, start.owner, back)
    assert (view.status, view.teardown_missed) == (Status.STOPPED, "unreachable")
    assert view.waiting_for is not None
    assert (view.waiting_for.on, "the proof of far" in view.waiting_for.detail) == ("runner", True)
    proof = p.Teardown(lease_epoch=1, killed=2, left=0, duration_ms=1.5, method="pid namespace")
    await executors.teardown(app, far[0], f"session:{back}", proof)
    assert [one.killed for one in await payloads(app, back) if isinstance(one, e.WorkspaceTornDown)] == [2]
    assert (await sessions.show(app, start.owner, back)).waiting_for is None

    cursor = signals.Cursor(0)
    async with app.database.reading() as connection:
        await signals.look(connection, gone, cursor)
    assert not cursor.ended, "who waits for the proof waits still"
    await runners.remove(app, start.owner, lost[1])
    assert (await told(app, gone))[-1] == e.TeardownMissed(executor="lost", why="removed")
    async with app.database.reading() as connection:
        await signals.look(connection, gone, cursor)
        left = (await connection.execute(select(lease_rows.c.subject))).scalars().all()
    assert cursor.ended, "nothing more will come"
    assert f"session:{gone}" not in left
    with pytest.raises(FencedError):
        await executors.teardown(app, lost[0], f"session:{gone}", proof)
    await leases.expire(app)
    assert (await stored(app, gone)).teardown_missed == "removed"
    assert len(await told(app, gone)) == 2
    assert (await stored(app, gone)).warnings == 2


async def told(app: App, session_id: int) -> list[e.TeardownMissed]:
    return [one for one in await payloads(app, session_id) if isinstance(one, e.TeardownMissed)]


async def session_below(app: App, start: Start, parent_id: int) -> int:
    """One that a session started."""
    request = sessions.StartSession(
        project="sample", flow_yaml=ONE, goal="g", model="scripted", script="components: {first: [{say: unused}]}"
    )
    async with app.database.transaction() as connection:
        return await sessions.start_within(app, connection, start.owner, request, None, parent_id=parent_id)


async def test_what_is_below_a_stopped_session_stops_too_each_with_its_own_proof(app: App, start: Start) -> None:
    top = await session_asking(app, start, 1)
    child = await session_below(app, start, top)
    below = await session_below(app, start, child)
    tree = [top, child, below]
    for session_id in (child, below):
        await answered(app, session_id, READ)
    hands, runner = await joined(app, start.owner)
    had = {one.subject for one in calls(await given(app, hands, runner))}
    assert had == {f"session:{one}" for one in tree}
    await steering.cancel(app, start.owner, top, "enough")
    told_to_end = [one.subject for one in await given(app, hands, runner) if isinstance(one, p.Cancel)]
    assert sorted(told_to_end) == sorted(had), "once each"
    for killed, session_id in enumerate(tree):
        proof = p.Teardown(lease_epoch=1, killed=killed, left=0, duration_ms=1.0, method="m")
        await executors.teardown(app, hands, f"session:{session_id}", proof)
    for killed, session_id in enumerate(tree):
        state = await stored(app, session_id)
        assert (state.status, state.torn_down) == (Status.STOPPED, True)
        assert state.reason == ("enough" if session_id == top else f"session #{top}, which started it, was stopped")
        proofs = [one for one in await payloads(app, session_id) if isinstance(one, e.WorkspaceTornDown)]
        assert [one.killed for one in proofs] == [killed]


async def test_sessions_below_use_a_sessions_budget_while_it_goes_on(app: App, start: Start) -> None:
    top = (await begun(app, start.owner, budget={"tokens": 100})).id
    todo = RequestedCall("p1", "todo_write", {"items": []})
    wish = child_sessions.Wish("fix_pipeline/v1", inputs={"pipeline": {"id": 1}})
    child = (await child_sessions.start(app, start.owner, top, "c_1", wish)).id
    await answered(app, top, todo, used=Usage(requests=1, input_tokens=40))
    await finish_call(app, top)
    await model_usage.record(app, child, "work", "m", Usage(requests=1, input_tokens=45))
    await answered(app, top, todo, used=Usage(requests=1, input_tokens=5))
    state = await stored(app, top)
    assert (state.usage.input_tokens, state.children_usage.input_tokens) == (45, 45)
    assert state.budget_neared, "90 of 100 are used, a half of it below"
    await finish_call(app, top)
    grandchild = (await child_sessions.start(app, start.owner, child, "c_2", wish)).id
    await model_usage.record(app, grandchild, "work", "m", Usage(requests=1, input_tokens=10))
    view = await walked_on(app, top)
    assert (view.status, view.usage.input_tokens) == (Status.PAUSED, 45)
    assert "100 tokens is spent" in view.reason
    counted = [one for one in await payloads(app, top) if isinstance(one, e.ChildrenUsed)]
    assert [one.usage.input_tokens for one in counted] == [45, 55], "told when there is more"
    other = await session_below(app, start, child)
    held = await walked_on(app, other)
    assert (held.status, f"session #{top}, for which it works: The budget of 100 tokens is" in held.reason) == (
        Status.PAUSED,
        True,
    )
    await budgets.change(app, start.owner, top, Budget(tokens=200))
    for session_id in (other, top):
        await steering.resume(app, start.owner, session_id)
        turn, question = await question_of(app, session_id)
    await turns.answered(app, turn, question, Reply("Done.", "", (), "", "m", Usage(requests=1, input_tokens=500), 1))
    assert await turns.advance(app, turn) is None
    assert (await stored(app, top)).final
    later = await session_below(app, start, child)
    await question_of(app, later)  # nobody could raise the budget of one that has ended
