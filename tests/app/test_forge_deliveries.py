"""Deliveries of forges: attacks refused, the same told twice, news in any order, and all that GitHub may send."""

import copy
import json
from typing import Any

import pytest
from sqlalchemy import func, select, update

from quarterdeck.app import (
    connections,
    forge_deliveries,
    issues,
    merge_requests,
    pipelines,
    project_accounts,
    sessions,
    triggers,
)
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.connections import LinkPerson
from quarterdeck.app.project_accounts import AddServiceAccount
from quarterdeck.app.triggers import WriteTrigger
from quarterdeck.core.errors import ConflictError, NotFoundError, UnauthenticatedError
from quarterdeck.core.trigger import EventType
from quarterdeck.forges.github import events
from quarterdeck.store.tables import comments, deliveries
from quarterdeck.store.tables import forge_deliveries as rows
from quarterdeck.store.tables import pipelines as pipeline_rows
from tests.app.forge_links import github_headers, linked, told
from tests.app.test_merge_requests import commit
from tests.emulators import github

PEOPLE = {"user": {"login": "octocat", "type": "User"}, "html_url": "https://github.example/octo/hello/issues/7"}


def issue(at: int, **more: Any) -> dict[str, Any]:
    """An issue as GitHub tells of it, changed in that second."""
    told = {"number": 7, "title": "It breaks", "body": "how", "state": "open", "created_at": "2026-01-01T00:00:00Z"}
    return {**told, **PEOPLE, "updated_at": f"2026-01-01T00:00:{at:02}Z", **more}


def sent(action: str, at: int, **more: Any) -> dict[str, Any]:
    return {"action": action, "sender": {"login": "octocat"}, "issue": issue(at, **more)}


async def test_who_has_not_the_secret_is_refused(app: App, owner: Actor) -> None:
    _, number = await linked(app, owner)
    body = json.dumps(sent("opened", 1)).encode()
    good = github_headers("issues", body, "d-1")
    wrong = [
        {**good, "x-hub-signature-256": ""},
        {**good, "x-hub-signature-256": "sha256=" + "0" * 64},
        {**good, "x-hub-signature-256": good["x-hub-signature-256"].removeprefix("sha256=")},
        {**good, "x-hub-signature-256": "sha1=ü"},
        github_headers("issues", body, "d-1", "another secret"),
        github_headers("issues", body + b" ", "d-1"),
        {name: value for name, value in good.items() if name != "x-hub-signature-256"},
        {name: value for name, value in good.items() if name != "x-github-delivery"},
    ]
    for headers in wrong:
        with pytest.raises(UnauthenticatedError):
            await forge_deliveries.receive(app, number, headers, body)
    with pytest.raises(NotFoundError):
        await forge_deliveries.receive(app, number + 1, good, body)
    async with app.database.transaction() as connection:
        assert (await connection.execute(select(func.count()).select_from(rows))).scalar_one() == 0


async def test_the_same_is_taken_once_under_whatever_id(app: App, owner: Actor) -> None:
    project, number = await linked(app, owner)
    said = {"id": 5, "body": "hi", "created_at": "2026-01-01T00:00:02Z", "updated_at": "2026-01-01T00:00:02Z", **PEOPLE}
    comment = {**sent("created", 2), "comment": said}
    assert await told(app, number, "issues", sent("opened", 1), "d-1")
    assert await told(app, number, "issue_comment", comment, "d-2")
    assert not await told(app, number, "issue_comment", comment, "d-2"), "sent again"
    assert not await told(app, number, "issue_comment", comment, "d-3"), "a copy of it under an id of its own"
    assert not await told(app, number, "issues", sent("opened", 9), "d-1"), "another under a known id"
    found = await issues.show(app, owner, project.id, 7)
    assert [(one.author, one.text) for one in found.comments] == [("octocat", "hi")]
    async with app.database.transaction() as connection:
        kept = (await connection.execute(select(rows.c.body, rows.c.fault))).all()
    assert [tuple(row) for row in kept] == [(None, "")] * 2, "what was said is not kept beside what it came to"


async def test_older_news_never_overwrites_newer(app: App, owner: Actor) -> None:
    project, number = await linked(app, owner)
    await told(
        app, number, "issues", sent("closed", 30, state="closed", title="Solved", labels=[{"name": "a,b"}]), "d-1"
    )
    await told(app, number, "issues", sent("opened", 10), "d-2")
    await told(app, number, "issues", sent("edited", 20, title="It still breaks"), "d-3")
    found = await issues.show(app, owner, project.id, 7)
    assert (found.title, found.status, found.labels) == ("Solved", "closed", ("a b",))
    await told(app, number, "issues", sent("reopened", 40), "d-4")
    assert (await issues.show(app, owner, project.id, 7)).status == "opened"


async def test_a_comment_that_comes_before_its_thing_waits_for_it(app: App, owner: Actor) -> None:
    project, number = await linked(app, owner)
    said = {"id": 5, "body": "hi", "created_at": "2026-01-01T00:00:02Z", "updated_at": "2026-01-01T00:00:02Z", **PEOPLE}
    early = {**sent("created", 2, pull_request={}), "comment": said}
    await told(app, number, "issue_comment", early, "d-1")
    (waits,) = (await connections.show(app, owner, project.id)).deliveries
    assert (waits.applied_at, "not known here" in waits.fault) == (None, True)
    branch = {"ref": "fix", "sha": "a" * 40, "repo": {"full_name": "octo/hello"}}
    times = {"created_at": "2026-01-01T00:00:01Z", "updated_at": "2026-01-01T00:00:01Z"}
    pull = {"number": 7, "title": "Fix", "state": "closed", "head": branch, "base": {**branch, "ref": "main"}}
    await told(app, number, "pull_request", {"pull_request": {**pull, **times, **PEOPLE}}, "d-2")
    async with app.database.transaction() as connection:
        await connection.execute(update(rows).values(due_at=func.now()))
    await forge_deliveries.apply(app, number)
    assert [one.text for one in (await merge_requests.show(app, owner, project.id, 7)).comments] == ["hi"]


async def test_pipelines_end_once_whatever_comes_late(app: App, owner: Actor) -> None:
    project, number = await linked(app, owner)

    def run(status: str, conclusion: str | None, at: int, **more: Any) -> dict[str, Any]:
        told = {"id": 3, "name": "CI", "head_branch": "main", "head_sha": "a" * 40, "html_url": "https://x/3"}
        times = {"created_at": "2026-01-01T00:00:00Z", "updated_at": f"2026-01-01T00:00:{at:02}Z"}
        state = {"status": status, "conclusion": conclusion}
        return {"workflow_run": {**told, **times, **state, **more}, "repository": {"full_name": "octo/hello"}}

    await told(app, number, "workflow_run", run("in_progress", None, 1), "d-1")
    await told(app, number, "workflow_run", run("completed", "success", 5), "d-2")
    await told(app, number, "workflow_run", run("in_progress", None, 3), "d-3")
    await told(app, number, "workflow_run", run("queued", None, 5), "d-4")
    fork = run("completed", "failure", 9, id=4, head_repository={"full_name": "eve/hello"})
    await told(app, number, "workflow_run", fork, "d-5")
    (found,) = await pipelines.find(app, owner, project.id)
    assert (found.status.value, found.ref, found.external_url) == ("success", "main", "https://x/3")
    await told(app, number, "workflow_run", run("in_progress", None, 8), "d-6")
    assert [one.status.value for one in await pipelines.find(app, owner, project.id)] == ["running"], "tried again"


async def test_checks_of_a_sessions_branch_are_its_own_before_there_is_a_merge_request(app: App, owner: Actor) -> None:
    project, number = await linked(app, owner)
    await commit(app, project.id, "main", None, text="one\n")
    wish = sessions.StartSession(project=project.id, flow="software_development", model="scripted", goal="x")
    session = await sessions.start(app, owner, wish)
    for id_, branch in ((3, session.branch), (4, "quarterdeck/of-nobody"), (5, "fix")):
        run = {"id": id_, "name": "CI", "head_branch": branch, "head_sha": "a" * 40, "html_url": "https://x/3"}
        times = {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:05Z"}
        ended = {**run, **times, "status": "completed", "conclusion": "failure"}
        await told(
            app, number, "workflow_run", {"workflow_run": ended, "repository": {"full_name": "octo/hello"}}, branch
        )
    async with app.database.reading() as connection:
        query = select(pipeline_rows.c.session_id).where(pipeline_rows.c.project_id == project.id)
        made = list((await connection.execute(query.order_by(pipeline_rows.c.id))).scalars())
    assert made == [session.id, None, None], "what the session itself broke starts no other one"


async def test_nobody_is_somebody_else_by_a_name(app: App, owner: Actor) -> None:
    """A name at the forge is a person's here only when they say so themselves, and ours is told by more than a mark."""
    project, number = await linked(app, owner)
    opened = sent("opened", 1, user={"login": "ada"}, body="<!-- quarterdeck:issue:1 -->")
    await told(app, number, "issues", opened, "d-1")
    assert (await issues.show(app, owner, project.id, 7)).author == "ada"
    async with app.database.transaction() as connection:
        assert (await connection.execute(select(comments.c.author_id))).all() == []
    with pytest.raises(NotFoundError):
        await connections.unlink(app, owner, project.id, "ada")
    view = await connections.link(app, owner, project.id, LinkPerson(login="@Ada"))
    assert [(one.login, one.username) for one in view.people] == [("ada", "ada")]
    other = Actor(owner.user_id + 1, "eve", "Eve", "", True)
    with pytest.raises(ConflictError, match="linked to somebody else"):
        await connections.link(app, other, project.id, LinkPerson(login="ADA"))


async def test_all_that_github_may_send_is_applied_or_left(app: App, owner: Actor) -> None:
    project, number = await linked(app, owner)
    for n, one in enumerate(github.examples()):
        for m, payload in enumerate(one["examples"]):
            await told(app, number, one["name"], copy.deepcopy(payload), f"d-{n}-{m}")
    async with app.database.transaction() as connection:
        of = rows.c
        faults = (await connection.execute(select(of.event, of.fault).where(of.fault != ""))).all()
        left = (await connection.execute(select(of.event).where(of.applied_at.is_(None)))).scalars().all()
    away = {"push", "pull_request", "pull_request_review_comment", "workflow_job"}
    assert {row.event for row in faults} <= away, "git and the logs of jobs are nowhere in this test"
    assert set(left) <= away
    assert set(events.FOLLOWED) <= {one["name"] for one in github.examples()}
    assert await issues.find(app, owner, project.id)
    assert await pipelines.find(app, owner, project.id)
    assert await merge_requests.find(app, owner, project.id), "closed ones need no branch"


async def test_members_start_triggers_there_and_strangers_nothing(app: App, owner: Actor) -> None:
    """The words of somebody on a public repository start nothing; a member's do, with the member's rights."""
    project, number = await linked(app, owner)
    await project_accounts.add(app, owner, project.id, AddServiceAccount(username="helper", name="Helper"))
    wish = WriteTrigger(
        account="helper",
        flow="developer",
        model="scripted",
        events={EventType.MENTION: (), EventType.WORK_ITEM: ("created", "closed")},
    )
    await triggers.add(app, owner, project.id, wish)

    async def fired() -> list[tuple[str, str, int]]:
        async with app.database.transaction() as connection:
            of = deliveries.c
            found = await connection.execute(select(of.event, of.action, of.user_id).order_by(of.id))
            return [(row.event, row.action, row.user_id) for row in found]

    def comment(n: int, login: str) -> dict[str, Any]:
        said = {"id": n, "body": "@helper please look", "user": {"login": login}, "html_url": "https://x"}
        times = {"created_at": f"2026-01-01T00:00:{n:02}Z", "updated_at": f"2026-01-01T00:00:{n:02}Z"}
        return {**sent("created", n), "comment": {**said, **times}, "sender": {"login": login}}

    await told(app, number, "issues", sent("opened", 1), "d-1")
    await told(app, number, "issue_comment", comment(2, "octocat"), "d-2")
    await told(app, number, "issue_comment", comment(3, "quarterdeck-bot"), "d-3")
    assert await fired() == []
    await connections.link(app, owner, project.id, LinkPerson(login="octocat"))
    await told(app, number, "issue_comment", comment(4, "octocat"), "d-4")
    await told(app, number, "issue_comment", comment(4, "octocat"), "d-5")
    await told(app, number, "issues", sent("closed", 6, state="closed"), "d-6")
    await told(app, number, "issues", sent("closed", 6, state="closed", title="Again"), "d-7")
    assert await fired() == [("mention", "", owner.user_id), ("work_item", "closed", owner.user_id)]
