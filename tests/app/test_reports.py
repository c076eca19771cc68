"""What executors are offered and report, and what of it stands in the log."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from quarterdeck.app import deletion, executors, hellos, offers, people, sessions, steering, turns
from quarterdeck.app.application import App
from quarterdeck.app.change import Change
from quarterdeck.app.leases import Subject
from quarterdeck.app.turns import Turn
from quarterdeck.core import events as e
from quarterdeck.core import protocol as p
from quarterdeck.core.answer import Reply, RequestedCall
from quarterdeck.core.errors import FencedError, UnauthenticatedError, UnavailableError
from quarterdeck.core.status import Status
from quarterdeck.core.usage import Usage
from quarterdeck.engine.brain import Brain
from quarterdeck.engine.models.model import OnText, Request
from quarterdeck.engine.worker import NETS
from quarterdeck.store import log
from quarterdeck.store.database import DatabaseUnavailableError
from quarterdeck.store.tables import tokens
from tests.conftest import Start

FLOW = """
version: v1
environment: ambient
name: one
components: [{name: first, type: AgentComponent, prompt_id: p, inputs: ["context:goal"], toolset: [read_file]}]
routers: [{from: first, to: end}]
flow: {entry_point: first}
prompts: [{prompt_id: p, name: p, prompt_template: {system: s, user: "{{ goal }}"}}]
"""
READ = RequestedCall("p", "read_file", {"file_path": "README.md"})
HELLO = p.Hello(protocol=1, version="0", name="r", capacity=4, isolation="full")


async def began(app: App, start: Start, **more: Any) -> int:
    request = sessions.StartSession(
        project="sample",
        flow_yaml=FLOW,
        goal="g",
        model="scripted",
        script="components: {first: [{say: unused}]}",
        **more,
    )
    return (await sessions.start(app, start.owner, request)).id


async def asked(app: App, start: Start, times: int, **more: Any) -> int:
    """A session whose model has asked for so many reads."""
    session_id = await began(app, start, **more)
    turn = await turns.claim(app, session_id, 1, job=1)
    assert turn is not None
    question = await turns.advance(app, turn)
    assert question is not None
    await turns.answered(app, turn, question, Reply("", "", (READ,) * times, "", "m", Usage(), 1))
    assert await turns.advance(app, turn) is None
    return session_id


def calls(orders: list[offers.Order]) -> list[p.Offer]:
    """Those for sessions; the sample's pipeline has a job that waits, too."""
    return [one for one in orders if isinstance(one, p.Offer) and one.subject.startswith("session:")]


async def payloads(app: App, session_id: int) -> list[e.AnyPayload]:
    async with app.database.transaction() as connection:
        return [event.payload for event in await log.read(connection, session_id)]


async def test_a_call_that_was_over_at_once_has_its_start_in_the_log_like_any_other(app: App, start: Start) -> None:
    hands = await executors.authenticate(app, start.runner_token)
    runner = (await hellos.hello(app, hands, HELLO)).runner
    session_id = await asked(app, start, 3)
    orders = offers.stream(app, hands, runner)
    given = calls(await anext(orders))
    await orders.aclose()
    both, once, never = given
    said = p.Started(turn_no=both.turn_no, lease_epoch=both.lease_epoch)
    await executors.started(app, hands, both.call_id, said)
    for offer in given:
        result = p.Result(
            turn_no=offer.turn_no,
            lease_epoch=offer.lease_epoch,
            begun=offer is not never,
            outcome=e.Outcome.OK,
            text="",
        )
        for _ in range(2):  # a repeated one comes to the same
            await executors.result(app, hands, offer.call_id, result)
    told = [
        (one.kind, one.call_id)
        for one in await payloads(app, session_id)
        if isinstance(one, e.ToolCallStarted | e.ToolCallFinished)
    ]
    starts = [call for kind, call in told if kind == "tool_call.started"]
    assert starts == [both.call_id, once.call_id], "one that never began has none"
    assert told.index(("tool_call.started", once.call_id)) == told.index(("tool_call.finished", once.call_id)) - 1
    assert [call for kind, call in told if kind == "tool_call.finished"] == [one.call_id for one in given]


async def test_a_line_offers_each_call_once_however_few_it_remembers(
    app: App, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offers, "AT_ONCE", 1)  # so that the calls that have ended are forgotten all the time
    hands = await executors.authenticate(app, start.runner_token)
    runner = (await hellos.hello(app, hands, HELLO)).runner
    orders = offers.stream(app, hands, runner)
    given: list[str] = []
    for _ in range(3):
        await asked(app, start, 4)
        for one in calls(await anext(orders)):
            given.append(one.call_id)
            if len(given) % 2:
                result = p.Result(
                    turn_no=one.turn_no, lease_epoch=one.lease_epoch, outcome=e.Outcome.OK, text="", begun=True
                )
                await executors.result(app, hands, one.call_id, result)
    await orders.aclose()
    assert len(given) == len(set(given)) == 12
    again = offers.stream(app, hands, runner)
    open_ones = {one.call_id for one in calls(await anext(again))}
    await again.aclose()
    assert open_ones == set(given[1::2]), "another line is offered what is open, and nothing else"


async def test_a_token_that_is_gone_opens_nothing_though_it_was_known(app: App, start: Start) -> None:
    hands = await executors.authenticate(app, start.runner_token)
    await hellos.hello(app, hands, HELLO)
    async with app.database.transaction() as connection:
        await connection.execute(tokens.delete().where(tokens.c.kind == "runner"))
    with pytest.raises(UnauthenticatedError):
        await hellos.hello(app, await executors.authenticate(app, start.runner_token), HELLO)


class Says:
    """A model of one answer."""

    async def answer(self, request: Request, on_text: OnText) -> Reply:
        del request
        await on_text("a word")
        return Reply("a word", "", (), "", "m", Usage(requests=1), 1)


async def test_a_step_that_fails_takes_no_answer_with_it_and_no_turn(
    app: App, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id, second = await began(app, start), await asked(app, start, 1)
    steps = turns._steps  # pyright: ignore[reportPrivateUsage]

    async def failing(app: App, it: Any, flow: Any, turn: Turn, earlier: Any) -> Any:
        if any(it.state.answers.values()):
            raise RuntimeError("a fault")
        return await steps(app, it, flow, turn, earlier)

    monkeypatch.setattr(turns, "_steps", failing)
    await Brain(app, lambda name, script: Says()).take(session_id, 1, job=1)
    told = await payloads(app, session_id)
    assert [one.text for one in told if isinstance(one, e.ModelAnswered)] == ["a word"]
    assert len([one for one in told if isinstance(one, e.UsageRecorded)]) == 1
    assert (await sessions.show(app, start.owner, session_id)).status is Status.FAILED

    # Another's second turn fails with the first of the steps that it would be claimed with.
    hands = await executors.authenticate(app, start.runner_token)
    runner = (await hellos.hello(app, hands, HELLO)).runner
    orders = offers.stream(app, hands, runner)
    (offer,) = [one for one in calls(await anext(orders)) if one.subject == f"session:{second}"]
    await orders.aclose()
    said = p.Result(turn_no=1, lease_epoch=offer.lease_epoch, begun=True, outcome=e.Outcome.OK, text="")
    await executors.result(app, hands, offer.call_id, said)
    await Brain(app, lambda name, script: Says()).take(second, 2, job=2)
    told = await payloads(app, second)
    assert [one.turn_no for one in told if isinstance(one, e.TurnStarted)] == [1, 2]
    assert (await sessions.show(app, start.owner, second)).status is Status.FAILED


async def test_recent_events_are_those_of_the_log(app: App, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    number = await asked(app, start, 8)
    other = await asked(app, start, 8)
    async with app.database.transaction() as connection:
        whole = {one: await log.read(connection, one) for one in (number, other)}
        last = len(whole[number])
        for after, through in ((0, 3), (0, last), (0, 5), (4, last), (0, last), (2, 2)):
            for one in (number, other):
                found = await app.recent.read(connection, one, after=after, through=through)
                assert found == whole[one][after:through]
        monkeypatch.setattr("quarterdeck.app.recent_events.BYTES", 10)
        assert await app.recent.read(connection, number, after=0, through=last) == whole[number]
        assert app.recent.sessions() == {other}, "what is too much is not kept, and sends nobody else away"
        monkeypatch.undo()
        assert await app.recent.read(connection, number, after=0, through=last) == whole[number]


async def test_nothing_is_kept_of_sessions_that_another_ended_or_deleted(app: App, start: Start) -> None:
    one, other, alive = [await asked(app, start, 1) for _ in range(3)]
    assert turns.forget_ended in NETS
    assert await turns.forget_ended(app) == 0
    await steering.cancel(app, start.owner, one)
    await deletion.delete_session(app, start.owner, other)
    assert await turns.forget_ended(app) == 2
    assert app.recent.sessions() == {alive}


async def test_an_answer_outlives_a_step_that_gives_way_and_a_commit_that_nobody_heard_of(
    app: App, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = turns.change, [True]

    @asynccontextmanager
    async def unheard(*given: Any, **named: Any) -> AsyncGenerator[Change]:
        async with whole(*given, **named) as it:
            yield it
        if broken and broken.pop():
            raise DatabaseUnavailableError

    async def gives_way(*_: Any) -> Any:
        raise UnavailableError("The job could not be enqueued.")

    for name, fault in (("change", unheard), ("_walk", gives_way)):
        session_id = await began(app, start)
        turn = await turns.claim(app, session_id, 1, job=1)
        assert turn is not None
        question = await turns.advance(app, turn)
        assert question is not None
        with monkeypatch.context() as faulty:
            faulty.setattr(turns, name, fault)
            # No such tool: the model is told at once, and the turn goes on.
            calls = (RequestedCall("p", "nothing", {}),)
            await turns.answered(app, turn, question, Reply("", "", calls, "", "m", Usage(), 1))
        again = await turns.advance(app, turn)
        assert again is not None
        assert again.answered == 1
        kinds = [one.kind for one in await payloads(app, session_id)]
        assert [kinds.count(kind) for kind in ("model.answered", "usage.recorded", "turn.started")] == [1, 1, 1], name
    assert not broken


async def test_a_line_forgets_what_has_ended(app: App, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    hands = await executors.authenticate(app, start.runner_token)
    line = offers._Line((await hellos.hello(app, hands, HELLO)).runner)  # pyright: ignore[reportPrivateUsage]
    endings, given = offers._endings, offers._offers  # pyright: ignore[reportPrivateUsage]
    session_id = await asked(app, start, 1)
    (offer,) = calls(await given(app, line))
    assert set(line.tokens) == {offer.subject}, "a job's token is not kept"
    await steering.cancel(app, start.owner, session_id)
    (told,) = await endings(app, line)
    assert isinstance(told, p.Cancel)
    assert (await endings(app, line), line.tokens) == ([], {})
    torn = p.Teardown(lease_epoch=offer.lease_epoch, killed=0, left=0, duration_ms=1, method="cgroup")
    await executors.teardown(app, hands, offer.subject, torn)
    assert [type(one) for one in await endings(app, line)] == [p.Wipe]
    line.cancelled = {offer.call_id}
    monkeypatch.setattr(offers, "AT_ONCE", 0)
    await given(app, line)
    assert offer.call_id not in line.sent
    assert (line.ended, line.cancelled) == (set(), set())


async def test_a_workspaces_token_is_renewed_in_time_and_after_another_had_it(app: App, start: Start) -> None:
    project_id = (await sessions.show(app, start.owner, await began(app, start))).project_id
    assert project_id is not None
    mine, others = [offers._Line(runner_id) for runner_id in (1, 2)]  # pyright: ignore[reportPrivateUsage]

    async def token(line: Any, *, fresh: bool) -> str:
        async with app.database.transaction() as connection:
            return await offers._workspace_token(  # pyright: ignore[reportPrivateUsage]
                connection, line, Subject("session", 7), project_id, fresh=fresh
            )

    first = await token(mine, fresh=True)
    assert await token(mine, fresh=False) == first
    secret, until = mine.tokens["session:7"]
    mine.tokens["session:7"] = (secret, until - timedelta(hours=13))
    second = await token(mine, fresh=False)
    assert second != first, "it has grown old"
    line_after_a_cut = offers._Line(1)  # pyright: ignore[reportPrivateUsage]
    for one in (first, second, await token(line_after_a_cut, fresh=False)):
        await people.authenticate_workspace(app, one)
    await token(others, fresh=True)
    with pytest.raises(UnauthenticatedError):
        await people.authenticate_workspace(app, second)
    await people.authenticate_workspace(app, await token(mine, fresh=True))


async def test_bytes_are_not_taken_of_who_has_no_lease(app: App, start: Start) -> None:
    hands = await executors.authenticate(app, start.runner_token)
    runner = (await hellos.hello(app, hands, HELLO)).runner
    await asked(app, start, 1)
    orders = offers.stream(app, hands, runner)
    (offer,) = calls(await anext(orders))
    await orders.aclose()
    late = offer.lease_epoch + 1

    read: list[bool] = []

    async def body() -> AsyncGenerator[bytes]:
        read.append(True)
        yield b""

    with pytest.raises(FencedError):
        await executors.write_blob(app, hands, offer.subject, late, body())
    with pytest.raises(FencedError):
        await executors.push(app, hands, offer.call_id, late, "b", "c", body())
    assert not read
