"""What the tests of the doors share: a client of the API, in this process and by real HTTP."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from quarterdeck import server
from quarterdeck.app import first_start
from quarterdeck.app.application import App
from quarterdeck.doors.http import Server, application
from quarterdeck.settings import Settings
from tests import forked, ports
from tests.conftest import PERSON, RUNNER, Start

Qd = Callable[..., subprocess.CompletedProcess[str]]
COMMAND = (sys.executable, "-m", "quarterdeck.doors.cli.main")
START = ("session", "start", "-p", "sample", "--model", "scripted", "--input", "pipeline.id=1")


@dataclass(frozen=True)
class Api:
    """The API in this process, as its owner."""

    client: AsyncTestClient[Litestar]
    token: str

    async def get(self, path: str, **params: Any) -> httpx.Response:
        return await self.client.get(f"/api/v1{path}", params=params, headers=self.headers)

    async def post(self, path: str, body: object = None, **headers: str) -> httpx.Response:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(f"/api/v1{path}", json=body, headers={**self.headers, **given})

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@pytest.fixture
async def api(app: App, start: Start) -> AsyncIterator[Api]:
    async with AsyncTestClient(application(app)) as client:
        yield Api(client, start.token)


class Running:
    """A server on loopback, in a thread of its own, which can be stopped and started again on the same port."""

    def __init__(self, database_url: str, home: Path) -> None:
        self._kept = ports.reserved()
        self.port = ports.number(self._kept)
        self.url = f"http://127.0.0.1:{self.port}"
        self.home = home
        self._database_url = database_url
        self._thread: threading.Thread | None = None
        self._server: Server | None = None
        (home / "token").write_text(PERSON, encoding="utf-8")
        (home / "server.json").write_text(json.dumps({"url": self.url, "pid": 1}), encoding="utf-8")

    def start(self) -> None:
        begun = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(begun)))
        self._thread.start()
        assert begun.wait(60)

    async def _serve(self, begun: threading.Event) -> None:
        settings = Settings.model_validate({"home": self.home, "port": self.port})
        app = server.assemble(settings, self._database_url)
        await first_start.ensure(app, administrator="ada", token=PERSON, runner_token=RUNNER)
        app.doorbell.start()
        self._server = Server(application(app), host="127.0.0.1", port=self.port)
        serving = asyncio.create_task(self._server.serve())
        await asyncio.wait_for(self._server.ready.wait(), 60)
        begun.set()
        await serving
        await app.doorbell.stop()
        await app.database.close()

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(60)
            assert not self._thread.is_alive(), "an open stream held the server back"
            self._server = self._thread = None

    @contextmanager
    def up(self) -> Generator["Running"]:
        self.start()
        try:
            yield self
        finally:
            self.stop()
            self._kept.close()


@pytest.fixture
def running(database_url: str, home: Path) -> Iterator[Running]:
    """A running server with an owner, a token file and the sample project."""
    with Running(database_url, home).up() as it:
        yield it


@pytest.fixture
def qd(home: Path) -> Qd:
    """The command line as a process, with the server and the token of `home`."""

    def run(*args: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return forked.run(*args, env=environment(home), given=given)

    return run


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "QUARTERDECK_HOME": str(home), "QUARTERDECK_PORT": "9", "TERM": "dumb", "COLUMNS": "200"}
