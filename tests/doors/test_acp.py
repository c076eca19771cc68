"""`/acp` as an editor sees it: who gets in, what is told and asked, what it carries out, and what is refused."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from acp.exceptions import RequestError
from acp.schema import ClientCapabilities, FileSystemCapabilities, Implementation
from litestar.testing import AsyncTestClient
from sqlalchemy import select

from quarterdeck.app import people, sessions, steering, turns
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.access import Role
from quarterdeck.core.answer import RequestedCall
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.state import SessionState
from quarterdeck.doors.acp import terminals
from quarterdeck.doors.acp.agent import Agent
from quarterdeck.doors.acp.bodies import Bodies
from quarterdeck.doors.acp.terminals import Terminals
from quarterdeck.doors.http import application
from quarterdeck.store.tables import sessions as rows
from tests.app import chats
from tests.app.test_forks import person
from tests.conftest import PERSON, Start
from tests.doors.conftest import Api

HELLO = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": 1}}
WISH = {"project": "sample", "model": "scripted", "script": chats.SCRIPT}
CAN = ClientCapabilities(fs=FileSystemCapabilities(read_text_file=True, write_text_file=True), terminal=True)


class Editor:
    """An editor with a real folder, real commands, and a person who answers by `choices`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.told, self.asked = folder, list[Any](), list[Any]()
        self.choices: asyncio.Queue[str] = asyncio.Queue()
        self.news = asyncio.Condition()
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._printed: dict[str, str] = {}

    async def session_update(self, session_id: str, update: Any) -> None:
        assert session_id
        async with self.news:
            self.told.append(update)
            self.news.notify_all()

    async def until(self, kind: str, **wanted: object) -> Any:
        def found() -> Any:
            fits = [one for one in self.told if one.session_update == kind]
            return next((one for one in fits if all(getattr(one, n) == v for n, v in wanted.items())), None)

        async with asyncio.timeout(60), self.news:
            await self.news.wait_for(lambda: found() is not None)
        return found()

    def text(self) -> str:
        return "".join(one.content.text for one in self.told if one.session_update == "agent_message_chunk")

    async def request_permission(self, session_id: str, tool_call: Any, options: Any) -> Any:
        self.asked.append(tool_call)
        return SimpleNamespace(outcome=SimpleNamespace(option_id=await self.choices.get()))

    async def read_text_file(self, session_id: str, path: str) -> Any:
        try:
            return SimpleNamespace(content=Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise RequestError.resource_not_found(str(error)) from None

    async def write_text_file(self, session_id: str, path: str, content: str) -> None:
        Path(path).write_text(content, encoding="utf-8")

    async def create_terminal(self, session_id: str, command: str, args: list[str], cwd: str, **_: Any) -> Any:
        process = await asyncio.create_subprocess_exec(
            command, *args, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        self._running[str(process.pid)] = process
        return SimpleNamespace(terminal_id=str(process.pid))

    async def wait_for_terminal_exit(self, session_id: str, terminal_id: str) -> None:
        await self._running[terminal_id].wait()

    async def terminal_output(self, session_id: str, terminal_id: str) -> Any:
        process = self._running[terminal_id]
        if process.returncode is None:
            return SimpleNamespace(output="", truncated=False, exit_status=None)
        assert process.stdout
        done = SimpleNamespace(exit_code=process.returncode if process.returncode >= 0 else None)
        self._printed[terminal_id] = self._printed.get(terminal_id, "") + (await process.stdout.read()).decode()
        return SimpleNamespace(output=self._printed[terminal_id], truncated=False, exit_status=done)

    async def kill_terminal(self, session_id: str, terminal_id: str) -> None:
        self._running[terminal_id].kill()

    async def release_terminal(self, session_id: str, terminal_id: str) -> None:
        assert self._running[terminal_id].returncode is not None


@pytest.fixture
def editor(tmp_path: Path) -> Editor:
    (tmp_path / "a.txt").write_text("one\ntwo\n", encoding="utf-8")
    return Editor(tmp_path)


@pytest.fixture
async def agent(app: App, owner: Actor, editor: Editor) -> AsyncIterator[Agent]:
    agent = Agent(app, owner, editor)
    await agent.initialize(1, CAN, Implementation(name="zed", title="Zed", version="1"))
    yield agent
    await agent.end()


async def prompted(agent: Agent, session_id: str, text: str) -> asyncio.Task[Any]:
    """A prompt that is under way, and in the session's log."""
    block = SimpleNamespace(type="text", text=text)
    return asyncio.create_task(agent.prompt(session_id, [block]))


async def number_of(app: App, session_id: str, agent: Agent) -> int:
    """Of the session, once it is there."""
    async with asyncio.timeout(60):
        while (one := agent.opened(session_id)) is None:
            await asyncio.sleep(0.01)
    return one.number


async def driven(app: App, number: int) -> None:
    """The turns that a worker would take, until the model is to be asked."""
    async with asyncio.timeout(60):
        while True:
            async with app.database.reading() as connection:
                stored = select(rows.c.state).where(rows.c.id == number)
                state = SessionState.model_validate((await connection.execute(stored)).scalar_one())
            if not state.batch_open:
                return
            if state.wants_turn:
                turn = await turns.claim(app, number, state.turn_no + 1, job=state.turn_no + 1)
                if turn is not None:  # else something came between the look and the claim
                    assert await turns.advance(app, turn) is None
            await asyncio.sleep(0.02)


async def test_who_has_no_token_gets_no_connection_and_nobody_gets_anothers(app: App, start: Start, api: Api) -> None:
    dev = await person(app, "dev", Role.DEVELOPER)
    async with app.database.transaction() as connection:
        other = await people.issue(connection, "personal", user_id=dev.user_id)
    async with AsyncTestClient(application(app)) as client:
        refused = await client.post("/acp", json=HELLO)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
        refused = await client.post("/acp", json=HELLO, headers={"Cookie": f"quarterdeck={PERSON}"})
        assert refused.status_code == 401
        mine = {"Authorization": f"Bearer {PERSON}"}
        begun = await client.post("/acp", json=HELLO, headers=mine)
        assert begun.json()["result"]["agentInfo"]["name"] == "quarterdeck"
        named = {"Acp-Connection-Id": begun.headers["acp-connection-id"]}
        stolen = await client.delete("/acp", headers={"Authorization": f"Bearer {other}", **named})
        assert stolen.status_code == 404
        assert (await client.delete("/acp", headers={**mine, **named})).status_code == 202


async def test_a_session_works_in_the_editor(app: App, agent: Agent, editor: Editor, owner: Actor) -> None:
    new = await agent.new_session(str(editor.folder), quarterdeck=WISH)
    task = await prompted(agent, new.session_id, "Go on.")
    number = await number_of(app, new.session_id, agent)
    await chats.say(
        app, number, "I look.", RequestedCall("1", "read_file", {"file_path": "a.txt"}),
        RequestedCall("2", "edit_file", {"file_path": "a.txt", "old_str": "two", "new_str": "three"}),
        RequestedCall("3", "run_command", {"command": "cat a.txt; exit 3"}),
        RequestedCall("4", "read_file", {"file_path": "../secret"}),
    )  # fmt: skip
    await editor.choices.put("once")
    await editor.choices.put("session")
    await editor.until("tool_call_update", status="failed")
    await driven(app, number)
    assert (editor.folder / "a.txt").read_text(encoding="utf-8") == "one\nthree\n"
    assert {one.title for one in editor.asked} == {"edit file a.txt", "run command cat a.txt; exit 3"}
    await chats.say(app, number, "Done.")
    assert (await task).stop_reason == "end_turn"
    results = {
        one.content[0].content.text for one in editor.told if getattr(one, "status", "") in ("completed", "failed")
    }
    assert "one\ntwo\n" in results
    assert "Exit code 3.\none\nthree" in results
    assert any("not in the folder" in text for text in results)
    assert editor.text() == "I look.Done."
    assert not [one for one in editor.told if one.session_update == "user_message_chunk"]

    # What is said in the browser is told in the editor, too.
    await steering.reply(app, owner, number, "From the browser")
    await chats.say(app, number, "Heard.")
    assert (await editor.until("user_message_chunk")).content.text == "From the browser"


async def test_plan_mode_changes_nothing_and_a_cancel_interrupts(
    app: App, agent: Agent, editor: Editor, owner: Actor
) -> None:
    new = await agent.new_session(str(editor.folder), quarterdeck=WISH)
    await agent.set_session_mode(new.session_id, "plan")
    with pytest.raises(RequestError):
        await agent.set_session_mode(new.session_id, "anything")
    task = await prompted(agent, new.session_id, "Go on.")
    number = await number_of(app, new.session_id, agent)
    await chats.say(
        app,
        number,
        "I write.",
        RequestedCall("1", "edit_file", {"file_path": "a.txt", "old_str": "two", "new_str": "x"}),
    )
    denied = await editor.until("tool_call_update", status="failed")
    assert "plan mode" in denied.content[0].content.text
    assert editor.asked == []
    await agent.cancel(new.session_id)
    assert (await task).stop_reason == "cancelled"
    assert (await sessions.show(app, owner, number)).status == "idle"

    # It can be listed, loaded, forked and deleted by its id.
    (listed,) = (await agent.list_sessions(str(editor.folder))).sessions
    assert (listed.session_id, listed.cwd) == (new.session_id, str(editor.folder))
    assert (await agent.list_sessions("/elsewhere")).sessions == []
    before = len(editor.told)
    await agent.load_session(str(editor.folder), new.session_id)
    assert [one.session_update for one in editor.told[before:]][:2] == ["user_message_chunk", "agent_message_chunk"]
    fork = await agent.ext_method("session/fork", {"sessionId": new.session_id, "cwd": str(editor.folder)})
    assert len((await agent.list_sessions()).sessions) == 2
    for session_id in (new.session_id, fork["sessionId"]):
        await agent.ext_method("session/delete", {"sessionId": session_id})
    assert (await agent.list_sessions()).sessions == []
    with pytest.raises(RequestError) as gone:
        await agent.load_session(str(editor.folder), new.session_id)
    assert gone.value.code == -32002


async def test_nobody_opens_what_is_anothers(app: App, agent: Agent, editor: Editor, start: Start) -> None:
    number = await chats.begin(app, start.owner, project="sample")
    stranger = Agent(app, await person(app, "dev", Role.DEVELOPER), editor)
    for session_id in (str(number), "0", "9" * 30, "-1", "acp-x", "acp-" + "0" * 32):
        with pytest.raises(RequestError) as refused:
            await stranger.load_session("/x", session_id)
        assert refused.value.code == -32002
        with pytest.raises(RequestError):
            await stranger.ext_method("session/delete", {"sessionId": session_id})
    with pytest.raises(RequestError) as refused:
        await stranger.ext_method("session/anything", {})
    assert refused.value.code == -32601
    for prompt in ([], [SimpleNamespace(type="text", text=" ")], [SimpleNamespace(type="audio")]):
        with pytest.raises(RequestError):
            await agent.prompt(str(number), prompt)
    with pytest.raises(RequestError):
        await agent.new_session("not/absolute")


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a/../../x", "/workspace/../x", "x\0y", "/home/ada/application/x"]
)
def test_nothing_leaves_the_folder(path: str) -> None:
    folder = "/home/ada/app"
    bodies = Bodies(None, "s", folder, Terminals(None, "s", folder), None, None)
    with pytest.raises(InvalidInputError):
        bodies.path(path)
    assert bodies.path("a/../b.txt") == bodies.path("/workspace/b.txt") == "/home/ada/app/b.txt"
    for inner in (".git/config", "sub/.git/hooks/x"):
        with pytest.raises(InvalidInputError):
            bodies.writable(inner)


async def test_tools_by_terminals(editor: Editor) -> None:
    place = str(editor.folder)
    bodies = Bodies(editor, "s", place, Terminals(editor, "s", place), None, None)
    for tool, args, expected in (
        ("mkdir", {"directory_path": "src/deep"}, "src/deep"),
        ("create_file_with_contents", {"file_path": "src/deep/b.py", "contents": "x = 1\n"}, "Wrote"),
        ("list_dir", {"directory": "src"}, "deep/"),
        ("find_files", {"name_pattern": "*.py"}, "src/deep/b.py"),
        ("grep", {"pattern": "x = \\d"}, "src/deep/b.py:1:x = 1"),
        ("grep", {"pattern": "nowhere"}, "[no line matches nowhere]"),
        ("read_files", {"file_paths": ["a.txt", "missing"]}, "==> missing <==\nNot read"),
        ("run_git_command", {"command": "init", "args": "-q"}, "git init: exit code 0."),
    ):
        assert expected in (await bodies.tools[tool](args))[1], tool  # pyright: ignore[reportArgumentType]


async def test_a_command_that_takes_too_long_is_killed(editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminals, "LOOK_SECONDS", 0.01)
    ended = await Terminals(editor, "s", str(editor.folder)).run(["sleep", "3600"], timeout=0)
    assert (ended.timed_out, ended.exit_code) == (True, None)
