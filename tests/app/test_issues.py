"""Issues and reviews: who may, what is kept, what a merge closes, and what sessions take from them."""

import asyncio
from typing import Any

import pytest

from quarterdeck.app import deletion, issues, merge_requests, projects, reviews, session_log, sessions
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.issues import CreateIssue, UpdateIssue
from quarterdeck.app.merge_requests import UpdateMergeRequest
from quarterdeck.app.reviews import LineComment, Review
from quarterdeck.app.sessions import StartSession
from quarterdeck.core.access import Role
from quarterdeck.core.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from quarterdeck.core.events import LinkAdded
from tests.app.test_merge_requests import commit, person, project, request

__all__ = ["project"]

FLOW = """
version: v1
environment: ambient
name: look
components:
  - {name: look, type: AgentComponent, prompt_id: look, inputs: ["context:goal"], toolset: [read_file]}
routers: [{from: look, to: end}]
flow: {entry_point: look}
prompts: [{prompt_id: look, name: look, prompt_template: {system: s, user: "{{ goal }}"}}]
"""
SCRIPT = "components: {look: [{say: done}]}"
PLANTED = "ghp_" + "a1B2" * 9


def new(title: str = "It breaks", **more: Any) -> CreateIssue:
    return CreateIssue.model_validate({"title": title, **more})


async def test_from_open_to_closed_and_back(app: App, owner: Actor, project: projects.ProjectView) -> None:
    rex = await person(app, owner, project, "rex", Role.REPORTER)
    wanted = new(" It\nbreaks\x00 ", description="how", labels=["ui", "bug", "bug "], assignees=["rex", "rex"])
    made = await issues.create(app, rex, project.id, wanted, call_id="c_1")
    assert (made.iid, made.name, made.title, made.status) == (1, "#1", "It breaks\ufffd", "opened")
    assert (made.labels, made.assignees, made.author) == (("bug", "ui"), ("rex",), "rex")
    assert (await issues.create(app, rex, project.id, new("again"), call_id="c_1")).iid == 1
    await issues.comment(app, rex, project.id, 1, " me too ", call_id="c_2")
    seen = await issues.comment(app, rex, project.id, 1, " me too ", call_id="c_2")
    assert [(one.author, one.text, one.position) for one in seen.comments] == [("rex", "me too", None)]
    assert seen.updated_at > made.updated_at
    changed = await issues.change(app, rex, project.id, 1, UpdateIssue(labels=("x",), assignees=(), description=""))
    assert (changed.title, changed.labels, changed.assignees, changed.description) == (made.title, ("x",), (), "")
    closed = await issues.close(app, owner, project.id, 1)
    assert (closed.status, closed.closed_by, closed.closed_reason, closed.closed_at is not None) == (
        "closed", "ada", "", True,
    )  # fmt: skip
    with pytest.raises(ConflictError, match="closed already"):
        await issues.close(app, owner, project.id, 1)
    opened = await issues.reopen(app, rex, project.id, 1)
    assert (opened.status, opened.closed_by, opened.closed_at) == ("opened", None, None)
    with pytest.raises(ConflictError, match="is open"):
        await issues.reopen(app, owner, project.id, 1)


async def test_what_an_issue_can_not_be(app: App, owner: Actor, project: projects.ProjectView) -> None:
    for wrong, said in (
        (new(" \n "), "title"),
        (new(labels=["a,b"]), "comma"),
        (new(labels=[" "]), "label"),
        (new(assignees=["eve"]), "Only members"),
    ):
        with pytest.raises(InvalidInputError, match=said):
            await issues.create(app, owner, project.id, wrong)
    with pytest.raises(InvalidInputError, match="1 to"):
        await issues.comment(app, owner, project.id, 1, " ")
    full = new(labels=[str(n) for n in range(20)])
    assert (await issues.create(app, owner, project.id, full)).iid == 1, "a refused one takes no number"
    with pytest.raises(InvalidInputError, match="20 labels at most"):
        await issues.change(app, owner, project.id, 1, UpdateIssue(title="x", add_labels=("more",)))
    both = UpdateIssue(add_labels=("more",), remove_labels=("1", "none"), status="opened")
    changed = await issues.change(app, owner, project.id, 1, both)
    assert (changed.title, changed.status, len(changed.labels)) == ("It breaks", "opened", 20)
    with pytest.raises(InvalidInputError, match="Only members"):
        await issues.change(app, owner, project.id, 1, UpdateIssue(status="closed", assignees=("eve",)))
    assert (await issues.show(app, owner, project.id, 1)).status == "opened", "a refused change changes nothing"


async def test_who_may(app: App, owner: Actor, project: projects.ProjectView) -> None:
    guest = await person(app, owner, project, "gus", Role.GUEST)
    rex = await person(app, owner, project, "rex", Role.REPORTER)
    eve = await person(app, owner, project, "eve", None)
    await issues.create(app, rex, project.id, new())
    assert (await issues.show(app, guest, project.id, 1)).title == "It breaks"
    assert [one.iid for one in await issues.find(app, guest, project.id)] == [1]
    change = UpdateIssue(title="Mine")

    def everything(actor: Actor) -> list[Any]:
        return [
            issues.create(app, actor, project.id, new()),
            issues.change(app, actor, project.id, 1, change),
            issues.comment(app, actor, project.id, 1, "x"),
            issues.close(app, actor, project.id, 1),
            issues.reopen(app, actor, project.id, 1),
        ]

    for refused in everything(guest):
        with pytest.raises(ForbiddenError, match="Reporter"):
            await refused
    for unknown in [*everything(eve), issues.show(app, eve, project.id, 1), issues.find(app, eve, project.id)]:
        with pytest.raises(NotFoundError, match="no project"):
            await unknown
    with pytest.raises(NotFoundError, match="no issue #7"):
        await issues.show(app, owner, project.id, 7)
    await projects.set_member(app, owner, project.id, "rex", Role.GUEST)
    assert (await issues.change(app, rex, project.id, 1, change)).title == "Mine", "authors may change their own"
    assert (await issues.close(app, rex, project.id, 1)).status == "closed"


async def test_lists_and_numbers(app: App, owner: Actor, project: projects.ProjectView) -> None:
    await person(app, owner, project, "rex", Role.REPORTER)
    titles = ["100% of it", "a_b", "other", "more"]
    wanted = [new(title, labels=[title[0]], assignees=["rex"] if title == "other" else []) for title in titles]
    made = await asyncio.gather(*(issues.create(app, owner, project.id, one) for one in wanted))
    assert {one.iid for one in made} == {1, 2, 3, 4}
    number = {one.title: one.iid for one in made}
    await issues.close(app, owner, project.id, number["more"])

    async def found(**asked: Any) -> set[int]:
        return {one.iid for one in await issues.find(app, owner, project.id, **asked)}

    assert await found(status="closed") == {number["more"]}
    assert await found(label="a") == {number["a_b"]}
    assert await found(assignee="rex") == {number["other"]}
    assert await found(assignee="nobody") == set()
    assert await found(search="100%") == {number["100% of it"]}
    assert await found(search="A_B") == {number["a_b"]}
    assert await found(search="%") == {number["100% of it"]}
    assert await found(limit=2) == {4, 3}
    assert await found(before=3) == {2, 1}


async def test_a_merge_closes_what_it_says(app: App, owner: Actor, project: projects.ProjectView) -> None:
    dev = await person(app, owner, project, "dev", Role.DEVELOPER)
    for _ in range(4):
        await issues.create(app, dev, project.id, new())
    await issues.close(app, dev, project.id, 3)
    await merge_requests.create(app, dev, project.id, request(description="nothing yet"))
    text = "Closes #1, #3 and #99.\n\nSee #2. Fixes #4"
    seen = await merge_requests.change(app, dev, project.id, 1, UpdateMergeRequest(description=text, title="T"))
    assert (seen.title, seen.description) == ("T", text)
    with pytest.raises(InvalidInputError, match="title"):
        await merge_requests.change(app, dev, project.id, 1, UpdateMergeRequest(title=" "))
    await merge_requests.merge(app, owner, project.id, 1)
    assert [
        (one.iid, one.status, one.closed_by, one.closed_reason) for one in await issues.find(app, dev, project.id)
    ] == [
        (4, "closed", "ada", "merge of !1"),
        (3, "closed", "dev", ""),
        (2, "opened", None, ""),
        (1, "closed", "ada", "merge of !1"),
    ]
    await commit(app, project.id, "side", "main", side="1\n")
    await commit(app, project.id, "topic", "side", topic="1\n")
    inner = request("topic", description="Closes #2", target_branch="side")
    await merge_requests.merge(app, dev, project.id, (await merge_requests.create(app, dev, project.id, inner)).iid)
    assert (await issues.show(app, dev, project.id, 2)).status == "opened", "only the default branch closes"


async def test_a_review_is_said_whole_or_not_at_all(app: App, owner: Actor, project: projects.ProjectView) -> None:
    rex = await person(app, owner, project, "rex", Role.REPORTER)
    guest = await person(app, owner, project, "gus", Role.GUEST)
    await merge_requests.create(app, owner, project.id, request())
    sha = await app.forge.commit_of(project.id, "work")
    good = LineComment(path="text", new_line=1, text="two?")
    gone = LineComment(path="text", old_line=1, text="was it wrong?")
    for wrong, said in (
        (LineComment(path="text", new_line=9, text="x"), "nearest that are: 1"),
        (LineComment(path="else", new_line=1, text="x"), "Its files: text"),
        (LineComment(path="text", text="x"), "Say which line"),
        (LineComment(path="text", new_line=1, text=" "), "1 to"),
    ):
        with pytest.raises(InvalidInputError, match=said):
            await reviews.submit(app, rex, project.id, 1, Review(summary="all", comments=(good, wrong)))
    with pytest.raises(InvalidInputError, match="needs a summary"):
        await reviews.submit(app, rex, project.id, 1, Review(summary=" "))
    for actor, refusal in ((guest, ForbiddenError), (await person(app, owner, project, "eve", None), NotFoundError)):
        with pytest.raises(refusal):
            await reviews.submit(app, actor, project.id, 1, Review(comments=(good,)))
    assert (await merge_requests.show(app, rex, project.id, 1)).comments == ()
    whole = Review(summary=" all ", comments=(good, gone))
    await reviews.submit(app, rex, project.id, 1, whole, call_id="c_1")
    seen = await reviews.submit(app, rex, project.id, 1, whole, call_id="c_1")
    assert [(one.text, one.position and one.position.name) for one in seen.comments] == [
        ("two?", "text:1"), ("was it wrong?", "text:1 (removed)"), ("all", None),
    ]  # fmt: skip
    assert {one.position.commit for one in seen.comments if one.position} == {sha}
    await merge_requests.merge(app, owner, project.id, 1)
    seen = await reviews.submit(app, rex, project.id, 1, Review(comments=(good,)))
    assert seen.comments[-1].position
    assert seen.comments[-1].position.commit == seen.merge_commit
    assert [one.path for one in await reviews.files(app, rex, project.id, 1)] == ["text"]
    with pytest.raises(ForbiddenError):
        await reviews.files(app, guest, project.id, 1)


async def test_sessions_on_an_issue_or_merge_request(app: App, owner: Actor, project: projects.ProjectView) -> None:
    dev = await person(app, owner, project, "dev", Role.DEVELOPER)
    rex = await person(app, owner, project, "rex", Role.REPORTER)
    long = "x" * 20_000 + f" {PLANTED} " + "y" * 20_000
    await issues.create(app, owner, project.id, new(f"Broken {PLANTED}", description=long))
    await merge_requests.create(app, owner, project.id, request(description="why"))

    def wanted(**more: Any) -> StartSession:
        return StartSession.model_validate(
            {"project": project.id, "flow_yaml": FLOW, "model": "scripted", "script": SCRIPT, **more}
        )

    on_issue = await sessions.start(app, dev, wanted(issue_iid=1, inputs={"issue": {"iid": 9}, "more": {"a": 1}}))
    events = await session_log.events(app, dev, on_issue.id)
    created: Any = events[0].payload
    issue = created.inputs["issue"]
    assert (issue["iid"], issue["title"], created.inputs["more"]) == (1, "Broken [redacted]", {"a": 1})
    assert len(issue["description"]) < 33_000
    assert "ghp_" not in events[0].model_dump_json()
    assert on_issue.goal == "Issue #1: Broken [redacted]"
    assert on_issue.ref == "main"
    links = [one.payload for one in events if isinstance(one.payload, LinkAdded)]
    assert links == [LinkAdded(relation="source", target="issue", name="#1", url=issue["url"])]

    on_request = await sessions.start(app, dev, wanted(merge_request_iid=1, goal="Review it"))
    events = await session_log.events(app, dev, on_request.id)
    created = events[0].payload
    assert created.inputs["merge_request"] == {
        "iid": 1, "title": "Say two", "description": "why", "source_branch": "work", "target_branch": "main",
        "sha": await app.forge.commit_of(project.id, "work"),
        "url": f"{app.public_url}/projects/{project.id}/merge_requests/1",
    }  # fmt: skip
    assert (on_request.goal, on_request.ref, on_request.base_commit) == (
        "Review it", "work", created.inputs["merge_request"]["sha"],
    )  # fmt: skip
    assert (await sessions.start(app, dev, wanted(merge_request_iid=1, ref="main"))).ref == "main"
    with pytest.raises(InvalidInputError, match="not both"):
        await sessions.start(app, dev, wanted(issue_iid=1, merge_request_iid=1))
    for more in ({"issue_iid": 7}, {"merge_request_iid": 7}, {"pipeline_id": 4711}):
        with pytest.raises(NotFoundError, match="There is no"):
            await sessions.start(app, dev, wanted(**more))

    shown = (await issues.show(app, owner, project.id, 1)).sessions
    assert [(one.id, one.title, one.status.value) for one in shown] == [(on_issue.id, on_issue.title, "created")]
    assert len((await merge_requests.show(app, dev, project.id, 1)).sessions) == 2
    assert (await issues.show(app, rex, project.id, 1)).sessions == (), "who sees no session sees none here"
    await deletion.delete_session(app, dev, on_issue.id)
    assert (await issues.show(app, owner, project.id, 1)).sessions == ()
