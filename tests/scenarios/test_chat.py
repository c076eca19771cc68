"""Chats with real processes: question, tool, approval, edit; interrupted answers; children; long ones."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.instance import Instance, processes_below
from tests.scenarios.work import LONG, UNTIL_LET_GO, call, let_go, payloads


def chat(instance: Instance, *steps: dict[str, Any], message: str = "Hello", **more: Any) -> int:
    """Starts a chat whose agent answers by these steps."""
    script = json.dumps({"components": {"chat": list(steps)}})
    return int(instance.post("/chats", {"message": message, "model": "scripted", "script": script, **more})["id"])


def finished(instance: Instance, session_id: int) -> list[Any]:
    return payloads(instance.events(session_id), "tool_call.finished")


def test_a_question_a_tool_an_approval_and_an_edit(instance: Instance) -> None:
    """The flow that ships, with its script: nothing is written before the person has said yes."""
    started = instance.post("/chats", {"message": "Note something down", "project": "sample", "model": "scripted"})
    session_id = int(started["id"])
    view = instance.wait_for(session_id, "input_required")
    assert view["approvals"][0]["question"] == "What should I write into NOTES.md?"
    instance.qd("session", "reply", str(session_id), "That the chat was here")
    view = instance.wait_for(session_id, "tool_call_approval_required")
    assert view["approvals"][0]["calls"][0]["args"]["contents"] == "That the chat was here\n"
    assert instance.raw(f"/sessions/{session_id}/diff") == b""
    instance.qd("session", "approve", str(session_id))
    instance.wait(lambda: "git status" in json.dumps(instance.session(session_id)["approvals"]), 60, "git is asked for")
    instance.qd("session", "approve", str(session_id), "--pattern", "git status*")
    instance.wait_for(session_id, "idle")
    assert b"+That the chat was here" in instance.raw(f"/sessions/{session_id}/diff")
    assert [one["outcome"] for one in finished(instance, session_id)] == ["ok"] * 6
    told = instance.qd("chat", "--session", str(session_id), "And now?")
    assert told.stdout.strip() == "I have read your follow-up. That is all this script knows."
    listed = instance.qd_json("chat", "--list")
    assert session_id in [one["id"] for one in listed["items"]]


def test_without_a_project_there_is_no_workspace(instance: Instance) -> None:
    session_id = chat(
        instance,
        {"say": "I look.", "call": [call("list_dir"), call("get_session_context"), call("todo_write", items=[])]},
        {"expect": "no tool 'list_dir'", "say": "No files here."},
    )
    instance.wait_for(session_id, "idle")
    assert [one["outcome"] for one in finished(instance, session_id)] == ["error", "ok", "ok"]
    kinds = {event["payload"]["kind"] for event in instance.events(session_id)}
    assert not kinds & {"executor.attached", "workspace.prepared"}
    assert instance.session(session_id)["project_id"] is None


def test_a_workspace_is_made_when_the_first_tool_needs_one(instance: Instance) -> None:
    session_id = chat(
        instance, {"say": "Hello."}, {"say": "I look.", "call": call("list_dir")}, {"say": "Seen."}, project="sample"
    )
    instance.wait_for(session_id, "idle")
    assert not payloads(instance.events(session_id), "executor.attached")
    instance.qd("session", "reply", str(session_id), "What is there?")
    instance.wait(lambda: len(finished(instance, session_id)) == 1, 60, "the tool was used")
    assert payloads(instance.events(session_id), "workspace.prepared")


def test_an_answer_is_interrupted_and_the_chat_lives_on(instance: Instance) -> None:
    slow = "A long story. " * 50
    session_id = chat(
        instance,
        {"say": slow, "delay": 90},
        {"expect": "shorter", "say": "A short one.", "call": call("run_command", command=f"echo up; sleep {LONG}")},
        {"expect": "cancelled|interrupted", "say": "As you like."},
        project="sample",
        pre_approved=["run_commands"],
    )
    instance.wait(lambda: "A long" in _partial(instance, session_id), 60, "the answer grows")
    view = instance.qd_json("session", "interrupt", str(session_id))
    assert view["status"] == "idle"
    said = payloads(instance.events(session_id), "model.interrupted")
    assert len(said) == 1
    assert slow.startswith(said[0]["text"])
    assert said[0]["text"]
    instance.qd("session", "reply", str(session_id), "shorter, please")
    instance.wait(_sleeps, 60, "the command runs")
    instance.qd("session", "interrupt", str(session_id))
    instance.wait(lambda: not _sleeps(), 60, "it was killed")
    assert instance.session(session_id)["status"] == "idle"
    assert not payloads(instance.events(session_id), "workspace.torn_down"), "the workspace stays"
    instance.qd("session", "reply", str(session_id), "fine")
    instance.wait_for(session_id, "idle")
    assert payloads(instance.events(session_id), "model.answered")[-1]["text"] == "As you like."


def _sleeps() -> bool:
    return any(f"sleep {LONG}" in line for line in processes_below(1).values())


def _partial(instance: Instance, session_id: int) -> str:
    with instance.client() as client, client.stream("GET", f"/sessions/{session_id}/stream") as stream:
        name = ""
        for text in stream.iter_lines():
            if text.startswith("event:"):
                name = text.partition(":")[2].strip()
            if text.startswith("data:") and name == "partial":
                return text
            if name in ("end", "closing"):
                break
    return ""


def test_a_message_while_it_works_is_taken_at_the_next_step(instance: Instance) -> None:
    session_id = chat(
        instance,
        {"say": "Working.", "call": call("run_command", command=UNTIL_LET_GO)},
        {"expect": "by the way", "say": "I have read it."},
        project="sample",
        pre_approved=["run_commands"],
    )
    instance.wait(lambda: bool(payloads(instance.events(session_id), "tool_call.started")), 60, "the call runs")
    instance.qd("session", "reply", str(session_id), "by the way, hurry")
    let_go(instance, session_id)
    instance.wait_for(session_id, "idle")
    assert payloads(instance.events(session_id), "model.answered")[-1]["text"] == "I have read it."


def test_a_chat_starts_a_flow_shows_it_and_is_woken_by_its_end(instance: Instance) -> None:
    pipeline = instance.post("/projects/sample/pipelines", {"ref": "main"})["id"]
    instance.wait(lambda: instance.get(f"/pipelines/{pipeline}")["status"] == "failed", 90, "the pipeline fails")
    start_it = call("start_flow", flow="fix_pipeline/v1", goal="Repair it", pipeline_id=pipeline)
    session_id = chat(
        instance,
        {"say": "I start it.", "call": start_it},
        {
            "capture": {"child": "Session #(\\d+) has begun"},
            "say": "It is #{child}.",
            "call": call("notify_me_when", session="{child}", note="tell ada"),
        },
        {"expect": "You are sent a message when session #{child}", "say": "I wait."},
        {"expect": "You asked to be told: Session #{child} is idle. Your note: tell ada", "say": "It is done, ada."},
        project="sample",
        pre_approved=["start_flows"],
    )
    instance.wait(
        lambda: "It is done, ada." in [one["text"] for one in payloads(instance.events(session_id), "model.answered")],
        180,
        "it was woken",
    )
    link = payloads(instance.events(session_id), "link.added")[0]
    child = int(link["name"].removeprefix("#"))
    assert (link["relation"], instance.session(child)["flow"]) == ("child", "fix_pipeline/1.0.0")
    assert f"child: session #{child}" in instance.qd("session", "watch", str(session_id)).stdout
    assert instance.session(child)["merge_request"], "its work was whole"
    told = instance.qd_json("session", "cancel", str(session_id), "--reason", "enough", "--wait")
    assert [(one["session"], one["status"], one["teardown"]["left"]) for one in told["below"]] == [
        (child, "stopped", 0)
    ]


COMPACTING = """
version: v1
environment: chat-partial
name: long
components:
  - name: chat
    type: AgentComponent
    prompt_id: chat
    compaction: {max_context_tokens: 1500, max_recent_messages: 6, recent_messages_token_budget: 300}
routers: []
flow: {}
prompts: [{prompt_id: chat, name: long, prompt_template: {system: You remember., user: "{{ goal }}"}}]
"""


@pytest.mark.timeout(600)
def test_after_200_turns_and_compaction_it_still_knows_its_first_fact(instance: Instance) -> None:
    """The scripted model keeps nothing: what it says at the end it knows from the memory that it wrote into the log."""
    filler = "The weather is fine, and we speak of this and that for a while. " * 3
    steps: list[dict[str, Any]] = [{"capture": {"cat": "cat is called (\\w+)"}, "say": "A fine name."}]
    steps += [{"say": f"Answer {number}. {filler}"} for number in range(2, 201)]
    steps.append({"say": "Your cat is called {cat}, as you said at first."})
    body = {
        "project": "sample",
        "flow_yaml": COMPACTING,
        "goal": "My cat is called Schnurrli.",
        "model": "scripted",
        "script": json.dumps({"components": {"chat": steps}}),
    }
    session_id = int(instance.post("/sessions", body)["id"])
    instance.wait_for(session_id, "idle")
    for number in range(2, 202):
        instance.post(f"/sessions/{session_id}/messages", {"text": f"Message {number}. {filler}"})
        instance.wait_for(session_id, "idle")
    events = instance.events(session_id)
    compacted = payloads(events, "context.compacted")
    assert len(compacted) > 3
    assert all("Schnurrli" in one["text"] for one in compacted), "each memory of the chat holds its first fact"
    answers = payloads(events, "model.answered")
    assert len(answers) == 201
    assert "Schnurrli" in answers[-1]["text"]


def test_the_terminal_asks_takes_one_key_and_is_interrupted(instance: Instance) -> None:
    """A person at a terminal: an approval by a key, an answer interrupted by Ctrl-C, and another Ctrl-C to leave."""
    script = instance.home / "terminal.script.yml"
    steps = [
        {"say": "May I?", "call": call("run_command", command="echo through-the-door")},
        {"expect": "through-the-door", "say": "It ran."},
        {"say": "A long story.\n" * 40, "delay": 60},
    ]
    script.write_text(json.dumps({"components": {"chat": steps}}), encoding="utf-8")
    command = ["chat", "--project", "sample", "--model", "scripted", "--script", str(script), "Run it"]
    with Terminal(instance, command) as terminal:
        terminal.until("press a to approve")
        terminal.type("a")
        terminal.until("It ran.")
        terminal.until(" idle")
        terminal.type("tell me a story\n")
        terminal.until("tell me a story")
        terminal.until("A long story.")
        terminal.type("\x03")
        terminal.until("interrupted by")
        terminal.until(" idle")
        terminal.type("\x03")
        assert terminal.ended() == 0
        assert "qd chat --session" in terminal.shown


class Terminal:
    """A command of ours on a pseudo-terminal."""

    def __init__(self, instance: Instance, arguments: list[str]) -> None:
        self._main, other = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "quarterdeck", *arguments],
            env={**instance.environment, "TERM": "dumb"},
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
            preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
        )
        os.close(other)
        self.shown = ""
        self._read = 0

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)
        os.close(self._main)

    def type(self, text: str) -> None:
        os.write(self._main, text.encode())

    def until(self, word: str, seconds: float = 60) -> None:
        """Until the word is shown behind what was waited for before."""
        end = time.monotonic() + seconds
        while (found := self.shown.find(word, self._read)) < 0:
            assert time.monotonic() < end, f"{word!r} was not shown:\n{self.shown}"
            self._take(0.2)
        self._read = found + len(word)

    def ended(self, seconds: float = 30) -> int:
        end = time.monotonic() + seconds
        while self._process.poll() is None:
            assert time.monotonic() < end, self.shown
            self._take(0.2)
        self._take(0.2)
        return int(self._process.returncode)

    def _take(self, seconds: float) -> None:
        if select.select([self._main], [], [], seconds)[0]:
            try:
                self.shown += os.read(self._main, 65_536).decode("utf-8", "replace")
            except OSError:
                return
