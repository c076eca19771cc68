"""GitLab as a mirror: against a small GitLab that keeps what it is told, and with webhooks signed as GitLab signs."""

import asyncio
import base64
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update
from standardwebhooks import Webhook

from quarterdeck.app import connections, forge_deliveries, forge_jobs, issues, merge_requests, pipelines, projects
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.connections import Connect, LinkPerson
from quarterdeck.app.issues import CreateIssue
from quarterdeck.app.merge_requests import CreateMergeRequest
from quarterdeck.app.projects import AddProject
from quarterdeck.core.errors import InvalidInputError, UnauthenticatedError
from quarterdeck.store.tables import comments as comment_rows
from quarterdeck.store.tables import connections as connection_rows
from quarterdeck.store.tables import forge_writes
from quarterdeck.store.tables import issues as issue_rows
from tests.app.test_merge_requests import commit
from tests.emulators import gitlab
from tests.emulators.gitlab import BOT, OCTO, GitLab


@dataclass
class Forge:
    """The GitLab, and a project that is connected to it."""

    app: App
    owner: Actor
    gitlab: GitLab
    project: int
    connection: int
    secret: str
    bare: Path

    def signed(self, body: bytes, key: str, at: datetime | None = None) -> dict[str, str]:
        at = at or datetime.now(UTC)
        signature = Webhook(self.secret).sign(key, at, body.decode())
        stamp = str(int(at.timestamp()))
        return {"x-gitlab-event": "Hook", "webhook-id": key, "webhook-timestamp": stamp, "webhook-signature": signature}

    async def told(self, payload: object, key: str) -> bool:
        body = json.dumps(payload).encode()
        fresh = await forge_deliveries.receive(self.app, self.connection, self.signed(body, key), body)
        await self.work("apply")
        return fresh

    async def work(self, what: Any) -> None:
        await forge_jobs.work(self.app, what, self.connection)


@pytest.fixture
def server() -> Iterator[GitLab]:
    with gitlab.running() as made:
        yield made


@pytest.fixture
async def forge(app: App, owner: Actor, server: GitLab, tmp_path: Path) -> Forge:
    bare = tmp_path / "hello.git"
    await asyncio.to_thread(subprocess.run, ["git", "init", "--quiet", "--bare", str(bare)], check=True)
    project = await projects.add(app, owner, AddProject(path="hello"))
    wish = Connect(
        forge="gitlab",
        repository="octo/hello",
        token=SecretStr(gitlab.TOKEN),
        api_url=f"{server.url}/api/v4",
        git_url=str(bare),
    )
    view = await connections.connect(app, owner, project.id, wish)
    assert view.hook_secret is not None
    assert not view.run_pipelines, "GitLab runs its own"
    async with app.database.transaction() as connection:
        number = (await connection.execute(select(connection_rows.c.id))).scalar_one()
    return Forge(app, owner, server, project.id, number, view.hook_secret, bare)


async def test_the_first_sync_brings_what_is_there(forge: Forge) -> None:
    made = forge.gitlab.make("issues", OCTO, title="It breaks", description="how", labels="bug,ui")
    forge.gitlab.say("issues", made["iid"], OCTO, "me too")
    request = forge.gitlab.make("merge_requests", OCTO, title="Fix", source_branch="fix", target_branch="main")
    forge.gitlab.pipelines.append(
        {"id": 5, "ref": "fix", "sha": "b" * 40, "status": "failed", "web_url": "https://x/5",
         "created_at": forge.gitlab.now(), "updated_at": forge.gitlab.now()}
    )  # fmt: skip
    forge.gitlab.jobs[5] = [
        {"id": 9, "name": "test", "stage": "check", "status": "failed", "web_url": "https://x/9",
         "finished_at": forge.gitlab.now()}
    ]  # fmt: skip
    forge.gitlab.traces[9] = "\x1b[31mAssertionError: 1 != 2, with glpat-of-the-tests"
    await forge.work("sync")
    assert (await connections.show(forge.app, forge.owner, forge.project)).fault == ""
    issue = await issues.show(forge.app, forge.owner, forge.project, made["iid"])
    assert (issue.title, issue.labels, issue.author, issue.external_url) == (
        "It breaks", ("bug", "ui"), "octo", made["web_url"],
    )  # fmt: skip
    assert [(one.author, one.text) for one in issue.comments] == [("octo", "me too")]
    found = await merge_requests.show(forge.app, forge.owner, forge.project, request["iid"])
    assert (found.title, found.source_branch, found.status) == ("Fix", "fix", "opened")
    (pipeline,) = await pipelines.find(forge.app, forge.owner, forge.project)
    told = await pipelines.failing_jobs(forge.app, forge.owner, forge.project, pipeline.id)
    assert "Job test" in told
    assert "AssertionError: 1 != 2" in told, "the log is read where models read logs"
    assert gitlab.TOKEN not in told


async def test_signatures_tokens_and_replays(forge: Forge) -> None:
    made = forge.gitlab.make("issues", OCTO, title="It breaks")
    body = json.dumps(forge.gitlab.hook("issue", made, OCTO, "open")).encode()
    good = forge.signed(body, "m-1")
    old = datetime.now(UTC) - timedelta(minutes=6)
    other = "whsec_" + base64.b64encode(b"x" * 32).decode()
    refused = [
        {**good, "webhook-id": "m-2"},
        {**good, "webhook-signature": "v1,AAAA"},
        {**good, "webhook-signature": "nonsense"},
        {**good, "webhook-signature": "", "x-gitlab-token": forge.secret},
        {**good, "webhook-timestamp": str(int(old.timestamp()))},
        forge.signed(body, "m-1", old),
        {**good, "webhook-signature": Webhook(other).sign("m-1", datetime.now(UTC), body.decode())},
        {"x-gitlab-token": ""},
        {"x-gitlab-token": forge.secret + "x"},
        {},
    ]
    for headers in refused:
        with pytest.raises(UnauthenticatedError):
            await forge_deliveries.receive(forge.app, forge.connection, headers, body)
    with pytest.raises(UnauthenticatedError):
        await forge_deliveries.receive(forge.app, forge.connection, good, body + b" ")
    assert await forge_deliveries.receive(forge.app, forge.connection, good, body)
    assert not await forge_deliveries.receive(forge.app, forge.connection, good, body), "the same again"
    plain = {"x-gitlab-token": forge.secret, "idempotency-key": "m-9"}
    assert not await forge_deliveries.receive(forge.app, forge.connection, plain, body), "by another way"
    with pytest.raises(InvalidInputError):
        forge.app.remotes["gitlab"].read("", b'{"object_kind": "issue", "object_attributes": {"state": "odd"}}')


async def test_what_people_do_there_is_here(forge: Forge) -> None:
    await connections.link(forge.app, forge.owner, forge.project, LinkPerson(login="octo"))
    there, app, owner, project = forge.gitlab, forge.app, forge.owner, forge.project
    made = there.make("issues", OCTO, title="It breaks", labels="bug")
    await forge.told(there.hook("issue", made, OCTO, "open"), "m-1")
    note = there.say("issues", made["iid"], OCTO, "me too")
    said = {"id": note["id"], "note": "me too", "noteable_type": "Issue", "url": "https://x/n"}
    times = {"created_at": "2026-01-01 00:00:09 UTC", "updated_at": "2026-01-01 00:00:09 UTC"}
    payload = {
        "object_kind": "note",
        "user": OCTO,
        "object_attributes": {**said, **times},
        "issue": {"iid": made["iid"]},
    }
    await forge.told(payload, "m-2")
    system = {**payload, "object_attributes": {**said, **times, "id": 1, "system": True}}
    await forge.told(system, "m-3")
    closed = {**made, "state": "closed", "updated_at": there.now()}
    await forge.told(there.hook("issue", closed, OCTO, "close"), "m-4")
    found = await issues.show(app, owner, project, made["iid"])
    assert (found.status, found.author, found.closed_by, found.labels) == ("closed", "ada", "ada", ("bug",))
    assert [(one.author, one.text) for one in found.comments] == [("ada", "me too")]
    request = there.make("merge_requests", BOT, title="Fix", source_branch="fix", target_branch="main")
    await forge.told(there.hook("merge_request", request, BOT, "open"), "m-5")
    await forge.told(there.hook("merge_request", request, OCTO, "approved"), "m-6")
    shown = await merge_requests.show(app, owner, project, request["iid"])
    assert [(one.username, one.verdict) for one in shown.reviewers] == [("ada", "approved")]
    merged = {**request, "state": "merged", "merge_commit_sha": "c" * 40, "updated_at": there.now()}
    await forge.told(there.hook("merge_request", merged, OCTO, "merge"), "m-7")
    assert (await merge_requests.show(app, owner, project, request["iid"])).status == "merged"
    build = {"id": 9, "stage": "check", "name": "test", "status": "success", "started_at": "2026-01-01 00:00:01 UTC",
             "finished_at": "2026-01-01 00:00:05 UTC", "allow_failure": False}  # fmt: skip
    run = {"id": 5, "ref": "fix", "sha": "b" * 40, "status": "success", "created_at": "2026-01-01 00:00:00 UTC",
           "finished_at": "2026-01-01 00:00:05 UTC", "url": "https://x/5"}  # fmt: skip
    await forge.told({"object_kind": "pipeline", "user": OCTO, "object_attributes": run, "builds": [build]}, "m-8")
    (pipeline,) = await pipelines.find(app, owner, project)
    shown_pipeline = await pipelines.show(app, owner, pipeline.id)
    assert (pipeline.status.value, pipeline.ref, pipeline.source) == ("success", "fix", "gitlab")
    assert [(job.stage, job.name, job.status.value) for job in shown_pipeline.jobs] == [("check", "test", "success")]
    view = await connections.show(app, owner, project)
    assert [one.fault for one in view.deliveries] == [""] * 8


async def test_what_is_done_here_is_there_once(forge: Forge) -> None:
    app, owner, project, there = forge.app, forge.owner, forge.project, forge.gitlab
    await commit(app, project, "main", None, text="one\n")
    await commit(app, project, "agent/fix", "main", text="two\n")
    made = await issues.create(app, owner, project, CreateIssue(title="It breaks", labels=("bug",)))
    await issues.comment(app, owner, project, made.iid, "Look.")
    wish = CreateMergeRequest(source_branch="agent/fix", title="A fix", description="Because.")
    request = await merge_requests.create(app, owner, project, wish)
    await merge_requests.comment(app, owner, project, request.iid, "Done.")
    await forge.work("write")
    assert (await connections.show(app, owner, project)).writes == ()
    heads = await asyncio.to_thread(subprocess.check_output, ["git", "for-each-ref"], cwd=forge.bare)
    assert b"refs/heads/agent/fix" in heads
    assert [(one["title"], one["labels"]) for one in there.things["issues"].values()] == [("It breaks", ["bug"])]
    (opened,) = there.things["merge_requests"].values()
    assert (opened["title"], opened["source_branch"], opened["iid"]) == ("A fix", "agent/fix", request.iid)
    assert [len(said) for said in there.notes.values()] == [1, 1]
    async with app.database.transaction() as connection:  # as after a crash between the writing and its noting
        for table in (comment_rows, issue_rows):
            await connection.execute(update(table).values(external_id=None, external_url=None))
        await connection.execute(update(forge_writes).values(done=0, attempts=1))
    await forge.work("write")
    assert (len(there.things["issues"]), [len(said) for said in there.notes.values()]) == (1, [1, 1])
    await issues.close(app, owner, project, made.iid)
    await merge_requests.close(app, owner, project, request.iid)
    await forge.work("write")
    states = [one["state"] for kind in there.things.values() for one in kind.values()]
    assert states == ["closed", "closed"]
    assert (await connections.show(app, owner, project)).fault == ""


async def test_what_a_pipeline_here_comes_to_is_a_status_there(forge: Forge) -> None:
    app, owner, project = forge.app, forge.owner, forge.project
    sha = await commit(app, project, "main", None, **{".gitlab-ci.yml": "a: {script: x}\n"})
    started = await pipelines.start(app, owner, project)
    await pipelines.cancel(app, owner, started.id)
    await forge.work("write")
    (status,) = forge.gitlab.statuses
    assert (status["sha"], status["state"], status["name"]) == (sha, "canceled", "quarterdeck/pipeline")
    assert status["target_url"].endswith(f"/pipelines/{started.id}")
