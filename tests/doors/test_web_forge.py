"""The local forge in the browser: issues, merge requests, pipelines and the repository, worked with by forms alone."""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from httpx_sse import EventSource
from sqlalchemy import delete, select

from quarterdeck.app import issues, merge_requests, pipeline_jobs, pipelines
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.access import Role
from quarterdeck.core.events import Outcome
from quarterdeck.core.protocol import Result
from quarterdeck.doors import sse
from quarterdeck.forges.local import git
from quarterdeck.store import output
from quarterdeck.store.tables import tokens, users
from tests.app.test_forks import person
from tests.app.test_merge_requests import commit
from tests.conftest import Start
from tests.doors.conftest import Api, Running
from tests.doors.test_sessions import begin
from tests.doors.test_web import harmless
from tests.doors.test_web_pages import browser

EVIL = "<script>alert(1)</script>"
P = "/projects/1"
"""The sample project."""


@dataclass
class Person:
    """Somebody at a browser without script."""

    api: Api
    headers: dict[str, str]

    async def get(self, path: str, status: int = 200) -> str:
        page = await self.api.client.get(path, headers=self.headers)
        assert page.status_code == status, page.text
        assert harmless(page)
        assert "<code>qd " not in page.text
        return page.text

    async def post(self, path: str, status: int = 303, /, **form: Any) -> httpx.Response:
        headers = {**self.headers, "Sec-Fetch-Site": "same-origin"}
        answer = await self.api.client.post(path, data=form, headers=headers, follow_redirects=False)
        assert answer.status_code == status, answer.text
        return answer


@pytest.fixture
async def ada(api: Api, app: App, start: Start) -> Person:
    return Person(api, await browser(app, start.owner))


@pytest.fixture
def of(api: Api, app: App, start: Start) -> Callable[[str, Role], Any]:
    async def somebody(name: str, role: Role) -> tuple[Person, Actor]:
        actor = await person(app, name, role)
        return Person(api, await browser(app, actor)), actor

    return somebody


async def test_an_issue_from_the_first_word_to_its_end(
    ada: Person, api: Api, app: App, start: Start, of: Callable[[str, Role], Any]
) -> None:
    empty = await ada.get(f"{P}/issues")
    assert "No issue is open." in empty
    assert f'href="{P}/issues/new"' in empty
    assert "None yet." not in empty
    await ada.get(f"{P}/issues/new")
    faulty = await ada.post(f"{P}/issues", 400, title=" ", description=EVIL, labels="a, b", assignees=["ada"])
    assert "An issue needs a title." in faulty.text
    assert "&lt;script&gt;alert(1)" in faulty.text, "what was typed stays"
    assert 'value="a, b"' in faulty.text
    assert 'value="ada" checked' in faulty.text
    stranger = await ada.post(f"{P}/issues", 400, title="x", assignees=["nobody"])
    assert "nobody is none" in stranger.text
    form = {"title": "<b>It</b> breaks", "description": f"**how** {EVIL}", "labels": "bug, ui,", "assignees": ["ada"]}
    made = await ada.post(f"{P}/issues", **form)
    assert made.headers["location"] == f"{P}/issues/1"
    session = await begin(api, issue_iid=1, title="On it")
    page = await ada.get(f"{P}/issues/1")
    assert "<strong>how</strong>" in page
    assert "<b>It" not in page
    assert f'<a class="title" href="/sessions/{session["id"]}">On it' in page
    assert f'href="{P}/run?flow=developer/v1&amp;issue_iid=1"' in page
    long = await ada.post(f"{P}/issues/1/comments", 400, text="so " * 333_334 + EVIL, then="close")
    assert long.text.count("so so so") > 0
    assert 'aria-invalid="true"' in long.text
    said = await ada.post(f"{P}/issues/1/comments", text=f"*so* {EVIL}", then="close")
    number = (await issues.show(app, start.owner, 1, 1)).comments[0].id
    assert said.headers["location"] == f"{P}/issues/1#comment-{number}"
    page = await ada.get(f"{P}/issues/1")
    assert f'id="comment-{number}"' in page
    assert "<em>so</em>" in page
    assert "Open again" in page
    assert "Start a session about this" not in page, "nothing is left to do"
    await ada.post(f"{P}/issues/1/status", status="opened")
    await ada.post(f"{P}/issues/1/status", 400, status="lost")
    edit = await ada.get(f"{P}/issues/1/edit")
    assert "&lt;b&gt;It&lt;/b&gt; breaks" in edit
    await ada.post(f"{P}/issues/1/edit", title="It broke", description="", labels="ui")
    found = await issues.show(app, start.owner, 1, 1)
    assert (found.title, found.description, found.labels, found.assignees) == ("It broke", "", ("ui",), ())
    for query, there in (("q=broke", True), ("q=other", False), ("label=ui", True), ("assignee=ada", False)):
        assert ("It broke" in await ada.get(f"{P}/issues?{query}")) is there, query
    assert "It broke" not in await ada.get(f"{P}/issues?status=closed")
    await ada.get(f"{P}/issues?status=lost", 400)
    gus, _ = await of("gus", Role.GUEST)
    page = await gus.get(f"{P}/issues/1")
    assert "On it" not in page
    for offered in ('<textarea id="text"', "Close issue", "/edit", "Start a session about this"):
        assert offered not in page
    assert "you need the role Reporter" in page
    assert "Sessions are for the roles" in page
    await gus.get(f"{P}/issues/1/edit", 403)
    await gus.post(f"{P}/issues", 403, title="x")


async def test_lists_have_pages(ada: Person, app: App, start: Start) -> None:
    for n in range(23):
        await issues.create(app, start.owner, 1, issues.CreateIssue(title=f"number {n + 1}."))
    first = await ada.get(f"{P}/issues?q=number")
    assert len(re.findall(r"number \d+\.", first)) == 20
    (older,) = re.findall(r'rel="next" href="([^"]*)"', first)
    second = await ada.get(older.replace("&amp;", "&"))
    assert re.findall(r"number \d+\.", second) == ["number 3.", "number 2.", "number 1."]
    assert 'rel="next"' not in second
    assert ">First page<" in second


async def test_a_merge_request_from_a_branch_to_its_merge(
    ada: Person, app: App, start: Start, of: Callable[[str, Role], Any]
) -> None:
    path = f"{P}/merge_requests"
    assert "no second branch" in await ada.get(f"{path}/new")
    await commit(app, 1, "work", "main", text=f"{EVIL}\n")
    await commit(app, 1, "clash", "main", text="other\n")
    dora, _ = await of("dora", Role.DEVELOPER)
    await ada.post(f"{P}/issues", title="It breaks")
    assert '<option value="work" selected>work' in await dora.get(f"{path}/new?source=work")
    faulty = await dora.post(path, 400, source_branch="work", target_branch="main", title="  ", description="why")
    assert "needs a title" in faulty.text
    assert "why</textarea>" in faulty.text
    form = {"title": "<b>Say</b> it", "description": "Closes #1", "reviewers": ["ada"], "assignees": ["dora"]}
    await dora.post(path, **form, source_branch="work", target_branch="main")
    await dora.post(path, source_branch="clash", target_branch="main", title="Another")
    listed = await dora.get(path)
    assert "&lt;b&gt;Say&lt;/b&gt; it" in listed
    page = await dora.get(f"{path}/1")
    assert "you need the role Maintainer" in page
    assert f'href="{path}/1/merge"' not in page
    assert "To merge into main you need the role Maintainer." in await dora.get(f"{path}/1/merge")
    await dora.post(f"{path}/1/merge", 403)
    changes = await dora.get(f"{path}/1/changes")
    assert "+&lt;script&gt;" in changes
    assert 'name="verdict"' not in changes, "not of one's own"
    await dora.post(f"{path}/1/reviews", 403, verdict="approved")
    assert 'name="verdict"' in await ada.get(f"{path}/1/changes")
    wrong = await ada.post(f"{path}/1/reviews", 400, path="text", line="9", remark="here", summary="hm")
    assert "isn&#39;t in the diff" in wrong.text
    assert "here</textarea>" in wrong.text
    unclear = (await ada.post(f"{path}/1/reviews", 400, path="text", line="x", remark="here")).text
    assert re.search(r'id="review-line-fault" role="alert">Say which line', unclear), "told beside its field"
    blank = await ada.post(f"{path}/1/comments", 400, text=" \n ")
    assert 'id="comment-text-fault" role="alert">A comment has 1 to' in blank.text
    assert "needs a summary" in (await ada.post(f"{path}/1/reviews", 400)).text
    await ada.post(f"{path}/1/reviews", path="text", line="1", remark=EVIL, verdict="changes_requested")
    page = await ada.get(f"{path}/1")
    assert "<b>ada</b> on text:1" in page
    assert "Changes wanted" in page
    asked = await ada.get(f"{path}/1/merge")
    assert "ada asked for changes." in asked
    assert "Issue #1 is closed with it" in asked
    await ada.post(f"{path}/1/reviews", verdict="approved")
    await ada.post(f"{path}/1/merge")
    found = await merge_requests.show(app, start.owner, 1, 1)
    assert (found.status, found.reviewers[0].verdict) == ("merged", "approved")
    assert (await issues.show(app, start.owner, 1, 1)).status == "closed"
    assert "is merged already" in (await ada.post(f"{path}/1/merge", 409)).text
    late = await ada.post(f"{path}/1/reviews", 409, summary="All of it, at length", verdict="approved")
    assert "All of it, at length</textarea>" in late.text, "merged meanwhile: what was typed stays"
    assert "+&lt;script&gt;" in await ada.get(f"{path}/1/changes"), "what the merge brought"
    refused = await ada.post(f"{path}/2/merge", 409)
    assert "both changed text" in refused.text
    await ada.post(f"{path}/2/status", status="closed")
    assert "Another" in await ada.get(f"{path}?status=closed")
    await ada.post(f"{path}/2/status", status="opened")
    await ada.post(f"{path}/2/status", 409, status="opened")
    await ada.post(f"{path}/2/status", 400, status="lost")
    said = await ada.post(f"{path}/2/comments", text="hello")
    assert f"{path}/2#comment-" in said.headers["location"]
    await ada.get(f"{path}/2/edit")
    await ada.post(f"{path}/2/edit", title="Renamed", description=EVIL)
    assert "needs a title" in (await ada.post(f"{path}/2/edit", 400, title=" ")).text
    await app.forge.delete_branches(1, {"clash": await app.forge.commit_of(1, "clash")})
    assert "There is no branch, tag or commit" in await ada.get(f"{path}/2/changes"), "the page is there all the same"
    gus, _ = await of("gus", Role.GUEST)
    await gus.get(path, 403)
    rex, _ = await of("rex", Role.REPORTER)
    page = await rex.get(f"{path}/2")
    for offered in ("/status", "/edit", "/merge", "Have it reviewed"):
        assert f"{path}/2{offered}" not in page
    await rex.get(f"{path}/2/edit", 403)


async def _end(app: App, job: pipelines.JobView, code: int, log: bytes) -> None:
    """As a runner that begins with the job and ends it."""
    async with app.database.transaction() as connection:
        await pipeline_jobs.job_started(connection, app, job.id)
        assert job.call_id
        if log:
            await output.write(connection, f"job:{job.id}", job.call_id, 0, log)
        result = Result(
            turn_no=0, lease_epoch=1, outcome=Outcome.OK if not code else Outcome.ERROR, text="", exit_code=code
        )
        await pipeline_jobs.job_finished(connection, app, job.id, result)


CI = """
stages: [build, test, page]
make: {stage: build, script: make}
unit: {stage: test, script: make test}
show: {stage: page, script: make page, when: manual, needs: []}
"""


async def test_a_pipeline_is_run_looked_at_and_repaired(
    ada: Person, api: Api, app: App, start: Start, of: Callable[[str, Role], Any]
) -> None:
    await commit(app, 1, "ci", "main", **{".gitlab-ci.yml": CI})
    assert "There is no branch" in (await ada.post(f"{P}/pipelines", 400, ref="lost")).text
    assert '<option value="main" selected>main' in await ada.get(f"{P}/pipelines/new")
    went = (await ada.post(f"{P}/pipelines", ref="ci")).headers["location"]
    found = await pipelines.show(app, start.owner, int(went.rpartition("/")[2]))
    page = await ada.get(went)
    assert f'data-stream="{went}/stream"' in page
    assert "Cancel pipeline" in page
    assert page.index("Stage build") < page.index("Stage test") < page.index("Stage page")
    make, unit, show = found.jobs
    await _end(app, make, 0, b"")
    unit = next(one for one in (await pipelines.show(app, start.owner, found.id)).jobs if one.name == "unit")
    log = b"x\n" * 100_000 + f"\x1b[31mred\x1b[0m {EVIL} \xff\n".encode("latin-1") + b"y" * 100
    await _end(app, unit, 2, log)
    page = await ada.get(f"/jobs/{unit.id}")
    assert '<span class="c1">red</span> &lt;script&gt;' in page
    (before,) = re.findall(r"([0-9,]+) bytes stand before this", page)
    assert log[int(before.replace(",", "")) - 1] == ord("\n"), "a long log is shown from a line on"
    assert "exit code 2" in page
    assert len(page) < 160_000
    raw = await api.client.get(f"/jobs/{unit.id}/log?download=true", headers=ada.headers)
    assert raw.content == log
    assert raw.headers["content-type"] == "text/plain; charset=utf-8"
    assert raw.headers["content-security-policy"].endswith("sandbox")
    assert raw.headers["content-disposition"] == f'attachment; filename="job-{unit.id}.log"'
    page = await ada.get(went)
    assert "data-stream" not in page, "it has ended"
    assert (page.count("✗"), "Fix pipeline" in page) == (3, True)
    assert "No model is configured" in (await ada.post(f"{went}/fix", 400, key="k")).text
    fixed = [await ada.post(f"{went}/fix", model="scripted", key="k") for _ in range(2)]
    assert fixed[0].headers["location"] == fixed[1].headers["location"], "sent twice, started once"
    session = (await api.get(fixed[0].headers["location"])).json()
    assert (session["flow"], session["ref"], session["origin"]) == ("fix_pipeline/1.0.0", "ci", "web")
    assert f'<a class="title" href="/sessions/{session["id"]}">' in await ada.get(went)
    listed = await ada.get(f"{P}/pipelines?ref=ci&status=failed")
    assert f'href="{went}"' in listed
    assert "by hand" in listed
    assert f'href="{went}"' not in await ada.get(f"{P}/pipelines?status=success")
    again = (await ada.post(f"/jobs/{unit.id}/retry")).headers["location"]
    assert again != f"/jobs/{unit.id}"
    assert "There is a newer attempt." in await ada.get(f"/jobs/{unit.id}")
    waiting = await ada.get(again)
    assert f'src="{again}/stream" after="0"' in waiting
    await ada.post(f"{went}/retry", 409)
    await ada.post(f"{went}/cancel")
    assert "1 earlier attempt" in await ada.get(went)
    await ada.post(f"{went}/retry")
    assert (await ada.post(f"/jobs/{show.id}/retry")).headers["location"] == f"/jobs/{show.id}"
    rex, _ = await of("rex", Role.REPORTER)
    page = await rex.get(went)
    for offered in ("Cancel pipeline", "Fix pipeline", "Try failed", "Run ci again"):
        assert offered not in page
    await rex.post(f"{went}/cancel", 403)
    gus, _ = await of("gus", Role.GUEST)
    for path in (went, f"/jobs/{unit.id}", f"/jobs/{unit.id}/log", f"/jobs/{unit.id}/stream", f"{went}/stream"):
        await gus.get(path, 404)


async def test_a_pipeline_file_is_checked_while_it_is_written(
    ada: Person, app: App, of: Callable[[str, Role], Any]
) -> None:
    at = f"{P}/pipelines/check"
    assert f'href="{at}"' in await ada.get(f"{P}/pipelines")
    page = await ada.get(at)
    assert "python3 -m unittest" in page, "it begins with the file of the default branch"
    assert "No faults: a push runs 3 jobs" in page
    evil = f'include: ci/gone.yml\nunit: {{script: x, "{EVIL}": y}}'
    page = (await ada.post(at, 200, text=evil)).text
    assert "1 fault<" in page.replace("\n", "")
    assert '<li class="fault" data-line="1"><a href="#lint-text" data-line="1"' in page
    assert "`include: ci/gone.yml`: there is no such file at this commit" in page
    part = (await ada.post(f"{at}/part", 200, text=evil.partition("\n")[2])).text
    assert part.lstrip().startswith('<div class="check" data-said="1 fault">')
    assert "&lt;script&gt;" in part
    assert EVIL not in part
    part = (await ada.post(f"{at}/part", 200, text="unit: {script: x, stage: test, parallel: 2}")).text
    assert "<li>unit 1/2</li><li>unit 2/2</li>" in part
    part = (await ada.post(f"{at}/part", 200, text="workflow: {rules: [{when: never}]}\na: {script: x}")).text
    assert "No faults, but a push would run nothing" in part
    assert "the rule of line 1 holds" in part
    await commit(app, 1, "wrong", "main", **{".gitlab-ci.yml": "a: {script: x, image: y}\nb: {cache: z}"})
    went = (await ada.post(f"{P}/pipelines", ref="wrong")).headers["location"]
    page = await ada.get(went)
    assert f'href="{at}?ref=wrong"' in page
    assert '<p class="problem words">The file .gitlab-ci.yml can&#39;t be used:\nline 1: job a: `image`' in page
    page = await ada.get(f"{at}?ref=wrong")
    assert "3 faults" in page
    assert "as a push of it to wrong would be" in page
    assert f'check="{at}/part?ref=wrong"' in page
    gus, _ = await of("gus", Role.GUEST)
    await gus.get(at, 403)


async def test_files_and_commits(ada: Person, api: Api, app: App, of: Callable[[str, Role], Any]) -> None:
    lines = "".join(f"line {n}\n" for n in range(1, 2501))
    files = {
        "README.md": f"# Hello\n{EVIL} [x](javascript:alert(1))\n", "src/a <b>.py": f"{EVIL}\n\u202eevil\n",
        "long.txt": lines, "wide.txt": "w" * 100_000, "empty": "",
    }  # fmt: skip
    await commit(app, 1, "odd#&branch", "main", first="1\n")
    folder = app.home / "repositories" / "1.git"
    stream = b"commit refs/heads/odd#&branch\ncommitter Ada <a@b> now\ndata 20\n<b>Second</b>\n\nmore\n"
    stream += b"from refs/heads/odd#&branch^0\n"
    blobs = {**{name: text.encode() for name, text in files.items()}, "bin": b"\0\1" * 10, "big": b"b" * 1_100_000}
    for name, data in blobs.items():
        stream += f'M 100644 inline "{name}"\ndata {len(data)}\n'.encode() + data + b"\n"
    await git.ask("fast-import", "--quiet", "--date-format=now", directory=folder, stdin=stream)
    ref = "ref=odd%23%26branch"
    page = await ada.get(f"{P}/files?{ref}")
    assert f'<a href="{P}/files?{ref}&amp;path=src">src/</a>' in page
    assert ">Hello</h1>" in page
    assert 'javascript:alert(1)"' not in page
    assert "&lt;b&gt;Second" in page
    assert "/git/sample.git" in page
    assert f'href="{P}/merge_requests/new?source=odd%23%26branch"' in page
    page = await ada.get(f"{P}/files?{ref}&path=src")
    assert "a &lt;b&gt;.py" in page
    (file,) = re.findall(rf'href="({P}/file\?[^"]*)"', page)
    page = await ada.get(file.replace("&amp;", "&"))
    assert '<li id="L1"><a href="#L1">1</a><code>&lt;script&gt;' in page
    assert "⟨U+202E⟩evil" in page
    page = await ada.get(f"{P}/file?{ref}&path=long.txt&line=1500")
    assert page.count('<li id="L') == 1000
    assert 'id="L1001"' in page
    assert "line=2001" in page
    assert "line=1000" in page
    assert len(await ada.get(f"{P}/file?{ref}&path=wide.txt")) < 30_000
    for name, told in (("bin", "It is no text."), ("big", "It is too large"), ("empty", "It is empty.")):
        assert told in await ada.get(f"{P}/file?{ref}&path={name}")
    raw = await api.client.get(f"{P}/raw?{ref}&path=README.md", headers=ada.headers)
    assert raw.text == files["README.md"]
    assert raw.headers["content-type"] == "text/plain; charset=utf-8"
    assert raw.headers["content-security-policy"].endswith("sandbox")
    page = await ada.get(f"{P}/commits?{ref}")
    assert "&lt;b&gt;Second" in page
    (sha,) = re.findall(
        rf'href="{P}/commits/([0-9a-f]{{40}})">[^<]*<code>[^<]*</code></a> <span class="title">&lt;b', page
    )
    page = await ada.get(f"{P}/commits/{sha}")
    assert "more</pre>" in page
    assert "+&lt;script&gt;" in page
    assert "The diff is longer than this page" in page
    older = await ada.get(f"{P}/commits?{ref}&at={sha}&skip=1")
    assert "Second" not in older
    assert ">First page<" in older
    for path in (
        "files?ref=--upload-pack=x", "files?ref=main..main", "files?path=../..", "files?path=a%00b", "commits?ref=-x",
        "file?path=../1.git/config", "file?path=/etc/passwd", "file", "raw?path=..", "raw?path=%00&ref=main",
        "commits/--all", "commits/HEAD~1", "commits?at=%0A--all", "files?ref=main%0Amain", "files?path=nothing",
    ):  # fmt: skip
        page = await api.client.get(f"{P}/{path}", headers=ada.headers)
        assert page.status_code in (400, 404), (path, page.status_code)
    gus, _ = await of("gus", Role.GUEST)
    await gus.get(f"{P}/files", 403)


async def test_an_empty_repository_teaches_the_first_push(ada: Person, api: Api) -> None:
    made = (await api.post("/projects", {"path": "team/new"})).json()
    for page in ("files", "commits"):
        assert "git push origin HEAD" in await ada.get(f"/projects/{made['id']}/{page}")
    assert "push a branch first" in await ada.get(f"/projects/{made['id']}/pipelines/new")
    assert ".gitlab-ci.yml" in await ada.get(f"/projects/{made['id']}/pipelines")


async def test_a_job_is_followed_to_its_end_by_who_may(
    running: Running, app: App, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "CHECK_SECONDS", 0.5)
    await commit(app, 1, "ci", "main", **{".gitlab-ci.yml": "one: {script: make}\n"})
    found = await pipelines.start(app, start.owner, 1, "ci")
    (job,) = found.jobs
    assert job.call_id
    ada, rex = await browser(app, start.owner), await browser(app, await person(app, "rex", Role.REPORTER))
    gone = await browser(app, await person(app, "gone", Role.REPORTER))
    paths = (f"/jobs/{job.id}/stream?after=4", f"/pipelines/{found.id}/stream")
    log = f"one\n\x1b[31mré{EVIL}".encode() + b"x" * 300_000 + b"\n\x1b[0mend"
    async with httpx.AsyncClient(base_url=running.url, timeout=30) as http, asyncio.timeout(60):
        following = [asyncio.create_task(_followed(http, path, who)) for who in (ada, rex, gone) for path in paths]
        async with app.database.transaction() as connection:
            await pipeline_jobs.job_started(connection, app, job.id)
        async with app.database.transaction() as connection:
            theirs = select(users.c.id).where(users.c.username == "gone").scalar_subquery()
            await connection.execute(delete(tokens).where(tokens.c.user_id == theirs))
        for left in following[4:]:
            assert "Passed" not in str(await left), "who has signed out is told no more"
        for offset, end in ((0, 11), (11, 200_000), (200_000, len(log))):
            async with app.database.transaction() as connection:
                await output.write(connection, f"job:{job.id}", job.call_id, offset, log[offset:end])
        await _end(app, job, 0, b"")
        told = await asyncio.gather(*following[:4])
    for log_told, page_told in (told[:2], told[2:]):
        printed = "".join(data["html"] for kind, data in log_told if kind == "printed")
        assert printed.startswith('<span class="c1">r')
        assert re.sub(r"</?span[^>]*>", "", printed).startswith("ré&lt;script&gt;alert(1)"), "wherever it was cut"
        assert printed.endswith("</span>end")
        assert [data["end"] for kind, data in log_told if kind == "printed"][-1] == len(log)
        for signals in (log_told, page_told):
            parts = _parts(signals)
            assert len(set(parts)) == len(parts), "only what changed"
    assert ("Try again" in _parts(told[0])[-1], "Try again" in _parts(told[2])[-1]) == (True, False)


def _parts(signals: list[tuple[str, Any]]) -> list[str]:
    """What came for the page's own part."""
    return [html for kind, data in signals if kind == "fresh" for name, html in data.items() if name.endswith("-part")]


async def _followed(http: httpx.AsyncClient, path: str, headers: dict[str, str]) -> list[tuple[str, Any]]:
    """What a page is told until its part says that all has passed, or it is sent away."""
    found: list[tuple[str, Any]] = []
    async with http.stream("GET", path, headers=headers) as answer:
        if answer.status_code != 200:
            return found
        async for signal in EventSource(answer).aiter_sse():
            found.append((signal.event, json.loads(signal.data)))
            if signal.event == "error" or any("Passed" in part for part in _parts(found[-1:])):
                return found
    return found
