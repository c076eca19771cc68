"""Triggers: what fires them, in whose name, once; what they never do; and what their sessions say in the thread."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text, update

from quarterdeck.app import (
    deliveries,
    issues,
    merge_requests,
    pipelines,
    project_accounts,
    projects,
    reviews,
    session_log,
    sessions,
    steering,
    thread_answers,
    triggers,
)
from quarterdeck.app.access import project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.issues import CreateIssue, UpdateIssue
from quarterdeck.app.merge_requests import UpdateMergeRequest
from quarterdeck.app.project_accounts import AddServiceAccount
from quarterdeck.app.reviews import Review
from quarterdeck.app.session_access import initiator
from quarterdeck.app.triggers import WriteTrigger
from quarterdeck.core.access import Ability, Role
from quarterdeck.core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    UnauthenticatedError,
)
from quarterdeck.core.events import MessageAdded, SessionCreated
from quarterdeck.core.status import Status
from quarterdeck.core.trigger import EventType
from quarterdeck.store import clock, log
from quarterdeck.store.tables import deliveries as delivery_rows
from quarterdeck.store.tables import sessions as session_rows
from quarterdeck.store.tables import triggers as trigger_rows
from tests.app.test_merge_requests import person, project, request

__all__ = ["project"]

Project = projects.ProjectView
FREE = "software_development"
"""A flow that needs nothing but a goal."""


@pytest.fixture
async def bot(app: App, owner: Actor, project: Project) -> str:
    return (await project_accounts.add(app, owner, project.id, AddServiceAccount(username="Dev-Bot"))).username


def wanted(*types: EventType, account: str = "Dev-Bot", flow: str = "developer", **more: Any) -> WriteTrigger:
    events = more.pop("events", {type_: () for type_ in types})
    return WriteTrigger.model_validate(
        {"account": account, "flow": flow, "model": "scripted", "events": events, **more}
    )


async def all_of(app: App, owner: Actor, project: Project) -> list[deliveries.DeliveryView]:
    await deliveries.deliver(app, project.id)
    return (await deliveries.find(app, owner, project.id))[::-1]


async def created(app: App, owner: Actor, session_id: int) -> SessionCreated:
    event = await session_log.event(app, owner, session_id, 1)
    assert isinstance(event.payload, SessionCreated)
    return event.payload


async def to_status(app: App, session_id: int, status: Status) -> None:
    """For who counts them; what a worker does is another test's."""
    async with app.database.transaction() as connection:
        mine = update(session_rows).where(session_rows.c.id == session_id)
        await connection.execute(mine.values(status=status.value))


async def test_a_mention_starts_a_session_once_and_it_answers_in_the_thread(
    app: App, owner: Actor, project: Project, bot: str
) -> None:
    dora = await person(app, owner, project, "dora", Role.DEVELOPER)
    made = await triggers.add(app, owner, project.id, wanted(EventType.MENTION))
    assert (made.secret, made.trigger.owner, made.trigger.hook_url) == ("", "ada", "")
    await issues.create(app, dora, project.id, CreateIssue(title="It breaks"))
    for silent in ("no word of it", "mail dev-bot@example.com", "`@dev-bot` in code", "@dev-bottom is another"):
        await issues.comment(app, dora, project.id, 1, silent)
    assert await all_of(app, owner, project) == []
    await issues.comment(app, dora, project.id, 1, "Please, @dev-bot, look.", call_id="c_1")
    await issues.comment(app, dora, project.id, 1, "Please, @dev-bot, look.", call_id="c_1")
    (one,) = await all_of(app, owner, project)
    assert (one.status, one.event, one.by, one.subject and one.subject.number) == ("started", "mention", "dora", 1)
    first = await created(app, owner, one.session_id or 0)
    assert first.goal == "Input: Please, @dev-bot, look.\nContext: {Issue IID: 1}"
    assert (first.initiator, first.origin, first.triggered and first.triggered.account) == ("dora", "trigger", bot)
    shown = await issues.show(app, dora, project.id, 1)
    assert (shown.comments[-1].author, shown.comments[-1].session_id) == (bot, one.session_id)
    assert f"/sessions/{one.session_id}" in shown.comments[-1].text
    assert [ref.id for ref in shown.sessions] == [one.session_id]
    # What is said next goes to the same session, and its own words to nobody.
    await issues.comment(app, dora, project.id, 1, "And also this, @Dev-Bot")
    said = (await all_of(app, owner, project))[-1]
    assert (said.status, said.session_id) == ("told", one.session_id)
    async with app.database.reading() as connection:
        log_ = [event.payload for event in await log.read(connection, one.session_id or 0)]
    assert [(p.by, p.text) for p in log_ if isinstance(p, MessageAdded)][-1] == ("dora", "And also this, @Dev-Bot")
    assert len(await sessions_of(app)) == 1


async def sessions_of(app: App) -> list[int]:
    async with app.database.reading() as connection:
        return list((await connection.execute(select(session_rows.c.id).order_by(session_rows.c.id))).scalars())


async def test_what_sessions_and_service_accounts_do_triggers_nothing(
    app: App, owner: Actor, project: Project, bot: str
) -> None:
    every = {type_: () for type_ in EventType if type_ not in (EventType.SCHEDULE, EventType.WEBHOOK)}
    await triggers.add(app, owner, project.id, wanted(events=every))
    await issues.create(app, owner, project.id, CreateIssue(title="@dev-bot"), session_id=7, call_id="c_1")
    await issues.comment(app, owner, project.id, 1, "@dev-bot", session_id=7, call_id="c_2")
    await issues.change(app, owner, project.id, 1, UpdateIssue(assignees=(bot,), status="closed"), session_id=7)
    made = await merge_requests.create(app, owner, project.id, request(reviewers=(bot,)), session_id=7, call_id="c_3")
    await reviews.submit(app, owner, project.id, made.iid, Review(summary="@dev-bot"), session_id=7, call_id="c_4")
    account_id = (await project_accounts.find(app, owner, project.id))[0].id
    account = Actor(owner.user_id, "ada", "", "", True, "server", Actor(account_id, bot, "", "", False))
    await issues.comment(app, account, project.id, 1, "@dev-bot")
    assert await all_of(app, owner, project) == []


async def test_each_event_of_the_local_forge(app: App, owner: Actor, project: Project, bot: str) -> None:
    for type_ in (EventType.ASSIGN, EventType.ASSIGN_REVIEWER, EventType.MERGE_REQUEST, EventType.WORK_ITEM):
        await triggers.add(app, owner, project.id, wanted(type_, flow="code_review"))
    await issues.create(app, owner, project.id, CreateIssue(title="One", assignees=(bot, "ada")))
    await issues.change(app, owner, project.id, 1, UpdateIssue(assignees=(bot,)))  # no news to the account
    await issues.close(app, owner, project.id, 1)
    max_ = await person(app, owner, project, "max", Role.MAINTAINER)
    await merge_requests.create(app, max_, project.id, request())
    await merge_requests.change(app, max_, project.id, 1, UpdateMergeRequest(reviewers=(bot,)))
    await reviews.submit(app, owner, project.id, 1, Review(verdict="approved"))
    await merge_requests.merge(app, owner, project.id, 1)
    found = [(one.event.value, one.action) for one in await all_of(app, owner, project)]
    assert found == [
        ("work_item", "created"), ("assign", ""), ("work_item", "closed"), ("merge_request", "ready"),
        ("assign_reviewer", ""), ("merge_request", "approved"), ("merge_request", "merged"),
    ]  # fmt: skip


async def test_pipelines_and_pushes(app: App, owner: Actor, project: Project, bot: str) -> None:
    only = {EventType.PIPELINE: ("failed", "canceled")}
    made = await triggers.add(app, owner, project.id, wanted(events=only, flow="fix_pipeline"))
    filter_ = '{"all": [{"field": "object_attributes.ref", "operator": "eq", "value": "main"}]}'
    changed = await triggers.change(
        app, owner, project.id, made.trigger.id, wanted(events=only, flow="fix_pipeline", filter=filter_)
    )
    assert changed.trigger.filter.startswith("{")
    for ref in ("main", "work"):
        started = await pipelines.start(app, owner, project.id, ref)
        await pipelines.cancel(app, owner, started.id)
    (one,) = await all_of(app, owner, project)
    assert (one.event, one.action, one.by, one.status) == ("pipeline_hooks", "canceled", "ada", "started")
    first = await created(app, owner, one.session_id or 0)
    assert (first.goal.startswith("Repair pipeline"), first.ref) == (True, "main")
    details = await deliveries.show(app, owner, project.id, one.id)
    assert details.payload["object_kind"] == "pipeline"


async def test_who_may_not_start_starts_nothing_and_rights_are_the_lesser_of_two(
    app: App, owner: Actor, project: Project, bot: str
) -> None:
    rex = await person(app, owner, project, "rex", Role.REPORTER)
    await triggers.add(app, owner, project.id, wanted(EventType.MENTION))
    await issues.create(app, rex, project.id, CreateIssue(title="Please", description="@dev-bot do it"))
    (one,) = await all_of(app, owner, project)
    assert (one.status, one.session_id) == ("refused", None)
    assert "you need the role Developer" in one.reason
    await issues.comment(app, owner, project.id, 1, "@dev-bot do it")
    begun = (await all_of(app, owner, project))[-1]
    async with app.database.transaction() as connection:
        both = await initiator(connection, await created(app, owner, begun.session_id or 0))
    assert (both.username, both.account and both.account.username, both.writer.username) == ("ada", bot, bot)
    # The initiator is an administrator; the account is a developer.
    with pytest.raises(ForbiddenError, match="need the role Owner"):
        await projects.delete_project(app, both, project.id)
    async with app.database.reading() as connection:
        assert (await project_for(connection, both, project.id, Ability.PUSH)).role is Role.DEVELOPER
    with pytest.raises(ForbiddenError):
        await steering.cancel(app, both, await other_session(app, owner, project))
    await project_accounts_gone(app, owner, project, bot)
    with pytest.raises(NotFoundError):
        await projects.show(app, both, project.id)


async def other_session(app: App, owner: Actor, project: Project) -> int:
    request_ = sessions.StartSession(project=project.id, flow=FREE, model="scripted", goal="x")
    return (await sessions.start(app, owner, request_)).id


async def project_accounts_gone(app: App, owner: Actor, project: Project, bot: str) -> None:
    with pytest.raises(ConflictError, match="acts as Dev-Bot"):
        await project_accounts.remove(app, owner, project.id, bot)
    for one in await triggers.find(app, owner, project.id):
        await triggers.remove(app, owner, project.id, one.id)
    await project_accounts.remove(app, owner, project.id, bot)
    assert await project_accounts.find(app, owner, project.id) == []
    again = await project_accounts.add(app, owner, project.id, AddServiceAccount(username=bot))
    await project_accounts.remove(app, owner, project.id, again.username)


async def test_triggers_are_maintainers_work(app: App, owner: Actor, project: Project, bot: str) -> None:
    dora = await person(app, owner, project, "dora", Role.DEVELOPER)
    made = await triggers.add(app, owner, project.id, wanted(EventType.WEBHOOK))
    for refused in (
        triggers.find(app, dora, project.id),
        triggers.add(app, dora, project.id, wanted(EventType.MENTION)),
        triggers.remove(app, dora, project.id, made.trigger.id),
        deliveries.find(app, dora, project.id),
        deliveries.fire(app, dora, project.id, made.trigger.id),
        project_accounts.add(app, dora, project.id, AddServiceAccount(username="other")),
    ):
        with pytest.raises(ForbiddenError):
            await refused
    for wrong, words in (
        ({"account": "ada"}, "no service account"),
        ({"flow": "nothing"}, "no flow"),
        ({"filter": "{"}, "no filter"),
        ({"events": {EventType.WORK_ITEM: ("opened",)}}, "no action 'opened'"),
        ({"events": {EventType.SCHEDULE: ()}, "cron": "* * * * *"}, "every 5 minutes"),
        ({"events": {EventType.SCHEDULE: ()}, "cron": "0 6 * * *", "timezone": "Mars/X"}, "no time zone"),
        ({"events": {EventType.SCHEDULE: ()}, "cron": "R R * * *"}, "no schedule"),
        ({"cron": "0 6 * * *"}, "Only the event"),
    ):
        with pytest.raises((InvalidInputError, NotFoundError), match=words):
            await triggers.add(app, owner, project.id, wanted(EventType.MENTION, **wrong))  # pyright: ignore[reportArgumentType]
    for taken in ("ada", "dev-bot", "session", "a b"):
        with pytest.raises((ConflictError, InvalidInputError)):
            await project_accounts.add(app, owner, project.id, AddServiceAccount(username=taken))


async def test_a_schedule_runs_once_however_many_runs_were_missed(
    app: App, owner: Actor, project: Project, bot: str
) -> None:
    asked = wanted(EventType.SCHEDULE, flow=FREE, cron="30 6 * * *", timezone="Europe/Berlin", goal="Look after it.")
    made = (await triggers.add(app, owner, project.id, asked)).trigger
    assert [f"{at:%H:%M}" for at in made.next_runs] == ["06:30"] * 5, "in its own time zone"
    await triggers.run_schedule(app, made.id)
    assert await all_of(app, owner, project) == []
    async with app.database.transaction() as connection:
        missed = update(trigger_rows).values(next_at=clock.now() - timedelta(days=9))
        await connection.execute(missed)
    await asyncio.gather(*(triggers.run_schedule(app, made.id) for _ in range(4)))
    await triggers.revive(app)
    (one,) = await all_of(app, owner, project)
    assert (one.status, one.by) == ("started", "ada")
    first = await created(app, owner, one.session_id or 0)
    assert (first.goal, first.triggered and first.triggered.source) == ("Look after it.", "scheduled")
    async with app.database.reading() as connection:
        assert (await connection.execute(select(trigger_rows.c.next_at))).scalar_one() > clock.now()
    off = await triggers.switch(app, owner, project.id, made.id, enabled=False)
    assert (off.enabled, off.next_runs) == (False, ())
    assert (await triggers.switch(app, owner, project.id, made.id, enabled=True)).next_runs


async def test_a_webhook_is_signed_and_taken_in_once(app: App, owner: Actor, project: Project, bot: str) -> None:
    from standardwebhooks import Webhook

    made = await triggers.add(app, owner, project.id, wanted(EventType.WEBHOOK, flow=FREE, goal="Read it."))
    body, at = b'{"a": 1}', clock.now()
    headers = {
        "Webhook-Id": "msg_1",
        "Webhook-Timestamp": str(int(at.timestamp())),
        "Webhook-Signature": Webhook(made.secret).sign("msg_1", at, body.decode()),
    }
    number = made.trigger.id

    async def send(headers: dict[str, str], body: bytes = body) -> None:
        await triggers.hooked(app, number, headers, body, lambda: {"a": 1})

    for _ in range(3):
        await send(headers)
    old = at - timedelta(minutes=6)
    for wrong in (
        {**headers, "Webhook-Id": "msg_2"},
        {**headers, "Webhook-Timestamp": str(int(old.timestamp()))},
        {
            **headers,
            "Webhook-Timestamp": str(int(old.timestamp())),
            "Webhook-Signature": Webhook(made.secret).sign("msg_1", old, body.decode()),
        },
        {**headers, "Webhook-Signature": "v1,AAAA"},
        {**headers, "Webhook-Signature": ""},
        {"Authorization": "Bearer whsec_AAAA"},
        {},
    ):
        with pytest.raises(UnauthenticatedError):
            await send(wrong)
    with pytest.raises(UnauthenticatedError):
        await send(headers, b'{"a": 2}')
    await send({"Authorization": f"Bearer {made.secret}", "Idempotency-Key": "k1"})
    await send({"X-Gitlab-Token": made.secret, "Idempotency-Key": "k1"})
    found = await all_of(app, owner, project)
    assert [one.status for one in found] == ["started", "started"]
    fresh = await triggers.renew_secret(app, owner, project.id, number)
    with pytest.raises(UnauthenticatedError):
        await send({"Authorization": f"Bearer {made.secret}"})
    await triggers.switch(app, owner, project.id, number, enabled=False)
    with pytest.raises(NotFoundError):
        await send({"Authorization": f"Bearer {fresh.secret}"})
    with pytest.raises(NotFoundError):
        await triggers.hooked(app, 4711, {}, b"", dict)


async def test_fired_by_hand_and_again(app: App, owner: Actor, project: Project, bot: str) -> None:
    made = await triggers.add(app, owner, project.id, wanted(EventType.WORK_ITEM, flow=FREE))
    await deliveries.fire(app, owner, project.id, made.trigger.id, {"object_kind": "issue"})
    (one,) = await all_of(app, owner, project)
    await triggers.switch(app, owner, project.id, made.trigger.id, enabled=False)
    again = await deliveries.again(app, owner, project.id, one.id)
    last = (await all_of(app, owner, project))[-1]
    assert (last.id, last.again_of, last.status) == (again.id, one.id, "started")
    assert last.session_id != one.session_id
    with pytest.raises(NotFoundError):
        await deliveries.show(app, owner, project.id, 4711)


async def test_old_deliveries_go_but_for_those_of_sessions_that_there_are(
    app: App, owner: Actor, project: Project, bot: str
) -> None:
    made = await triggers.add(app, owner, project.id, wanted(EventType.WEBHOOK, flow=FREE, goal="x"))
    await deliveries.fire(app, owner, project.id, made.trigger.id)
    (kept,) = await all_of(app, owner, project)
    await triggers.change(app, owner, project.id, made.trigger.id, wanted(EventType.WEBHOOK))
    await deliveries.fire(app, owner, project.id, made.trigger.id)
    assert [one.status for one in await all_of(app, owner, project)] == ["started", "refused"]
    await deliveries.forget(app, clock.now() + deliveries.KEPT - timedelta(hours=1))
    assert len(await all_of(app, owner, project)) == 2
    await deliveries.forget(app, clock.now() + deliveries.KEPT + timedelta(hours=1))
    assert [one.id for one in await all_of(app, owner, project)] == [kept.id]


async def test_a_storm_loses_none_starts_each_once_and_is_limited(
    app: App, owner: Actor, project: Project, bot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = (await triggers.add(app, owner, project.id, wanted(EventType.WEBHOOK, flow=FREE, goal="x"))).trigger
    rows: list[dict[str, Any]] = [
        {
            "trigger_id": made.id, "project_id": project.id, "event": "webhook", "key": f"k{n}",
            "user_id": owner.user_id, "payload": {},
        }
        for n in range(1_000)
    ]  # fmt: skip
    async with app.database.transaction() as connection:
        await connection.execute(insert(delivery_rows), rows)
    monkeypatch.setattr(deliveries, "A_MINUTE", 12)
    monkeypatch.setattr(deliveries, "AT_ONCE", 10)

    async def counted() -> dict[str, int]:
        async with app.database.reading() as connection:
            query = select(delivery_rows.c.status, func.count()).group_by(delivery_rows.c.status)
            return {row[0]: row[1] for row in await connection.execute(query)}

    await asyncio.gather(*(deliveries.deliver(app, project.id) for _ in range(5)))
    assert await counted() == {"started": 10, "waiting": 990}, "no more at once"
    for session_id in await sessions_of(app):
        await to_status(app, session_id, Status.FINISHED)
    await asyncio.gather(*(deliveries.deliver(app, project.id) for _ in range(5)))
    assert await counted() == {"started": 12, "waiting": 988}, "no more in a minute"
    assert len(await sessions_of(app)) == 12
    async with app.database.reading() as connection:
        jobs = text("select count(*) from procrastinate_jobs where task_name = 'deliveries' and scheduled_at > now()")
        assert (await connection.execute(jobs)).scalar_one() > 0, "somebody looks again"


async def test_it_says_in_the_thread_what_came_of_it(app: App, owner: Actor, project: Project, bot: str) -> None:
    await triggers.add(app, owner, project.id, wanted(EventType.ASSIGN))
    await issues.create(app, owner, project.id, CreateIssue(title="One", assignees=(bot,)))
    (one,) = await all_of(app, owner, project)
    number = one.session_id or 0
    await thread_answers.rested(app, number)
    assert len((await issues.show(app, owner, project.id, 1)).comments) == 1, "it works still"
    await steering.cancel(app, owner, number)
    for _ in range(2):
        await thread_answers.rested(app, number)
    said = (await issues.show(app, owner, project.id, 1)).comments
    assert len(said) == 2
    assert (said[1].author, "is stopped" in said[1].text.lower()) == (bot, True)
    await thread_answers.rested(app, 4711)
