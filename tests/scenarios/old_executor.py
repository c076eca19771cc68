"""An executor of the protocol's version 0: the one before today's, as it was written and as it will not change.

It speaks that version alone, at the level of the wire: it sends no field and reads no field that came later (a home's
`instance`, `begun` in a result, setup scripts, networks, the cancel of one call), tells of every start by itself, and
shares no code with the executor of today. When the protocol becomes 2, one of version 1 takes its place.
"""

import base64
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

PROTOCOL = 0
HELLO: dict[str, Any] = {
    "protocol": PROTOCOL, "version": "0.0.9", "name": "old", "kind": "runner", "capacity": 2, "tags": [],
    "isolation": "none", "capabilities": {}, "subjects": [],
}  # fmt: skip
OFFER = {"call_id", "subject", "turn_no", "lease_epoch", "tool", "args", "workspace", "job"}
SPEC = {
    "clone_path", "token", "ref", "commit", "branch", "bundle_blob", "snapshot_commit", "step", "author",
    "author_email", "committer", "committer_email",
}  # fmt: skip


class OldExecutor:
    """Its threads: one that reads the stream, one that beats, one for each call."""

    def __init__(self, url: str, token: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        headers = {"Authorization": f"Bearer {token}"}
        self._api = httpx.Client(base_url=f"{url}/api/v1/executor", headers=headers, timeout=60)
        self._over = threading.Event()
        self._runner = 0
        self._epochs: dict[str, int] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._steps: dict[str, tuple[int, str]] = {}
        self._threads: list[threading.Thread] = []
        self.faults: list[BaseException] = []

    def __enter__(self) -> "OldExecutor":
        welcome = self._api.post("/hello", json=HELLO).raise_for_status().json()
        self._runner = welcome["runner"]
        self._do(self._listen)
        self._do(self._beat)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for subject in list(self._running):
            self._kill(subject)
        for thread in self._threads:
            thread.join(30)
        self._api.close()

    def _do(self, work: Any, *given: Any) -> None:
        def run() -> None:
            try:
                work(*given)
            except BaseException as error:
                if not self._over.is_set():
                    self.faults.append(error)

        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _beat(self) -> None:
        while not self._over.wait(10):
            held = [{"subject": subject, "lease_epoch": epoch} for subject, epoch in self._epochs.items()]
            answer = self._post("/heartbeat", {"runner": self._runner, "held": held})
            for subject in answer["lost"]:
                self._kill(subject)

    def _listen(self) -> None:
        with self._api.stream("GET", "/stream", params={"runner": self._runner}) as stream:
            for event, data in self._messages(stream):
                match event:
                    case "offer":
                        self._do(self._carry_out, data)
                    case "cancel":
                        self._cancel(data["subject"], data["lease_epoch"])
                    case "wipe":
                        self._epochs.pop(data["subject"], None)
                    case _:
                        pass

    def _messages(self, stream: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
        event = ""
        for line in stream.iter_lines():
            if self._over.is_set():
                return
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield event, json.loads(line.removeprefix("data: "))

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        answer = self._api.post(path, json=body).raise_for_status()
        return answer.json() if answer.content else None

    def _carry_out(self, sent: dict[str, Any]) -> None:
        offer = {name: sent[name] for name in OFFER if name in sent}
        spec = {name: value for name, value in offer["workspace"].items() if name in SPEC}
        call, subject, epoch = offer["call_id"], offer["subject"], offer["lease_epoch"]
        fence = {"turn_no": offer["turn_no"], "lease_epoch": epoch}
        self._epochs[subject] = epoch
        files = self._prepared(subject, epoch, spec)
        self._post(f"/calls/{call}/started", fence)
        began, more = time.monotonic(), dict[str, Any]()
        match offer["tool"]:
            case "run_command":
                outcome, text, more = self._command(call, subject, epoch, files, offer["args"]["command"])
                if outcome != "cancelled" and (taken := self._snapshot(subject, epoch, files, spec)):
                    more["snapshot"] = taken
            case "create_commit":
                outcome, text = "ok", self._pushed(call, epoch, files, spec, offer["args"]["message"])
            case "pipeline_job":
                lines = (*offer["job"]["before_script"], *offer["job"]["script"])
                outcome, text, more = self._command(call, subject, epoch, files, "set -e\n" + "\n".join(lines))
            case other:
                outcome, text = "error", f"This executor has no tool {other}."
        duration = round((time.monotonic() - began) * 1000)
        self._post(
            f"/calls/{call}/result", {**fence, "outcome": outcome, "text": text, "duration_ms": duration, **more}
        )

    def _prepared(self, subject: str, epoch: int, spec: dict[str, Any]) -> Path:
        files = self.folder / subject.replace(":", "-")
        if not files.exists():
            secret = base64.b64encode(f"session:{spec['token']}".encode()).decode()
            sign_in = f"http.extraHeader=Authorization: Basic {secret}"
            parts = urlsplit(self.url)
            place = f"{parts.scheme}://{parts.netloc}/{spec['clone_path'].lstrip('/')}"
            self._git(self.folder, "-c", sign_in, "clone", "-q", place, str(files))
            onto = ("-B", spec["branch"]) if spec["branch"] else ("--detach",)
            self._git(files, "checkout", "-q", *onto, spec["commit"])
            base = {"lease_epoch": epoch, "base_commit": spec["commit"], "isolation": "none", "duration_ms": 1}
            self._post(f"/subjects/{subject}/prepared", base)
        return files

    def _command(
        self, call: str, subject: str, epoch: int, files: Path, command: str
    ) -> tuple[str, str, dict[str, Any]]:
        with subprocess.Popen(
            ["/bin/sh", "-c", command], cwd=files, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:  # fmt: skip
            self._running[subject] = process
            assert process.stdout is not None
            told = b""
            while piece := os.read(process.stdout.fileno(), 65_536):
                where = {"epoch": epoch, "offset": len(told)}
                answer = self._api.post(f"/calls/{call}/output", params=where, content=piece).raise_for_status()
                told += piece
                assert answer.json() == {"next_offset": len(told)}
            code = process.wait()
        self._running.pop(subject, None)
        more = {"output_bytes": len(told), "output_sha256": hashlib.sha256(told).hexdigest(), "truncated": False}
        if code < 0:
            return "cancelled", "Killed.", more
        more["exit_code"] = code
        return ("error" if code else "ok"), f"Exit code {code}.\n{told.decode()}", more

    def _snapshot(self, subject: str, epoch: int, files: Path, spec: dict[str, Any]) -> dict[str, Any] | None:
        step, known = self._steps.get(subject, (0, spec["commit"]))
        self._git(files, "add", "-A")
        tree = self._git(files, "write-tree").decode().strip()
        if tree == self._git(files, "rev-parse", f"{known}^{{tree}}").decode().strip():
            return None
        commit = self._git(files, "commit-tree", tree, "-p", spec["commit"], "-m", "step").decode().strip()
        ref = f"refs/steps/{step + 1}"
        self._git(files, "update-ref", ref, commit)
        letters = {"A": "added", "D": "deleted", "M": "modified"}
        listed = self._git(files, "diff", "--name-status", "--no-renames", known, commit).decode().splitlines()
        parts = (
            self._git(files, "bundle", "create", "-q", "-", ref, f"^{spec['commit']}"),
            self._git(files, "diff", known, commit),
            self._git(files, "diff", spec["commit"], commit),
        )
        bundle, step_diff, whole_diff = (
            self._api.post(f"/subjects/{subject}/blobs", params={"epoch": epoch}, content=part)
            .raise_for_status()
            .json()
            for part in parts
        )
        self._steps[subject] = step + 1, commit
        return {
            "step": step + 1,
            "commit": commit,
            "files": [{"path": line[2:], "change": letters[line[0]], "added": 1, "removed": 0} for line in listed],
            "bundle_blob": bundle["blob"],
            "step_diff_blob": step_diff["blob"],
            "whole_diff_blob": whole_diff["blob"],
        }

    def _pushed(self, call: str, epoch: int, files: Path, spec: dict[str, Any], message: str) -> str:
        self._git(files, "add", "-A")
        who = (spec["author"], spec["author_email"], spec["committer"], spec["committer_email"])
        self._git(files, "commit", "-q", "-m", message, who=who)
        commit = self._git(files, "rev-parse", "HEAD").decode().strip()
        bundle = self._git(files, "bundle", "create", "-q", "-", f"refs/heads/{spec['branch']}", f"^{spec['commit']}")
        where = {"epoch": epoch, "branch": spec["branch"], "commit": commit}
        answer = self._api.post(f"/calls/{call}/push", params=where, content=bundle).raise_for_status().json()
        assert answer == {"branch": spec["branch"], "commit": commit}
        return f"Pushed commit {commit} to branch {spec['branch']}."

    def _cancel(self, subject: str, epoch: int) -> None:
        began = time.monotonic()
        killed = self._kill(subject)
        proof = {"lease_epoch": epoch, "killed": killed, "left": 0, "method": "process group"}
        self._post(f"/subjects/{subject}/teardown", {**proof, "duration_ms": (time.monotonic() - began) * 1000})

    def _kill(self, subject: str) -> int:
        process = self._running.get(subject)
        if process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
        return 1

    def _git(self, folder: Path, *arguments: str, who: tuple[str, str, str, str] = ("O", "o@x", "O", "o@x")) -> bytes:
        names = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
        environment = {**os.environ, **dict(zip(names, who, strict=True)), "GIT_CONFIG_GLOBAL": "/dev/null"}
        done = subprocess.run(["git", *arguments], cwd=folder, env=environment, capture_output=True, check=False)
        if done.returncode:
            raise AssertionError(f"git {arguments}: {done.stderr.decode()}")
        return done.stdout
