"""The pages: signed in by cookie, written to only by themselves, and everything that others wrote escaped."""

from typing import Any

import httpx
from litestar.testing import AsyncTestClient

from quarterdeck.app import people
from quarterdeck.app.application import App
from quarterdeck.doors.http import application
from tests.app.test_merge_requests import commit
from tests.conftest import Start
from tests.doors.conftest import Api
from tests.doors.test_sessions import begin

OURS = {"Sec-Fetch-Site": "same-origin"}


def harmless(page: httpx.Response) -> bool:
    """Whether its only script is our own, which is named by a path of ours."""
    return page.text.count("<script") == page.text.count('<script type="module" src="/static/') == 1


async def signed_in(api: Api, app: App, start: Start) -> dict[str, str]:
    link = await people.sign_in_link(app, start.owner)
    path, token = link.removeprefix(app.public_url), link.partition("token=")[2]
    for _ in range(2):
        asked = await api.client.get(path)
        assert asked.status_code == 200
        assert f"Sign in as {start.owner.username}" in asked.text
        assert "set-cookie" not in asked.headers, "a link alone signs nobody in, and a previewer does not use it up"
    foreign = await api.client.post("/sign-in", data={"token": token}, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    answer = await api.client.post("/sign-in", data={"token": token}, headers=OURS, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert "Secure" not in cookie
    api.client.cookies.clear()
    for again in (
        await api.client.get(path),
        await api.client.post("/sign-in", data={"token": token}, headers=OURS),
    ):
        assert again.status_code == 401
        assert "used already" in again.text
    return {"Cookie": cookie.partition(";")[0]}


async def test_a_link_signs_in_once(api: Api, app: App, start: Start) -> None:
    stranger = await api.client.get("/")
    assert stranger.status_code == 401
    assert "qd sign-in-link" in stranger.text
    led = await api.client.get('/sessions/1?at=1&q="><script>', headers={"Sec-Fetch-Site": "cross-site"})
    assert (led.status_code, harmless(led)) == (401, True)
    assert 'content="0; url=/sessions/1?at=1&amp;q=' in led.text, "a page of ours may bring the cookie"
    headers = await signed_in(api, app, start)
    api.client.cookies.clear()
    page = await api.client.get("/", headers=headers)
    assert page.status_code == 200
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert page.headers["x-content-type-options"] == "nosniff"
    assert harmless(page)


async def test_what_others_wrote_is_text(api: Api, app: App, start: Start) -> None:
    session = await begin(api, goal="<script>alert(1)</script>", title="<b>bold</b>")
    headers = await signed_in(api, app, start)
    for path in ("/", f"/sessions/{session['id']}"):
        page = await api.client.get(path, headers=headers)
        assert page.status_code == 200
        assert "&lt;b&gt;bold" in page.text
        assert harmless(page)
        assert "<b>bold" not in page.text
    assert "a script does" in page.text
    for query, chosen in (("level=full", True), ("level=full&before=2", False)):
        page = await api.client.get(f"/sessions/{session['id']}?{query}", headers=headers)
        assert 'level="full"' in page.text
        assert ("quarterdeck_level=full" in page.headers.get("set-cookie", "")) is chosen, (
            "what leads on chooses nothing"
        )
    missing = await api.client.get("/sessions/4711", headers=headers)
    assert missing.status_code == 404
    assert "There is no session #4711" in missing.text


async def test_only_our_own_pages_write(api: Api, app: App, start: Start) -> None:
    session = await begin(api)
    headers = await signed_in(api, app, start)
    path = f"/sessions/{session['id']}/cancel"
    host = api.client.base_url.host
    for foreign in (
        {},
        {"Sec-Fetch-Site": "cross-site", "Origin": f"http://{host}"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ):
        refused = await api.client.post(path, headers={**headers, **foreign}, follow_redirects=False)
        assert refused.status_code == 403, foreign
    assert (await api.get(f"/sessions/{session['id']}")).json()["status"] == "created"
    done = await api.client.post(path, headers={**headers, "Sec-Fetch-Site": "same-origin"}, follow_redirects=False)
    assert done.status_code == 303
    assert (await api.get(f"/sessions/{session['id']}")).json()["status"] == "stopped"


async def test_signing_out_ends_the_sign_in(api: Api, app: App, start: Start) -> None:
    headers = {**await signed_in(api, app, start), "Sec-Fetch-Site": "same-origin"}
    secret = headers["Cookie"].partition("=")[2]
    bearer = {"Authorization": f"Bearer {secret}"}
    assert (await api.client.get("/api/v1/whoami", headers=bearer)).status_code == 401, "a browser's token opens pages"
    api.client.cookies.clear()
    personal = {"Cookie": f"quarterdeck={start.token}"}
    assert (await api.client.get("/", headers=personal)).status_code == 401
    page = await api.client.get("/", headers=headers)
    assert page.headers["referrer-policy"] == "same-origin", "no-referrer makes the Origin of our forms null"
    left = await api.client.post("/sign-out", headers=headers, follow_redirects=False)
    assert left.status_code == 303
    api.client.cookies.clear()
    assert (await api.client.get("/", headers=headers)).status_code == 401


async def test_under_https_the_cookie_is_bound_to_the_host(app: App, start: Start) -> None:
    from dataclasses import replace

    secure = replace(app, public_url="https://quarterdeck.example")
    async with AsyncTestClient(application(secure)) as client:
        link = await people.sign_in_link(secure, start.owner)
        form = {"token": link.partition("token=")[2]}
        answer = await client.post("/sign-in", data=form, headers=OURS, follow_redirects=False)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-quarterdeck=")
    assert "Secure" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie


async def test_what_links_lead_to_is_there(api: Api, app: App, start: Start) -> None:
    """The URLs that views of projects, pipelines and merge requests have, for a browser that is signed in."""
    headers = await signed_in(api, app, start)
    api.client.cookies.clear()
    project = (await api.get("/projects/sample")).json()
    await commit(app, project["id"], "work", "main", text="<script>alert(1)</script>\n")
    request = {"source_branch": "work", "title": "<b>bold</b>", "description": "why"}
    made = (await api.post("/projects/sample/merge_requests", request)).json()
    pipelines: Any = (await api.get("/projects/sample/pipelines")).json()
    issue = (await api.post("/projects/sample/issues", {"title": "<b>bold</b>", "labels": ["<script>"]})).json()
    await api.post("/projects/sample/issues/1/comments", {"text": "<script>alert(1)</script>"})
    place = {"path": "text", "new_line": 1}
    await api.post("/projects/sample/merge_requests/1/comments", {"text": "<b>bold</b>", "position": place})
    session = await begin(api, issue_iid=1)
    shown = await api.client.get(str(issue["url"]).removeprefix(app.public_url), headers=headers)
    assert f'<a class="title" href="/sessions/{session["id"]}">' in shown.text
    merge_request = str(made["url"]).removeprefix(app.public_url)
    paths = [str(one["url"]).removeprefix(app.public_url) for one in (project, pipelines[0], issue, made)]
    texts: list[str] = []
    for path in (*paths, f"{merge_request}/changes"):
        assert (await api.client.get(path)).status_code == 401
        page = await api.client.get(path, headers=headers)
        assert page.status_code == 200, page.text
        assert "sample" in page.text
        assert harmless(page)
        assert "<b>bold" not in page.text
        texts.append(page.text)
    assert "+&lt;script&gt;" in texts[-1]
    assert "<b>ada</b> on text:1" in texts[-2]
    missing = await api.client.get(f"/projects/{project['id']}/merge_requests/7", headers=headers)
    assert missing.status_code == 404
