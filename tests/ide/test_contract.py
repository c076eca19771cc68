"""What every executor promises the server, by the runner's own tests, for the editor's."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.executor import test_contract as contract
from tests.executor.protocol_server import TOKEN, ProtocolServer, git
from tests.executor.test_contract import Executor
from tests.executor.test_contract import server as server

globals().update({name: test for name, test in vars(contract).items() if name.startswith("test_")})


class Window:
    """The extension's executor as a program, in a checkout."""

    def __init__(self, server: ProtocolServer, place: Path, program: list[str]) -> None:
        self.files, state = place / "checkout", place / "state"
        self.place, self.journal = state / "session-1", state / "journal.jsonl"
        self._url, self._words = server.url, [*program, str(self.files), str(state)]
        self._process: subprocess.Popen[bytes] | None = None
        git(place, "clone", "-q", str(server.folder / "repo.git"), "checkout")

    async def start(self, *, drop_seconds: float = 45, killable: bool = False) -> None:
        del killable
        times = {"heartbeatMs": 200, "dropMs": round(drop_seconds * 1000)}
        environment = {"PATH": os.environ["PATH"], "QUARTERDECK_URL": self._url, "QUARTERDECK_EXECUTOR_TOKEN": TOKEN}
        environment |= {"QUARTERDECK_INSTANCE": "a-window-of-the-tests", "QUARTERDECK_TIMES": json.dumps(times)}
        self._process = subprocess.Popen(self._words, stdin=subprocess.DEVNULL, env=environment)

    async def end(self, how: int = signal.SIGTERM) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            await asyncio.to_thread(process.wait, 60)


@pytest.fixture
async def executor(server: ProtocolServer, tmp_path: Path, node: Path, vscode_folder: Path) -> AsyncGenerator[Executor]:
    made = Window(server, tmp_path, [str(node / "node"), str(vscode_folder / "dist" / "executor.cjs")])
    yield made
    await made.end(signal.SIGKILL)
