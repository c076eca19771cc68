"""MCP servers with real processes: one by HTTP, one in the sandbox, approved, used, stopped; secrets nowhere."""

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.instance import Instance, files_below
from tests.mcp_server import STDIO, McpServer, serving
from tests.scenarios.work import call, payloads, script

SECRETS = ("sesame-of-the-header", "sesame-of-the-variable")
FLOW = """
version: v1
environment: ambient
name: work
components:
  - name: work
    type: AgentComponent
    prompt_id: work
    inputs: ["context:goal"]
    toolset: [read_file, mcp__web__echo, mcp__notes__note, mcp__notes__hang]
routers:
  - {from: work, to: end}
flow: {entry_point: work}
prompts:
  - prompt_id: work
    name: work
    prompt_template: {system: Do what is asked., user: "{{ goal }}"}
"""


@contextmanager
def web_server() -> Generator[McpServer]:
    """An MCP server in a thread of its own."""
    ready, stop = threading.Event(), threading.Event()
    found: list[McpServer] = []

    async def run() -> None:
        async with serving() as server:
            found.append(server)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert ready.wait(60)
    try:
        yield found[0]
    finally:
        stop.set()
        thread.join(60)


def start(instance: Instance, *steps: dict[str, Any], **more: Any) -> int:
    body = {
        "project": "sample", "flow_yaml": FLOW, "goal": "g", "model": "scripted", "script": script(*steps), **more,
    }  # fmt: skip
    return int(instance.post("/sessions", body)["id"])


@pytest.mark.timeout(300)
def test_mcp_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUARTERDECK_MCP_PRIVATE_ADDRESSES", "true")
    instance = Instance()
    try:
        instance.start()
        with web_server() as web:
            _servers(instance, web)
            _used(instance, web)
            _stopped(instance)
        log = instance.log()
        instance.stop()
        _nowhere(instance.home, log)
    finally:
        instance.remove()


def _servers(instance: Instance, web: McpServer) -> None:
    path = "/projects/sample/mcp_servers"
    instance.post(path, {"name": "web", "url": web.url, "headers": {"Authorization": f"Bearer {SECRETS[0]}"}})
    made = instance.post(
        path, {"name": "notes", "command": ["python3", "-c", STDIO], "env": {"NOTES_TOKEN": SECRETS[1]}}
    )
    assert (made["kind"], made["secret_names"]) == ("stdio", ["NOTES_TOKEN"])
    assert [tool["name"] for tool in instance.post(f"{path}/web/test")["tools"]] == ["mcp__web__echo"]


def _used(instance: Instance, web: McpServer) -> None:
    session = start(
        instance,
        {"say": "Noting.", "call": [call("mcp__notes__note", text="remember me")]},
        {"say": "Reading.", "call": [call("read_file", file_path="note.txt")]},
        {"say": "Asking.", "call": [call("mcp__web__echo", text="hi")]},
        {"say": "Done."},
    )
    for tool in ("mcp__notes__note", "mcp__web__echo"):
        instance.wait(lambda: _status(instance, session) == "tool_call_approval_required", 90, "an approval is asked")
        (approval,) = instance.get(f"/sessions/{session}")["approvals"]
        assert [asked["tool"] for asked in approval["calls"]] == [tool]
        assert tool != "mcp__web__echo" or not web.calls("tools/call")
        instance.post(f"/sessions/{session}/approve", {})
    instance.wait(lambda: _status(instance, session) == "finished", 90, "it finishes")
    log = instance.events(session)
    assert {pin["server"]: [tool["remote"] for tool in pin["tools"]] for pin in payloads(log, "mcp_tools.pinned")} == {
        "web": ["echo"],
        "notes": ["note", "hang", "die"],
    }
    ended = {one["tool"]: one for one in payloads(log, "tool_call.finished")}
    assert ended["mcp__notes__note"]["text"] == "noted with [redacted]"
    assert ended["read_file"]["text"].startswith("remember me")
    assert ended["mcp__web__echo"]["text"] == "echo: hi"
    (snapshot,) = payloads(log, "snapshot.taken")
    assert [file["path"] for file in snapshot["files"]] == ["note.txt"]


def _stopped(instance: Instance) -> None:
    session = start(instance, {"say": "", "call": [call("mcp__notes__hang")]}, pre_approved=["run_mcp_tools"])

    def hangs() -> bool:
        return any(one["call_id"] in _hanging(instance, session) for one in _payloads(instance, session, "started"))

    instance.wait(hangs, 90, "the server hangs")
    instance.post(f"/sessions/{session}/cancel", {})
    instance.wait(lambda: bool(_torn(instance, session)), 60, "it is torn down")
    (torn,) = _torn(instance, session)
    assert (torn["killed"] >= 1, torn["left"]) == (True, 0)


def _payloads(instance: Instance, session: int, what: str) -> list[Any]:
    return payloads(instance.events(session), f"tool_call.{what}")


def _hanging(instance: Instance, session: int) -> set[str]:
    asked = _payloads(instance, session, "requested")
    return {one["call_id"] for one in asked if one["tool"] == "mcp__notes__hang"}


def _torn(instance: Instance, session: int) -> list[Any]:
    return payloads(instance.events(session), "workspace.torn_down")


def _status(instance: Instance, session: int) -> str:
    return str(instance.get(f"/sessions/{session}")["status"])


def _nowhere(home: Path, log: str) -> None:
    """Not in the database's files, the runner's journal, the logs: nowhere in all that is kept."""
    moved = home / "postgres.path"
    folders = [home, *([Path(moved.read_text(encoding="utf-8").strip())] if moved.is_file() else [])]
    looked_at = 0
    for folder in folders:
        for file, content in files_below(folder):
            looked_at += 1
            assert not any(secret.encode() in content for secret in SECRETS), file
    assert looked_at > 100
    assert not any(secret in log for secret in SECRETS)
