"""Chats: whose they are, what they may, how an answer is interrupted, and what they start."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select, update

from quarterdeck.app import (
    chats,
    deletion,
    executors,
    forks,
    hellos,
    interruption,
    offers,
    project_settings,
    server_calls,
    session_lists,
    sessions,
    steering,
    turns,
)
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.forks import ForkSession
from quarterdeck.app.project_settings import EditProject
from quarterdeck.app.session_filter import SessionFilter
from quarterdeck.core import events as e
from quarterdeck.core import protocol as p
from quarterdeck.core.answer import Reply, RequestedCall
from quarterdeck.core.errors import ConflictError, FencedError, InvalidInputError, NotFoundError
from quarterdeck.core.history import Answered, Results, Said
from quarterdeck.core.status import Status
from quarterdeck.core.usage import Usage
from quarterdeck.engine.desk import Desk
from quarterdeck.store.tables import members, users
from quarterdeck.store.tables import offers as offer_rows
from quarterdeck.tools.tool import Privilege
from tests.app.chats import SCRIPT, asked, begin, events, say, stored
from tests.conftest import Start

COMMAND = RequestedCall("p1", "run_command", {"command": "sleep 100"})


async def person(app: App, name: str, *, admin: bool = False, role: int | None = None) -> Actor:
    async with app.database.transaction() as connection:
        number = (
            await connection.execute(insert(users).values(username=name, admin=admin).returning(users.c.id))
        ).scalar_one()
        if role is not None:
            await connection.execute(insert(members).values(project_id=1, user_id=number, role=role))
    return Actor(number, name, "", "", admin)


async def test_a_chat_is_its_initiators_alone(app: App, start: Start) -> None:
    bob = await person(app, "bob", role=30)
    session_id = await begin(app, bob, "About the project", project="sample")
    alone = await begin(app, bob, "About nothing")
    other = sessions.StartSession(
        project="sample", flow="fix_pipeline/v1", model="scripted", inputs={"pipeline": {"id": 1}}
    )
    flow = (await sessions.start(app, bob, other)).id

    async def listed(actor: Actor, wanted: SessionFilter) -> set[int]:
        return {one.id for one in (await session_lists.find(app, actor, wanted)).items}

    assert await listed(bob, SessionFilter(kind="chat", mine=True)) == {session_id, alone}
    assert await listed(bob, SessionFilter(kind="flow")) == {flow}
    assert await listed(start.owner, SessionFilter()) == {flow}, "not for administrators either"
    for number in (session_id, alone):
        for attempt in (
            sessions.show(app, start.owner, number),
            steering.reply(app, start.owner, number, "hm"),
            steering.cancel(app, start.owner, number),
            interruption.interrupt(app, start.owner, number),
            deletion.delete_session(app, start.owner, number),
        ):
            with pytest.raises(NotFoundError):
                await attempt
    assert (await steering.cancel(app, bob, alone)).status is Status.STOPPED


async def test_a_chat_by_the_way_of_flows_is_as_private(app: App, start: Start) -> None:
    wish = sessions.StartSession(project="sample", flow="chat/v1", goal="Hello", model="scripted", script=SCRIPT)
    view = await sessions.start(app, start.owner, wish)
    assert view.origin == "chat"
    assert (await stored(app, view.id)).created.pre_approved == ("read_only_files", "read_only_gitlab")


async def test_without_a_project_there_are_questions_plan_and_earlier_sessions_alone(app: App, start: Start) -> None:
    session_id = await begin(app, start.owner, "What is a monad?")
    _, question = await asked(app, session_id)
    assert {tool.name for tool in question.tools} == {
        "clarification_question", "get_session_context", "notify_me_when", "todo_write",
    }  # fmt: skip
    assert question.conversation.messages == [Said("What is a monad?")]
    with pytest.raises(InvalidInputError, match="no branch"):
        await begin(app, start.owner, "x", ref="main")


async def test_writing_and_running_is_asked_for_and_reading_is_not(app: App, start: Start) -> None:
    session_id = await begin(app, start.owner, project="sample")
    read = RequestedCall("p1", "list_dir", {"directory": "."})
    await say(app, session_id, "I look.", read)
    state = await stored(app, session_id)
    assert (state.status, next(iter(state.calls.values())).status.value) == (Status.RUNNING, "offered")
    await interruption.interrupt(app, start.owner, session_id)
    await steering.reply(app, start.owner, session_id, "Do it")
    await say(app, session_id, "I do.", COMMAND)
    assert (await stored(app, session_id)).status is Status.TOOL_CALL_APPROVAL_REQUIRED


async def test_an_interrupted_answer_stays_and_the_chat_goes_on(app: App, start: Start) -> None:
    session_id = await begin(app, start.owner, "Count to ten")
    turn, question = await asked(app, session_id)
    await turns.partial(app, turn, "One, two,")
    view = await interruption.interrupt(app, start.owner, session_id)
    assert (view.status, view.reason) == (Status.IDLE, "interrupted by ada")
    with pytest.raises(FencedError):
        await turns.answered(app, turn, question, Reply("One … ten", "", (), "", "m", Usage(), 1))
    said = [one.payload for one in await events(app, session_id) if isinstance(one.payload, e.ModelInterrupted)]
    assert [(one.text, one.by) for one in said] == [("One, two,", "ada")]
    assert (await interruption.interrupt(app, start.owner, session_id)).seq == view.seq, "once more does nothing"
    await steering.reply(app, start.owner, session_id, "Letters instead")
    later = await say(app, session_id, "a, b, c")
    first, answer, second = later.conversation.messages
    assert (first, second) == (Said("Count to ten"), Said("Letters instead"))
    assert isinstance(answer, Answered)
    assert answer.text.startswith("One, two,")
    assert (await stored(app, session_id)).status is Status.IDLE
    await steering.cancel(app, start.owner, session_id)
    with pytest.raises(ConflictError):
        await interruption.interrupt(app, start.owner, session_id)


async def test_the_turn_of_an_interrupted_answer_is_aborted(app: App, start: Start) -> None:
    session_id = await begin(app, start.owner)
    with turns.overseen(app, session_id) as until_over:
        turn, _ = await asked(app, session_id)
        over = asyncio.create_task(until_over(turn))
        await asyncio.sleep(0.1)
        assert not over.done()
        await interruption.interrupt(app, start.owner, session_id)
        await asyncio.wait_for(over, 60)


async def test_an_interrupt_ends_the_calls_of_an_answer_alone(app: App, start: Start) -> None:
    """A running call is cancelled on its executor, which keeps the lease; one that waits for a person is dropped."""
    hands = await executors.authenticate(app, start.runner_token)
    hello = p.Hello(protocol=1, version="0", name="r", capacity=4, isolation="none")
    runner = (await hellos.hello(app, hands, hello)).runner
    session_id = await begin(app, start.owner, project="sample", pre_approved=["run_commands"])
    write = RequestedCall("p2", "edit_file", {"file_path": "a", "old_str": "b", "new_str": "c"})
    await say(app, session_id, "Both.", COMMAND, write)
    stream = offers.stream(app, hands, runner)
    offer = next(
        one for one in await anext(stream) if isinstance(one, p.Offer) and one.subject == f"session:{session_id}"
    )
    started = p.Started(turn_no=offer.turn_no, lease_epoch=offer.lease_epoch)
    await executors.started(app, hands, offer.call_id, started)
    async with app.database.transaction() as connection:
        ago = func.now() - timedelta(seconds=3)
        running = update(offer_rows).where(offer_rows.c.call_id == offer.call_id)
        await connection.execute(running.values(started_at=ago, output_bytes=7))
    await interruption.interrupt(app, start.owner, session_id)
    used = (await stored(app, session_id)).used
    assert (used.output, 3_000 <= used.ms < 30_000) == (7, True), "what it took counts"
    assert await anext(stream) == [
        p.Cancel(subject=offer.subject, lease_epoch=offer.lease_epoch, call_id=offer.call_id)
    ]
    result = p.Result(turn_no=offer.turn_no, lease_epoch=offer.lease_epoch, outcome=e.Outcome.CANCELLED, text="killed")
    await executors.result(app, hands, offer.call_id, result)
    await stream.aclose()
    assert (await stored(app, session_id)).status is Status.IDLE
    async with app.database.transaction() as connection:
        left = await connection.execute(select(offer_rows.c.status).where(offer_rows.c.session_id == session_id))
        assert set(left.scalars()) == {"cancelled"}
    again = offers.stream(app, hands, runner)
    await steering.reply(app, start.owner, session_id, "Once more")
    later = await say(app, session_id, "Again.", RequestedCall("p3", "run_command", {"command": "true"}))
    results = later.conversation.messages[2]
    assert isinstance(results, Results)
    assert [one.outcome for one in results.results] == [e.Outcome.CANCELLED, e.Outcome.CANCELLED]
    fresh = next(
        one for one in await anext(again) if isinstance(one, p.Offer) and one.subject == f"session:{session_id}"
    )
    assert (fresh.lease_epoch, fresh.args) == (offer.lease_epoch, {"command": "true"}), "the lease was kept"
    await again.aclose()


async def test_an_interrupt_drops_what_waits_for_a_person(app: App, start: Start) -> None:
    session_id = await begin(app, start.owner, project="sample")
    await say(app, session_id, "May I?", COMMAND)
    view = await interruption.interrupt(app, start.owner, session_id)
    assert (view.status, view.approvals) == (Status.IDLE, ())
    with pytest.raises(ConflictError):
        await steering.approve(app, start.owner, session_id)


async def test_what_is_no_chat_is_paused_or_cancelled(app: App, start: Start) -> None:
    wish = sessions.StartSession(
        project="sample", flow="fix_pipeline/v1", model="scripted", inputs={"pipeline": {"id": 1}}
    )
    number = (await sessions.start(app, start.owner, wish)).id
    with pytest.raises(ConflictError, match="Pause it"):
        await interruption.interrupt(app, start.owner, number)


async def test_a_flow_that_a_chat_starts_is_its_child_once(app: App, start: Start) -> None:
    session_id = await begin(app, start.owner, project="sample", pre_approved=["start_flows"])
    call = RequestedCall("p1", "start_flow", {"flow": "fix_pipeline/v1", "goal": "Repair it", "pipeline_id": 1})
    await say(app, session_id, "I start it.", call)
    call_id = next(iter((await stored(app, session_id)).calls))
    begun = await server_calls.begin(app, session_id, call_id)
    assert begun is not None
    await Desk(app).carry_out(session_id, call_id)
    await Desk(app).carry_out(session_id, call_id)
    links = [one.payload for one in await events(app, session_id) if isinstance(one.payload, e.LinkAdded)]
    assert [(one.relation, one.target) for one in links] == [("child", "session")]
    child = int(links[0].name.removeprefix("#"))
    created = (await stored(app, child)).created
    assert (created.parent_id, created.initiator, created.origin) == (session_id, "ada", "api")
    back = [one.payload for one in await events(app, child) if isinstance(one.payload, e.LinkAdded)]
    assert ("parent", f"#{session_id}") in [(one.relation, one.name) for one in back]
    await steering.cancel(app, start.owner, session_id)
    state = await stored(app, child)
    assert (state.status, str(session_id) in state.reason) == (Status.STOPPED, True)


async def test_a_pattern_allows_its_commands_and_nothing_that_a_shell_makes_of_them(app: App, start: Start) -> None:
    patterns = {"run_command": ["git status*"]}
    session_id = await begin(app, start.owner, project="sample", pre_approved_patterns=patterns)
    status = RequestedCall("p1", "run_command", {"command": "git status --short"})
    nasty = RequestedCall("p2", "run_command", {"command": "git status; rm -rf ."})
    make = RequestedCall("p3", "run_command", {"command": "make test"})
    await say(app, session_id, "Three.", nasty, make, status)
    calls = list((await stored(app, session_id)).calls.items())
    assert [call.asks for _, call in calls] == [True, True, False]
    await interruption.interrupt(app, start.owner, session_id)
    await steering.reply(app, start.owner, session_id, "Again")
    await say(app, session_id, "One.", make)
    for wrong in ("make build*", "* test", "make $(x)*"):
        with pytest.raises(InvalidInputError):
            await steering.approve(app, start.owner, session_id, pattern=wrong)
    await steering.approve(app, start.owner, session_id, pattern="make *")
    assert (await stored(app, session_id)).session_patterns == {"run_command": ("make *",)}
    await interruption.interrupt(app, start.owner, session_id)
    await steering.reply(app, start.owner, session_id, "Another")
    await say(app, session_id, "Two.", RequestedCall("p4", "run_command", {"command": "make lint"}))
    assert (await stored(app, session_id)).status is Status.RUNNING
    with pytest.raises(InvalidInputError, match="any program"):
        await begin(app, start.owner, project="sample", pre_approved_patterns={"run_command": ["*"]})


async def test_a_project_has_a_person_asked_whatever_the_start_says(app: App, start: Start) -> None:
    freely = ("run_commands", "read_only_files")
    before = await begin(app, start.owner, project="sample", pre_approved=freely)
    wish = EditProject(always_ask=(Privilege.RUN_COMMANDS, Privilege.READ_ONLY_FILES))
    shown = await project_settings.edit(app, start.owner, "sample", wish)
    assert shown.always_ask == ("read_only_files", "run_commands")
    with pytest.raises(InvalidInputError, match="has a person asked each time, so not beforehand: run_commands"):
        await begin(app, start.owner, project="sample", pre_approved=freely)
    read = RequestedCall("p1", "read_file", {"file_path": "a"})
    status = RequestedCall("p2", "run_command", {"command": "git status"})
    for session_id, asks in (
        (await begin(app, start.owner, project="sample", pre_approved_patterns={"run_command": ["git *"]}), True),
        (before, False),  # what it was started with stays with it
    ):
        await say(app, session_id, "Two.", read, status)
        state = await stored(app, session_id)
        assert [call.asks for call in state.calls.values()] == [asks, asks]
    made = await forks.fork(app, start.owner, before, ForkSession())
    assert (await stored(app, made.id)).created.always_ask == shown.always_ask, "a fork begins now"
    await project_settings.edit(app, start.owner, "sample", EditProject(always_ask=()))
    assert (await sessions.show(app, start.owner, made.id)).pre_approved == freely


async def test_earlier_sessions_are_read_as_their_person_may(app: App, start: Start) -> None:
    bob = await person(app, "bob", role=30)
    hidden = await begin(app, bob, "A secret of Bob")
    first = await begin(app, start.owner, "The cat is called Schnurrli")
    await say(app, first, "A fine name.")
    second = await begin(app, start.owner, "How is my cat called?")
    for number, word in ((first, "A fine name."), (hidden, "There is no session")):
        await steering_free(app, second)
        await say(app, second, "I look.", RequestedCall("p", "get_session_context", {"session": number}))
        call_id = next(iter((await stored(app, second)).calls))
        await Desk(app).carry_out(second, call_id)
        ended = [one.payload for one in await events(app, second) if isinstance(one.payload, e.ToolCallFinished)]
        assert word in ended[-1].text
        assert "secret" not in ended[-1].text
        await interruption.interrupt(app, start.owner, second)


async def steering_free(app: App, session_id: int) -> None:
    """An idle chat is spoken to, so that it answers."""
    state = await stored(app, session_id)
    if state.status is Status.IDLE:
        async with app.database.transaction() as connection:
            row = (await connection.execute(select(users).where(users.c.id == state.created.initiator_id))).one()
        await steering.reply(app, Actor(row.id, row.username, "", "", row.admin), session_id, "Go on")


async def test_the_same_key_starts_one_chat(app: App, start: Start) -> None:
    wish = chats.StartChat(message="Hello", model="scripted", script=SCRIPT)
    assert (await chats.start(app, start.owner, wish, "k")).id == (await chats.start(app, start.owner, wish, "k")).id
