"""An editor asks in the browser, and gets a token by a code that is worth nothing to anybody else."""

import hashlib
import html
import re
from base64 import urlsafe_b64encode
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from sqlalchemy import update

from quarterdeck.app import accounts
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.store.tables import tokens
from tests.app.test_forks import person
from tests.doors.conftest import Api
from tests.doors.test_web_settings import NASTY, Window, window

VERIFIER = "v" * 43
CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
ASKED = {
    "name": "VS Code",
    "code_challenge": CHALLENGE,
    "state": "s&1",
    "redirect_uri": "vscode://quarterdeck.quarterdeck/signed-in",
}


async def allowed(at: Window, **other: str) -> tuple[str, str]:
    """The code, and where the page leads with it."""
    page = await at.send("/editors/sign-in", 200, **{**ASKED, **other})
    code = re.search(r"<pre><code>(qde_[^<]+)</code></pre>", page)
    assert code, page
    link = re.search(r'class="button primary" href="([^"]*)"', page)
    return code[1], html.unescape(link[1]) if link else ""


async def test_an_editor_gets_a_token_by_its_code_once(api: Api, app: App, owner: Actor) -> None:
    at = await window(api, app, owner)
    page = await at.get(f"/editors/sign-in?{urlencode({**ASKED, 'name': NASTY})}")
    assert "Let &lt;script&gt;" in page
    code, link = await allowed(at)
    where = urlsplit(link)
    assert (where.scheme, where.netloc, where.path) == ("vscode", "quarterdeck.quarterdeck", "/signed-in")
    assert parse_qs(where.query) == {"code": [code], "state": ["s&1"]}

    body = {"code": code, "code_verifier": VERIFIER}
    made = await api.client.post("/api/v1/sign-in/codes", json=body)
    assert made.status_code == 200, made.text
    bearer = {"Authorization": f"Bearer {made.json()['token']}"}
    me = (await api.client.get("/api/v1/whoami", headers=bearer)).json()
    assert me["username"] == made.json()["username"] == owner.username
    assert "VS Code" in await at.get("/settings")

    assert (await api.client.post("/api/v1/sign-in/codes", json=body)).status_code == 401
    other, _ = await allowed(at)
    assert (await api.client.get("/api/v1/whoami", headers={"Authorization": f"Bearer {other}"})).status_code == 401
    stolen = await api.client.post("/api/v1/sign-in/codes", json={"code": other, "code_verifier": "w" * 43})
    assert stolen.status_code == 401
    late = await api.client.post("/api/v1/sign-in/codes", json={"code": other, "code_verifier": VERIFIER})
    assert late.status_code == 401  # whoever tries it in vain has used it up


async def test_a_code_ends_in_time_and_with_its_person(api: Api, app: App, owner: Actor) -> None:
    grace = await person(app, "grace", None)
    at = await window(api, app, grace)
    late, _ = await allowed(at)
    async with app.database.transaction() as connection:
        made = tokens.c.kind == "code"
        await connection.execute(update(tokens).where(made).values(expires_at=tokens.c.created_at))
    assert (await redeemed(api, late)) == 401
    shut_out, _ = await allowed(at)
    await accounts.shut_out(app, owner, "grace")
    assert (await redeemed(api, shut_out)) == 401


async def redeemed(api: Api, code: str) -> int:
    answer = await api.client.post("/api/v1/sign-in/codes", json={"code": code, "code_verifier": VERIFIER})
    return answer.status_code


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/", "http://evil.example/", "http://127.0.0.1.evil.example/", "javascript:alert(1)",
        "vscode://evil.extension/", "http://ada@127.0.0.1/", "http://127.0.0.1:99999/", "http://127.0.0.1/#x",
        "vscode://quarterdeck.quarterdeck@evil.example/", "//evil.example", "vscode:quarterdeck.quarterdeck",
        "http://127.0.0.1/ b",
    ],
)  # fmt: skip
async def test_a_code_goes_to_editors_of_this_machine_alone(uri: str, api: Api, app: App, owner: Actor) -> None:
    at = await window(api, app, owner)
    await at.get(f"/editors/sign-in?{urlencode({**ASKED, 'redirect_uri': uri})}", 400)
    await at.send("/editors/sign-in", 400, **{**ASKED, "redirect_uri": uri})


async def test_without_a_place_to_go_the_code_is_pasted(api: Api, app: App, owner: Actor) -> None:
    at = await window(api, app, owner)
    code, link = await allowed(at, redirect_uri="")
    assert not link
    assert await redeemed(api, code) == 200
    code, link = await allowed(at, redirect_uri="http://127.0.0.1:4711/callback?a=b")
    assert link == f"http://127.0.0.1:4711/callback?a=b&{urlencode({'code': code, 'state': 's&1'})}"
