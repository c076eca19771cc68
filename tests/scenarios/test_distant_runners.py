"""Runners as processes of their own, registered, behind a bad network, paused, drained and removed while they work."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from quarterdeck.core.protocol import PROTOCOL_VERSION, VERSIONS_APART
from tests.instance import Instance, processes_below
from tests.scenarios import old_executor
from tests.scenarios.old_executor import OldExecutor
from tests.scenarios.proxy import Proxy
from tests.scenarios.work import LONG, UNTIL_LET_GO, call, let_go, payloads, start


class Far:
    """A runner's home and process."""

    def __init__(self, server: Instance, home: Path) -> None:
        self.server, self.home = server, home
        self.process: subprocess.Popen[bytes] | None = None

    def qd(self, *words: str, token: str = "", code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "quarterdeck", "runner", *words], input=token, capture_output=True, text=True,
            timeout=120, check=False, cwd="/",
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def register(self, url: str, token: str, *options: str, code: int = 0) -> str:
        return self.qd("register", "--url", url, "--home", str(self.home), *options, token=token, code=code)

    def start(self) -> "Far":
        with (self.home / "runner.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "quarterdeck", "runner", "start", "--home", str(self.home)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
            )  # fmt: skip
        self.server.wait(lambda: self.view()["alive"], 60, "the distant runner is there")
        return self

    def view(self) -> Any:
        name = json.loads((self.home / "registration.json").read_text(encoding="utf-8"))["name"]
        return next(one for one in self.server.get("/runners") if one["name"] == name)

    def ended(self) -> int:
        assert self.process is not None
        return self.process.wait(90)

    def log(self) -> str:
        return (self.home / "runner.log").read_text(encoding="utf-8", errors="replace")

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(60)


@pytest.fixture(scope="module")
def server() -> Iterator[Instance]:
    """One whose own runner is paused, so that all work goes to those from elsewhere."""
    running = Instance()
    try:
        running.start()
        local = running.get("/runners")[0]["id"]
        running.qd("runner", "pause", str(local))
        yield running
    finally:
        running.remove()


@pytest.fixture
def far(server: Instance, home: Path) -> Iterator[Far]:
    """A runner that is not registered yet."""
    runner = Far(server, home)
    yield runner
    runner.end()


def invite(server: Instance, *options: str) -> str:
    return server.qd("runner", "invite", *options).stdout.strip()


def test_a_runner_is_registered_once_and_keeps_its_token_to_itself(server: Instance, far: Far, tmp_path: Path) -> None:
    token = invite(server, "--tag", "gpu")
    assert "allows the tags gpu" in far.register(server.url, token, "--name", "once", "--tag", "root", code=1)
    assert "Registered once for all projects, tags: gpu" in far.register(server.url, token, "--name", "once")
    kept = far.home / "registration.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert token not in kept.read_text(encoding="utf-8")
    other = Far(server, tmp_path)
    assert "used already" in other.register(server.url, token, "--name", "twice", code=1)
    assert "No runner is registered" in other.qd("start", "--home", str(tmp_path), code=1)
    refused = other.register("http://quarterdeck.example.org", "qdg_x", code=1)
    assert "--allow-plain-http" in refused
    far.start()
    number = str(far.view()["id"])
    assert "gpu" in server.qd("runner", "list").stdout
    server.qd("runner", "remove", number)
    assert far.ended() == 1
    assert "no token of a runner" in far.log()
    server.qd("runner", "show", number, code=3)


LINES = 40


def test_work_comes_through_a_network_that_cuts_repeats_and_reorders(server: Instance, far: Far) -> None:
    steps = f"for i in $(seq {LINES}); do echo line $i; sleep 0.1; done; echo x >> once.txt"
    with Proxy(int(server.url.rpartition(":")[2]), seed=7) as proxy:
        far.register(proxy.url, invite(server, "--project", "sample"), "--name", "cut")
        far.start()
        session_id = start(
            server,
            {"say": "Work.", "call": call("run_command", command=steps)},
            {"expect": f"line {LINES}", "say": "Again.", "call": call("run_command", command="cat once.txt | wc -l")},
            {"expect": "1", "say": "Done."},
        )
        server.wait(lambda: bool(payloads(server.events(session_id), "tool_call.started")), 120, "the command runs")
        begun = payloads(server.events(session_id), "tool_call.started")[0]["call_id"]
        assert begun in (far.home / "journal.jsonl").read_text(encoding="utf-8"), "before it began"
        proxy.cut.set()
        time.sleep(3)
        proxy.cut.clear()
        server.wait_for(session_id, "finished", seconds=180)
        done = {"cut", "repeated", "idle stream closed"}
        server.wait(lambda: done <= set(proxy.done), 60, "the network has done all that to it")
    ends = payloads(server.events(session_id), "tool_call.finished")
    assert [one["outcome"] for one in ends] == ["ok", "ok"]
    printed = server.raw(f"/sessions/{session_id}/calls/{ends[0]['call_id']}/output")
    expected = "".join(f"line {number}\n" for number in range(1, LINES + 1)).encode()
    assert hashlib.sha256(printed).digest() == hashlib.sha256(expected).digest(), printed


def test_a_runner_is_drained_while_it_works(server: Instance, far: Far) -> None:
    far.register(server.url, invite(server), "--name", "drained")
    far.start()
    session_id = start(
        server,
        {"say": "Slow.", "call": call("run_command", command=f"{UNTIL_LET_GO}; echo kept > kept.txt; echo slow")},
        {"expect": "slow", "say": "Look.", "call": call("run_command", command="cat kept.txt")},
        {"expect": "kept", "say": "Done."},
    )
    server.wait(lambda: bool(payloads(server.events(session_id), "tool_call.started")), 90, "the command runs")
    server.qd("runner", "drain", str(far.view()["id"]))
    let_go(server, session_id, far.home)
    assert far.ended() == 0, far.log()
    assert far.view()["state"] == "paused"
    local = next(str(one["id"]) for one in server.get("/runners") if not one["registered"])
    server.qd("runner", "resume", local)
    try:
        server.wait_for(session_id, "finished")
    finally:
        server.qd("runner", "pause", local)
    attached = [one["executor"] for one in payloads(server.events(session_id), "executor.attached")]
    assert attached[0] == "drained"
    assert [one["outcome"] for one in payloads(server.events(session_id), "tool_call.finished")] == ["ok", "ok"]


def test_a_stop_is_proved_whatever_becomes_of_the_runner(server: Instance, far: Far) -> None:
    with Proxy(int(server.url.rpartition(":")[2]), seed=11) as proxy:
        far.register(proxy.url, invite(server), "--name", "stuck")
        far.start()
        proxy.silent.set()
        cloning = start(server, {"say": "Go.", "call": call("run_command", command="true")})
        server.wait(lambda: bool(proxy.done["git kept waiting"]), 90, "the clone hangs")
        told = server.qd_json("session", "cancel", str(cloning), "--wait")
        assert (told["status"], told["teardown"]["left"], told["missed"]) == ("stopped", 0, None)
        assert far.process is not None
        assert "git" not in " ".join(processes_below(far.process.pid).values())
        proxy.silent.clear()

        frozen = busy(server, f"{LONG}.1")
        far.process.send_signal(signal.SIGSTOP)
        try:
            late = server.qd("session", "cancel", str(frozen), "--wait", "--timeout", "1", code=5)
            assert "the proof of stuck that nothing of it runs any more; last heard of" in late.stdout
            assert f"qd session cancel {frozen} --wait" in late.stderr
            assert server.session(frozen)["status"] == "stopped", "whatever the runner does"
        finally:
            far.process.send_signal(signal.SIGCONT)
        told = server.qd_json("session", "cancel", str(frozen), "--wait")
        assert told["teardown"]["killed"] >= 1
        told = server.qd_json("session", "cancel", str(frozen), "--wait", "--timeout", "0")
        assert told["teardown"]["killed"] >= 1, "what has come is told without time to wait, too"
        assert not sleepers(f"{LONG}.1")

        killed = busy(server, f"{LONG}.2")
        far.end()
        server.wait(lambda: not sleepers(f"{LONG}.2"), 60, "its commands are dead without a word from the server")
        assert server.qd_json("session", "cancel", str(killed))["status"] == "stopped"
        far.start()
        assert server.qd_json("session", "cancel", str(killed), "--wait")["teardown"]["left"] == 0

        gone = busy(server, f"{LONG}.3")
        far.end()
        server.qd("session", "cancel", str(gone))
        server.qd("runner", "remove", str(far.view()["id"]))
        never = server.qd("session", "cancel", str(gone), "--wait", code=1)
        assert "the runner stuck was removed: no proof will come" in never.stdout
        assert payloads(server.events(gone), "teardown.missed")[-1]["why"] == "removed"


def busy(server: Instance, seconds: str) -> int:
    """A session whose command runs."""
    session_id = start(server, {"say": "Go.", "call": call("run_command", command=f"sleep {seconds}")})
    server.wait(lambda: bool(sleepers(seconds)), 90, "the command runs")
    return session_id


def sleepers(seconds: str) -> list[str]:
    return [line for line in processes_below(1).values() if f"sleep {seconds}" in line]


def test_an_executor_of_the_version_before_works_to_the_end_and_is_stopped_with_proof(
    server: Instance, tmp_path: Path
) -> None:
    """A server is upgraded while sessions are under way, their executors later: what the old one says is understood."""
    assert old_executor.PROTOCOL == PROTOCOL_VERSION - VERSIONS_APART, "keep one of each version before today's"
    api, bearer = f"{server.url}/api/v1/executor", {"Authorization": f"Bearer {invite(server)}"}
    asked = {"protocol": old_executor.PROTOCOL, "version": "0.0.9", "name": "old", "instance": "old"}
    token = httpx.post(f"{api}/register", json=asked, headers=bearer).raise_for_status().json()["token"]
    older = {**old_executor.HELLO, "protocol": old_executor.PROTOCOL - 1}
    refused = httpx.post(f"{api}/hello", json=older, headers={"Authorization": f"Bearer {token}"})
    assert (refused.status_code, refused.json()["code"]) == (426, "version_mismatch")
    with OldExecutor(server.url, token, tmp_path) as old:
        worked = start(
            server,
            {"say": "Work.", "call": call("run_command", command="echo made > made.txt; echo seen")},
            {"expect": "seen", "say": "Again.", "call": call("run_command", command="cat made.txt; exit 3")},
            {"expect": "made", "say": "What is not there.", "call": call("read_file", file_path="made.txt")},
            {"expect": "no tool", "say": "Commit.", "call": call("create_commit", message="Made by the old one")},
            {"expect": "Pushed", "say": "Done."},
        )
        ended = ("finished", "failed", "stopped")
        server.wait(lambda: bool(old.faults) or server.session(worked)["status"] in ended, 120, "its work is done")
        assert not old.faults, old.faults
        stuck = start(server, {"say": "Wait.", "call": call("run_command", command="echo up; sleep 600")})
        server.wait(lambda: bool(payloads(server.events(stuck), "tool_call.started")), 60, "the command runs")
        server.qd("session", "cancel", str(stuck), "--wait")
        assert not old.faults, old.faults
    events = server.events(worked)
    ends = payloads(events, "tool_call.finished")
    assert [(one["outcome"], one["exit_code"]) for one in ends] == [
        ("ok", 0),
        ("error", 3),
        ("error", None),
        ("ok", None),
    ]
    assert server.session(worked)["status"] == "finished"
    assert server.raw(f"/sessions/{worked}/calls/{ends[0]['call_id']}/output") == b"seen\n"
    assert [one["artifact"] for one in payloads(events, "artifact.created")] == ["branch", "commit"]
    assert b"+made" in server.raw(f"/sessions/{worked}/diff")
    assert server.session(stuck)["status"] == "stopped"
    proof = payloads(server.events(stuck), "workspace.torn_down")[-1]
    assert (proof["killed"], proof["left"]) == (1, 0)
