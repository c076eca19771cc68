"""GitHub as a mirror: against an emulator that keeps state and sends signed webhooks, and a bare repository for git."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from quarterdeck.app import connections, forge_jobs, issues, merge_requests, pipelines, projects, repositories
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.connections import Connect, ConnectionView, LinkPerson
from quarterdeck.app.issues import CreateIssue
from quarterdeck.app.merge_requests import CreateMergeRequest, UpdateMergeRequest
from quarterdeck.app.outside import RefUpdate
from quarterdeck.app.projects import AddProject
from quarterdeck.core.errors import ConflictError
from quarterdeck.doors.http import Server, application
from quarterdeck.store.tables import comments as comment_rows
from quarterdeck.store.tables import connections as connection_rows
from quarterdeck.store.tables import forge_writes
from quarterdeck.store.tables import merge_requests as merge_request_rows
from tests import ports
from tests.emulators import github
from tests.emulators.github import Emulator


def git(*arguments: str, folder: Path) -> str:
    identity = ("-c", "user.name=Octo", "-c", "user.email=octo@example.com", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, timeout=60)
    return done.stdout.decode().strip()


@dataclass
class Forge:
    """The emulator, a bare repository beside it, and a project that is connected to both."""

    app: App
    owner: Actor
    emulator: Emulator
    bare: Path
    clone: Path
    project: int
    view: ConnectionView
    connection: int
    heard: "asyncio.Queue[str]" = field(default_factory=lambda: asyncio.Queue[str]())

    async def ask(self, method: str, path: str, body: object = None, **more: str) -> Any:
        return await asyncio.to_thread(self.emulator.ask, method, f"/repos/{self.view.repository}{path}", body, **more)

    async def told(self, event: str) -> None:
        """Applies what came, once a delivery of that event is stored."""
        async with asyncio.timeout(30):
            while await self.heard.get() != event:
                pass
        await self.work("apply")

    async def work(self, what: Any) -> None:
        await forge_jobs.work(self.app, what, self.connection)

    def commit(self, branch: str, name: str, text: str = "x\n") -> str:
        """A commit that somebody pushes there."""
        git("fetch", "--quiet", "origin", folder=self.clone)
        known = git("branch", "--remotes", "--list", f"origin/{branch}", folder=self.clone)
        git("checkout", "--quiet", "-B", branch, f"origin/{branch}" if known else "origin/main", folder=self.clone)
        (self.clone / name).write_text(text, encoding="utf-8")
        git("add", ".", folder=self.clone)
        git("commit", "--quiet", "-m", f"Add {name}", folder=self.clone)
        git("push", "--quiet", "origin", f"HEAD:{branch}", folder=self.clone)
        return git("rev-parse", "HEAD", folder=self.clone)

    async def branch_there(self, name: str) -> None:
        """A branch of the emulator's own repository, which git doesn't reach."""
        main = await self.ask("GET", "/git/ref/heads/main")
        await self.ask("POST", "/git/refs", {"ref": f"refs/heads/{name}", "sha": main["object"]["sha"]})
        content = {"message": "work", "content": "eA==", "branch": name}
        await self.ask("PUT", f"/contents/{name.replace('/', '-')}.txt", content)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with github.running(tmp_path_factory.mktemp("emulator")) as started:
        yield started


@pytest.fixture
async def forge(app: App, owner: Actor, emulator: Emulator, tmp_path: Path) -> AsyncIterator[Forge]:
    name = tmp_path.name.replace("_", "-")
    there = f"/repos/octocat/{name}"
    await asyncio.to_thread(emulator.ask, "POST", "/user/repos", {"name": name, "auto_init": True})
    bare, clone = tmp_path / "hello.git", tmp_path / "clone"
    git("init", "--quiet", "--bare", str(bare), folder=tmp_path)
    git("clone", "--quiet", str(bare), str(clone), folder=tmp_path)
    (clone / "README.md").write_text("hello\n", encoding="utf-8")
    git("add", ".", folder=clone)
    git("commit", "--quiet", "-m", "Begin", folder=clone)
    git("push", "--quiet", "origin", "HEAD:main", folder=clone)
    project = await projects.add(app, owner, AddProject(path="hello"))
    wish = Connect(
        forge="github",
        repository=f"octocat/{name}",
        token=SecretStr(github.TOKEN),
        api_url=emulator.url,
        git_url=str(bare),
    )
    await asyncio.to_thread(emulator.ask, "PUT", f"{there}/collaborators/quarterdeck-bot", {"permission": "push"})
    view = await connections.connect(app, owner, project.id, wish)
    async with app.database.transaction() as connection:
        number = (await connection.execute(select(connection_rows.c.id))).scalar_one()
    made = Forge(app, owner, emulator, bare, clone, project.id, view, number)
    listening = ports.reserved()
    listening.listen()
    inner = application(app)

    async def heard(scope: Any, receive: Any, send: Any) -> None:
        await inner(scope, receive, send)
        if scope["type"] == "http":
            made.heard.put_nowait(dict(scope["headers"]).get(b"x-github-event", b"").decode())

    server = Server(inner, host="127.0.0.1", port=0)
    server.config.app = heard  # pyright: ignore[reportAttributeAccessIssue]
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await server.ready.wait()
    url = f"http://127.0.0.1:{ports.number(listening)}/hooks/forges/{number}"
    hook = {"config": {"url": url, "content_type": "json", "secret": view.hook_secret}, "events": ["*"]}
    await asyncio.to_thread(emulator.ask, "POST", f"{there}/hooks", hook)
    yield made
    server.should_exit = True
    await serving


async def test_the_first_sync_brings_what_is_there(forge: Forge) -> None:
    opened = await forge.ask("POST", "/issues", {"title": "It breaks", "body": "how", "labels": ["bug"]})
    await forge.ask("POST", f"/issues/{opened['number']}/comments", {"body": "me too"})
    await forge.work("sync")
    shown = await connections.show(forge.app, forge.owner, forge.project)
    assert (shown.fault, shown.login, shown.synced_at is not None) == ("", "quarterdeck-bot", True)
    found = await issues.show(forge.app, forge.owner, forge.project, opened["number"])
    assert (found.title, found.description, found.labels, found.author) == ("It breaks", "how", ("bug",), "octocat")
    assert [(one.author, one.text) for one in found.comments] == [("octocat", "me too")]
    assert found.external_url == opened["html_url"]
    branches = await repositories.branches(forge.app, forge.owner, forge.project)
    assert [(one.name, one.default) for one in branches] == [("main", True)]


async def test_what_people_do_there_is_here_by_webhooks(forge: Forge) -> None:
    await forge.work("sync")
    opened = await forge.ask("POST", "/issues", {"title": "It breaks"})
    await forge.told("issues")
    number = opened["number"]
    await forge.ask("POST", f"/issues/{number}/comments", {"body": "me <b>too</b>\u0000"})
    await forge.told("issue_comment")
    await connections.link(forge.app, forge.owner, forge.project, LinkPerson(login="@OctoCat"))
    await forge.ask("POST", f"/issues/{number}/comments", {"body": "it's me"})
    await forge.told("issue_comment")
    await forge.ask("PATCH", f"/issues/{number}", {"state": "closed"})
    await forge.told("issues")
    found = await issues.show(forge.app, forge.owner, forge.project, number)
    assert (found.status, found.closed_by) == ("closed", "ada")
    assert [(one.author, one.text) for one in found.comments] == [
        ("octocat", "me <b>too</b>\ufffd"),
        ("ada", "it's me"),
    ]
    made = await issues.create(forge.app, forge.owner, forge.project, CreateIssue(title="Another"))
    assert made.iid == number + 1, "numbers go on from those there"


async def test_a_pull_request_from_open_to_closed(forge: Forge) -> None:
    await forge.work("sync")
    await forge.branch_there("fix")
    pull = await forge.ask("POST", "/pulls", {"title": "Fix", "head": "fix", "base": "main", "body": "it"})
    await forge.told("pull_request")
    found = await merge_requests.show(forge.app, forge.owner, forge.project, pull["number"])
    assert (found.title, found.source_branch, found.target_branch) == ("Fix", "fix", "main")
    assert (found.status, found.author, found.external_url) == ("opened", "octocat", pull["html_url"])
    with pytest.raises(ConflictError, match="is merged where"):
        await merge_requests.merge(forge.app, forge.owner, forge.project, found.iid)
    await forge.ask("PATCH", f"/pulls/{pull['number']}", {"state": "closed"})
    await forge.told("pull_request")
    found = await merge_requests.show(forge.app, forge.owner, forge.project, pull["number"])
    assert found.status == "closed"


async def test_what_is_done_here_is_there_once(forge: Forge) -> None:
    """Branch, merge request, comment: written once, found again when the answer was lost, and no echo comes back."""
    await forge.work("sync")
    app, owner, project = forge.app, forge.owner, forge.project
    sha = forge.commit("agent/fix", "fix.txt")
    await forge.branch_there("agent/fix")
    git("update-ref", "-d", "refs/heads/agent/fix", folder=forge.bare)
    git("fetch", "--quiet", str(forge.clone), "agent/fix:agent/fix", folder=home_of(app, project))
    await repositories.pushed(app, project, (RefUpdate(ref="refs/heads/agent/fix", old="0" * 40, new=sha),))
    wish = CreateMergeRequest(source_branch="agent/fix", title="A fix", description="Because.")
    made = await merge_requests.create(app, owner, project, wish)
    await merge_requests.comment(app, owner, project, made.iid, "Done.")
    await forge.work("write")
    assert git("rev-parse", "agent/fix", folder=forge.bare) == sha
    (pull,) = await forge.ask("GET", "/pulls")
    assert (pull["title"], pull["user"]["login"], pull["number"]) == ("A fix", "quarterdeck-bot", made.iid)
    assert pull["body"].startswith("Because.\n\n<!-- quarterdeck:merge_request:")
    (said,) = await forge.ask("GET", f"/issues/{pull['number']}/comments")
    assert said["body"].startswith("Done.\n\n<!-- quarterdeck:comment:")
    assert "ada in Quarterdeck" in said["body"]
    await forge.told("issue_comment")
    await forge.work("apply")
    shown = await merge_requests.show(app, owner, project, made.iid)
    assert [one.text for one in shown.comments] == ["Done."]
    assert (shown.external_url, shown.author, shown.description) == (pull["html_url"], "ada", "Because.")
    await merge_requests.change(app, owner, project, made.iid, UpdateMergeRequest(title="A better fix"))
    await forge.work("write")
    (pull,) = await forge.ask("GET", "/pulls")
    assert pull["title"] == "A better fix"
    async with app.database.transaction() as connection:  # as after a crash between the writing and its noting
        for table in (comment_rows, merge_request_rows):
            await connection.execute(update(table).values(external_id=None, external_url=None))
        await connection.execute(update(forge_writes).values(done=0, attempts=1))
    await forge.work("write")
    assert len(await forge.ask("GET", "/pulls?state=all")) == 1
    assert len(await forge.ask("GET", f"/issues/{pull['number']}/comments")) == 1
    view = await connections.show(app, owner, project)
    assert (view.writes, view.fault) == ((), "")


def home_of(app: App, project: int) -> Path:
    return app.home / "repositories" / f"{project}.git"


async def test_checks_are_pipelines_and_verify_the_session_that_waits(forge: Forge) -> None:
    await forge.work("sync")
    main = await forge.ask("GET", "/git/ref/heads/main")
    run = {"name": "lint", "head_sha": main["object"]["sha"], "status": "in_progress"}
    made = await forge.ask("POST", "/check-runs", run)
    await forge.told("check_run")
    (found,) = await pipelines.find(forge.app, forge.owner, forge.project)
    shown = await pipelines.show(forge.app, forge.owner, found.id)
    assert (shown.source, shown.sha, shown.ref) == ("github", run["head_sha"], "main")
    assert [(job.name, job.status.value) for job in shown.jobs] == [("lint", "running")]
    assert shown.status.value in ("created", "running")
    with pytest.raises(ConflictError, match="runs at the forge"):
        await pipelines.cancel(forge.app, forge.owner, found.id)
    await forge.ask("PATCH", f"/check-runs/{made['id']}", {"status": "completed", "conclusion": "failure"})
    await forge.told("check_run")
    await forge.work("apply")
    shown = await pipelines.show(forge.app, forge.owner, found.id)
    assert [(job.name, job.status.value) for job in shown.jobs] == [("lint", "failed")]
    assert (await pipelines.failing_jobs(forge.app, forge.owner, forge.project, found.id)).startswith("Job lint")
