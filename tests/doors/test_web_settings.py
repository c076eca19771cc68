"""Members, settings, tokens, runners and administration in the browser: forms that do it, and who is offered them."""

import re

import httpx
import pytest
from sqlalchemy import update

from quarterdeck.app import credentials, people, registrations, runners
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.access import Role
from quarterdeck.core.errors import UnauthenticatedError
from quarterdeck.core.protocol import PROTOCOL_VERSION, Register
from quarterdeck.doors.http import application
from quarterdeck.doors.web import cookies
from quarterdeck.engine.models import access
from quarterdeck.store.tables import sessions
from tests.app.test_forks import person
from tests.conftest import Start
from tests.doors.conftest import Api
from tests.doors.test_sessions import begin
from tests.doors.test_web import OURS, harmless
from tests.doors.test_web_pages import browser
from tests.engine import stubs
from tests.engine.stubs import serving

KEY = "gsk-entered-by-a-person-9876543210"
HI = stubs.stream(*stubs.openai(stubs.delta(content="yes")))
NASTY = "<script>alert(1)</script>"


class Window:
    """A browser that somebody is signed in with; it goes where a form leads."""

    def __init__(self, client: httpx.AsyncClient, cookie: str) -> None:
        self._client, self.cookie = client, cookie

    async def get(self, path: str, status: int = 200, *, more: str = "") -> str:
        return self._page(await self._client.get(path, headers={**OURS, "Cookie": self.cookie + more}), status)

    async def send(self, path: str, status: int = 200, /, **fields: str | list[str]) -> str:
        """The page that answers, or the one that it leads to."""
        headers = {**OURS, "Cookie": self.cookie}
        answer = await self._client.post(path, data=fields, headers=headers, follow_redirects=False)
        if answer.status_code == 303:
            return await self.get(answer.headers["location"].partition("#")[0], status)
        return self._page(answer, status)

    def _page(self, answer: httpx.Response, status: int) -> str:
        assert answer.status_code == status, re.findall(r'class="problem".*', answer.text)
        assert harmless(answer)
        assert len(answer.content) < 100_000
        return answer.text


async def window(api: Api, app: App, who: Actor) -> Window:
    return Window(api.client, (await browser(app, who))["Cookie"])


def field(page: str, name: str) -> str:
    """A field's tag."""
    found = re.search(rf'<(?:input|textarea|select) id="[^"]*" name="{name}"[^>]*>', page)
    assert found, name
    return found[0]


async def test_members_come_change_and_go(api: Api, app: App, start: Start) -> None:
    await person(app, "dora", None)
    gus = await person(app, "gus", Role.GUEST)
    mine, path = await window(api, app, start.owner), "/projects/1/members"
    added = await mine.send(path, username="@dora", role="maintainer", new="yes")
    assert "Saved." in added
    unknown = await mine.send(path, 404, username="no<b>body", role="guest", new="yes")
    assert "There is no user" in unknown
    assert 'value="no&lt;b&gt;body" required' in unknown, "what was typed stays"
    assert 'aria-invalid="true"' in unknown
    assert "keeps at least one owner" in await mine.send(f"{path}/remove", 409, username="ada")
    assert "Choose a role." in await mine.send(path, 400, username="dora", role="king")
    dora = await window(api, app, (await people.authenticate(app, await _token(app, "dora"))))
    seen = await dora.get(path)
    assert "Change the role of gus" in seen
    assert "Change the role of ada" not in seen, "nobody changes a role above their own"
    assert 'value="owner"' not in seen
    await dora.send(path, username="gus", role="reporter")
    theirs = await window(api, app, gus)
    guest = await theirs.get(path)
    assert "ada" in guest
    assert "by the role Maintainer and above; yours is Reporter" in guest
    assert "<select" not in guest.partition("<main")[2].partition("</main")[0]
    assert "you need the role Maintainer" in await theirs.send(path, 403, username="gus", role="owner")
    left = await theirs.send(f"{path}/remove", username="gus")
    assert "<h1>Projects</h1>" in left
    await theirs.get(path, 404)


async def _token(app: App, username: str) -> str:
    from quarterdeck.store.tables import users

    async with app.database.transaction() as connection:
        user_id = (await connection.execute(users.select().where(users.c.username == username))).one().id
        return await people.issue(connection, "personal", name="test", user_id=user_id)


async def test_settings_of_a_project(api: Api, app: App, start: Start) -> None:
    mine, path = await window(api, app, start.owner), "/projects/1/settings"
    page = await mine.send(f"{path}/general", name=NASTY, description="What\nit is")
    assert "Saved." in page
    assert 'value="&lt;script&gt;' in field(page, "name")
    nameless = await mine.send(f"{path}/general", 400, name=" ", description="typed")
    assert "A project has a name." in nameless
    assert "\ntyped</textarea>" in nameless, "what was typed stays"
    models = await mine.send(f"{path}/models", default="anthropic:claude-haiku-4-5", allowed="anthropic:*\r\nopenai:*")
    assert "\nanthropic:*\nopenai:*</textarea>" in models
    wrong = await mine.send(f"{path}/models", 400, default="nonsense", allowed="")
    assert 'aria-invalid="true"' in field(wrong, "default")
    assert "openai:gpt-6-luna</code>" in await mine.send(
        f"{path}/flow-model", flow="developer/v1", model="openai:gpt-6-luna"
    )
    assert "No flow has a model" in await mine.send(f"{path}/flow-model", flow="developer")
    some = await mine.send(f"{path}/network", reach="some", group=["crates", "hex"], hosts="")
    assert (await api.get("/projects/sample/network")).json()["project_hosts"] == ["crates", "hex"]
    assert re.search(r'value="crates" checked', some)
    refused = await mine.send(f"{path}/network", 400, reach="some", group="go", hosts="evil.example")
    assert "This server doesn&#39;t allow evil.example" in refused
    assert re.search(r'value="go" checked', refused)
    await mine.send(f"{path}/network", reach="nothing")
    assert (await api.get("/projects/sample/network")).json()["project_hosts"] == []
    faulty = await mine.send(f"{path}/runners", 400, memory="4X", call="a while", session="2h", runner_tags="gpu, gpu")
    assert faulty.count('aria-invalid="true"') == 2, "all faults at once, each beside its field"
    await mine.send(f"{path}/runners", memory="4G", session="2h", runner_tags="gpu, gpu")
    asks = await mine.send(f"{path}/approvals", always_ask=["run_commands", "use_git"])
    assert re.search(r'value="use_git" checked> use git</label> <span class="note">.*run_git_command', asks)
    found = (await api.get("/projects/sample")).json()
    assert found["always_ask"] == ["run_commands", "use_git"]
    assert (found["name"], found["description"], found["runner_tags"]) == (NASTY, "What\nit is", ["gpu"])
    assert (found["limits"]["memory"], found["limits"]["session"]) == (4 * 1024**3, 7_200)
    for name in ("dora", "gus"):
        role = Role.MAINTAINER if name == "dora" else Role.GUEST
        theirs = await window(api, app, await person(app, name, role))
        seen = await theirs.get(path)
        assert "This is changed by the role Owner and above; yours is" in seen
        assert f"{path}/general" not in seen
        assert (f'action="{path}/network' in seen) is (name == "dora"), "maintainers manage the network"
        assert "you need the role Owner" in await theirs.send(f"{path}/general", 403, name="Mine")


async def test_a_shorter_time_says_first_what_goes(api: Api, app: App, start: Start) -> None:
    session = await begin(api, title="Long ago")
    async with app.database.transaction() as connection:
        old = sessions.c.last_activity - people.timedelta(days=10)
        await connection.execute(update(sessions).values(last_activity=old, status="finished"))
    mine, path = await window(api, app, start.owner), "/projects/1/settings/retention"
    asked = await mine.send(path, retention_days="5")
    assert "deletes 1 session that there is now" in asked
    assert f"#{session['id']}</a> Long ago" in asked
    assert (await api.get("/projects/sample")).json()["retention_days"] == 30, "nothing is changed yet"
    assert "Saved." in await mine.send(path, retention_days="5", confirmed="yes")
    assert (await api.get("/projects/sample")).json()["retention_days"] == 5
    beyond = await mine.send(path, 400, retention_days="0")
    assert 'aria-invalid="true"' in field(beyond, "retention_days")


async def test_a_project_is_made_by_a_form(api: Api, app: App, start: Start) -> None:
    dora = await window(api, app, await person(app, "dora", None))
    assert 'href="/projects/new"' in await dora.get("/projects")
    for path, status, why in (("12", 400, "can&#39;t be a project&#39;s path"), ("sample", 409, "There is a project")):
        wrong = await dora.send("/projects/new", status, path=path, description="typed")
        assert why in wrong
        assert "\ntyped</textarea>" in wrong
    assert "Only an administrator" in await dora.send("/projects/new", 403, path="a", source="/etc")
    made = await dora.send("/projects/new", path="team/tool", name="", description=NASTY, source="")
    assert "<h1>team/tool</h1>" in made


async def test_a_project_is_deleted_by_its_path(api: Api, app: App, start: Start) -> None:
    made = (await api.post("/projects", {"path": "group/gone"})).json()
    mine, path = await window(api, app, start.owner), f"/projects/{made['id']}/settings/delete"
    assert "type its path: group/gone" in await mine.send(path, 400, path="gone")
    await begin(api)
    assert "Delete them first" in await mine.send("/projects/1/settings/delete", 409, path="sample")
    assert "<h1>Projects</h1>" in await mine.send(path, path="group/gone")
    assert (await api.get("/projects/group%2Fgone")).status_code == 404


async def test_your_tokens_browsers_and_look(api: Api, app: App, start: Start) -> None:
    other = await window(api, app, start.owner)
    mine = await window(api, app, start.owner)
    page = await mine.send("/settings/tokens", name=NASTY, days="7")
    secret = re.search(r"qdp_[\w-]+", page)
    assert secret
    assert (await people.authenticate(app, secret[0])).username == "ada"
    page = await mine.get("/settings")
    assert secret[0] not in page, "it is shown once"
    assert "last used <relative-time" in page
    assert 'aria-invalid="true"' in field(await mine.send("/settings/tokens", 400, name="", days="7"), "name")
    made = next(one for one in await credentials.list_tokens(app, start.owner) if "script" in one.name)
    stranger = await window(api, app, await person(app, "eve", None))
    await stranger.send(f"/settings/tokens/{made.id}/revoke", 404)
    await mine.send(f"/settings/tokens/{made.id}/revoke")
    with pytest.raises(UnauthenticatedError):
        await people.authenticate(app, secret[0])
    elsewhere = re.findall(r'action="/settings/tokens/(\d+)/revoke"><button>Sign out', page)
    assert len(elsewhere) == 1, "this browser signs out above"
    await mine.send(f"/settings/tokens/{elsewhere[0]}/revoke")
    await other.get("/settings", 401)
    assert "data-theme" not in await mine.get("/settings")
    assert "data-theme" not in await mine.get("/", more="; quarterdeck_theme=<b>")
    dark = await mine.get("/", more="; quarterdeck_theme=dark")
    assert '<html lang="en" data-theme="dark">' in dark
    assert '<meta name="color-scheme" content="dark">' in dark
    chosen = await api.client.post(
        "/settings/look",
        data={"theme": "dark", "level": "full"},
        headers={**OURS, **(await browser(app, start.owner))},
        follow_redirects=False,
    )
    kept = chosen.headers.get_list("set-cookie")
    assert [one.partition(";")[0] for one in kept] == ["quarterdeck_theme=dark", "quarterdeck_level=full"]
    rules = await mine.send("/settings/rules", text=f"Be brief. {NASTY}")
    assert "Be brief. &lt;script&gt;" in rules
    assert "Changed on" in rules


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Safari/604.1", "Safari on iOS"),
        ("curl/8.0", ""),
    ],
)  # fmt: skip
def test_a_browser_is_known_by_what_it_says(agent: str, name: str) -> None:
    assert cookies.browser(agent) == name


async def test_administration_is_for_administrators(api: Api, app: App, start: Start) -> None:
    mine = await window(api, app, start.owner)
    eve = await window(api, app, await person(app, "eve", Role.OWNER))
    assert "Administration" not in await eve.get("/")
    for path in ("", "/people", "/projects", "/runners", "/models"):
        page = await mine.get(f"/admin{path}")
        assert 'href="/admin"' in page
        await eve.get(f"/admin{path}", 404)
    await eve.send("/admin/people", 404, username="mal", admin="yes")
    await eve.send("/admin/models/keys", 404, provider="groq", key="gsk_x")
    bearer = {"Authorization": f"Bearer {await _token(app, 'eve')}"}
    for verb, path in (
        ("GET", "/people"), ("POST", "/people"), ("POST", "/people/ada/sign-in-links"),
        ("DELETE", "/people/ada/access"), ("POST", "/models/keys/groq/test"),
    ):  # fmt: skip
        mal = {"username": "mal", "admin": True} if path == "/people" and verb == "POST" else None
        refused = await api.client.request(verb, f"/api/v1{path}", headers=bearer, json=mal)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), path


async def test_people_are_let_in_and_shut_out(api: Api, app: App, start: Start) -> None:
    mine, path = await window(api, app, start.owner), "/admin/people"
    made = await mine.send(path, username="dora", name=NASTY, email="dora@example.com")
    link = re.search(r"http\S*/sign-in\?token=([\w-]+)", made)
    assert link
    assert link[0] not in await mine.get(path)
    for username, status in (("Dora", 409), ("no name", 400), ("", 400)):
        again = await mine.send(path, status, username=username, name="Typed")
        assert 'value="Typed"' in field(again, "name")
        assert 'aria-invalid="true"' in field(again, "username")
    assert "is no address" in await mine.send(path, 400, username="rex", email="rex <x>")
    theirs = Window(api.client, f"quarterdeck={await people.sign_in(app, link[1])}")
    assert "member of no project" in await theirs.get("/projects")
    assert "1 token or browser" in await mine.get(path)
    assert "shut yourself out" in await mine.send(f"{path}/shut-out", 409, username="ada")
    assert "kept for the server" in await mine.send(path, 400, username="Session", name="Typed")
    dora = await people.authenticate(app, theirs.cookie.partition("=")[2], "web")
    await mine.send(f"{path}/shut-out", username="dora")
    for late in (people.sign_in_link(app, dora), credentials.add_token(app, dora, credentials.AddToken(name="late"))):
        with pytest.raises(UnauthenticatedError):  # who was let in just before makes no way back
            await late
    await theirs.get("/projects", 401)
    assert "no way in without a link" in await mine.get(path)
    again = await mine.send(f"{path}/link", username="dora")
    assert "sign-in?token=" in again
    assert "nobody called" in await mine.send(f"{path}/link", 404, username="nobody")


async def test_runners_are_invited_paused_and_removed(api: Api, app: App, start: Start) -> None:
    mine, path = await window(api, app, start.owner), "/projects/1/runners"
    page = await mine.send(path, description=NASTY, tags="gpu, linux")
    assert "qd runner register --url http://127.0.0.1:7433 --home" in page
    assert "an address of this machine alone" in page
    secret = re.search(r"qdg_[\w-]+", page)
    assert secret
    assert secret[0] not in await mine.get(path)
    said = Register(protocol=PROTOCOL_VERSION, instance="i", name="attic", version="0", tags=("gpu",))
    await registrations.register(app, secret[0], said)
    (one,) = [one for one in await runners.find(app, start.owner) if one.name == "attic"]
    page = await mine.get(path)
    assert f'<a href="/runners/{one.id}">attic</a>' in page
    assert "Not heard of" in page
    there = f"/runners/{one.id}"
    assert "Paused" not in (await mine.get(there)).partition("Paused, it")[0]
    await mine.send(f"{there}/state", act="pause")
    assert (await runners.show(app, start.owner, one.id)).state == "paused"
    dev = await window(api, app, await person(app, "dev", Role.DEVELOPER))
    seen = await dev.get(there)
    assert "Maintainers of its project manage it." in seen
    assert f"{there}/remove" not in seen
    await dev.send(f"{there}/remove", 403)
    await (await window(api, app, await person(app, "eve", None))).get(there, 404)
    assert "attic" not in await mine.send(f"{there}/remove")
    await mine.get(there, 404)
    assert "Runners are added by the role Maintainer" in await dev.get(path)
    assert "qdg_" in await mine.send("/admin/runners", description="for all", tags="")


async def test_keys_are_entered_tested_and_never_shown(app: App, start: Start) -> None:
    refusal, path = stubs.refusal(401, stubs.openai_error(f"Not with {KEY}.")), "/admin/models/keys"
    inside = httpx.ASGITransport(application(app))  # pyright: ignore[reportArgumentType]  # Litestar's own types of ASGI
    async with (
        serving(HI, HI, refusal) as stub,
        httpx.AsyncClient(transport=inside, base_url="http://test") as client,
    ):
        mine = Window(client, (await browser(app, start.owner))["Cookie"])
        wish = {"provider": "groq", "key": KEY, "base_url": f"{stub.url}/v1", "test": "yes"}
        pages = [await mine.send(path, **wish)]
        assert "stored by ada" in pages[0]
        pages.append(await mine.send(f"{path}/test", provider="groq"))
        assert re.search(r"groq:\S+ answered\.", pages[1])
        pages.append(await mine.send(f"{path}/test", 400, provider="groq"))
        assert "Not with [key]" in pages[2]
        pages.append(await mine.send(path, 400, **{**wish, "key": "two words"}))
        assert "That is no key" in pages[3]
        pages.append(await mine.send(path, 400, key=KEY))
        assert 'aria-invalid="true"' in field(pages[4], "provider")
        rules = await mine.send("/admin/models/rules", default="groq:m-1", allowed="groq:*")
        assert 'value="groq:m-1"' in field(rules, "default")
        assert "stored by" not in await mine.send(f"{path}/remove", provider="groq")
        assert "No key is stored" in await mine.send(f"{path}/remove", 404, provider="groq")
        assert "No key is stored" in await mine.send(f"{path}/test", 404, provider="groq")
    await access.close()
    assert not any(KEY in page or KEY[-4:] in page for page in pages)
    assert 'type="password"' in field(pages[0], "key")
    assert 'autocomplete="off"' in field(pages[0], "key")
