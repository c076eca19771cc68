"""The tools on issues, merge requests and the repository: as a model calls them, in a session whose log says it."""

import asyncio
import json
from typing import Any

import pytest

from quarterdeck.app import issues, merge_requests, projects, session_log, sessions
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.merge_requests import CreateMergeRequest
from quarterdeck.app.sessions import StartSession
from quarterdeck.core.access import Role
from quarterdeck.core.errors import ForbiddenError, InvalidInputError, NotFoundError
from quarterdeck.core.limits import RESULT_CHARACTERS
from quarterdeck.core.status import Status
from quarterdeck.engine.brain import Brain
from quarterdeck.engine.desk import Case, Desk, body_of
from quarterdeck.engine.models.scripted import ScriptedModel
from quarterdeck.engine.worker import Worker
from quarterdeck.tools.catalogue import tool
from tests.app.test_merge_requests import commit, person, project

__all__ = ["project"]

CI = "build: {script: x}\n"


class Tools:
    """Calls bodies as the desk does: arguments checked, a call's id for each call."""

    def __init__(self, app: App, actor: Actor, project_id: int) -> None:
        self._app, self._actor, self._project, self._calls = app, actor, project_id, 0

    async def __call__(self, name: str, **args: Any) -> str:
        self._calls += 1
        return await self.again(name, f"c_{self._calls}", **args)

    async def again(self, name: str, call_id: str, **args: Any) -> str:
        """The same call once more."""
        case = Case(self._app, self._actor, 1, self._project, call_id, "quarterdeck/x", "main")
        done = await body_of(name)(case, tool(name).parse(args))
        assert done is not None
        assert len(done.text) <= RESULT_CHARACTERS, "a result is bounded by its tool, where it can be cut with sense"
        return done.text


@pytest.fixture
def tools(app: App, owner: Actor, project: projects.ProjectView) -> Tools:
    return Tools(app, owner, project.id)


async def test_issues(app: App, owner: Actor, project: projects.ProjectView, tools: Tools) -> None:
    assert await tools("list_issues") == "There is no such issue."
    args: dict[str, Any] = {"title": "It breaks\nsomewhere", "description": "Why?", "labels": ["bug", "ui"]}
    said = await tools.again("create_issue", "c_x", **args)
    assert said.startswith("Issue #1 “It breaks” is opened: http")
    assert await tools.again("create_issue", "c_x", **args) == said
    assert await tools("create_issue", title="Other") != said
    assert await tools("list_issues", label="ui") == "#1 opened It breaks [bug, ui]"
    for call in ("c_y", "c_y", "c_z"):
        await tools.again("create_issue_note", call, issue_iid=1, text=f"note {call}")
    shown = await tools("get_issue", issue_iid=1)
    assert "labels: bug, ui, assignees: none, 2 comments" in shown
    assert shown.endswith("\n\nWhy?")
    notes = await tools("list_issue_notes", issue_iid=1, limit=1)
    assert "2 comments on #1, the newest 1" in notes
    assert "note c_z" in notes
    assert "note c_y" not in notes
    for _ in range(2):
        changed = await tools(
            "update_issue", issue_iid=1, title="Now", add_labels=["new"], remove_labels=["ui"], state="closed"
        )
        assert changed == "Issue #1 “Now” is closed, labels: bug, new."
    assert "closed by ada, by ada" in await tools("get_issue", issue_iid=1)
    assert (await issues.show(app, owner, project.id, 1)).description == "Why?", "what is left empty stays"
    assert "is opened" in await tools("update_issue", issue_iid=1, state="opened")
    with pytest.raises(NotFoundError, match="no issue #9"):
        await tools("get_issue", issue_iid=9)
    guest = await person(app, owner, project, "gus", Role.GUEST)
    with pytest.raises(ForbiddenError):
        await Tools(app, guest, project.id)("create_issue", title="x")


async def test_reviews(app: App, owner: Actor, project: projects.ProjectView, tools: Tools) -> None:
    big = "".join(f"line {n} of a long file\n" for n in range(2_000))
    await commit(app, project.id, "work", "work^0", large=big, **{"small.py": "a = 1\nb = 2\n"})
    made = CreateMergeRequest(source_branch="work", title="Say two", description="why")
    await merge_requests.create(app, owner, project.id, made)
    assert await tools("list_merge_requests") == "!1 opened Say two (work into main)"
    assert await tools("list_merge_requests", status="merged") == "There is no such merge request."
    shown = await tools("list_merge_request_diffs", merge_request_iid=1)
    assert "changes 3 files" in shown
    assert "- large +2000 -0" in shown
    assert "1 diffs were left out" in shown
    assert "\n          1 +a = 1\n          2 +b = 2\n" in shown
    assert "    1       -one\n" in shown
    alone = await tools("list_merge_request_diffs", merge_request_iid=1, file_path="large")
    assert "characters left out" in alone
    with pytest.raises(InvalidInputError, match="doesn't change none"):
        await tools("list_merge_request_diffs", merge_request_iid=1, file_path="none")

    note: dict[str, Any] = {"merge_request_iid": 1, "file_path": "small.py", "new_line": 2, "text": "Why 2?"}
    for _ in range(2):
        await tools.again("create_merge_request_diff_note", "c_n", **note)
    lines = [
        {"file_path": "small.py", "new_line": 1, "text": "one"},
        {"file_path": "text", "old_line": 1, "text": "gone"},
    ]
    far = {"file_path": "small.py", "new_line": 40, "text": "far"}
    with pytest.raises(InvalidInputError, match="nearest that are: 1, 2"):
        await tools("submit_review", merge_request_iid=1, summary="Bad.", comments=[*lines, far])
    for _ in range(2):
        said = await tools.again("submit_review", "c_r", merge_request_iid=1, summary="Fine.", comments=lines)
        assert "with 2 comments on lines" in said
    seen = await tools("get_merge_request", merge_request_iid=1)
    for place in (" on small.py:2: Why 2?", " on small.py:1: one", " on text:1 (removed): gone", "ada: Fine."):
        assert place in seen
    assert len((await merge_requests.show(app, owner, project.id, 1)).comments) == 4
    assert "“Two” is opened" in await tools("update_merge_request", merge_request_iid=1, title="Two\nlines")
    assert (await merge_requests.show(app, owner, project.id, 1)).description == "why"


async def test_the_repository(app: App, project: projects.ProjectView, tools: Tools) -> None:
    await commit(app, project.id, "main", "main^0", **{"src/a.py": "def Hello():\n    pass\n", "bin": "\0\1\2"})
    assert await tools("blob_search", search="hello") == "src/a.py:1: def Hello():"
    assert "the first 1" in await tools("blob_search", search="e", limit=1)
    assert await tools("blob_search", search="nowhere at all") == "No line of a text file holds that."
    assert await tools("blob_search", search="two", ref="work") == "text:1: two"
    assert "src/\n" in await tools("list_repository_tree")
    assert "src/a.py 22 bytes" in await tools("list_repository_tree", path="src")
    part = await tools("get_repository_file", file_path="src/a.py", offset=2)
    assert part == "src/a.py, lines 2 to 2 of 2:\n    pass"
    assert "has 2 lines" in await tools("get_repository_file", file_path="src/a.py", offset=9)
    with pytest.raises(InvalidInputError, match="no text file"):
        await tools("get_repository_file", file_path="bin")
    for wrong in ({"file_path": "none"}, {"file_path": "text", "ref": "none"}, {"file_path": "../text"}):
        with pytest.raises(NotFoundError):
            await tools("get_repository_file", **wrong)
    assert (await tools("list_branches")).startswith("main ")
    assert "clash " in await tools("list_branches")
    assert "Ada: work" in await tools("list_commits", limit=1)
    seen = await tools("get_commit", sha="work")
    assert "parents: " in seen
    assert "-one\n+two" in seen
    assert await tools("ci_linter", content=CI) == ("The file is valid. A push of it would run:\n- test: build")
    wrong = await tools("ci_linter", content="build: {script: x, cache: y}\ntest: {image: z}\n")
    assert "- line 1: " in wrong
    assert "- line 2: " in wrong
    assert "`cache`" in wrong


FLOW = """
version: v1
environment: ambient
name: review
components:
  - {name: look, type: AgentComponent, prompt_id: look, inputs: ["context:goal", {from: "context:inputs.issue.title",
     as: title}], toolset: [get_issue, create_issue, create_issue_note, submit_review]}
routers: [{from: look, to: end}]
flow:
  entry_point: look
  inputs: [{category: issue, input_schema: {title: {type: string, description: Its title.}}}]
prompts: [{prompt_id: look, name: look, prompt_template: {system: s, user: "{{ title }}"}}]
"""


async def test_a_session_on_an_issue_says_what_it_made(app: App, owner: Actor, project: projects.ProjectView) -> None:
    await issues.create(app, owner, project.id, issues.CreateIssue(title="It breaks"))
    calls = [
        {"tool": "get_issue", "args": {"issue_iid": 1}},
        {"tool": "create_issue", "args": {"title": "Another"}},
        {"tool": "create_issue_note", "args": {"issue_iid": 1, "text": "See the other."}},
    ]
    steps = [{"expect": "It breaks", "call": calls}, {"expect": "#2", "say": "Done."}]
    wanted = StartSession(
        project=project.id, flow_yaml=FLOW, model="scripted", script=json.dumps({"components": {"look": steps}}),
        issue_iid=1,
    )  # fmt: skip
    session_id = (await sessions.start(app, owner, wanted)).id
    stop = asyncio.Event()
    brain = Brain(app, lambda name, script: ScriptedModel(name, script or ""))
    worker = asyncio.create_task(Worker(app, brain, Desk(app), concurrency=4).run(stop))
    try:
        async with asyncio.timeout(60):
            while (seen := await sessions.show(app, owner, session_id)).status is not Status.FINISHED:
                assert seen.status in (Status.CREATED, Status.RUNNING), seen.reason
                await asyncio.sleep(0.05)
    finally:
        stop.set()
        await asyncio.wait((worker,), timeout=60)
    events = [one.payload for one in await session_log.events(app, owner, session_id)]
    linked = [(one.relation, one.target, one.name) for one in events if one.kind == "link.added"]
    assert linked == [("source", "issue", "#1"), ("created", "issue", "#2")]
    assert [one.name for one in seen.artifacts] == ["comment on #1"]
    both = await issues.find(app, owner, project.id)
    assert [(one.title, one.session_id) for one in both] == [("Another", session_id), ("It breaks", None)]
    assert [one.text for one in (await issues.show(app, owner, project.id, 1)).comments] == ["See the other."]
