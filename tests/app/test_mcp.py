"""MCP servers of projects and people: who may what, where their secrets are, and what a session does with them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from sqlalchemy import insert, select

from quarterdeck.app import mcp_servers, projects, server_calls, session_log, sessions, steering, turns
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.mcp_servers import AddMcpServer
from quarterdeck.app.session_views import SessionView
from quarterdeck.core import events as e
from quarterdeck.core.access import Role
from quarterdeck.core.answer import Reply, RequestedCall
from quarterdeck.core.errors import ConflictError, ForbiddenError, NotFoundError, QuarterdeckError
from quarterdeck.core.events import Outcome
from quarterdeck.core.status import Status
from quarterdeck.core.usage import Usage
from quarterdeck.engine.desk import Desk
from quarterdeck.engine.mcp import HttpMcp
from quarterdeck.store.tables import mcp_servers as rows
from quarterdeck.store.tables import offers, users
from quarterdeck.store.vault import VaultError
from tests.conftest import Start
from tests.mcp_server import ECHO, McpServer, serving

SECRET = "sesame-open-now"
FLOW = """
version: v1
environment: %s
name: work
components:
  - {name: work, type: AgentComponent, prompt_id: p, inputs: ["context:goal"], toolset: [%s]}
%s
prompts: [{prompt_id: p, name: p, prompt_template: {system: s, user: "{{ goal }}"}}]
"""
END = "routers: [{from: work, to: end}]\nflow: {entry_point: work}"
AMBIENT = FLOW % ("ambient", "todo_write, mcp__stub__echo", END)
CHAT = FLOW % ("chat-partial", "todo_write", "routers: []\nflow: {}")
STEP = """
version: v1
environment: ambient
name: step
components:
  - name: step
    type: DeterministicStepComponent
    tool_name: mcp__stub__echo
    toolset: [{mcp__stub__echo: {text: fixed}}]
routers: [{from: step, to: end}]
flow: {entry_point: step}
"""


def http(url: str, name: str = "stub", **more: Any) -> AddMcpServer:
    return AddMcpServer(name=name, url=f"{url}?key={SECRET}-2", headers={"X-Token": SecretStr(SECRET)}, **more)


async def person(app: App, start: Start, name: str, role: Role | None) -> Actor:
    async with app.database.transaction() as connection:
        made = insert(users).values(username=name).returning(users.c.id)
        number = (await connection.execute(made)).scalar_one()
    if role is not None:
        await projects.set_member(app, start.owner, "sample", name, role)
    return Actor(number, name, "", "", False, "api")


@dataclass
class Work:
    """A session that a test walks through, a turn at a time."""

    app: App
    owner: Actor
    id: int
    turn: int = 0

    async def question(self) -> turns.Question | None:
        """Goes on until the model is asked; None when the session waits for somebody."""
        self.turn += 1
        turn = await turns.claim(self.app, self.id, self.turn, job=self.turn)
        assert turn is not None
        return await turns.advance(self.app, turn)

    async def answer(self, question: turns.Question, tool: str = "", **args: Any) -> None:
        calls = (RequestedCall("p1", tool, args),) if tool else ()
        turn = turns.Turn(self.id, self.turn)
        await turns.answered(self.app, turn, question, Reply("said", "", calls, "", "m", Usage(), 1))
        await turns.advance(self.app, turn)

    async def carry_out(self) -> None:
        """What the worker does with calls of the server's side."""
        async with self.app.database.transaction() as connection:
            query = select(offers.c.call_id).where(offers.c.session_id == self.id, offers.c.side == "server")
            found = (await connection.execute(query.where(offers.c.status == "offered"))).scalars().all()
        for call_id in found:
            await Desk(self.app).carry_out(self.id, call_id)

    async def view(self) -> SessionView:
        return await sessions.show(self.app, self.owner, self.id)

    async def payloads(self, kind: str) -> list[Any]:
        events = await session_log.events(self.app, self.owner, self.id)
        return [event.payload for event in events if event.kind == kind]

    async def last(self) -> tuple[Outcome, str]:
        """How the newest call ended."""
        finished = (await self.payloads("tool_call.finished"))[-1]
        return finished.outcome, finished.text


async def begin(app: App, owner: Actor, flow: str = AMBIENT, **more: Any) -> Work:
    request = sessions.StartSession(
        project="sample", flow_yaml=flow, goal="g", model="scripted", script="components: {work: [{say: x}]}", **more
    )
    return Work(app, owner, (await sessions.start(app, owner, request)).id)


@pytest.fixture
def open_app(app: App) -> App:
    """One whose administrator lets servers be on this machine."""
    return replace(app, mcp=HttpMcp(private=True))


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "a_b", "url": "http://a"},
        {"name": "A", "url": "http://a"},
        {"name": "a"},
        {"name": "a", "url": "http://a", "command": ["b"]},
        {"name": "a", "url": "ftp://a"},
        {"name": "a", "url": "http://user:word@a"},
        {"name": "a", "url": "http://a/\nX: y"},
        {"name": "a", "url": "http://a:0"},
        {"name": "a", "url": "http://[a"},
        {"name": "a", "url": "http://a", "env": {"A": "b"}},
        {"name": "a", "url": "http://a", "headers": {"X\r\nY": "b"}},
        {"name": "a", "url": "http://a", "headers": {"X": "b\r\nY: c"}},
        {"name": "a", "url": "http://a", "headers": {"Host": "b"}},
        {"name": "a", "command": ["b"], "env": {"A=B": "c"}},
        {"name": "a", "command": ["b\x00"]},
        {"name": "a", "command": ["b"], "env": {"A": "x" * 9_000}},
    ],
)
def test_what_is_no_server(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AddMcpServer.model_validate(wrong)


async def test_who_may_what(app: App, start: Start) -> None:
    maintainer = await person(app, start, "max", Role.MAINTAINER)
    developer = await person(app, start, "dev", Role.DEVELOPER)
    stranger = await person(app, start, "eve", None)
    await mcp_servers.add(app, maintainer, "sample", http("http://a.example/mcp"))
    changes: list[Callable[[Actor], Any]] = [
        lambda actor: mcp_servers.add(app, actor, "sample", http("http://a.example", name="b")),
        lambda actor: mcp_servers.switch(app, actor, "sample", "stub", enabled=False),
        lambda actor: mcp_servers.block(app, actor, "sample", blocked=True),
        lambda actor: mcp_servers.ask(app, actor, "sample", "stub"),
        lambda actor: mcp_servers.remove(app, actor, "sample", "stub"),
    ]
    for change in changes:
        with pytest.raises(ForbiddenError):
            await change(developer)
        with pytest.raises(NotFoundError):
            await change(stranger)
    assert [one.name for one in (await mcp_servers.find(app, developer, "sample")).servers] == ["stub"]
    with pytest.raises(NotFoundError):
        await mcp_servers.show(app, stranger, "sample", "stub")

    await mcp_servers.add(app, developer, None, http("http://b.example"))
    assert (await mcp_servers.find(app, maintainer, None)).servers == []
    with pytest.raises(NotFoundError):
        await mcp_servers.remove(app, maintainer, None, "stub")
    with pytest.raises(ConflictError, match="already"):
        await mcp_servers.add(app, developer, None, http("http://b.example"))
    for number in range(1, mcp_servers.SERVERS):
        await mcp_servers.add(app, developer, None, AddMcpServer(name=f"n{number}", command=("a",)))
    with pytest.raises(ConflictError, match="Remove one"):
        await mcp_servers.add(app, developer, None, http("http://b.example", name="more"))
    with pytest.raises(ConflictError, match="sandbox"):
        await mcp_servers.ask(app, developer, None, "n1")
    await mcp_servers.remove(app, developer, None, "stub")
    with pytest.raises(NotFoundError):
        await mcp_servers.show(app, developer, None, "stub")


async def test_secrets_are_stored_where_nobody_reads_them(app: App, start: Start) -> None:
    shown = await mcp_servers.add(app, start.owner, "sample", http("http://a.example/mcp"))
    assert (shown.url, shown.secret_names) == ("http://a.example/mcp", ("X-Token", "(query of the url)"))
    assert SECRET not in repr(shown) + repr(http("http://a.example"))
    async with app.database.transaction() as connection:
        row = (await connection.execute(select(rows))).one()
    assert SECRET.encode() not in bytes(row.secret)
    assert SECRET not in repr(row)
    assert mcp_servers.endpoint(app, row).headers == {"X-Token": SECRET}
    assert mcp_servers.endpoint(app, row).url == f"http://a.example/mcp?key={SECRET}-2"
    (app.home / "secrets.key").unlink()
    with pytest.raises(VaultError):
        mcp_servers.endpoint(app, row)


async def test_a_session_asks_once_and_a_person_approves(open_app: App, start: Start) -> None:
    app = open_app
    async with serving(tools_list=lambda _: {"tools": [ECHO, {**ECHO, "name": "other"}]}) as server:
        await mcp_servers.add(app, start.owner, "sample", http(server.url))
        work = await begin(app, start.owner)
        assert await work.question() is None, "it waits for the list"
        assert (await work.view()).status is Status.RUNNING
        await work.carry_out()
        question = await work.question()
        assert question is not None
        assert [tool.name for tool in question.tools] == ["todo_write", "mcp__stub__echo"], "what the flow names"
        assert question.tools[1].description == "(A tool of the MCP server stub.) Says again what it is told."
        await work.answer(question, "mcp__stub__echo", text=f"x {SECRET[:4]}")
        assert (await work.view()).status is Status.TOOL_CALL_APPROVAL_REQUIRED
        assert server.calls("tools/call") == []
        await steering.approve(app, start.owner, work.id)
        assert await work.question() is None
        await work.carry_out()
        assert await work.last() == (Outcome.OK, "echo: x sesa")
        question = await work.question()
        assert question is not None
        await work.answer(question)
        assert (await work.view()).status is Status.FINISHED
        assert len(server.calls("tools/call")) == 1
    pins = await work.payloads("mcp_tools.pinned")
    assert [[tool.remote for tool in pin.tools] for pin in pins] == [["echo", "other"]]


async def test_a_chat_has_all_of_project_and_person(open_app: App, start: Start) -> None:
    app = open_app
    async with serving() as first, serving(tools_list=lambda _: {"tools": [{**ECHO, "name": "own"}]}) as second:
        await mcp_servers.add(app, start.owner, "sample", http(first.url))
        await mcp_servers.add(app, start.owner, None, http(second.url))  # of the same name: the project's comes first
        await mcp_servers.add(app, start.owner, None, http(second.url, name="mine"))
        await mcp_servers.add(app, start.owner, None, http(second.url, name="off", enabled=False))
        await mcp_servers.add(app, start.owner, None, http(second.url, name="none", allow=("read_*",)))
        work = await begin(app, start.owner, CHAT)
        assert await work.question() is None
        await work.carry_out()
        question = await work.question()
        assert question is not None
        assert {tool.name for tool in question.tools} == {"todo_write", "mcp__mine__own", "mcp__stub__echo"}
        ambient = await begin(app, start.owner, AMBIENT.replace(", mcp__stub__echo", ""))
        plain = await ambient.question()
        assert plain is not None
        assert [tool.name for tool in plain.tools] == ["todo_write"]


async def test_a_step_uses_one(open_app: App, start: Start) -> None:
    async with serving() as server:
        await mcp_servers.add(open_app, start.owner, "sample", http(server.url))
        work = await begin(open_app, start.owner, STEP, pre_approved=("run_mcp_tools",))
        for _ in range(2):
            assert await work.question() is None
            await work.carry_out()
        assert await work.last() == (Outcome.OK, "echo: fixed")
        assert await work.question() is None
        assert (await work.view()).status is Status.FINISHED


async def _ready(app: App, start: Start, server: McpServer) -> tuple[Work, turns.Question]:
    await mcp_servers.add(app, start.owner, "sample", http(server.url))
    work = await begin(app, start.owner, pre_approved=("run_mcp_tools",))
    assert await work.question() is None
    await work.carry_out()
    question = await work.question()
    assert question is not None
    return work, question


async def _removed(app: App, start: Start) -> None:
    await mcp_servers.remove(app, start.owner, "sample", "stub")
    await mcp_servers.add(app, start.owner, "sample", http("http://127.0.0.1:1"))


async def _turned_off(app: App, start: Start) -> None:
    await mcp_servers.switch(app, start.owner, "sample", "stub", enabled=False)


async def _blocked(app: App, start: Start) -> None:
    await mcp_servers.block(app, start.owner, "sample", blocked=True)


@pytest.mark.parametrize(
    ("change", "says"),
    [(_turned_off, "turned off"), (_blocked, "blocked in this project"), (_removed, "was removed")],
)
async def test_every_call_looks_whether_it_may(
    open_app: App, start: Start, change: Callable[[App, Start], Any], says: str
) -> None:
    async with serving() as server:
        work, question = await _ready(open_app, start, server)
        await work.answer(question, "mcp__stub__echo", text="x")
        await change(open_app, start)
        await work.carry_out()
        outcome, text = await work.last()
        assert (outcome, says in text) == (Outcome.ERROR, True), text
        assert server.calls("tools/call") == []
        assert await work.question() is not None, "the model is told, and the session goes on"


async def test_what_the_server_says_of_our_secrets_is_not_kept(open_app: App, start: Start) -> None:
    def tell(_: object) -> dict[str, Any]:
        return {"content": [{"type": "text", "text": f"you sent {SECRET} and {SECRET}-2"}], "isError": True}

    async with serving(tools_call=tell) as server:
        work, question = await _ready(open_app, start, server)
        await work.answer(question, "mcp__stub__echo", text="x")
        await work.carry_out()
        assert {one["x-token"] for one in server.headers} == {SECRET}
    outcome, text = await work.last()
    assert outcome is Outcome.ERROR
    assert text.startswith("you sent [redacted] and [redacted]")
    assert SECRET not in repr(await session_log.events(open_app, start.owner, work.id))


async def test_a_call_that_a_worker_died_in_is_not_made_again(open_app: App, start: Start) -> None:
    async with serving() as server:
        work, question = await _ready(open_app, start, server)
        await work.answer(question, "mcp__stub__echo", text="x")
        async with open_app.database.transaction() as connection:
            query = select(offers.c.call_id).where(offers.c.session_id == work.id, offers.c.status == "offered")
            call_id = (await connection.execute(query)).scalar_one()
        assert await server_calls.begin(open_app, work.id, call_id) is not None
        await Desk(open_app).carry_out(work.id, call_id)
        outcome, text = await work.last()
        assert outcome is Outcome.INTERRUPTED
        assert "not known" in text
        assert server.calls("tools/call") == []


async def test_a_stop_ends_a_call_that_hangs(open_app: App, start: Start) -> None:
    hung, gone = asyncio.Event(), asyncio.Event()

    async def hang(_: object) -> dict[str, Any]:
        hung.set()
        try:
            await asyncio.sleep(600)
        finally:
            gone.set()
        return {}

    async with serving(tools_call=hang) as server:
        work, question = await _ready(open_app, start, server)
        await work.answer(question, "mcp__stub__echo", text="x")
        carrying = asyncio.create_task(work.carry_out())
        await asyncio.wait_for(hung.wait(), 60)
        await steering.cancel(open_app, start.owner, work.id)
        await asyncio.wait_for(carrying, 60)
    assert (await work.view()).status is Status.STOPPED


async def test_one_that_is_away_is_asked_again_after_a_message(open_app: App, start: Start) -> None:
    app = open_app
    await mcp_servers.add(app, start.owner, "sample", http("http://127.0.0.1:1"))
    work = await begin(app, start.owner)
    assert await work.question() is None
    await work.carry_out()
    question = await work.question()
    assert question is not None
    assert [tool.name for tool in question.tools] == ["todo_write"]
    await steering.reply(app, start.owner, work.id, "It is there now.")
    await work.answer(question, "todo_write", items=[])
    calls = await work.payloads("tool_call.requested")
    assert [call.tool for call in calls] == ["list_mcp_tools", "todo_write"]
    await work.carry_out()
    assert await work.question() is None
    assert [call.listing for call in await work.payloads("tool_call.requested")] == [True, False, True]
    (fault, *_) = await work.payloads("tool_call.finished")
    assert fault.outcome is Outcome.ERROR
    assert isinstance(fault, e.ToolCallFinished)


async def test_without_the_privilege_nobody_is_asked(open_app: App, start: Start) -> None:
    """And what a server says when it is tried is bounded, and told to people only."""
    app = open_app
    nameless = {"name": "", "inputSchema": {"type": "object"}}
    async with serving(tools_list=lambda _: {"tools": [ECHO, nameless]}) as server:
        await mcp_servers.add(app, start.owner, "sample", http(server.url))
        tried = await mcp_servers.ask(app, start.owner, "sample", "stub")
        assert ([tool.name for tool in tried.tools], tried.left_out) == (["mcp__stub__echo"], 1)
        await mcp_servers.block(app, start.owner, "sample", blocked=True)
        asked = len(server.asked)
        work = await begin(app, start.owner)
        assert await work.question() is not None
        assert len(server.asked) == asked
        assert not (await mcp_servers.block(app, start.owner, "sample", blocked=False)).blocked
    with pytest.raises(QuarterdeckError, match="stub") as caught:
        await mcp_servers.ask(app, start.owner, "sample", "stub")
    assert SECRET not in str(caught.value)
