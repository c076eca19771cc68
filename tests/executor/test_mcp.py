"""MCP servers over input and output, in the real sandbox: they answer, lie, hang, flood and die."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from quarterdeck.core.errors import (
    InvalidInputError,
    QuarterdeckError,
    SessionEndedError,
    TooLargeError,
    UnavailableError,
)
from quarterdeck.core.events import FileChange, Outcome
from quarterdeck.core.protocol import McpSpec
from quarterdeck.executor import mcp
from quarterdeck.executor.hands import Committed, Done, Hands
from quarterdeck.executor.probe import probe
from quarterdeck.executor.processes import Processes
from quarterdeck.executor.sandbox import Sandbox
from quarterdeck.tools.mcp import MESSAGE_BYTES
from tests.mcp_server import STDIO


class Nowhere:
    async def create_commit(self, message: str) -> Committed:
        return Committed(message, "f" * 40, (FileChange(path="a", change="added"),))


@dataclass
class Workspace:
    root: Path
    processes: Processes
    output: bytearray = field(default_factory=bytearray)

    async def call(self, tool: str, command: tuple[str, ...] = ("python3", "server.py"), **args: str) -> Done:
        async def hear(data: bytes) -> None:
            self.output += data

        hands = Hands("session:1", self.root, self.processes, Nowhere(), hear)
        spec = McpSpec(server="notes", command=command, env={"NOTES_TOKEN": "sesame-open-now"}, tool=tool)
        return await mcp.carry_out(hands, spec, dict(args))


@pytest.fixture(params=["full", "reduced", "none"])
async def workspace(tmp_path: Path, request: pytest.FixtureRequest) -> Workspace:
    root = tmp_path / "files"
    root.mkdir()
    (root / "server.py").write_text(STDIO, encoding="utf-8")
    sandbox = await probe() if request.param == "full" else Sandbox(request.param, "for a test")
    return Workspace(root, Processes(sandbox))


async def test_it_is_asked_and_used(workspace: Workspace) -> None:
    listed = await workspace.call("")
    assert [(tool.remote, tool.description) for tool in listed.tools] == [
        ("note", "Writes a[31m note."),
        ("hang", ""),
        ("die", ""),
    ]
    done = await workspace.call("note", text="remember")
    assert done == Done(Outcome.OK, "noted with [redacted]")
    assert (workspace.root / "note.txt").read_text(encoding="utf-8") == "remember"
    assert bytes(workspace.output) == b"started\n" * 2, "its errors are the output, its messages are not"


async def test_it_dies(workspace: Workspace) -> None:
    with pytest.raises(UnavailableError, match="ended before it answered"):
        await workspace.call("die")
    assert b"it died" in workspace.output
    with pytest.raises(UnavailableError, match="ended before it answered"):
        await workspace.call("", command=("no-such-program",))


async def test_it_never_answers(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp, "CALL_SECONDS", 1)
    with pytest.raises(UnavailableError, match="did not answer within 1 seconds"):
        await workspace.call("hang")
    killed = await workspace.processes.kill_tree("session:1")
    assert (killed.killed, killed.left) == (0, 0), "it was ended with its call"


async def test_a_stop_kills_it(workspace: Workspace) -> None:
    calling = asyncio.create_task(workspace.call("hang"))
    async with asyncio.timeout(60):
        while b"started" not in workspace.output:
            await asyncio.sleep(0.05)
    killed = await workspace.processes.kill_tree("session:1")
    assert (killed.killed >= 1, killed.left) == (True, 0)
    with pytest.raises(UnavailableError):
        await calling
    with pytest.raises(SessionEndedError):
        await workspace.call("note", text="too late")


@pytest.mark.parametrize(
    ("prints", "fault", "says"),
    [
        ("b'x' * 1000", UnavailableError, "ended before"),
        (f"b'x' * {MESSAGE_BYTES + 1_000_000}", TooLargeError, "more than"),
        ("b'[' * 100000 + b'\\n'", UnavailableError, "ended before"),
        ('b\'{"id": 1, "result": 7}\\n\'', InvalidInputError, "no result"),
        ('b\'{"id": 1, "error": {"message": "go away"}}\\n\'', InvalidInputError, "refused: go away"),
        ("b'\\xff\\xfe\\n{\"id\": 2}\\n'", UnavailableError, "ended before"),
    ],
)
async def test_what_is_not_of_the_protocol(
    workspace: Workspace, prints: str, fault: type[QuarterdeckError], says: str
) -> None:
    program = f"import sys; sys.stdin.readline(); sys.stdout.buffer.write({prints})"
    with pytest.raises(fault, match=says):
        await workspace.call("", command=("python3", "-c", program))


async def test_one_that_may_not_be_started_is_not(workspace: Workspace) -> None:
    with pytest.raises(UnavailableError, match="may not be started"):
        await workspace.call("", command=())
