"""acpx, an editor without a face, drives `qd acp` on a real server: each line of what both said is looked at."""

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from acp.schema import (
    InitializeResponse,
    NewSessionResponse,
    PromptResponse,
    RequestPermissionRequest,
    ResumeSessionResponse,
    SessionNotification,
)

from tests.instance import Instance

ANSWERS = {"initialize": InitializeResponse, "session/new": NewSessionResponse, "session/prompt": PromptResponse,
           "session/resume": ResumeSessionResponse}  # fmt: skip
SCRIPT = """
components:
  chat:
    - say: I look.
      call: {tool: read_file, args: {file_path: hello.txt}}
    - say: I change it.
      call: {tool: edit_file, args: {file_path: hello.txt, old_str: there, new_str: you}}
    - say: It is changed.
    - say: I try more.
      call: {tool: create_file_with_contents, args: {file_path: more.txt, contents: more}}
    - say: Then not.
    - say: This takes long.
      call: {tool: run_command, args: {command: 'touch begun; sleep 3600'}}
    - say: I am back.
"""


class Acpx:
    """acpx in one folder of one person."""

    def __init__(self, words: list[str], instance: Instance, environment: dict[str, str], folder: Path) -> None:
        script = folder.parent / "answers.yml"
        script.write_text(SCRIPT, encoding="utf-8")
        self.folder, self.instance = folder, instance
        agent = f"qd acp --project sample --model scripted --script {script}"
        self._words = [*words, "--agent", agent, "--format", "json", "--json-strict"]
        self._environment = {**environment, "QUARTERDECK_HOME": str(instance.home)}

    def begin(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self._words, *words], cwd=self.folder, env=self._environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def run(self, *words: str, status: int = 0) -> list[dict[str, Any]]:
        return said(self.begin(*words), status)


DENIED = 5
"""The exit status of acpx when it was to deny something."""


def said(process: subprocess.Popen[str], status: int = 0) -> list[dict[str, Any]]:
    """All that both sides said, checked for what must be so of any of it."""
    output, errors = process.communicate(timeout=120)
    assert process.returncode == status, errors + output
    messages = [json.loads(line) for line in output.splitlines()]
    asked = {json.dumps(one["id"]): one["method"] for one in messages if "method" in one and "id" in one}
    answered = Counter(json.dumps(one["id"]) for one in messages if "method" not in one and "id" in one)
    assert {*answered} <= {*asked}, "an answer to nothing"
    assert not [one for one, times in answered.items() if times > 1], "an answer came twice"
    for one in messages:
        if one.get("method") == "session/update":
            SessionNotification.model_validate(one["params"])
        elif one.get("method") == "session/request_permission":
            RequestPermissionRequest.model_validate(one["params"])
        elif "result" in one and (model := ANSWERS.get(asked[json.dumps(one["id"])])):
            model.model_validate(one["result"])
    return messages


def updates(messages: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    found = [one["params"]["update"] for one in messages if one.get("method") == "session/update"]
    return [one for one in found if one["sessionUpdate"] == kind]


def spoken(messages: list[dict[str, Any]]) -> str:
    return "".join(one["content"]["text"] for one in updates(messages, "agent_message_chunk"))


def ended(messages: list[dict[str, Any]]) -> str:
    return [one["result"]["stopReason"] for one in messages if "stopReason" in one.get("result", {})][-1]


def methods(messages: list[dict[str, Any]]) -> set[str]:
    return {one["method"] for one in messages if "method" in one}


@pytest.fixture
def editor(acpx: list[str], instance: Instance, node_environment: dict[str, str], tmp_path: Path) -> Acpx:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "hello.txt").write_text("hi there\n", encoding="utf-8")
    return Acpx(acpx, instance, node_environment, folder)


def the_session(instance: Instance) -> dict[str, Any]:
    (row,) = instance.get("/sessions", kind="chat", mine=True)["items"]
    return instance.get(f"/sessions/{row['id']}")


def test_a_session_of_an_editor(editor: Acpx, instance: Instance) -> None:
    new = editor.run("sessions", "new")
    assert "sessionId" in json.dumps(new) or new

    first = editor.run("--approve-all", "--ttl", "2", "prompt", "Change it, please.")
    assert spoken(first) == "I look.I change it.It is changed."
    assert ended(first) == "end_turn"
    assert (editor.folder / "hello.txt").read_text(encoding="utf-8") == "hi you\n"
    assert {"fs/read_text_file", "fs/write_text_file", "session/request_permission"} <= methods(first)
    diff: dict[str, str] = next(call["content"][0] for call in updates(first, "tool_call") if call.get("content"))
    assert (diff["type"], diff["oldText"], diff["newText"]) == ("diff", "there", "you")
    session = the_session(instance)
    assert session["status"] == "idle"
    assert (session["editor"]["kind"], session["editor"]["folder"]) == ("client", str(editor.folder))
    assert session["isolation"] == "none"

    # The owner of its connection has gone by now, or goes: another one takes the session up where it was.
    owner_gone(editor)
    second = editor.run("--deny-all", "--ttl", "300", "prompt", "And more.", status=DENIED)
    assert "session/resume" in methods(second)
    assert spoken(second) == "I try more.Then not."
    assert not (editor.folder / "more.txt").exists()
    assert the_session(instance)["id"] == session["id"]

    long = editor.begin("--approve-all", "prompt", "Take your time.")
    instance.wait((editor.folder / "begun").exists, 60, "the command runs")
    editor.run("cancel")
    assert ended(said(long)) == "cancelled"
    instance.wait(lambda: the_session(instance)["status"] == "idle", 60, "the session rests")
    instance.wait(lambda: not running("sleep 3600", editor.folder), 60, "nothing of it runs")

    listed = json.dumps(editor.run("sessions", "list"))
    assert "Change it, please." in listed
    assert str(editor.folder) in listed


def owner_gone(editor: Acpx) -> None:
    """Waits until no process of acpx keeps the connection."""
    editor.instance.wait(lambda: not running("acp --project sample", editor.folder), 60, "its connection has ended")


def running(words: str, folder: Path) -> list[str]:
    """Command lines of processes in that folder with these words."""
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink() == folder:
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return [line for line in found if words in line]
