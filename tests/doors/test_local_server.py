"""The server that a command starts never outlives it, however the command ends."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.instance import Instance


@pytest.mark.parametrize(("how", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)])
def test_the_server_ends_with_its_command(how: signal.Signals, code: int) -> None:
    instance, server = Instance(), 0
    instance.home.chmod(0o755)
    (instance.home / "serve.log").touch()
    command = subprocess.Popen(
        [sys.executable, "-m", "quarterdeck", "demo"],
        env=instance.environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    written = instance.home / "server.json"
    try:
        instance.wait(written.exists, 120, "the command has started a server")
        server = int(json.loads(written.read_text(encoding="utf-8"))["pid"])
        command.send_signal(how)
        _, said = command.communicate(timeout=90)
        assert command.returncode == code
        assert "Traceback" not in said
        instance.wait(lambda: not Path(f"/proc/{server}").exists(), 60, "the server is gone")
        assert not written.exists(), "it was stopped, not only killed"
    finally:
        command.kill()
        if server:
            with contextlib.suppress(ProcessLookupError):
                os.kill(server, signal.SIGTERM)
        instance.remove()
