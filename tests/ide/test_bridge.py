"""`qd acp` between an editor's pipes and a server whose web process is killed while an answer comes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.kills import pid_of
from tests.instance import Instance

SCRIPT = """
components:
  chat:
    - say: slow
      call: {tool: run_command, args: {command: 'true'}}
    - say: after
"""


class Editor:
    """One that can nothing but talk: its sessions work on runners."""

    def __init__(self, instance: Instance, folder: Path) -> None:
        script = folder / "script.yml"
        script.write_text(SCRIPT, encoding="utf-8")
        words = ["acp", "--project", "sample", "--model", "scripted", "--script", str(script)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "quarterdeck.doors.cli.main", *words],
            env=instance.environment, cwd=folder, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self.said: list[dict[str, Any]] = []
        self._number = 0

    def send(self, method: str, **params: Any) -> int:
        assert self.process.stdin
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        return self._number

    def answer(self, number: int) -> dict[str, Any]:
        """What is said up to the answer, and the answer."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.said.append(json.loads(line))
            if self.said[-1].get("id") == number and "method" not in self.said[-1]:
                return self.said[-1]
        raise AssertionError("the bridge ended")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        return self.answer(self.send(method, **params))["result"]

    def text(self) -> str:
        updates = [one["params"]["update"] for one in self.said if one.get("method") == "session/update"]
        return "".join(one["content"]["text"] for one in updates if one["sessionUpdate"] == "agent_message_chunk")


@pytest.fixture
def editor(instance: Instance, tmp_path: Path) -> Iterator[Editor]:
    made = Editor(instance, tmp_path)
    with made.process:
        yield made
        made.process.kill()


def test_a_session_lives_on_when_the_server_is_killed(editor: Editor, instance: Instance, tmp_path: Path) -> None:
    editor.ask("initialize", protocolVersion=1)
    session_id = editor.ask("session/new", cwd=str(tmp_path), mcpServers=[])["sessionId"]
    words = {"sessionId": session_id, "prompt": [{"type": "text", "text": "Go on"}]}
    waiting = editor.send("session/prompt", **words)
    instance.wait(lambda: bool(instance.get("/sessions", kind="chat", mine=True)["items"]), 60, "the session is there")
    number = instance.get("/sessions", kind="chat", mine=True)["items"][0]["id"]
    instance.wait_for(number, "tool_call_approval_required")
    web = pid_of(instance, "web")
    assert web is not None
    os.kill(web, signal.SIGKILL)
    lost = editor.answer(waiting)
    assert "goes on there" in lost["error"]["message"]
    # The next word comes as soon as the server is back, and is one that the call was not allowed.
    assert editor.ask("session/prompt", **words)["stopReason"] == "end_turn"
    assert editor.text().endswith("after")
    assert instance.get(f"/sessions/{number}")["status"] == "idle"
    assert editor.process.stdin
    editor.process.stdin.close()
    assert editor.process.wait(60) == 0
