"""`qd model` as a process against a real server, and a provider that answers or refuses."""

import json
import subprocess
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.settings import Settings
from tests.doors.conftest import COMMAND, Running, environment
from tests.engine import stubs

KEY = "gsk-typed-by-a-person-0123456789"


@contextmanager
def provider(status: int) -> Generator[str]:
    """One that answers every question with yes, or refuses it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            good = b"".join(stubs.openai(stubs.delta(content="yes")))
            body = good if status == 200 else json.dumps(stubs.openai_error("This key is not ours.")).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/event-stream" if status == 200 else "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def qd(home: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*args: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *args],
            env=environment(home),
            input=given,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    return run


def test_keys_by_commands(running: Running, qd: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert running.url
    assert "No key is set" in qd("model", "key", "list").stdout
    with provider(401) as url:
        refused = qd("model", "key", "set", "groq", "--base-url", url, given=f"{KEY}\n")
    assert refused.returncode == 2
    assert "This key is not ours." in refused.stderr
    with provider(200) as url:
        stored = qd("model", "key", "set", "groq", "--base-url", url, given=f"{KEY}\n")
    assert stored.returncode == 0, stored.stderr
    assert "groq:openai/gpt-oss-20b answered with it" in stored.stdout
    away = qd("model", "key", "set", "groq", "--base-url", "http://127.0.0.1:9/v1", given=f"{KEY}\n")
    assert away.returncode == 5
    shown = qd("model", "key", "list")
    assert "groq" in shown.stdout
    assert "stored" in shown.stdout
    everything = "".join(one.stdout + one.stderr for one in (refused, stored, away, shown))
    assert KEY not in everything
    assert KEY[-4:] not in everything
    assert qd("model", "key", "delete", "groq").returncode == 0
    assert qd("model", "key", "delete", "groq").returncode == 3


def test_rules_by_commands(running: Running, qd: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert running.url
    for arguments in (
        ("default", "groq:a"),
        ("default", "groq:b", "--project", "sample"),
        ("default", "groq:c", "--flow", "talk"),
        ("tag", "deep", "groq:d"),
        ("allow", "groq:*", "mistral:*"),
        ("fallback", "groq:a", "mistral:x", "groq:y"),
    ):
        changed = qd("model", *arguments)
        assert changed.returncode == 0, changed.stderr
    shown = qd("model", "list").stdout
    for words in ("instance", "sample", "flow talk", "groq:*, mistral:*", "when groq:a can't", "mistral:x, groq:y"):
        assert words in shown
    wrong = qd("model", "default", "mystery:x")
    assert wrong.returncode == 2
    assert "names no known provider" in wrong.stderr
    assert qd("model", "allow").returncode == 2
    for arguments in (
        ("default",),
        ("default", "--project", "sample"),
        ("default", "--flow", "talk"),
        ("tag", "deep"),
        ("allow", "--all"),
        ("fallback", "groq:a"),
    ):
        assert qd("model", *arguments).returncode == 0
    assert json.loads(qd("--json", "model", "list").stdout)["rules"] == []


def test_a_list_of_prices_is_read_with_the_settings_or_its_fault_is_said(tmp_path: Path) -> None:
    file = tmp_path / "prices.yml"
    file.write_text("models:\n  'groq:a/b': {input: 0.5, output: 1}\n", encoding="utf-8")
    assert Settings.model_validate({"prices": file}).price_list().models["groq:a/b"].output == 1
    assert Settings.model_validate({}).price_list().models == {}
    for text, told in (
        ("models: {x: {input: -1, output: 2}}", r"models\.x\.input: Input should be greater"),
        ("models: {x: {input: 1}}", r"models\.x\.output: Field required"),
        ("[", "can't be read"),
        ("1", "prices.yml"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=told):
            Settings.model_validate({"prices": file})
    with pytest.raises(ValueError, match="No such file"):
        Settings.model_validate({"prices": tmp_path / "none"})
