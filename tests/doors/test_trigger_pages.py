"""The pages of triggers: made, changed, fired and read again; and webhooks by HTTP."""

import re
from typing import Any

import httpx

from quarterdeck.app.application import App
from tests.conftest import Start
from tests.doors.conftest import Api
from tests.doors.test_web import OURS, signed_in

FORM = {"description": "By <b>hook</b>", "account": "bot", "flow": "software_development", "model": "scripted"}


class Browser:
    """Who is signed in, and goes where an answer leads."""

    def __init__(self, api: Api, headers: dict[str, str]) -> None:
        self._client, self._headers = api.client, headers

    async def get(self, path: str) -> httpx.Response:
        return await self._client.get(path, headers=self._headers)

    async def post(self, path: str, data: dict[str, Any] | None = None) -> httpx.Response:
        answer = await self._client.post(path, data=data, headers=self._headers, follow_redirects=False)
        return await self.get(answer.headers["location"]) if answer.status_code == 303 else answer


async def test_from_an_account_to_a_delivery(api: Api, app: App, start: Start) -> None:
    client = Browser(api, {**await signed_in(api, app, start), **OURS})
    empty = await client.get("/projects/1/triggers")
    assert "No triggers yet" in empty.text
    refused = await client.post("/projects/1/triggers/accounts", data={"username": "a b"})
    assert (refused.status_code, "A username has" in refused.text, 'value="a b"' in refused.text) == (400, True, True)
    await client.post("/projects/1/triggers/accounts", data={"username": "@bot"})
    wrong = await client.post("/projects/1/triggers", data={**FORM, "filter": "{"})
    assert (wrong.status_code, "Choose what it waits for" in wrong.text) == (400, True)
    form = {**FORM, "on": ["webhook", "pipeline_hooks:failed"], "enabled": "yes"}
    made = await client.post("/projects/1/triggers", data=form)
    found = re.search(r"whsec_[A-Za-z0-9+/=]+", made.text)
    assert found is not None
    secret = found.group()
    page = await client.get("/projects/1/triggers/1")
    assert "whsec_" not in page.text
    assert "By &lt;b&gt;hook" in page.text
    assert "/hooks/triggers/1</code>" in page.text
    assert re.search(r'value="pipeline_hooks:failed" checked', page.text)
    assert not re.search(r'value="pipeline_hooks:success" checked', page.text)
    hook = "/hooks/triggers/1"
    assert (await api.client.post(hook, content=b"{}")).status_code == 401
    assert (await api.client.post("/hooks/triggers/9", content=b"{}")).status_code == 404
    assert (await api.client.post(f"/hooks/triggers/{2**63}", content=b"{}")).status_code == 404
    bearer = {"Authorization": f"Bearer {secret}"}
    for bad in (b"{", b"[" * 500 + b"]" * 500, b"\xff", b'{"a": NaN}'):
        assert (await api.client.post(hook, content=bad, headers=bearer)).status_code == 400
    assert (await api.client.post(hook, content=b"x" * 300_000, headers=bearer)).status_code == 413
    assert (await api.client.post(hook, content=b'{"<i>": "\\u0000"}', headers=bearer)).status_code == 202
    shown = await client.get("/projects/1/deliveries/1")
    assert ("&lt;i&gt;" in shown.text, "<i>" in shown.text) == (True, False)
    for act, then in (("disable", "Off"), ("enable", "On")):
        done = await client.post(f"/projects/1/triggers/1/{act}")
        assert f"<dd>{then}</dd>" in done.text
    for bad in ("[]", "{", '{"a": NaN}', "[" * 5_000 + "]" * 5_000):
        fired = await client.post("/projects/1/triggers/1/fire", data={"payload": bad})
        assert (fired.status_code, "is a JSON object" in fired.text) == (400, True)
    fired = await client.post("/projects/1/triggers/1/fire", data={"payload": "{}"})
    assert "Delivery 2" in fired.text
    again = await client.post("/projects/1/deliveries/1/again")
    assert "Delivery 3" in again.text
    renewed = await client.post("/projects/1/triggers/1/secret")
    assert secret not in renewed.text
    assert "whsec_" in renewed.text
    lost = await client.post("/projects/1/triggers/1/burn")
    assert lost.status_code == 400
    changed = await client.post(
        "/projects/1/triggers/1",
        data={**FORM, "on": "schedule", "cron": "0 6 * * 1", "timezone": "UTC"},
    )
    assert (changed.status_code, "0 6 * * 1" in changed.text) == (200, True)
    listed = await client.get("/projects/1/triggers")
    assert "By &lt;b&gt;hook" in listed.text
    kept = await client.post("/projects/1/triggers/accounts/remove", data={"username": "bot"})
    assert (kept.status_code, "acts as bot" in kept.text) == (409, True)
    await client.post("/projects/1/triggers/1/delete")
    assert "No triggers yet" in (await client.get("/projects/1/triggers")).text
