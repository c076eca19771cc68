"""Forks on a real database: what is copied stands alone, who may make one, and what is refused."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from quarterdeck import server
from quarterdeck.app import (
    attachments,
    executors,
    forks,
    hellos,
    issues,
    model_rules,
    projects,
    session_changes,
    session_log,
    session_subjects,
    sessions,
    steering,
    turns,
)
from quarterdeck.app import offers as given
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.change import change
from quarterdeck.app.deletion import delete_session
from quarterdeck.app.forks import ForkSession
from quarterdeck.app.model_rules import ChangeRules
from quarterdeck.core import events as e
from quarterdeck.core import limits
from quarterdeck.core import protocol as p
from quarterdeck.core.access import Role
from quarterdeck.core.answer import RequestedCall
from quarterdeck.core.budget import Budget
from quarterdeck.core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    QuarterdeckError,
    SessionGoneError,
    TooLargeError,
)
from quarterdeck.core.fork_events import ForkedFrom
from quarterdeck.core.history import Said
from quarterdeck.core.status import Status
from quarterdeck.forges.local import git
from quarterdeck.settings import Settings
from quarterdeck.store import blobs, output
from quarterdeck.store.tables import approvals, documents, members, offers, outbox, outputs, users
from quarterdeck.store.tables import blobs as blob_rows
from quarterdeck.store.tables import sessions as rows
from tests.app.chats import asked, begin, events, say, stored
from tests.app.test_sessions import FLOW, SCRIPT, World
from tests.conftest import Start

RUN = RequestedCall("p1", "run_command", {"command": "make"})


async def pieces(text: str) -> AsyncIterator[bytes]:
    yield text.encode()


async def worked(app: App, start: Start, **more: Any) -> int:
    """A session with two steps done, each with output and a snapshot, and a question that waits."""
    request = sessions.StartSession.model_validate(
        {"project": "sample", "flow_yaml": FLOW, "goal": "g", "model": "scripted", "script": SCRIPT, **more}
    )
    number = (await sessions.start(app, start.owner, request)).id
    for step in (1, 2):
        await say(app, number, f"Step {step}.", RUN)
        async with change(app, number) as it:
            call_id = next(iter(it.state.calls))
            ids = [await blobs.write(it.connection, f"session:{number}", pieces(f"{part} {step}")) for part in "abc"]
            await output.write(it.connection, f"session:{number}", call_id, 0, f"made {step}\n".encode())
            it.append(
                e.ToolCallStarted(call_id=call_id, executor="r"),
                e.SnapshotTaken(
                    call_id=call_id, step=step, commit=f"{step}" * 40, files=(), bundle_blob=ids[0],
                    step_diff_blob=ids[1], whole_diff_blob=ids[2],
                ),
                e.ToolCallFinished(
                    call_id=call_id, tool="run_command", outcome=e.Outcome.OK, text="made", output_bytes=7
                ),
            )  # fmt: skip
    return number


async def fork(app: App, actor: Actor, number: int, **wish: Any) -> int:
    """Its number; its row is what its log comes to, and so is the source's."""
    made = await forks.fork(app, actor, number, ForkSession.model_validate(wish))
    await stored(app, number)
    assert await stored(app, made.id)
    return made.id


async def test_a_fork_stands_alone(app: App, start: Start) -> None:
    source = await worked(app, start, issue_iid=await issue(app, start))
    log_there = await events(app, source)
    snapshots = [one.seq for one in log_there if isinstance(one.payload, e.SnapshotTaken)]
    number = await fork(app, start.owner, source, seq=snapshots[0], title="Another way")
    view = await sessions.show(app, start.owner, number)
    assert (view.title, view.status, view.usage.requests, view.forked_from) == (
        "Another way", Status.RUNNING, 0, ForkedFrom(session=source, seq=snapshots[0]),
    )  # fmt: skip
    assert view.branch.startswith("quarterdeck/work-")
    assert view.branch != (await sessions.show(app, start.owner, source)).branch
    async with app.database.transaction() as connection:
        told = await connection.execute(select(outbox.c.status).where(outbox.c.session_id == number))
        assert told.scalars().all() == ["created", "running"], "what is copied is no news"
    state, there = await stored(app, number), await stored(app, source)
    assert (state.step, state.snapshot_commit, state.turn_no) == (1, "1" * 40, 0)
    assert state.bundle_blob != there.bundle_blob
    assert state.created.facts["workflow_id"] == str(number)
    copied = {one.seq: one for one in await events(app, number)}
    told = [one.at for one in log_there if one.kind == "model.answered"]
    assert [one.at for one in copied.values() if one.kind == "model.answered"] == told[:1]
    await delete_session(app, start.owner, source)
    call_id = next(one.payload.call_id for one in copied.values() if isinstance(one.payload, e.ToolCallFinished))
    assert await session_log.output(app, start.owner, number, call_id) == b"made 1\n"
    assert await session_changes.diff(app, start.owner, number) == b"c 1"
    assert await session_changes.diff(app, start.owner, number, step=1) == b"b 1"
    async with app.database.transaction() as connection:
        assert await blobs.whole(connection, state.bundle_blob or 0) == b"a 1"
        about = await session_subjects.about(app, connection, start.owner, "issue", 1)
        kept = (await connection.execute(select(documents.c.kind))).scalars().all()
    assert [one.id for one in about] == [number]
    assert sorted(kept) == ["flow", "script"]
    turn, question = await asked(app, number)
    assert turn.turn_no == 1
    assert question.script == SCRIPT
    assert len(question.conversation.messages) == 3
    await delete_session(app, start.owner, number)
    async with app.database.transaction() as connection:
        for table in (blob_rows, offers):
            left = select(table.c.subject).where(table.c.subject.like("session:%"))
            assert not (await connection.execute(left)).all()
        assert not (await connection.execute(select(outputs.c.call_id))).all()


async def issue(app: App, start: Start) -> int:
    made = await issues.create(app, start.owner, "sample", issues.CreateIssue.model_validate({"title": "Mend it"}))
    return made.iid


async def test_a_fork_is_linked_both_ways_and_is_no_child(app: App, start: Start) -> None:
    source = await worked(app, start)
    await steering.cancel(app, start.owner, source)
    number = await fork(app, start.owner, source)
    links = {
        of: [(one.payload.relation, one.payload.name) for one in await events(app, of)
             if isinstance(one.payload, e.LinkAdded)]
        for of in (source, number)
    }  # fmt: skip
    assert links == {source: [("fork", f"#{number}")], number: [("forked_from", f"#{source}")]}
    other = await worked(app, start)
    living = await fork(app, start.owner, other)
    await steering.cancel(app, start.owner, other)
    assert (await sessions.show(app, start.owner, living)).status is Status.RUNNING


async def test_the_next_offer_names_the_forks_own_snapshot(app: App, start: Start) -> None:
    number = await fork(app, start.owner, await worked(app, start))
    await say(app, number, "Again.", RUN)
    hands = await executors.authenticate(app, start.runner_token)
    said = p.Hello(protocol=1, version="0", name="r", capacity=4, isolation="full")
    runner = (await hellos.hello(app, hands, said)).runner
    stream = given.stream(app, hands, runner)
    offer = next(one for one in await anext(stream) if isinstance(one, p.Offer) and one.subject == f"session:{number}")
    await stream.aclose()
    spec, state = offer.workspace, await stored(app, number)
    assert (spec.snapshot_commit, spec.step, spec.bundle_blob) == ("2" * 40, 2, state.bundle_blob)
    assert spec.branch == state.created.branch
    data = [part async for part in executors.read_blob(app, hands, offer.subject, spec.bundle_blob or 0)]
    assert b"".join(data) == b"a 2"


@pytest.mark.parametrize("seed", range(6))
async def test_any_session_can_be_forked_at_any_event(app: App, start: Start, seed: int) -> None:
    """In a world where anything happens: what a fork is made of folds to its row, and somebody works on it."""
    hands = await executors.authenticate(app, start.runner_token)
    said = p.Hello(protocol=1, version="0", name="r", capacity=9, isolation="full")
    chance = random.Random(seed)
    world = World(app, start, hands, (await hellos.hello(app, hands, said)).runner, chance)
    request = sessions.StartSession(
        project="sample", flow_yaml=FLOW, goal="g", model="scripted", script=SCRIPT,
        pre_approved=() if seed % 2 else None,
    )  # fmt: skip
    world.session_id = (await sessions.start(app, start.owner, request)).id
    actions = (world.claim, world.advance, world.answer, world.take_offers, world.begin_call, world.end_call,
               world.server_side, world.person)  # fmt: skip
    for _ in range(12):
        for _ in range(12):
            try:
                await chance.choice(actions)()
            except QuarterdeckError:
                world.question = None
        state = await world.check()
        seq, message = chance.randint(1, state.seq), chance.choice(["", "go on"])
        try:
            number = await fork(app, start.owner, world.session_id, seq=seq, message=message)
        except InvalidInputError as error:
            assert "nothing is left to do" in error.message  # noqa: PT017 either is right, which depends on the seed
            continue
        made = await stored(app, number)
        assert made.wants_turn
        assert await turns.claim(app, number, 1, job=1) is not None
        async with app.database.transaction() as connection:
            waiting = await connection.execute(select(approvals.c.id).where(
                approvals.c.session_id == number, approvals.c.decision.is_(None)))  # fmt: skip
            assert not waiting.all()
        if state.final:
            break


async def test_its_branch_begins_with_what_was_pushed_by_then(app: App, start: Start) -> None:
    source = await worked(app, start)
    before, state = (await events(app, source))[-1].seq, await stored(app, source)
    main = state.created.commit
    async with change(app, source) as it:
        it.append(e.ArtifactCreated(artifact="commit", name=main, ref={"branch": state.created.branch}))
    at = (await stored(app, source)).seq
    await steering.cancel(app, start.owner, source)
    created = (await stored(app, await fork(app, start.owner, source, seq=before))).created
    assert created.branch_commit == ""
    with pytest.raises(NotFoundError):
        await app.forge.commit_of(created.project_id or 0, created.branch)
    number = await fork(app, start.owner, source, seq=at)
    for _ in range(2):  # and a fork of the fork, which has pushed nothing itself
        created = (await stored(app, number)).created
        assert created.branch_commit == main == await app.forge.commit_of(created.project_id or 0, created.branch)
        before, number = number, await fork(app, start.owner, number)
        await delete_session(app, start.owner, before)
        with pytest.raises(NotFoundError):
            await app.forge.commit_of(created.project_id or 0, created.branch)
    other = await worked(app, start)
    async with change(app, other) as it:
        it.append(e.ArtifactCreated(artifact="commit", name="d" * 40))
    assert (await stored(app, await fork(app, start.owner, other))).created.branch_commit == ""


async def test_a_chat_rests_until_a_message_comes_and_stays_private(app: App, start: Start) -> None:
    source = await begin(app, start.owner, "Hello", project="sample")
    await say(app, source, "Good day.")
    resting = await fork(app, start.owner, source)
    view = await sessions.show(app, start.owner, resting)
    assert (view.status, view.origin, view.usage.requests) == (Status.IDLE, "chat", 0)
    async with app.database.transaction() as connection:
        assert resting not in await app.dispatch.with_turns(connection)
    await steering.reply(app, start.owner, resting, "What now?")
    _, question = await asked(app, resting)
    assert question.conversation.messages[-1] == Said("What now?")
    talking = await fork(app, start.owner, source, message="And here?")
    _, question = await asked(app, talking)
    said = [one for one in question.conversation.messages if isinstance(one, Said)]
    assert said == [Said("Hello"), Said("And here?")]
    bob = await person(app, "bob", Role.MAINTAINER)
    for one in (source, resting):
        with pytest.raises(NotFoundError):
            await forks.fork(app, bob, one, ForkSession(message="let me"))
    alone = await begin(app, start.owner, "Hello")
    await say(app, alone, "Good day.")
    assert (await stored(app, await fork(app, start.owner, alone))).created.project_id is None


async def person(app: App, name: str, role: Role | None) -> Actor:
    async with app.database.transaction() as connection:
        made = insert(users).values(username=name, name=name).returning(users.c.id)
        user_id = (await connection.execute(made)).scalar_one()
        if role is not None:
            await connection.execute(insert(members).values(project_id=1, user_id=user_id, role=int(role)))
    return Actor(user_id, name, name, f"{name}@example.com", False)


async def test_who_may_read_a_session_and_start_one_may_fork_it(app: App, start: Start) -> None:
    source = await worked(app, start)
    dev = await person(app, "dev", Role.DEVELOPER)
    made = await forks.fork(app, dev, source, ForkSession(), "a key")
    assert made.initiator == "dev"
    assert (await forks.fork(app, dev, source, ForkSession(), "a key")).id == made.id
    assert (await stored(app, made.id)).created.inputs["agent_platform_standard_context"] != (
        (await stored(app, source)).created.inputs["agent_platform_standard_context"]
    )
    for name, role in (("rex", Role.REPORTER), ("eve", None)):
        with pytest.raises(NotFoundError):
            await forks.fork(app, await person(app, name, role), source, ForkSession())
    # Once an initiator, they may look at their session for good, but start none.
    await projects.set_member(app, start.owner, "sample", "dev", Role.GUEST)
    with pytest.raises(ForbiddenError):
        await forks.fork(app, dev, made.id, ForkSession())


async def test_what_cannot_be_forked_says_why_and_leaves_nothing(
    app: App, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = await worked(app, start)
    state = await stored(app, source)

    async def refused(error: type[Exception], words: str, **wish: Any) -> None:
        with pytest.raises(error, match=words):
            await forks.fork(app, start.owner, source, ForkSession.model_validate(wish))

    await refused(InvalidInputError, f"has no event {state.seq + 1}", seq=state.seq + 1)
    await refused(InvalidInputError, "No model|can't be asked|key", model="anthropic:claude-haiku-4-5")
    with monkeypatch.context() as smaller:
        smaller.setattr(limits, "FORK_EVENTS", 5)
        await refused(TooLargeError, "may begin with 5 events")
    for most in (3, 20):
        with monkeypatch.context() as smaller:
            smaller.setattr(limits, "FORK_BYTES", most)
            await refused(TooLargeError, f"output and the snapshots of session #{source}")
    async with app.database.transaction() as connection:
        await connection.execute(blob_rows.delete().where(blob_rows.c.id == state.bundle_blob))
    await refused(ConflictError, "snapshot of step 2 .* is gone")
    await fork(app, start.owner, source, seq=5)
    folder = app.home / "repositories" / f"{state.created.project_id}.git"
    await git.ask("update-ref", "-d", "refs/heads/main", directory=folder)
    await git.ask("reflog", "expire", "--expire=now", "--all", directory=folder)
    await git.ask("gc", "--prune=now", "--quiet", directory=folder)
    await refused(ConflictError, "is gone from its repository", seq=5)
    async with app.database.transaction() as connection:
        assert (await connection.execute(select(func.count()).select_from(rows))).scalar_one() == 2
    await delete_session(app, start.owner, source)
    await refused(NotFoundError, "There is no session")


async def test_a_source_that_is_deleted_while_it_is_copied_leaves_no_fork(
    app: App, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = await worked(app, start)
    copy = forks.copy_history

    async def deleted_after(*args: Any) -> int:
        through = await copy(*args)
        # Its last step waits for this fork, which holds the flow that both have.
        deleting.append(asyncio.create_task(delete_session(app, start.owner, source)))
        while True:
            async with app.database.transaction() as connection:
                if (await connection.execute(select(rows.c.id).where(rows.c.id == source))).one_or_none() is None:
                    return through
            await asyncio.sleep(0.05)

    deleting: list[asyncio.Task[None]] = []

    monkeypatch.setattr(forks, "copy_history", deleted_after)
    with pytest.raises(SessionGoneError):
        await forks.fork(app, start.owner, source, ForkSession())
    await asyncio.gather(*deleting)
    async with app.database.transaction() as connection:
        for table in (rows, blob_rows, outputs):
            assert (await connection.execute(select(func.count()).select_from(table))).scalar_one() == 0


async def test_a_long_history_is_copied_in_batches(app: App, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quarterdeck.app.fork_history.BATCH_EVENTS", 3)
    source = await worked(app, start)
    there = await events(app, source)
    for seq in range(3, len(there) + 1, 5):
        number = await fork(app, start.owner, source, seq=seq)
        here = await events(app, number)
        assert [one.seq for one in here] == list(range(1, len(here) + 1))


async def test_another_model_or_script_goes_on_with_the_same_conversation(app: App, start: Start) -> None:
    source = await worked(app, start)
    script = "components: {work: [{say: one}, {say: two}, {say: three}]}"
    number = await fork(app, start.owner, source, script=script)
    state = await stored(app, number)
    assert (state.created.model, state.created.scripted) == ("scripted:script", True)
    _, question = await asked(app, number)
    assert (question.script, question.answered) == (script, 2)
    again = await fork(app, start.owner, source, model="scripted")
    assert (await asked(app, again))[1].script == SCRIPT
    replayed = await fork(app, start.owner, source, model=f"replay:{source}")
    assert (await stored(app, replayed)).created.model == f"replay:{source}"
    assert (await stored(app, await fork(app, start.owner, replayed))).created.scripted


PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)


async def test_it_has_the_files_of_its_start_and_of_the_messages_up_to_its_event(app: App, start: Start) -> None:
    files = [(await attachments.upload(app, start.owner, f"{n}.txt", f"text {n}".encode())).id for n in range(4)]
    source = await begin(app, start.owner, "Hello", attachments=files[:1])
    await say(app, source, "Hello.")
    ends: list[int] = []
    for file in files[1:3]:
        await steering.reply(app, start.owner, source, "Look", (file,))
        await say(app, source, "I did.")
        ends.append((await stored(app, source)).seq)
    for seq, names in ((2, ["0.txt"]), (ends[0], ["0.txt", "1.txt"]), (None, ["0.txt", "1.txt", "2.txt"])):
        number = await fork(app, start.owner, source, seq=seq, message="Go on")
        assert [one.name for one in await attachments.of_session(app, start.owner, number)] == names
    await steering.reply(app, start.owner, source, "And this", (files[3],))
    await delete_session(app, start.owner, source)
    _, question = await asked(app, number)
    told = [one.text for one in question.conversation.messages if isinstance(one, Said)]
    assert ["text 2" in one for one in told] == [False, False, True, False], "its own copies"


async def test_the_files_of_a_fork_count_as_what_is_copied(
    app: App, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quarterdeck.core.limits.FORK_BYTES", 100)
    first, second = [(await attachments.upload(app, start.owner, "x", b"x" * 60)).id for _ in range(2)]
    source = await begin(app, start.owner, "Hello", attachments=[first])
    await say(app, source, "Hello.")
    early = (await stored(app, source)).seq
    await steering.reply(app, start.owner, source, "Look", (second,))
    await fork(app, start.owner, source, seq=early)
    with pytest.raises(TooLargeError):
        await forks.fork(app, start.owner, source, ForkSession())


async def test_another_model_has_to_take_the_images_and_keep_the_budget(
    app: App, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = (await attachments.upload(app, start.owner, "shot.png", PNG)).id
    source = await begin(app, start.owner, "Hello", budget={"cost": "1"})
    await say(app, source, "Hello.")
    early = (await stored(app, source)).seq
    await steering.reply(app, start.owner, source, "Look", (image,))
    script = "components: {chat: [{say: one}, {say: two}]}"

    def takes_images(_self: object, name: str) -> bool:
        return name != "scripted:script"

    monkeypatch.setattr(type(app.models), "takes_images", takes_images)
    with pytest.raises(InvalidInputError, match=r"takes no images, so shot\.png"):
        await forks.fork(app, start.owner, source, ForkSession(script=script))
    assert await fork(app, start.owner, source, script=script, seq=early)

    async def priced(_self: object, name: str, _stored: object) -> bool:
        return name != "scripted:script"

    monkeypatch.setattr(type(app.models), "priced", priced)
    with pytest.raises(InvalidInputError, match="price of scripted:script is not known"):
        await forks.fork(app, start.owner, source, ForkSession(script=script, seq=early))
    number = await fork(app, start.owner, source, script=script, seq=early, budget={"tokens": 500})
    assert (await stored(app, number)).budget == Budget(tokens=500)


async def test_a_real_model_goes_on_where_it_may_still_be_asked(
    app: App, start: Start, home: Path, database_url: str
) -> None:
    keys = {f"{name}_API_KEY": f"key-of-{name}" for name in ("GROQ", "MISTRAL")}
    keyed = server.assemble(Settings.model_validate({"home": home, **keys}), database_url)
    flow = FLOW.replace("max_cycles: 30", "model_tags: [deep]")
    try:
        rule = ChangeRules.model_validate({"default": "groq:g", "tags": {"deep": "mistral:m"}})
        await model_rules.change(keyed, start.owner, rule)
        request = sessions.StartSession(project="sample", flow_yaml=flow, goal="g")
        source = (await sessions.start(keyed, start.owner, request)).id
        await model_rules.change(keyed, start.owner, ChangeRules(default="groq:other"))
        state = await stored(keyed, await fork(keyed, start.owner, source))
        assert (state.created.model, state.created.component_models) == ("groq:g", {"work": "mistral:m"})
        assert not state.created.scripted
        with pytest.raises(InvalidInputError, match=r"GROQ_API_KEY|MISTRAL_API_KEY"):
            await forks.fork(app, start.owner, source, ForkSession())
        await model_rules.change(keyed, start.owner, ChangeRules(allowed=["groq:*"]))
        with pytest.raises(InvalidInputError, match="mistral:m"):
            await forks.fork(keyed, start.owner, source, ForkSession())
    finally:
        await keyed.database.close()
