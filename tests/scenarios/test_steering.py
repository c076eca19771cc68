"""Sessions steered by a person: approvals, pause, messages, cancel with proof, delete. Real processes throughout."""

import json
import threading
import time
from typing import Any

import pytest

from tests.instance import Instance, processes_below
from tests.scenarios.work import LONG, UNTIL_LET_GO, call, let_go, payloads, start

NASTY = (
    f"for i in 1 2 3; do ( trap '' TERM HUP INT; setsid sh -c \"trap '' TERM; sleep {LONG}.$i\" & ) ; done; "
    "python3 -c 'import os,time\n"
    f"os.fork() and os._exit(0)\nos.setsid()\nos.fork() and os._exit(0)\ntime.sleep({LONG}.9)' & "
    "echo begun; trap '' TERM; while :; do sleep 1; done"
)


def test_an_approval_is_given_denied_with_a_reason_and_given_changed(instance: Instance) -> None:
    session_id = start(
        instance,
        {"say": "First.", "call": call("run_command", command="echo one > made.txt")},
        {"expect": "Exit code 0", "say": "Second.", "call": call("run_command", command="rm -rf /workspace/shelf")},
        {"expect": "not that folder", "say": "Third.", "call": call("run_command", command="echo three > made.txt")},
        {"expect": "Exit code 0", "say": "Read.", "call": call("run_command", command="cat made.txt; ls shelf")},
        {"expect": "changed by a person", "say": "All done."},
        asks=True,
    )
    instance.wait_for(session_id, "tool_call_approval_required")
    instance.qd("session", "approve", str(session_id))
    instance.wait_for(session_id, "tool_call_approval_required")
    denied = instance.session(session_id)["approvals"][0]
    assert denied["calls"][0]["args"]["command"].startswith("rm -rf")
    instance.qd("session", "deny", str(session_id), "--reason", "not that folder")
    instance.wait(lambda: "three" in json.dumps(instance.session(session_id)["approvals"]), 60, "the third call asks")
    changed = {"command": "echo changed by a person > made.txt"}
    instance.post(f"/sessions/{session_id}/approve", {"args": changed})
    instance.wait(lambda: "cat made" in json.dumps(instance.session(session_id)["approvals"]), 60, "the last call asks")
    instance.qd("session", "approve", str(session_id))
    instance.wait_for(session_id, "finished")
    events = instance.events(session_id)
    assert [one["outcome"] for one in payloads(events, "tool_call.finished")] == ["ok", "denied", "ok", "ok"]
    assert payloads(events, "approval.denied")[0]["reason"] == "not that folder"
    assert b"changed by a person" in instance.raw(f"/sessions/{session_id}/diff")


def test_a_paused_session_finishes_its_call_and_goes_on_when_resumed(instance: Instance) -> None:
    session_id = start(
        instance,
        {"say": "Slow.", "call": call("run_command", command=f"{UNTIL_LET_GO}; echo slow")},
        {"expect": "slow", "say": "Done."},
    )
    instance.wait(lambda: bool(payloads(instance.events(session_id), "tool_call.started")), 60, "the call runs")
    instance.qd("session", "pause", str(session_id))
    assert instance.session(session_id)["status"] == "paused"
    let_go(instance, session_id)
    instance.wait(lambda: bool(payloads(instance.events(session_id), "tool_call.finished")), 60, "the call ends")
    time.sleep(1)
    assert instance.session(session_id)["status"] == "paused"
    assert len(payloads(instance.events(session_id), "model.answered")) == 1
    refused = instance.qd("session", "pause", str(session_id), code=None)
    assert refused.returncode == 0, "pausing what is paused does nothing"
    instance.qd("session", "resume", str(session_id))
    instance.wait_for(session_id, "finished")
    again = instance.qd("session", "pause", str(session_id), code=6)
    assert "pause" in again.stderr
    assert "finished" in again.stderr


def test_a_message_is_taken_at_the_next_step(instance: Instance) -> None:
    session_id = start(
        instance,
        {"say": "Working.", "call": call("run_command", command=UNTIL_LET_GO)},
        {"expect": "by the way", "say": "I have read it."},
    )
    instance.wait(lambda: bool(payloads(instance.events(session_id), "tool_call.started")), 60, "the call runs")
    instance.qd("session", "reply", str(session_id), "by the way, hurry")
    let_go(instance, session_id)
    instance.wait_for(session_id, "finished")
    refused = instance.qd("session", "reply", str(session_id), "too late", code=None)
    assert refused.returncode != 0
    assert "finished" in refused.stderr


def test_cancel_while_a_command_with_hidden_children_runs_leaves_nothing(instance: Instance) -> None:
    session_id = start(instance, {"say": "Stuck.", "call": call("run_command", command=NASTY)})
    instance.wait(lambda: _sleepers() >= 4, 60, "the command's children run")
    told = instance.qd("--json", "session", "cancel", str(session_id), "--wait", "--reason", "enough")
    assert _sleepers() == 0
    view = instance.wait_for(session_id, "stopped")
    assert view["reason"] == "enough"
    events = instance.events(session_id)
    torn = payloads(events, "workspace.torn_down")
    assert len(torn) == 1
    assert torn[0]["left"] == 0
    assert torn[0]["killed"] >= 4
    assert "killed" in told.stdout
    stopped = next(n for n, event in enumerate(events) if event["payload"].get("to_status") == "stopped")
    assert all(event["payload"]["kind"] == "workspace.torn_down" for event in events[stopped + 1 :])
    for verb in ("resume", "pause", "approve"):
        assert instance.qd("session", verb, str(session_id), code=None).returncode != 0
    assert instance.session(session_id)["status"] == "stopped"


def _sleepers() -> int:
    return sum(f"{LONG}." in line for line in processes_below(1).values())


def test_cancel_while_the_model_streams_and_while_it_waits(instance: Instance) -> None:
    streaming = start(instance, {"say": "Very slow words " * 40, "delay": 120})
    seen = _partials(instance, streaming)
    assert seen, "watchers see the answer while it is written"
    instance.qd("session", "cancel", str(streaming), "--wait")
    waiting = start(instance, {"say": "May I?", "call": call("run_command", command="true")}, asks=True)
    instance.wait_for(waiting, "tool_call_approval_required")
    instance.qd("session", "cancel", str(waiting), "--wait")
    time.sleep(1)
    for session_id in (streaming, waiting):
        events = instance.events(session_id)
        assert events[-1]["payload"]["to_status"] == "stopped"
        assert instance.session(session_id)["waiting_for"] is None
    assert not payloads(instance.events(streaming), "model.answered")
    assert not instance.session(waiting)["approvals"]


def _partials(instance: Instance, session_id: int) -> str:
    with instance.client() as client, client.stream("GET", f"/sessions/{session_id}/stream") as stream:
        name = ""
        for text in stream.iter_lines():
            if text.startswith("event:"):
                name = text.partition(":")[2].strip()
            if text.startswith("data:") and name == "partial":
                return text
    return ""


def test_output_is_seen_while_the_command_runs_and_a_stream_resumes(instance: Instance) -> None:
    session_id = start(
        instance,
        {"say": "Go.", "call": call("run_command", command=f"echo early-word; {UNTIL_LET_GO}; echo late-word")},
        {"say": "Done."},
    )
    read: list[tuple[str, str, Any]] = []
    follower = threading.Thread(target=_follow, args=(instance, session_id, read))
    follower.start()
    instance.wait(lambda: any(name == "output" for _, name, _ in read), 60, "output is seen")
    let_go(instance, session_id)
    follower.join(90)
    assert not follower.is_alive(), "the stream ends with the session"
    kinds = [name for _, name, _ in read]
    assert kinds.index("output") < kinds.index("tool_call.finished")
    numbers = [int(number) for number, _, _ in read if number]
    assert numbers == list(range(1, len(instance.events(session_id)) + 1))
    rest: list[tuple[str, str, Any]] = []
    _follow(instance, session_id, rest, after=numbers[4])
    assert [int(number) for number, _, _ in rest if number] == numbers[5:]


def _follow(instance: Instance, session_id: int, read: list[tuple[str, str, Any]], after: int = 0) -> None:
    headers = {"Last-Event-ID": str(after)}
    with (
        instance.client() as client,
        client.stream("GET", f"/sessions/{session_id}/stream", headers=headers, timeout=80) as stream,
    ):
        number = name = ""
        for text in stream.iter_lines():
            if text.startswith("id:"):
                number = text.partition(":")[2].strip()
            elif text.startswith("event:"):
                name = text.partition(":")[2].strip()
            elif text.startswith("data:"):
                read.append((number, name, text))
            elif not text:
                number = name = ""


def test_delete_takes_everything_but_a_tombstone(instance: Instance) -> None:
    word = "zanzibar-word-in-content"
    session_id = start(
        instance,
        {"say": f"The {word}.", "call": call("run_command", command=f"echo {word} | tee kept.txt")},
        {"say": "Done."},
    )
    instance.wait_for(session_id, "finished")
    held = instance.post(f"/sessions/{session_id}/hold", {"reason": "keep"})
    assert held["expires_on"] is None
    assert instance.qd("session", "delete", str(session_id), "--yes", code=None).returncode != 0
    instance.post(f"/sessions/{session_id}/release")
    instance.qd("session", "delete", str(session_id), "--yes")
    assert instance.qd("session", "show", str(session_id), code=None).returncode == 3
    workspace = instance.home / "runner" / "workspaces"
    instance.wait(lambda: not list(workspace.glob(f"session*{session_id}")), 60, "the runner has wiped the workspace")


@pytest.mark.parametrize(
    ("command", "outcome", "word"),
    [
        ("head -c 100000000 /dev/zero | tr '\\0' 'x'", "ok", "left out"),
        ("printf 'a\\000b\\033[31mred\\377end'", "ok", "end"),
        ("exit 7", "error", "7"),
    ],
)
def test_hostile_output_is_kept_within_bounds(instance: Instance, command: str, outcome: str, word: str) -> None:
    session_id = start(instance, {"say": "Go.", "call": call("run_command", command=command)}, {"say": "Done."})
    instance.wait_for(session_id, "finished")
    finished = payloads(instance.events(session_id), "tool_call.finished")[0]
    assert finished["outcome"] == outcome
    assert word in finished["text"]
    assert len(finished["text"]) < 40_000
    assert "\x00" not in finished["text"]
    shown = instance.qd("session", "watch", str(session_id), "--level", "full")
    assert "\x1b[31mred" not in shown.stdout
    assert "\x00" not in shown.stdout


def test_a_command_without_end_is_timed_out(instance: Instance) -> None:
    endless = call("run_command", command="echo begun; sleep 1000", timeout_seconds=2)
    session_id = start(instance, {"say": "Go.", "call": endless}, {"expect": "begun", "say": "Done."})
    instance.wait_for(session_id, "finished")
    assert payloads(instance.events(session_id), "tool_call.finished")[0]["outcome"] == "timed_out"


def test_calls_that_cannot_be_are_told_to_the_model(instance: Instance) -> None:
    session_id = start(
        instance,
        {"say": "Wrong.", "call": [call("no_such_tool", x=1), call("read_file", wrong=True), call("list_dir")]},
        {"expect": "no_such_tool", "say": "I have read the errors."},
    )
    instance.wait_for(session_id, "finished")
    finished = payloads(instance.events(session_id), "tool_call.finished")
    assert [one["outcome"] for one in finished][:2] == ["error", "error"]
    assert len(finished) == 3


def test_a_total_that_is_used_up_pauses_the_session_until_it_is_raised(instance: Instance) -> None:
    instance.qd("project", "edit", "sample", "--limits", "output=1M, memory=1G")
    try:
        assert "memory=1G, output=1M" in instance.qd("project", "show", "sample").stdout
        assert "cpu" in instance.qd("project", "edit", "sample", "--limits", "cpu=1", code=2).stderr
        session_id = start(
            instance,
            {"say": "A flood.", "call": call("run_command", command="yes")},
            {"expect": "1M of output", "say": "Again.", "call": call("run_command", command="echo who; echo le")},
            {"expect": "who", "say": "Done."},
        )
        reason = instance.wait_for(session_id, "paused")["reason"]
        assert reason.startswith("It has used up its 1M of output of all its commands together. An owner can raise")
        refused = instance.qd("session", "resume", str(session_id), code=6)
        assert "Nothing has changed" in refused.stderr
        shown = instance.qd("session", "show", str(session_id)).stdout
        assert "memory=1G, output=1M" in shown
        assert "bytes of output" in shown
    finally:
        instance.qd("project", "edit", "sample", "--limits", "")
    instance.qd("session", "resume", str(session_id))
    instance.wait_for(session_id, "finished")
    ends = payloads(instance.events(session_id), "tool_call.finished")
    assert [one["limit"] and one["limit"]["name"] for one in ends] == ["output", None]
    assert ends[1]["used"]["output"] == len("who\nle\n"), "what it took itself, after the flood"


LEADING = """
version: v1
environment: ambient
name: leading
components:
  - {name: lead, type: AgentComponent, prompt_id: p, subagents: [{name: hand}]}
  - {name: hand, type: AgentComponent, prompt_id: p, description: Runs, toolset: [run_command]}
routers: [{from: lead, to: end}]
flow: {entry_point: lead}
prompts: [{prompt_id: p, prompt_template: {system: s, user: g}}]
"""


def test_cancel_while_a_subagent_works(instance: Instance) -> None:
    lead = {"say": "You do it.", "call": call("delegate_task", agent="hand", task="Sleep.")}
    hand = {"say": "I sleep.", "call": call("run_command", command=f"setsid sleep {LONG}.7 & sleep {LONG}.8")}
    script = json.dumps({"components": {"lead": [lead], "hand": [hand]}})
    session_id = start(instance, flow_yaml=LEADING, script=script)
    instance.wait(lambda: _sleepers() >= 2, 90, "the subagent's command runs")
    told = instance.qd_json("session", "cancel", str(session_id), "--wait")
    assert told["teardown"]["killed"] >= 2
    assert (_sleepers(), told["teardown"]["left"], told["below"]) == (0, 0, [])
    events = instance.events(session_id)
    assert payloads(events, "delegation.started")[0]["component"] == "lead:hand:1"
    assert not payloads(events, "delegation.ended")
