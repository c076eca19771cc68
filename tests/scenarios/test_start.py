"""The first start, the second one, and who is let in."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.instance import Instance, processes_below
from tests.scenarios.work import call, payloads, start

ROOT = Path(__file__).parents[2]

PROBES = {"server", "database", "workers", "runner", "models", "sandbox", "git", "disk", "network", "backup"}
NOBODY = 65_534


@pytest.fixture
def fresh() -> Iterator[Instance]:
    """A server of this test alone, not started yet."""
    instance = Instance()
    try:
        yield instance
    finally:
        instance.remove()


def printed_link(instance: Instance) -> str:
    found = re.findall(r"Sign in .*?(http\S+/sign-in\?token=\S+)", instance.log())
    assert len(found) == 1, instance.log_end()
    return found[0]


def state(instance: Instance) -> dict[str, Any]:
    """What has to be the same after every start."""
    return {
        "token": instance.token,
        "projects": [(one["id"], one["path"]) for one in instance.get("/projects")],
        "sessions": [one["id"] for one in instance.get("/sessions")["items"]],
        "person": instance.get("/whoami"),
        "runner token": (instance.home / "runner.token").read_text(encoding="utf-8"),
    }


def test_the_first_start_makes_one_administrator_and_lets_nobody_else_in(fresh: Instance) -> None:
    fresh.start()
    person = fresh.get("/whoami")
    assert person["admin"]
    for name in ("token", "runner.token"):
        assert stat.S_IMODE((fresh.home / name).stat().st_mode) == 0o600
    assert [one["path"] for one in fresh.get("/projects")] == ["sample"]
    for path in ("/whoami", "/sessions", "/projects", "/health"):
        stranger = httpx.get(f"{fresh.url}/api/v1{path}")
        assert stranger.status_code == 401, "loopback is not trusted"
        assert stranger.json()["code"] == "unauthenticated"
    assert httpx.get(fresh.url).status_code == 401
    assert httpx.get(f"{fresh.url}/git/sample.git/info/refs?service=git-upload-pack").status_code == 401
    assert fresh.token not in fresh.log()


def test_the_printed_link_signs_a_browser_in_once(fresh: Instance) -> None:
    link = printed_link(fresh.start())
    with httpx.Client() as browser:
        asked = browser.get(link)
        assert (asked.status_code, "Sign in as " in asked.text) == (200, True)
        assert browser.get(fresh.url).status_code == 401, "the link asks first"
        form, ours = {"token": link.partition("token=")[2]}, {"Sec-Fetch-Site": "same-origin"}
        assert browser.post(f"{fresh.url}/sign-in", data=form, headers=ours).status_code == 303
        listed = browser.get(fresh.url)
        assert listed.status_code == 200
        assert fresh.get("/whoami")["username"] in listed.text
        api = browser.get(f"{fresh.url}/api/v1/whoami")
        assert api.status_code == 401, "a cookie opens pages, never the API"
    with httpx.Client() as another:
        again = another.get(link)
        assert again.status_code == 401, fresh.log_end()
        assert "qd sign-in-link" in again.text
        assert another.get(fresh.url).status_code == 401


def test_what_was_there_is_there_after_a_stop_and_after_a_kill(fresh: Instance) -> None:
    fresh.start()
    fresh.post("/projects", {"path": "kept"})
    session = fresh.post("/sessions", {"project": "sample", "model": "scripted", "pipeline_id": 1, "pre_approved": []})
    fresh.wait_for(session["id"], "tool_call_approval_required")
    before, events = state(fresh), fresh.events(session["id"])
    assert fresh.process is not None
    for how in (signal.SIGTERM, signal.SIGKILL):
        below = processes_below(fresh.process.pid)
        code = fresh.stop(how)
        assert code == (0 if how is signal.SIGTERM else -signal.SIGKILL)
        fresh.wait(lambda below=below: not _alive(below), 60, "all processes of it have ended")
        fresh.start()
        assert state(fresh) == before
        assert fresh.events(session["id"]) == events
    assert fresh.log().count("/sign-in?token=") == 1, "only the first start prints a link"
    fresh.qd("session", "cancel", str(session["id"]), "--wait")


def _alive(before: dict[int, str]) -> list[str]:
    """Those of `before` that still live; a number that was given to another program has another line."""
    now = processes_below(1)
    return [line for pid, line in before.items() if now.get(pid) == line]


def test_doctor_has_every_probe(instance: Instance) -> None:
    findings = instance.qd_json("doctor")
    assert {one["name"] for one in findings} == PROBES
    for one in findings:
        assert one["state"] in ("ok", "warning"), one
        assert one["detail"]
        assert one["remedy"] or one["state"] == "ok", one


def test_doctor_without_a_server_says_what_to_type(fresh: Instance) -> None:
    done = fresh.qd("doctor", code=1)
    assert "qd serve" in done.stdout
    assert "probes failed" in done.stderr


def as_nobody() -> list[str]:
    """What a command begins with to be run by nobody, who sees Python and the checkout even below root's home."""
    view = ["bwrap", "--dev-bind", "/", "/", "--tmpfs", str(Path.home())]
    for path in dict.fromkeys((sys.base_prefix, sys.prefix, str(ROOT))):
        for parent in reversed(Path(path).parents):
            if Path.home() in parent.parents:
                view += ["--perms", "0755", "--dir", str(parent)]
        view += ["--ro-bind", path, path]
    view += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--chdir", "/", "--"]
    return [*view, "setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "--"]


@dataclass
class Ordinary(Instance):
    """A server of an ordinary account: the tests' own, or nobody's when root runs them."""

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "HOME": str(self.home), "TMPDIR": str(self.home)}

    def start(self) -> "Ordinary":
        prefix: list[str] = []
        if os.geteuid() == 0:
            prefix = as_nobody()
            os.chown(self.home, NOBODY, NOBODY)
        with (self.home / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "quarterdeck", "serve"],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.wait(self._ready, 60, "the server of an ordinary account answers")
        return self

    def stop(self, how: int = signal.SIGTERM) -> int:
        assert self.process is not None
        os.kill(json.loads((self.home / "server.json").read_text(encoding="utf-8"))["pid"], how)
        return self.process.wait(60)


@pytest.fixture
def ordinary() -> Iterator[Instance]:
    instance = Ordinary()
    try:
        yield instance.start()
    finally:
        instance.remove()


def test_an_ordinary_account_serves_with_all_walls_up(ordinary: Instance) -> None:
    assert os.geteuid() != 0 or ordinary.get("/whoami")["username"] == "nobody"
    assert stat.S_IMODE((ordinary.home / "token").stat().st_mode) == 0o600
    session_id = start(ordinary, {"say": "Go.", "call": call("run_command", command="pwd; ls")}, {"say": "Done."})
    view = ordinary.wait_for(session_id, "finished")
    assert view["isolation"] == "full"
    assert "/workspace" in payloads(ordinary.events(session_id), "tool_call.finished")[0]["text"]
    assert ordinary.stop() == 0
    owners = {path.lstat().st_uid for path in ordinary.home.rglob("*") if path.name != "serve.log"}
    assert owners == {NOBODY if os.geteuid() == 0 else os.geteuid()}
