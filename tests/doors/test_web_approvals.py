"""Decisions on a session's page: what each covers is said before, and what was decided after."""

from typing import Any

import httpx
from pydantic import JsonValue

from quarterdeck.app import sessions, turns
from quarterdeck.app.application import App
from quarterdeck.core.answer import RequestedCall
from quarterdeck.core.status import Status
from tests.app.chats import begin, say, stored
from tests.conftest import Start
from tests.doors.conftest import Api
from tests.doors.test_web_pages import browser

PLAN = """
version: v1
environment: ambient
name: planned
components:
  - {name: ask, type: HumanInputComponent, sends_response_to: work, message_template: "Is it right?"}
  - {name: work, type: AgentComponent, prompt_id: p, inputs: ["context:goal"], toolset: [todo_write]}
routers: [{from: ask, to: work}, {from: work, to: end}]
flow: {entry_point: ask}
prompts: [{prompt_id: p, name: p, prompt_template: {system: s, user: "{{ goal }}"}}]
"""


class Pages:
    """Somebody's browser at a session."""

    def __init__(self, api: Api, session_id: int, cookie: dict[str, str]) -> None:
        self._api, self.path = api, f"/sessions/{session_id}"
        self._headers = {**cookie, "Sec-Fetch-Site": "same-origin"}

    async def shown(self, path: str = "") -> str:
        page = await self._api.client.get(f"{self.path}{path}", headers=self._headers)
        assert page.status_code == 200, page.text
        return page.text

    async def send(self, act: str, **fields: str) -> httpx.Response:
        form: dict[str, Any] = {name.replace("__", "."): value for name, value in fields.items()}
        return await self._api.client.post(
            f"{self.path}/{act}", data=form, headers=self._headers, follow_redirects=False
        )


async def test_a_call_is_changed_and_allowed_by_its_pattern(api: Api, app: App, start: Start) -> None:
    session_id = await begin(app, start.owner, project="sample")
    plain: dict[str, JsonValue] = {"command": "make test", "timeout_seconds": 5}
    hidden: dict[str, JsonValue] = {"command": "make\u200b test; x", "timeout_seconds": 5}
    await say(
        app, session_id, "Two.", *(RequestedCall(f"p{n}", "run_command", a) for n, a in enumerate((plain, hidden)))
    )
    first, second = (await stored(app, session_id)).approvals
    pages = Pages(api, session_id, await browser(app, start.owner))
    html = await pages.shown()
    for told in (
        "1 of 2", "exactly the same call, with the same arguments, is not asked for again",
        f'id="pattern-{first}" name="pattern" class="mono" required value="make test"',
        'name="arg.command" class="mono" rows="1">\nmake test</textarea>', "The model is told so, with your reason",
    ):  # fmt: skip
        assert told in html
    assert f"pattern-{second}" not in html, "what a shell reads is asked for each time"
    assert html.count('name="arg.command"') == 1, "what has something that is not seen can't be changed in a field"
    assert html.count('name="arg.timeout_seconds"') == 2
    assert "What has characters that are not seen" in html

    for wrong, told in (
        ({"pattern": " "}, "The pattern is empty"),
        ({"pattern": "* test"}, "any program"),
        ({"change": "yes", "arg__timeout_seconds": "5 s"}, "timeout_seconds is no text"),
    ):
        answer = await pages.send("approve", approval=first, **wrong)
        assert answer.status_code == 400
        assert told in answer.text
    fields = {"arg__command": "make all\r\n", "arg__timeout_seconds": "7"}
    assert (await pages.send("approve", approval=first, change="yes", **fields)).status_code == 303
    gone = await pages.send("approve", approval=first, change="yes")
    assert (gone.status_code, "not asked for any more" in gone.text) == (409, True)
    state = await stored(app, session_id)
    assert [call.args for call in state.calls.values()] == [{"command": "make all\n", "timeout_seconds": 7}, hidden]
    assert (await pages.send("deny", approval=second, reason="Odd")).status_code == 303
    html = await pages.shown()
    assert "ada approved it" in html
    assert html.count('<span class="note">in the browser</span>') == 2
    assert "It runs with other arguments" in html
    assert "timeout_seconds: 7" in html

    other = await begin(app, start.owner, project="sample")
    await say(app, other, "One.", RequestedCall("p1", "run_command", plain))
    pages = Pages(api, other, await browser(app, start.owner))
    (asked,) = (await stored(app, other)).approvals
    assert (await pages.send("approve", approval=asked, pattern="make *", change="yes")).status_code == 303
    assert (await stored(app, other)).session_patterns == {"run_command": ("make *",)}
    assert "Not asked for any more in this session: <code>make *</code>" in await pages.shown()


async def test_of_a_plan_changes_are_asked_for_in_words(api: Api, app: App, start: Start) -> None:
    request = sessions.StartSession(
        project="sample", flow_yaml=PLAN, goal="g", model="scripted", script="components: {work: [{say: unused}]}"
    )
    session_id = (await sessions.start(app, start.owner, request)).id
    turn = await turns.claim(app, session_id, 1, job=1)
    assert turn is not None
    assert await turns.advance(app, turn) is None
    (asked,) = (await stored(app, session_id)).approvals
    pages = Pages(api, session_id, await browser(app, start.owner))
    html = await pages.shown()
    assert "it plans again by your words" in html
    assert "the session is stopped for good" in html
    silent = await pages.send("deny", approval=asked, plan="change", reason=" ")
    assert (silent.status_code, "Say what to change" in silent.text) == (400, True)
    assert (await stored(app, session_id)).status is Status.PLAN_APPROVAL_REQUIRED
    assert (await pages.send("deny", approval=asked, plan="reject", reason="typed before")).status_code == 303
    assert (await stored(app, session_id)).status is Status.STOPPED
