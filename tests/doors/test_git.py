import asyncio
import gzip
import socket
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn
from litestar import Litestar
from litestar.di import Provide
from sqlalchemy import insert

from quarterdeck.app import people, pipelines, projects
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.access import Role
from quarterdeck.doors.git import smart_http
from quarterdeck.store.tables import users

ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}


@dataclass
class Ran:
    code: int
    out: str


@dataclass
class Site:
    """A served door, and a project `team/app` with people in all roles."""

    app: App
    owner: Actor
    port: int
    project_id: int
    tokens: dict[str, str]
    folder: Path

    def url(self, who: str, path: str = "team/app") -> str:
        name = "session" if who == "workspace" else who
        return f"http://{name}:{self.tokens[who]}@127.0.0.1:{self.port}/git/{path}.git"

    async def git(self, *arguments: str, at: str = ".") -> Ran:
        command = await asyncio.create_subprocess_exec(
            "git",
            *arguments,
            cwd=self.folder / at,
            env=ENVIRONMENT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(60):
                out, _ = await command.communicate()
        except TimeoutError:
            command.kill()
            out, _ = await command.communicate()
            raise AssertionError(f"git {arguments} hangs: {out.decode()}") from None
        return Ran(command.returncode or 0, out.decode())

    async def commit(self, at: str, **files: str) -> str:
        for name, text in files.items():
            (self.folder / at / name).write_text(text)
        await self.git("add", "-A", at=at)
        await self.git("commit", "-qm", "work", at=at)
        return (await self.git("rev-parse", "HEAD", at=at)).out.strip()


@pytest.fixture
async def site(app: App, owner: Actor, tmp_path: Path) -> AsyncGenerator[Site]:
    project = await projects.add(app, owner, projects.AddProject(path="team/app"))
    tokens: dict[str, str] = {}
    async with app.database.transaction() as connection:
        tokens["owner"] = await people.issue(connection, "personal", user_id=owner.user_id)
        tokens["workspace"] = await people.issue(connection, "workspace", project_id=project.id, subject="session:1")
        for name in ("dev", "reporter", "guest", "stranger"):
            made = insert(users).values(username=name, name=name).returning(users.c.id)
            tokens[name] = await people.issue(
                connection, "personal", user_id=(await connection.execute(made)).scalar_one()
            )
    for name, role in (("dev", Role.DEVELOPER), ("reporter", Role.REPORTER), ("guest", Role.GUEST)):
        await projects.set_member(app, owner, project.id, name, role)
    site = Litestar(
        [smart_http.ROUTES],
        dependencies={"app": Provide(lambda: app, sync_to_thread=False)},
        logging_config=None,
        openapi_config=None,
    )
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(site, log_config=None, timeout_graceful_shutdown=1, lifespan="off"))
    task = asyncio.create_task(server.serve([listening]))
    yield Site(app, owner, listening.getsockname()[1], project.id, tokens, tmp_path)
    server.should_exit = True
    await task
    listening.close()


async def cloned(site: Site, who: str = "owner") -> str:
    ran = await site.git("clone", "-q", site.url(who), who)
    assert ran.code == 0, ran.out
    return who


async def test_push_and_clone_by_role(site: Site) -> None:
    at = await cloned(site)
    await site.git("checkout", "-qb", "main", at=at)
    ci = "a: {script: x, rules: [{if: $CI_PIPELINE_SOURCE == 'push'}]}\n"
    first = await site.commit(at, **{".gitlab-ci.yml": ci, "big": "line\n" * 400_000})
    ran = await site.git("push", "-q", "origin", "main", "main:refs/heads/other", at=at)
    assert ran.code == 0, ran.out
    views = await pipelines.find(site.app, site.owner, site.project_id)
    assert {(view.ref, view.sha, view.source) for view in views} == {("main", first, "push"), ("other", first, "push")}
    for who in ("dev", "reporter", "workspace"):
        await cloned(site, who)
        assert (site.folder / who / "big").read_text() == "line\n" * 400_000
    for who, said in (("guest", "403"), ("stranger", "not found")):
        ran = await site.git("clone", "-q", site.url(who), "none")
        assert ran.code != 0
        assert said in ran.out
    await site.git("checkout", "-qb", "work", at="reporter")
    await site.git("checkout", "-qb", "work", at="workspace")
    for who, said in (("reporter", "need the role Developer"), ("workspace", "work leaves it as a bundle")):
        await site.commit(who, mine="1")
        ran = await site.git("push", "origin", "work", at=who)
        assert ran.code != 0
        assert said in ran.out
    assert set(await site.app.forge.branches(site.project_id)) == {"main", "other"}


async def test_the_default_branch_is_protected(site: Site) -> None:
    at = await cloned(site)
    await site.git("checkout", "-qb", "main", at=at)
    first = await site.commit(at, a="1")
    assert (await site.git("push", "-q", "origin", "main", at=at)).code == 0
    at = await cloned(site, "dev")
    await site.commit(at, a="2", large="x" * 3_000_000)
    ran = await site.git("push", "origin", "main", "main:refs/heads/mine", at=at)
    assert ran.code != 0
    assert "main -> main (the default branch is protected; push another branch" in ran.out
    assert "main -> mine (another ref of this push was refused)" in ran.out
    assert await site.app.forge.branches(site.project_id) == {"main": first}
    assert (await site.git("push", "-q", "origin", "main:mine", at=at)).code == 0
    await site.git("commit", "-q", "--amend", "-m", "again", at=at)
    ran = await site.git("push", "-q", "--force", "origin", "main:mine", at=at)
    assert ran.code == 0, ran.out
    assert (await site.git("push", "-q", "origin", ":mine", at=at)).code == 0
    for who in ("dev", "owner"):
        ran = await site.git("push", "origin", ":main", at=who)
        assert ran.code != 0
        assert "the default branch" in ran.out
    ran = await site.git("push", "origin", "HEAD:refs/quarterdeck/x", at="owner")
    assert "only branches and tags can be pushed" in ran.out
    assert await site.app.forge.branches(site.project_id) == {"main": first}


async def test_both_protocols_and_shallow_clones(site: Site) -> None:
    at = await cloned(site)
    await site.git("checkout", "-qb", "main", at=at)
    await site.commit(at, a="1")
    head = await site.commit(at, a="2")
    assert (await site.git("push", "-q", "origin", "main", at=at)).code == 0
    for version in ("0", "1", "2"):
        ran = await site.git("-c", f"protocol.version={version}", "clone", "-q", site.url("dev"), f"v{version}")
        assert ran.code == 0, ran.out
        assert (await site.git("rev-parse", "HEAD", at=f"v{version}")).out.strip() == head
    assert (await site.git("clone", "-q", "--depth=1", site.url("dev"), "shallow")).code == 0
    await site.git("checkout", "-qb", "from-shallow", at="shallow")
    sha = await site.commit("shallow", b="1")
    ran = await site.git("push", "-q", "origin", "from-shallow", at="shallow")
    assert ran.code == 0, ran.out
    assert (await site.app.forge.branches(site.project_id))["from-shallow"] == sha


async def test_requests_that_are_no_gits(site: Site) -> None:
    base = f"http://127.0.0.1:{site.port}/git/team/app.git"
    refs = "/info/refs?service=git-upload-pack"
    dev = ("any name", site.tokens["dev"])
    async with httpx.AsyncClient() as client:
        for url in (base + refs, base.replace("app", "none") + refs):
            answer = await client.get(url)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Basic ")
        for auth in (("x", "wrong"), ("session", site.tokens["dev"]), ("x", site.tokens["workspace"])):
            assert (await client.get(base + refs, auth=auth)).status_code == 401
        assert (await client.get(base + refs, headers={"Authorization": "Basic !!"})).status_code == 401
        workspace = ("session", site.tokens["workspace"])
        assert (await client.get(base.replace("team/app", "sample") + refs, auth=workspace)).status_code == 404
        number = base.replace("team/app", str(site.project_id))
        assert (await client.get(number + refs, auth=dev)).status_code == 404
        assert (await client.get(base + refs, auth=dev)).status_code == 200
        assert (await client.get(base + "/info/refs", auth=dev)).status_code == 400
        for path in ("/HEAD", "/objects/info/packs", "/config", ""):
            assert (await client.get(base + path, auth=dev)).status_code == 404
        assert (await client.post(base + "/nothing", auth=dev)).status_code == 404
        pack = "/git-upload-pack"
        hello = b"0014command=ls-refs\n0000"
        packed = {"Content-Encoding": "gzip", "Git-Protocol": "version=2"}
        answer = await client.post(base + pack, auth=dev, content=gzip.compress(hello), headers=packed)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-git-upload-pack-result")
        assert answer.content.endswith(b"0000")
        answer = await client.post(base + "/git-receive-pack", auth=dev, content=b"zzzz")
        assert (answer.status_code, answer.text) == (400, "This is not a push that can be read.\n")
        endless = b"0035shallow " + b"a" * 40 + b"\n"
        answer = await client.post(base + "/git-receive-pack", auth=dev, content=endless * 20_000)
        assert (answer.status_code, answer.text[:27]) == (400, "This push asks for more tha")


async def test_the_first_branch_becomes_the_default(site: Site) -> None:
    at = await cloned(site)
    await site.git("checkout", "-qb", "trunk", at=at)
    await site.commit(at, a="1")
    assert (await site.git("push", "-q", "origin", "trunk", at=at)).code == 0
    assert (await projects.show(site.app, site.owner, site.project_id)).default_branch == "trunk"
    await cloned(site, "dev")
    assert (await site.git("branch", "--show-current", at="dev")).out.strip() == "trunk"
    await site.git("checkout", "-qb", "more", at="dev")
    assert (await site.git("push", "-q", "origin", "more", at="dev")).code == 0
    assert (await projects.show(site.app, site.owner, site.project_id)).default_branch == "trunk"
