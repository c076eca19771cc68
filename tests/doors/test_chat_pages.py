"""Chats in the browser: begun on any page and about it, found again, deleted, and nobody else's business."""

import json
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from contextvars import copy_context
from typing import cast

import pytest
from litestar.testing import RequestFactory

from quarterdeck.app import agents, session_search
from quarterdeck.app.agents import AddAgent
from quarterdeck.app.application import App
from quarterdeck.app.signals import EventSignal, PartialSignal
from quarterdeck.core import events as e
from quarterdeck.core.access import Role
from quarterdeck.core.status import Status, Transition
from quarterdeck.doors.web import chat_stream, conversation, sights
from quarterdeck.doors.web.sights import Place
from quarterdeck.doors.web.subjects import subject_of
from tests.app.chats import begin, say
from tests.app.test_forks import person
from tests.conftest import Start
from tests.doors.conftest import Api
from tests.doors.test_sessions import begin as begin_flow
from tests.doors.test_web import harmless
from tests.doors.test_web_pages import browser
from tests.unit.world import event

OURS = {"Sec-Fetch-Site": "same-origin"}
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
async def ada(app: App, start: Start) -> dict[str, str]:
    return {**await browser(app, start.owner), **OURS}


async def test_a_chat_is_begun_on_a_page_and_about_it(api: Api, ada: dict[str, str]) -> None:
    await api.post("/projects/sample/issues", {"title": HOSTILE})
    page = await api.client.get("/projects/1/issues/1", headers=ada)
    assert 'value="/projects/1/issues/1" checked> About: issue #1' in page.text
    assert 'name="project" value="1"' in page.text
    assert 'href="/chats?about=/projects/1/issues/1"' in page.text, "where the sidebar has no room"
    alone = await api.client.get("/chats?about=/projects/1/issues/1", headers=ada)
    assert 'value="/projects/1/issues/1" checked> About: issue #1' in alone.text
    assert '<option value="1" selected>sample' in alone.text
    assert 'name="about"' not in (await api.client.get('/chats?about="><script>', headers=ada)).text
    elsewhere = await api.client.get("/projects/1/issues", headers=ada)
    assert 'name="about"' not in elsewhere.text
    form = {"message": HOSTILE, "project": "1", "model": "scripted", "key": "once", "about": "/projects/1/issues/1"}
    went = [await api.client.post("/chats", data=form, headers=ada, follow_redirects=False) for _ in range(2)]
    assert [one.status_code for one in went] == [303, 303]
    path = went[0].headers["location"]
    assert went[1].headers["location"] == path, "sent twice, begun once"
    told = await api.client.post("/chats", data={**form, "key": ""}, headers={**ada, "Accept": "application/json"})
    assert (told.status_code, told.text) == (204, "")
    assert re.fullmatch(r"/sessions/\d+", told.headers["location"])
    chat = await api.client.get(path, headers=ada)
    assert chat.status_code == 200
    assert harmless(chat)
    assert "About: issue #1" in chat.text
    assert '<li class="bubble mine"' in chat.text
    assert 'aria-current="page">Conversation</a>' in chat.text
    assert "<chat-panel" not in chat.text, "a chat's own page has no second one"
    log = await api.client.get(f"{path}?level=concise", headers=ada)
    assert "<session-log" in log.text
    assert "About: issue #1" in log.text
    for wrong, why in (
        ({**form, "message": " "}, "The message is empty."),
        ({**form, "key": "a", "agent": "nobody"}, "There is no agent"),
        ({**form, "key": "b", "about": "/sessions/4711"}, "There is no session #4711 that you may see."),
        ({**form, "key": "c", "message": "x" * 20_000}, "message"),
        ({**form, "project": "sample"}, "project are numbers"),
    ):
        refused = await api.client.post("/chats", data=wrong, headers=ada)
        assert refused.status_code in (400, 404)
        assert why in refused.text


async def test_what_a_new_chat_offers(api: Api, app: App, start: Start, ada: dict[str, str]) -> None:
    await agents.add(app, start.owner, AddAgent(name="reviewer", project="sample", prompt="Review."))
    page = await api.client.get("/projects/1/issues", headers=ada)
    assert '<option value="reviewer"' in page.text
    home = await api.client.get("/", headers=ada)
    assert '<option value="reviewer"' not in home.text
    assert '<option value="1">sample</option>' in home.text
    fetched = await api.client.get("/chats/agents?project=1", headers=ada)
    assert '<option value="reviewer"' in fetched.text
    form = {"message": "Hello", "project": "1", "agent": "reviewer", "model": "scripted"}
    refused = await api.client.post("/chats", data=form, headers=ada)
    assert "reviewer ships no script" in refused.text
    gus = {**await browser(app, await person(app, "gus", Role.GUEST)), **OURS}
    page = await api.client.get("/projects/1/issues", headers=gus)
    assert "for one about sample you need the role Developer" in page.text
    assert 'name="project" value="1"' not in page.text
    assert '<option value="reviewer"' not in page.text


async def test_the_sidebar_stands_as_it_was_left(api: Api, ada: dict[str, str]) -> None:
    for kept, opened, chat in (
        ("chat:7", "chat", ' chat="7"'),
        ("history", "history", ""),
        ("closed", "", ""),
        ('chat:7"><script>', "sessions", ""),
        ("", "sessions", ""),
    ):
        cookie = f"{ada['Cookie']}; quarterdeck_rail={kept}"
        page = await api.client.get("/projects/1", headers={**ada, "Cookie": cookie})
        assert re.findall(r'<details name="rail"[^>]*data-name="(\w+)" open>', page.text) == (
            [opened] if opened else []
        )
        assert f"<chat-panel{chat}>" in page.text
        assert harmless(page)


async def test_chats_are_found_and_deleted(
    api: Api, app: App, start: Start, ada: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await begin(app, start.owner, f"Where is the zebra? {HOSTILE}")
    second = await begin(app, start.owner, "A walrus")
    await say(app, second, "No zebra here.")
    listed = await api.client.get("/chats", headers=ada)
    assert listed.text.index(f'href="/sessions/{second}"') < listed.text.index(f'href="/sessions/{first}"')
    assert harmless(listed)
    found = (await api.client.get("/chats?q=zebra", headers=ada)).text.partition('id="rail"')[0]
    assert f'href="/sessions/{first}"' in found
    assert "No zebra here." in found
    assert "None of your chats" in (await api.client.get("/chats?q=quagga", headers=ada)).text
    assert 'role="alert"' in (await api.client.get('/chats?q="', headers=ada)).text
    with monkeypatch.context() as patch:
        patch.setattr(session_search, "BATCH", 1)
        patch.setattr(session_search, "PIECES", 1)
        text = (await api.client.get("/chats?q=zebra", headers=ada)).text
        following = re.search(r'href="(/chats\?q=zebra&amp;cursor=[^"]+)">More', text)
        assert following, "a part of them has been searched"
        assert "None of your chats" not in text
        behind = (await api.client.get(following[1].replace("&amp;", "&"), headers=ada)).text.partition('id="rail"')[0]
        assert f'href="/sessions/{first}"' in behind
    asked = await api.client.get(f"/chats/{first}/delete", headers=ada)
    assert "Delete this chat?" in asked.text
    assert harmless(asked)
    gone = await api.client.post(f"/chats/{first}/delete", headers=ada, follow_redirects=False)
    assert (gone.status_code, gone.headers["location"]) == (303, "/chats")
    assert (await api.client.get(f"/sessions/{first}", headers=ada)).status_code == 404
    assert f"/sessions/{first}" not in (await api.client.get("/chats", headers=ada)).text


async def test_nobody_else_has_anything_of_a_chat(api: Api, app: App, start: Start, ada: dict[str, str]) -> None:
    chat = await begin(app, start.owner, "A secret plan", project="sample")
    owner = await person(app, "bob", Role.OWNER)
    bob = {**await browser(app, owner), **OURS}
    for path in ("talk", "delete"):
        assert (await api.client.get(f"/chats/{chat}/{path}", headers=bob)).status_code == 404
    assert (await api.client.post(f"/chats/{chat}/delete", headers=bob)).status_code == 404
    for path in (f"/sessions/{chat}", "/chats", "/chats?q=secret", "/projects/1/sessions"):
        assert "A secret plan" not in (await api.client.get(path, headers=bob)).text
    message = {"message": "What is it?", "model": "scripted", "about": f"/sessions/{chat}"}
    asked = await api.client.post("/chats", data=message, headers=bob)
    assert asked.status_code == 404
    assert "A secret plan" not in asked.text
    flow = (await begin_flow(api))["id"]
    for path in ("talk", "delete"):
        answer = await api.client.get(f"/chats/{flow}/{path}", headers=ada)
        assert answer.status_code == 404, "what is no chat has no conversation"
    for actor, number in ((owner, chat), (start.owner, flow), (start.owner, 4711)):
        assert not [told async for told in chat_stream.told(app, actor, Place(number, 0))]
    async with aclosing(cast("AsyncGenerator[bytes]", chat_stream.told(app, start.owner, Place(chat, 0)))) as mine:
        assert "A secret plan" in (await anext(mine)).decode()
    fetched = await api.client.get(f"/chats/{chat}/talk", headers=ada)
    assert fetched.text.startswith(f'<chat-talk session="{chat}"')
    assert fetched.headers["content-security-policy"].startswith("default-src 'self'")


async def test_a_message_says_what_page_it_was_written_on(
    api: Api, app: App, start: Start, ada: dict[str, str]
) -> None:
    await api.post("/projects/sample/issues", {"title": "Slow"})
    chat = await begin(app, start.owner, "Hello", project="sample")
    await say(app, chat, "Hello")
    form = {"text": "And this?", "about": "/projects/1/issues/1"}
    sent = await api.client.post(f"/sessions/{chat}/messages", data=form, headers=ada, follow_redirects=False)
    assert sent.status_code == 303
    assert "About: issue #1" in (await api.client.get(f"/sessions/{chat}", headers=ada)).text


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("12.34", Place(12, 34)),
        ("12", None),
        ("0.1", None),
        ("-1.2", None),
        ("\u0661.1", None),
        ("9" * 30 + ".1", None),
    ],
)
def test_a_stream_tells_of_the_chat_that_its_address_names(given: str, place: Place | None) -> None:
    def seen() -> Place | None:
        sights.see(RequestFactory().get("/stream", query_params={"chat": given}))
        return sights.sight().follows

    assert copy_context().run(seen) == place


def test_a_page_is_about_what_its_address_says() -> None:
    for path, name in (
        ("/sessions/12", "session #12"),
        ("/sessions/12/details", "session #12"),
        ("/projects/1/issues/3", "issue #3"),
        ("/projects/1/merge_requests/4", "merge request !4"),
        ("/pipelines/7", "pipeline #7"),
        ("/projects/1/file?path=src%2Fa%20b.py&ref=main&line=9", "file a b.py"),
    ):
        found = subject_of(path)
        assert found
        assert found.name == name
    for path in (
        "/projects/1/file",
        "/projects/1/file?ref=x",
        "",
        "/",
        "/sessions",
        "/sessions/0",
        "/projects/1",
        "/projects/1/issues",
        "/sessions/" + "9" * 30,
    ):
        assert subject_of(path) is None
    assert subject_of("/sessions/\u0661") is None


def test_a_conversation_has_what_is_said_and_calls_in_a_line() -> None:
    events = [
        event(1, e.MessageAdded(text=f"**Do** it {HOSTILE}", by="ada", component="chat")),
        event(2, e.ModelAnswered(component="chat", model="m", text="I look.")),
        event(3, e.ToolCallRequested(
            call_id="c1", component="chat", tool="run_command", args={"command": HOSTILE}, side="executor", asks=True
        )),
        event(4, e.ToolCallFinished(
            call_id="c1", tool="run_command", outcome=e.Outcome.ERROR, exit_code=3, text=f"\x1b[31m{HOSTILE}\x1b[0m"
        )),
        event(5, e.ToolCallRequested(
            call_id="c2", component="chat", tool="clarification_question", args={"question": "Q"}, side="server",
            asks=False,
        )),
        event(6, e.StatusChanged(
            transition=Transition.REQUIRE_INPUT, from_status=Status.RUNNING, to_status=Status.INPUT_REQUIRED
        )),
        event(7, e.StatusChanged(
            transition=Transition.STOP, from_status=Status.RUNNING, to_status=Status.STOPPED, reason="Enough"
        )),
    ]  # fmt: skip
    html = str(conversation.talk(events))
    assert "<script" not in html
    assert "<strong>Do</strong> it" in html
    assert html.count('class="step"') == 1, "a question is not a line of work"
    assert "exit code 3" in html
    assert html.count('class="remark') == 1
    assert "Enough" in html
    told = conversation.told([EventSignal(one, "") for one in events]).decode()
    messages = dict(re.findall(r"event: (\S+)\ndata: (.*)\n", told))
    assert 'data-ends="c1"' in json.loads(messages["talk"])
    assert json.loads(messages["talk-partial"]) == {"text": ""}, "an answer that is there is written no more"
    assert list(messages) == ["talk-partial", "talk"], "and never stands there twice"
    assert "id: 7\n" in told
    writing = conversation.told([PartialSignal(1, f"Half {HOSTILE}")]).decode()
    assert json.loads(writing.partition("data: ")[2]) == {"text": f"Half {HOSTILE}"}, "put in as a text"
