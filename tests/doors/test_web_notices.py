"""Webhooks, to-dos and notifications in the browser: forms that do it, who is offered them, and lists that are live."""

import json
import re

import httpx

from quarterdeck.app import telling
from quarterdeck.app.application import App
from quarterdeck.app.change import change
from quarterdeck.core.access import Role
from quarterdeck.core.status import Transition
from tests.app.test_forks import person
from tests.conftest import Start
from tests.doors.conftest import Api
from tests.doors.test_sessions import begin
from tests.doors.test_web_settings import NASTY, window


async def fail(app: App, number: int, title: str) -> None:
    async with change(app, number) as it:
        it.move(Transition.DROP, reason="gone")
    async with app.database.transaction() as connection:
        await connection.exec_driver_sql("update sessions set title = %s where id = %s", (title, number))
    while await telling.tell(app):
        pass


async def test_a_webhook_is_made_changed_rotated_and_removed(api: Api, app: App, start: Start) -> None:
    owner = await window(api, app, start.owner)
    assert "There is none yet" in await owner.get("/projects/1/webhooks")
    assert "/projects/1/webhooks" in await owner.get("/projects/1/settings")
    refused = await owner.send(
        "/projects/1/webhooks", 400, url="ftp://x/", events=["session.failed"], description=NASTY
    )
    assert "The url is not one of https" in refused
    assert 'value="ftp://x/"' in refused
    page = await owner.send(
        "/projects/1/webhooks", url="https://example.org/hook?key=sesame", events=["session.failed"], description=NASTY
    )
    (secret,) = re.findall(r"whsec_[A-Za-z0-9+/=]+", page)
    assert "sesame" not in page
    assert NASTY not in page
    page = await owner.get("/projects/1/webhooks/1")
    assert secret not in page
    assert page.count(" checked") == 2
    page = await owner.send("/projects/1/webhooks/1/rotate", hours="2")
    assert re.findall(r"whsec_[A-Za-z0-9+/=]+", page) != [secret]
    assert "The one before signs, too, until" in page
    page = await owner.send("/projects/1/webhooks/1/test")
    assert "webhook.test" in page
    page = await owner.get("/projects/1/webhooks/1/deliveries/1")
    assert "None yet." in page
    assert "&#34;by&#34;:&#34;ada&#34;" in page
    await owner.send("/projects/1/webhooks/1/deliveries/1/redeliver")
    page = await owner.send("/projects/1/webhooks/1", events=["session.canceled", "artifact.created"])
    assert "Saved." in page
    assert "The webhook is off" in await owner.send("/projects/1/webhooks/1/test", 409)
    assert "The webhook is off" in await owner.send("/projects/1/webhooks/1/deliveries/1/redeliver", 409)
    assert "There is none yet" in await owner.send("/projects/1/webhooks/1/remove")
    developer = await window(api, app, await person(app, "dev", Role.DEVELOPER))
    await developer.get("/projects/1/webhooks", 403)
    assert "/projects/1/webhooks" not in await developer.get("/projects/1/settings")
    assert "sesame" not in await developer.send("/projects/1/webhooks", 403, url="https://example.org/?sesame")


async def test_to_dos_are_listed_counted_and_done(api: Api, app: App, start: Start) -> None:
    owner = await window(api, app, start.owner)
    assert "Nothing waits for you." in await owner.get("/to-dos")
    numbers = [int((await begin(api))["id"]) for _ in range(2)]
    for number in numbers:
        await fail(app, number, NASTY)
    page = await owner.get("/to-dos")
    assert page.count("&lt;script&gt;") >= 2
    assert f"/sessions/{numbers[0]}#e" in page
    assert 'id="top-to-dos"><b class="count needs" title="need you">2</b>' in page
    page = await owner.send("/to-dos/1/done")
    assert 'id="top-to-dos"><b class="count needs" title="need you">1</b>' in page
    assert f"/sessions/{numbers[0]}#e" not in page
    assert f"/sessions/{numbers[0]}#e" in await owner.get("/to-dos/done")
    assert "Nothing waits for you." in await owner.send("/to-dos/done")
    other = await window(api, app, await person(app, "eve", Role.DEVELOPER))
    await other.send("/to-dos/1/done", 404)


async def test_what_one_is_told_of_is_chosen(api: Api, app: App, start: Start) -> None:
    owner = await window(api, app, start.owner)
    page = await owner.get("/settings/notifications")
    assert page.count(" checked") == 4
    assert "This server sends no e-mail" in page
    page = await owner.send(
        "/settings/notifications",
        flows=["failed", "finished"],
        chats=["failed"],
        slack_url="https://slack.example/s/abc",
    )
    assert page.count(" checked") == 3
    assert "https://slack.example/…" in page
    assert "abc" not in page
    refused = await owner.send("/settings/notifications", 400, slack_url="http://slack.example/x")
    assert "has to begin with https://" in refused
    page = await owner.send("/settings/notifications", no_slack="yes")
    assert "slack.example" not in page
    assert page.count(" checked") == 0
    assert "You have no channel but the to-do list" in await owner.send("/settings/notifications/test", 409)


async def test_by_the_api_secrets_are_shown_once(api: Api, app: App, start: Start) -> None:
    path = "/projects/sample/webhooks"
    body = {"url": "https://example.org/?token=sesame-open-now", "events": ["session.failed"]}
    answers = [
        await api.post(path, {**body, "url": "sesame-open-now"}),
        await api.post(path, {**body, "events": []}),
        await api.post(path, {**body, "events": ["session.sung"]}),
        await api.post(path, body),
        await api.get(path),
        await api.get(f"{path}/1"),
        await api.post(f"{path}/1/test"),
        await api.get(f"{path}/1/deliveries"),
        await api.get(f"{path}/1/deliveries/1"),
        await api.post(f"{path}/1/deliveries/1/redeliver"),
        await api.client.patch(f"/api/v1{path}/1", json={"enabled": False}, headers=api.headers),
        await api.post(f"{path}/1/rotate", {"hours": 0}),
        await api.client.delete(f"/api/v1{path}/1", headers=api.headers),
        await api.get(f"{path}/1"),
    ]
    assert [one.status_code for one in answers] == [
        400,
        400,
        400,
        201,
        200,
        200,
        201,
        200,
        200,
        200,
        200,
        200,
        204,
        404,
    ]
    secrets = [answers[3].json()["secret"], answers[11].json()["secret"]]
    told: list[httpx.Response] = [one for place, one in enumerate(answers) if place not in (0, 3, 11)]
    assert not any("sesame" in one.text for one in told[2:])
    assert not any(secret in one.text for one in told for secret in secrets)
    assert json.loads(answers[8].json()["body"])["data"] == {"project": "sample", "by": "ada"}

    number = int((await begin(api))["id"])
    await fail(app, number, "t")
    found = (await api.get("/to_dos")).json()
    assert (found["open"], [one["session"] for one in found["items"]]) == (1, [number])
    assert (await api.post(f"/to_dos/{found['items'][0]['id']}/done")).json() == {"done": 1}
    assert (await api.post("/to_dos/done")).json() == {"done": 0}
    assert [one["session"] for one in (await api.get("/to_dos", done="true")).json()["items"]] == [number]
    assert (await api.get("/me/notifications")).json()["rules"]["chats"] == []
    answer = await api.client.patch("/api/v1/me/notifications", json={"email": True}, headers=api.headers)
    assert answer.status_code == 409
    assert (await api.post("/me/notifications/test")).status_code == 409
