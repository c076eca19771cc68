"""A whole Quarterdeck as processes, as a person starts it, for scenarios and chaos."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from quarterdeck.client.request import trust
from tests import forked

START_SECONDS = 180.0
KEPT_SECONDS = 1.0
"""A connection of the tests that was idle for longer is not used again: the server may be about to close it."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.02, 0.25


@dataclass
class Instance:
    """`quarterdeck serve` on a home of its own and a free port."""

    home: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="qd-instance-", dir="/tmp")))
    process: subprocess.Popen[bytes] | None = None
    options: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict[str, str])
    _asking: httpx.Client | None = field(default=None, repr=False)

    @property
    def environment(self) -> dict[str, str]:
        models = ("_API_KEY", "_BASE_URL")
        kept = {n: v for n, v in os.environ.items() if not n.endswith(models) and not n.startswith("AWS_")}
        return {**kept, "QUARTERDECK_HOME": str(self.home), "QUARTERDECK_PORT": "0", **self.settings}

    @property
    def url(self) -> str:
        return str(json.loads((self.home / "server.json").read_text(encoding="utf-8"))["url"])

    @property
    def token(self) -> str:
        return (self.home / "token").read_text(encoding="utf-8").strip()

    def start(self) -> "Instance":
        """Starts it, and returns when it answers and its runner is there."""
        self.home.chmod(0o755)
        log = (self.home / "serve.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "quarterdeck", "serve", *self.options],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        self.wait(self._ready, START_SECONDS, "the server answers")
        return self

    def _ready(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError(f"serve ended with {self.process.returncode}:\n{self.log_end()}")
        try:
            health = self.get("/health")
        except (OSError, ValueError, httpx.HTTPError, AssertionError):
            return False
        return any(runner["alive"] for runner in health["runners"]) and health["workers"] > 0

    def stop(self, how: int = signal.SIGTERM) -> int:
        """Stops it, in any way, and answers the exit code."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(60)

    def remove(self) -> None:
        """Ends everything and deletes the home."""
        if self._asking is not None:
            self._asking.close()
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop()
        moved = self.home / "postgres.path"
        if moved.is_file():
            shutil.rmtree(moved.read_text(encoding="utf-8").strip(), ignore_errors=True)
        shutil.rmtree(self.home, ignore_errors=True)

    def log(self) -> str:
        """All that the server has said since its first start."""
        return (self.home / "serve.log").read_text(encoding="utf-8", errors="replace")

    def log_end(self) -> str:
        """The last of what the server said, for a failing test's message."""
        return self.log()[-20_000:]

    def client(self) -> httpx.Client:
        """One of the caller's own, to be closed."""
        url, headers = self.url, {"Authorization": f"Bearer {self.token}"}
        limits = httpx.Limits(keepalive_expiry=KEPT_SECONDS)
        return httpx.Client(base_url=f"{url}/api/v1", headers=headers, timeout=60, verify=trust(url), limits=limits)

    def ask(self, method: str, path: str, **parts: Any) -> httpx.Response:
        """One request, by a client that is kept: to make one for each costs more than the asking."""
        address = httpx.URL(f"{self.url}/api/v1/")
        if self._asking is None or self._asking.base_url != address:
            if self._asking is not None:
                self._asking.close()
            self._asking = self.client()
        return self._asking.request(method, path, **parts)

    def get(self, path: str, **params: Any) -> Any:
        answer = self.ask("GET", path, params=params)
        if answer.is_error:
            raise AssertionError(f"GET {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def raw(self, path: str, **params: Any) -> bytes:
        """The bytes behind a path of the API."""
        return self.ask("GET", path, params=params).raise_for_status().content

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        answer = self.ask("POST", path, json=body if body is not None else {}, headers=headers)
        if answer.is_error:
            raise AssertionError(f"POST {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    def qd(self, *arguments: str, code: int | None = 0, seconds: float = 240) -> subprocess.CompletedProcess[str]:
        """Runs the command line against it; `code` None takes any exit status."""
        done = forked.run(*arguments, env=self.environment, seconds=seconds)
        if code is not None and done.returncode != code:
            raise AssertionError(
                f"qd {' '.join(arguments)} ended with {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}\n"
                f"--- server ---\n{self.log_end()}"
            )
        return done

    def qd_json(self, *arguments: str) -> Any:
        return json.loads(self.qd("--json", *arguments).stdout)

    def session(self, session_id: int) -> Any:
        return self.get(f"/sessions/{session_id}")

    def events(self, session_id: int) -> list[Any]:
        """All events of a session, in order."""
        found: list[Any] = []
        while True:
            items: list[Any] = self.get(f"/sessions/{session_id}/events", after=len(found), limit=1000)["items"]
            if not items:
                return found
            found += items

    def wait_for(self, session_id: int, *statuses: str, seconds: float = 120) -> Any:
        """The session, once it stands at one of `statuses`."""

        def there() -> bool:
            return self.session(session_id)["status"] in statuses

        try:
            self.wait(there, seconds, f"session {session_id} is {' or '.join(statuses)}")
        except AssertionError as error:
            told = "\n".join(json.dumps(event)[:400] for event in self.events(session_id)[-15:])
            raise AssertionError(f"{error}\n{told}\n{self.log_end()}") from error
        return self.session(session_id)

    def wait(self, check: Callable[[], bool], seconds: float, what: str) -> None:
        """Waits until `check` is true, and fails with what was waited for.

        What comes soon is seen soon; what takes long is asked for seldom, for asking takes from it too.
        """
        end, pause = time.monotonic() + seconds, FIRST_PAUSE_SECONDS
        while not check():
            if time.monotonic() > end:
                raise AssertionError(f"waited {seconds:.0f} s until {what}\n{self.log_end()}")
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)


def files_below(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """The regular files of a folder that others write and take away meanwhile, with what is in them."""
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file() and not path.is_symlink():
                    yield path, path.read_bytes()


def processes_below(pid: int) -> dict[int, str]:
    """The living descendants of a process and their command lines."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                if fields[0] != "Z":
                    parents[int(entry.name)] = int(fields[1])
    below: dict[int, str] = {}
    wave = {pid}
    while wave:
        wave = {child for child, parent in parents.items() if parent in wave and child not in below}
        for child in wave:
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ")
                below[child] = line.decode("utf-8", "replace").strip()
    return below
