"""A Quarterdeck of many processes on one PostgreSQL: two `serve --no-runner`, workers beside theirs, three runners.

They reach each other by wires that can be cut, and each is started again when it has ended, as an init system does.
"""

import asyncio
import os
import random
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg

from quarterdeck.executor.home import Home
from quarterdeck.executor.registration import register
from quarterdeck.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
from tests.chaos.disk import Disk
from tests.chaos.service import Service
from tests.chaos.wire import Exchange, Wire
from tests.instance import processes_below

SERVES, RUNNERS = 2, 3
READY_SECONDS = 240.0
AGAIN_SECONDS = 0.2
"""So soon is a process started again that has ended."""


class Cluster:
    """All of it, on a home of its own."""

    def __init__(self, *, apart: int) -> None:
        self.apart = apart
        """How many workers there are beside those of the servers."""
        self.home = Path(tempfile.mkdtemp(prefix="qd-storm-", dir="/tmp"))
        self.home.chmod(0o755)
        self.exchange = Exchange()
        self.disk = Disk(self.home / "disk")
        self.postgres = EmbeddedPostgres(self.disk.folder)
        self.services: dict[str, Service] = {}
        self.wires: dict[str, Wire] = {}
        self.ports = _ports(SERVES)
        self.said: list[str] = []
        """What could not be started, and why."""
        self._url = ""
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._stop, self._resting = threading.Event(), threading.Lock()

    @property
    def url(self) -> str:
        """The database, past all wires."""
        return self._url

    @property
    def urls(self) -> list[str]:
        """Where clients reach it."""
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    @property
    def token(self) -> str:
        """That of the administrator."""
        return (self.home / "serve-1" / "token").read_text(encoding="utf-8").strip()

    @property
    def runners(self) -> list[Path]:
        """Their homes."""
        return [self.home / f"runner-{number}" for number in range(1, RUNNERS + 1)]

    def start(self) -> "Cluster":
        """Starts everything, and returns when it is there."""
        self._url = self.postgres.start()
        with psycopg.connect(self._url.replace("quarterdeck@", "postgres@"), autocommit=True) as connection:
            connection.execute("alter system set max_wal_size = '96MB'")  # the disk is small
            connection.execute("select pg_reload_conf()")
        database = Path(self._url.partition("host=")[2].partition("&")[0]) / ".s.PGSQL.5432"
        (self.home / "repositories").mkdir()
        for number, port in enumerate(self.ports, 1):
            self._serve(number, port, database)
        self._keeper.start()
        self.wait(self.answers, READY_SECONDS, "both servers answer")
        for number in range(1, self.apart + 1):
            self._worker(number, database)
        for home in self.runners:
            self._runner(home)
        self.wait(self.complete, READY_SECONDS, "all workers and runners are there")
        return self

    def _environment(self, home: Path, wire: Wire) -> dict[str, str]:
        own = {"PATH", "HOME", "LANG", "TMPDIR", "TZ", "PYTHONPATH", "VIRTUAL_ENV"}
        return {name: value for name, value in os.environ.items() if name in own} | {
            "QUARTERDECK_HOME": str(home),
            "DATABASE_URL": f"postgresql://quarterdeck@127.0.0.1:{wire.port}/quarterdeck?sslmode=disable",
        }

    def _add(self, name: str, command: Sequence[str], environment: dict[str, str]) -> None:
        service = Service(name, command, environment, self.home / f"{name}.log")
        service.start()
        self.services[name] = service

    def _serve(self, number: int, port: int, database: Path) -> None:
        """A node: its home is its own, the repositories are a folder that all nodes share."""
        name = f"serve-{number}"
        home = self.home / name
        home.mkdir(mode=0o755)
        (home / "repositories").symlink_to(self.home / "repositories")
        self.wires[name] = Wire(self.exchange, database)
        command = ("quarterdeck", "serve", "--no-runner", "--port", str(port))
        self._add(name, command, self._environment(home, self.wires[name]))

    def _worker(self, number: int, database: Path) -> None:
        name = f"worker-{number}"
        self.wires[name] = Wire(self.exchange, database)
        self._add(name, ("quarterdeck", "worker"), self._environment(self.home / "serve-1", self.wires[name]))

    def _runner(self, home: Path) -> None:
        """Registered for the whole instance; its wire leads to the one server or the other."""
        wire = self.wires[home.name] = Wire(self.exchange, *self.ports)
        token = self.ask("POST", "/runners/registrations", {})["token"]
        url = f"http://127.0.0.1:{wire.port}"
        asyncio.run(register(Home(home), url, token, name=home.name, tags=None, capacity=4, plain=True))
        environment = self._environment(home, wire)
        del environment["DATABASE_URL"]
        self._add(home.name, ("quarterdeck.executor", "--home", str(home)), environment)

    def ask(self, method: str, path: str, body: Any = None, server: int = 0, **params: Any) -> Any:
        """One question to one of the servers. Raises AssertionError, or the client's error."""
        headers = {"Authorization": f"Bearer {self.token}"}
        base = f"{self.urls[server]}/api/v1"
        with httpx.Client(base_url=base, headers=headers, timeout=20, trust_env=False) as client:
            answer = client.request(method, path, json=body, params=params)
        assert not answer.is_error, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def answers(self) -> bool:
        """Whether all servers do."""
        try:
            return all(self.ask("GET", "/health", server=server)["workers"] for server in range(SERVES))
        except (OSError, ValueError, httpx.HTTPError, AssertionError):
            return False

    def complete(self) -> bool:
        """Whether every process is there and heard of."""
        try:
            health = self.ask("GET", "/health")
        except (OSError, ValueError, httpx.HTTPError, AssertionError):
            return False
        alive = sum(runner["alive"] for runner in health["runners"])
        return health["workers"] >= SERVES + self.apart and alive >= RUNNERS

    def wait(self, check: Any, seconds: float, what: str) -> None:
        """Waits until `check` is true."""
        end = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < end, f"waited {seconds:.0f} s until {what}\n{self.log_ends()}"
            time.sleep(0.1)

    def _keep(self) -> None:
        while not self._stop.wait(AGAIN_SECONDS):
            with self._resting:
                if not self._stop.is_set():
                    self.revive()

    def revive(self) -> None:
        """Starts what has ended."""
        for service in tuple(self.services.values()):
            service.start()
        if not self.postgres.alive():
            try:
                self.postgres.start()
            except EmbeddedPostgresError as error:  # its disk is full
                self.said.append(error.message)

    def restart_postgres(self, *, immediate: bool) -> None:
        """An administrator's restart: nobody starts it meanwhile."""
        with self._resting:
            self.postgres.stop(immediate=immediate)
            self.revive()

    def stop(self) -> dict[str, int]:
        """A polite end of all, and how each ended."""
        self._stop.set()
        self._keeper.join(60)
        codes: dict[str, int] = {}
        for kinds in (("runner", "worker"), ("serve",)):
            chosen = [one for name, one in self.services.items() if name.startswith(kinds)]
            for service in chosen:
                if service.process is not None:
                    service.process.send_signal(signal.SIGTERM)
            for service in chosen:
                if service.process is not None:
                    codes[service.name] = service.process.wait(60)
        return codes

    def remove(self) -> None:
        """Ends everything, however it stands, and deletes the home."""
        self._stop.set()
        if self._keeper.is_alive():
            self._keeper.join(60)
        for service in self.services.values():
            for pid in (*processes_below(service.pid or -1), service.pid):
                with suppress(OSError):
                    if pid:
                        os.kill(pid, signal.SIGKILL)
            if service.process is not None:
                service.process.wait(60)
        self.exchange.close()
        self.postgres.stop(immediate=True)
        self.disk.remove()
        shutil.rmtree(self.home, ignore_errors=True)

    def log_ends(self) -> str:
        """The last of what each process said."""
        parts: list[str] = []
        for path in sorted(self.home.glob("*.log")):
            parts.append(f"--- {path.name}\n{path.read_text(encoding='utf-8', errors='replace')[-3_000:]}")
        return "\n".join(parts)


def _ports(count: int) -> list[int]:
    """Free ones, of those that the kernel gives to nobody by itself while a server is away for a moment."""
    found: list[int] = []
    while len(found) < count:
        port = random.randint(20_000, 30_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found
