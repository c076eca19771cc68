"""Connections to forges by the API, in the browser, and the address that their webhooks come to."""

import json
from collections.abc import Iterator

import pytest

from quarterdeck.app import forge_deliveries, projects
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.projects import AddProject
from quarterdeck.core.access import Role
from tests.app.forge_links import github_headers, linked
from tests.app.test_merge_requests import person
from tests.doors.conftest import Api
from tests.doors.test_web_settings import window
from tests.emulators import gitlab
from tests.emulators.gitlab import GitLab

NASTY = "<script>alert(1)</script>"


@pytest.fixture
def server() -> Iterator[GitLab]:
    with gitlab.running() as made:
        yield made


async def test_connected_shown_and_ended_by_the_api(api: Api, server: GitLab) -> None:
    assert (await api.post("/projects", {"path": "hello"})).status_code == 201
    assert (await api.get("/projects/hello/connection")).status_code == 404
    wish = {"forge": "gitlab", "repository": "octo/hello", "token": gitlab.TOKEN, "api_url": f"{server.url}/api/v4"}
    for wrong in (
        {**wish, "repository": "hello"},
        {**wish, "repository": "../../user"},
        {**wish, "token": "a\nb"},
        {**wish, "api_url": "file:///etc"},
        {**wish, "api_url": "http://u:p@127.0.0.1"},
        {**wish, "forge": "elsewhere"},
        {**wish, "git_url": "ext::sh -c id"},
        {**wish, "git_url": "https://u:p@gitlab.example/x.git"},
    ):
        assert (await api.post("/projects/hello/connection", wrong)).status_code == 400, wrong
    refused = await api.post("/projects/hello/connection", {**wish, "token": "glpat-of-somebody-else"})
    assert (refused.status_code, "token" in refused.json()["detail"]) == (401, True)
    made = await api.post("/projects/hello/connection", wish)
    assert made.status_code == 201
    told = made.json()
    assert told["hook_secret"].startswith("whsec_")
    assert told["hook_url"].startswith("http://127.0.0.1:7433/hooks/forges/")
    shown = await api.get("/projects/hello/connection")
    assert (shown.json()["hook_secret"], shown.json()["login"]) == (None, "quarterdeck-bot")
    assert gitlab.TOKEN not in made.text + shown.text
    assert (await api.post("/projects/hello/connection", wish)).status_code == 409
    linked_ = await api.post("/projects/hello/connection/people", {"login": "@Octo"})
    assert linked_.json()["people"] == [{"login": "octo", "username": "ada"}]
    assert (await api.post("/projects/hello/connection/sync")).status_code == 202
    gone = await api.client.delete("/api/v1/projects/hello/connection", headers=api.headers)
    assert gone.status_code == 204
    assert (await api.get("/projects/hello/connection")).status_code == 404


async def test_in_the_browser_and_for_whom(api: Api, app: App, owner: Actor, server: GitLab) -> None:
    made = await projects.add(app, owner, AddProject(path="hello"))
    path = f"/projects/{made.id}/connection"
    rex = await person(app, owner, made, "rex", Role.REPORTER)
    mine, theirs = await window(api, app, owner), await window(api, app, rex)
    assert "Connect the project to its repository" in await mine.get(path)
    assert 'name="token"' not in await theirs.get(path)
    form = {"forge": "gitlab", "repository": "octo/hello", "token": gitlab.TOKEN, "api_url": f"{server.url}/api/v4"}
    await theirs.send(path, 403, **form)
    wrong = await mine.send(path, 400, **{**form, "repository": NASTY})
    assert gitlab.TOKEN not in wrong
    answered = await mine.send(path, **form)
    assert "whsec_" in answered
    again = await mine.get(path)
    assert "whsec_" not in again
    assert gitlab.TOKEN not in answered + again
    assert "None has come yet." in again
    assert "is rex" in await theirs.send(f"{path}/people", login="octo")
    await mine.send(f"{path}/people", 409, login="octo")
    await theirs.send(f"{path}/disconnect", 403)
    assert "None has come yet." in await mine.send(f"{path}/unlink", login="octo")
    assert "Connect the project to its repository" in await mine.send(f"{path}/disconnect")


async def test_what_comes_from_a_forge_is_harmless_here(api: Api, app: App, owner: Actor) -> None:
    project, number = await linked(app, owner)
    issue = {
        "number": 7, "title": NASTY, "body": f"{NASTY} [x](javascript:alert(1))", "state": "open",
        "user": {"login": NASTY}, "html_url": "javascript:alert(1)", "labels": [{"name": NASTY}],
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    body = json.dumps({"action": "opened", "issue": issue}).encode()
    headers = github_headers("issues", body, NASTY)
    where = f"/hooks/forges/{number}"
    assert (
        await api.client.post(where, content=body, headers={**headers, "X-Hub-Signature-256": "x"})
    ).status_code == 401
    assert (await api.client.post(f"/hooks/forges/{number + 1}", content=body, headers=headers)).status_code == 404
    assert (await api.client.post(where, content=b" " * (8 * 1024 * 1024 + 1), headers=headers)).status_code == 413
    assert (await api.client.post(where, content=body, headers=headers)).status_code == 202
    assert (await api.client.post(where, content=body, headers=headers)).status_code == 200
    await forge_deliveries.apply(app, number)
    mine = await window(api, app, owner)
    shown = await mine.get(f"/projects/{project.id}/issues/7")
    assert "javascript:alert" not in shown.replace("[x](javascript:alert(1))", "")
    assert NASTY not in shown + await mine.get(f"/projects/{project.id}/connection")
