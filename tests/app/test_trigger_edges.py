"""Triggers where it gets odd: rights of two, what holds up others, what would go round in circles, hostile payloads."""

from typing import Any

import pytest
from sqlalchemy import select, text, update

from quarterdeck.app import (
    deliveries,
    issues,
    merge_requests,
    pipelines,
    projects,
    sessions,
    steering,
    thread_answers,
    triggers,
)
from quarterdeck.app.access import administrator
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.change import change
from quarterdeck.app.issues import CreateIssue
from quarterdeck.app.occurrences import bounded
from quarterdeck.app.session_access import initiator
from quarterdeck.core.access import Role
from quarterdeck.core.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError, UnavailableError
from quarterdeck.core.events import ApprovalRequested, ModelAnswered, QuestionAnswered
from quarterdeck.core.status import Status, Transition
from quarterdeck.core.trigger import PAYLOAD_BYTES, EventType
from quarterdeck.engine.desk import Case
from quarterdeck.engine.server_tools import run_pipeline
from quarterdeck.store import log
from quarterdeck.store.tables import members, users
from quarterdeck.store.tables import pipelines as pipeline_rows
from quarterdeck.tools.run_pipeline import Args
from tests.app.test_merge_requests import person, project, request
from tests.app.test_triggers import FREE, Project, all_of, bot, created, other_session, sessions_of, wanted

__all__ = ["bot", "project"]


async def triggered(app: App, owner: Actor, project: Project, bot: str) -> int:
    """A session of an assigned issue, #1."""
    await triggers.add(app, owner, project.id, wanted(EventType.ASSIGN))
    await issues.create(app, owner, project.id, CreateIssue(title="One", assignees=(bot,)))
    return (await all_of(app, owner, project))[-1].session_id or 0


async def test_two_together_may_what_each_of_them_may(app: App, owner: Actor, project: Project, bot: str) -> None:
    session_id, others = await triggered(app, owner, project, bot), await other_session(app, owner, project)
    dev = await person(app, owner, project, "dev", Role.DEVELOPER)
    async with app.database.transaction() as connection:
        both = await initiator(connection, await created(app, owner, session_id))
        row = (await connection.execute(select(users).where(users.c.username == bot))).one()
        raised = update(members).where(members.c.user_id == row.id).values(role=int(Role.MAINTAINER))
        await connection.execute(raised)
    with pytest.raises(ForbiddenError, match="administrators"):
        administrator(both, "see all people")
    account = Actor(row.id, bot, "", "", False)
    weaker = Actor(dev.user_id, "dev", "", "", False, "server", account)
    with pytest.raises(ForbiddenError, match="role Maintainer"):
        await steering.cancel(app, weaker, others)
    gone = await created(app, owner, session_id)
    assert gone.triggered is not None
    gone = gone.model_copy(update={"triggered": gone.triggered.model_copy(update={"account_id": 4711})})
    async with app.database.reading() as connection:
        with pytest.raises(KeyError):
            await initiator(connection, gone)


async def test_what_fails_oddly_holds_up_nobody_behind_it(
    app: App, owner: Actor, project: Project, bot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await triggers.add(app, owner, project.id, wanted(EventType.WEBHOOK, flow=FREE, goal="x"))
    for _ in range(2):
        await deliveries.fire(app, owner, project.id, made.trigger.id)
    begin, faults = deliveries.start_within, [UnavailableError("away"), ZeroDivisionError()]

    async def start(*given: Any, **named: Any) -> int:
        if faults:
            raise faults.pop(0)
        return await begin(*given, **named)

    monkeypatch.setattr(deliveries, "start_within", start)
    with pytest.raises(UnavailableError):
        await deliveries.deliver(app, project.id)
    first, second = await all_of(app, owner, project)
    assert (first.status, "its log says why" in first.reason, second.status) == ("refused", True, "started")


async def test_many_that_wait_plan_one_look(
    app: App, owner: Actor, project: Project, bot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await triggers.add(app, owner, project.id, wanted(EventType.WEBHOOK, flow=FREE, goal="x"))
    await deliveries.fire(app, owner, project.id, made.trigger.id)
    monkeypatch.setattr(deliveries, "A_MINUTE", 0)
    for _ in range(5):
        await deliveries.deliver(app, project.id)
    jobs = "select count(*) from procrastinate_jobs where task_name = 'deliveries' and scheduled_at > now()"
    async with app.database.reading() as connection:
        assert (await connection.execute(text(jobs))).scalar_one() == 1


async def test_a_key_of_a_persons_own_stands_for_no_delivery(
    app: App, owner: Actor, project: Project, bot: str
) -> None:
    made = await triggers.add(app, owner, project.id, wanted(EventType.WEBHOOK, flow=FREE, goal="x"))
    fired = await deliveries.fire(app, owner, project.id, made.trigger.id)
    own = sessions.StartSession(project=project.id, flow=FREE, model="scripted", goal="mine")
    mine = await sessions.start(app, owner, own, f"delivery:{fired.id}")
    (one,) = await all_of(app, owner, project)
    assert (one.status, one.session_id != mine.id) == ("started", True)


async def test_a_pipeline_that_a_session_runs_starts_no_session(
    app: App, owner: Actor, project: Project, bot: str
) -> None:
    session_id = await other_session(app, owner, project)
    await triggers.add(app, owner, project.id, wanted(EventType.PIPELINE, flow="fix_pipeline"))
    case = Case(app, owner, session_id, project.id, "c_1", "work", "main")
    assert await run_pipeline.run(case, Args()) is None
    async with app.database.reading() as connection:
        mine = pipeline_rows.c.project_id == project.id
        query = select(pipeline_rows.c.id, pipeline_rows.c.session_id).where(mine)
        pipeline_id, by = (await connection.execute(query)).one()
    assert by == session_id, "it is the session's check, and triggers nothing"
    await pipelines.cancel(app, owner, pipeline_id)
    assert await all_of(app, owner, project) == []


async def test_a_comment_on_a_sessions_merge_request_goes_to_it_whoever_it_names(
    app: App, owner: Actor, project: Project, bot: str
) -> None:
    session_id = await triggered(app, owner, project, bot)
    dora = await person(app, owner, project, "dora", Role.DEVELOPER)
    await merge_requests.create(app, owner, project.id, request(), session_id=session_id, call_id="c_1")
    for words in ("And this.", "@dev-bot And that."):
        await merge_requests.comment(app, dora, project.id, 1, words)
    found = (await all_of(app, owner, project))[1:]
    assert [(one.status, one.session_id) for one in found] == [("told", session_id)] * 2
    await deliveries.again(app, owner, project.id, found[0].id)
    last = (await all_of(app, owner, project))[-1]
    assert (last.status, last.session_id) == ("told", session_id), "it has not ended"


async def test_a_service_account_belongs_to_its_project_and_doesnt_own_it(
    app: App, owner: Actor, project: Project, bot: str
) -> None:
    other = await projects.add(app, owner, projects.AddProject(path="other"))
    with pytest.raises(NotFoundError, match="no user"):
        await projects.set_member(app, owner, other.id, bot, Role.DEVELOPER)
    await projects.set_member(app, owner, project.id, bot, Role.OWNER)
    with pytest.raises(ConflictError, match="at least one owner"):
        await projects.remove_member(app, owner, project.id, owner.username)


async def test_a_merge_is_a_push_to_the_default_branch(app: App, owner: Actor, project: Project, bot: str) -> None:
    await triggers.add(app, owner, project.id, wanted(EventType.PUSH, flow=FREE))
    before = await app.forge.commit_of(project.id, "main")
    await merge_requests.create(app, owner, project.id, request())
    await merge_requests.merge(app, owner, project.id, 1)
    (one,) = await all_of(app, owner, project)
    details = await deliveries.show(app, owner, project.id, one.id)
    after = await app.forge.commit_of(project.id, "main")
    assert (details.payload["before"], details.payload["after"], one.status) == (before, after, "started")


async def test_what_it_asks_it_asks_in_the_thread_too(app: App, owner: Actor, project: Project, bot: str) -> None:
    session_id = await triggered(app, owner, project, bot)
    await triggers.add(app, owner, project.id, wanted(EventType.MENTION))
    async with change(app, session_id) as it:
        it.move(Transition.START)
        it.append(ApprovalRequested(approval_id="a_1", ask="input", question="Which of the two?"))
        it.move(Transition.REQUIRE_INPUT)
    jobs = "select count(*) from procrastinate_jobs where task_name = 'thread_answer'"
    async with app.database.reading() as connection:
        assert (await connection.execute(text(jobs))).scalar_one() == 1
    await thread_answers.rested(app, session_id)
    assert "Which of the two?" in (await issues.show(app, owner, project.id, 1)).comments[-1].text
    dora = await person(app, owner, project, "dora", Role.DEVELOPER)
    for who, status in ((dora, Status.INPUT_REQUIRED), (owner, Status.RUNNING)):
        await issues.comment(app, who, project.id, 1, "@dev-bot The first.")
        await all_of(app, owner, project)
        assert (await sessions.show(app, owner, session_id)).status is status, "its initiator's word is the answer"
    async with app.database.reading() as connection:
        log_ = [event.payload for event in await log.read(connection, session_id)]
    assert [one.by for one in log_ if isinstance(one, QuestionAnswered)] == ["ada"]


async def test_an_answer_stands_in_the_thread_once(app: App, owner: Actor, project: Project, bot: str) -> None:
    session_id = await triggered(app, owner, project, bot)
    async with change(app, session_id) as it:
        it.move(Transition.START)
        it.append(ModelAnswered(component="developer", text="I wrote it down.", model="scripted"))
        it.move(Transition.IDLE)
    await thread_answers.rested(app, session_id)
    async with change(app, session_id) as it:
        it.move(Transition.STOP, reason="enough")
    await thread_answers.rested(app, session_id)
    said = [one.text for one in (await issues.show(app, owner, project.id, 1)).comments][1:]
    assert [("I wrote it down." in one, "is stopped" in one.lower()) for one in said] == [(True, False), (False, True)]


async def test_no_trigger_starts_a_chat(app: App, owner: Actor, project: Project, bot: str) -> None:
    with pytest.raises(InvalidInputError, match="talks with a person"):
        await triggers.add(app, owner, project.id, wanted(EventType.MENTION, flow="chat"))
    made = await triggers.add(app, owner, project.id, wanted(EventType.WEBHOOK, flow=FREE))
    async with app.database.transaction() as connection:
        await connection.execute(text("update triggers set flow = 'chat'"))
    await deliveries.fire(app, owner, project.id, made.trigger.id)
    (one,) = await all_of(app, owner, project)
    assert (one.status, "is a chat" in one.reason, await sessions_of(app)) == ("refused", True, [])


async def test_secrets_in_what_is_sent_are_not_kept(app: App, owner: Actor, project: Project, bot: str) -> None:
    secret = "glpat-" + "aB3dE5fG7hJ9kL1mN3pQ"
    made = await triggers.add(app, owner, project.id, wanted(EventType.WEBHOOK, flow=FREE))
    await deliveries.fire(app, owner, project.id, made.trigger.id, {"job": {"log": f"token={secret}"}})
    (one,) = await all_of(app, owner, project)
    details = await deliveries.show(app, owner, project.id, one.id)
    assert (one.status, secret in str(details.payload)) == ("started", False)


@pytest.mark.parametrize(
    "payload",
    [
        {f"k{n}": 0 for n in range(40_000)},
        {"k" * PAYLOAD_BYTES: 1, "a": "b"},
        {"k" * PAYLOAD_BYTES: ["x" * PAYLOAD_BYTES], "a": "b"},
        {"a": "b", "large": "x" * PAYLOAD_BYTES, "larger": ["x" * PAYLOAD_BYTES] * 2},
    ],
    ids=["many", "name", "both", "values"],
)
def test_any_payload_becomes_small_enough(payload: dict[str, Any]) -> None:
    import json

    kept = bounded(payload)
    assert len(json.dumps(kept)) <= PAYLOAD_BYTES
    assert kept.get("a") == payload.get("a"), "what is small stays"
    assert bounded(kept) == kept
