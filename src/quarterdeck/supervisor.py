"""`quarterdeck serve`: PostgreSQL, web, worker and runner as processes of their own, restarted with back-off."""

import asyncio
import fcntl
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from quarterdeck import server
from quarterdeck.core.errors import ConflictError, ForbiddenError, InvalidInputError, QuarterdeckError
from quarterdeck.settings import Settings, child_environment, runner_environment

if TYPE_CHECKING:
    from quarterdeck.store.embedded import EmbeddedPostgres

LONGEST_BACKOFF = 5.0
"""Keeps cheap what can't start, and its return quick once it can: a worker whose database was away."""
KILLED_BACKOFF = 1.0
"""The same for a process that didn't fail by itself but was killed."""
CALM_SECONDS = 2.0
"""A process that lived this long did start: whatever ended it, it starts again at once."""
STOP_SECONDS = 10.0
"""For all processes but PostgreSQL; what has not ended by then is killed."""
HANDS_SECONDS = 6.5
"""Of these for worker and runner, which end before the web process: it hears what they report of their end."""
UNFINISHED = "restore.unfinished"
"""In a home: a restore into it was cut off."""


class AlreadyServingError(QuarterdeckError):
    """Another `quarterdeck serve` has this home."""

    code = "already_serving"


@dataclass(frozen=True)
class Role:
    """A process that is kept alive."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    descriptors: tuple[int, ...] = ()


def serve(settings: Settings, *, runner: bool = True) -> int:
    """Runs everything until SIGTERM or SIGINT; answers the exit code."""
    try:
        with own_home(settings.home, shared=settings.database_url is not None and not runner):
            if (settings.home / UNFINISHED).exists():
                raise ConflictError(
                    f"A restore into {settings.home} was cut off. Give the same `qd restore` again; it begins anew."
                )
            return asyncio.run(_Supervisor(settings, runner=runner).run())
    except QuarterdeckError as error:
        sys.stderr.write(f"quarterdeck: {error.message}\n")
        return 1


@contextmanager
def own_home(home: Path, *, shared: bool = False) -> Generator[None]:
    """Has the home, made at first, for this process alone, or together with others that share it.

    Servers on a database elsewhere and without a runner share one: the nodes of a cluster, on a shared folder.

    Raises:
        AlreadyServingError: a server runs on it.
        InvalidInputError, ForbiddenError: the folder can't be one.
    """
    _make(home)
    with _Lock(home, fcntl.LOCK_SH if shared else fcntl.LOCK_EX):
        yield


def _make(home: Path) -> None:
    try:
        home.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(f"{home} can't be the home: {error.strerror}. Choose a folder with --home.") from error
    if not os.access(home, os.W_OK | os.X_OK):
        raise ForbiddenError(f"{home} can't be the home: nothing can be written there. Choose a folder with --home.")


class _Lock:
    """The home's lock, gone with the process that holds it."""

    def __init__(self, home: Path, kind: int) -> None:
        self._home = home
        self._kind = kind

    def __enter__(self) -> None:
        self._file = (self._home / "serve.lock").open("a+")
        try:
            fcntl.flock(self._file, self._kind | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            url = _running_url(self._home)
            raise AlreadyServingError(
                f"A Quarterdeck server already runs on {self._home}" + (f", at {url}." if url else ".")
            ) from None

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _running_url(home: Path) -> str:
    with suppress(OSError, ValueError, KeyError):
        return str(json.loads((home / "server.json").read_text(encoding="utf-8"))["url"])
    return ""


class _Supervisor:
    def __init__(self, settings: Settings, *, runner: bool) -> None:
        self._settings = settings
        self._runner = runner
        self._stop = asyncio.Event()
        self._children: dict[str, asyncio.subprocess.Process] = {}

    async def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        home = self._settings.home
        server.secret_file(home / server.PERSON_FILE)
        server.secret_file(home / server.RUNNER_FILE)
        listening = server.bind(self._settings)
        host, port = listening.getsockname()[:2]
        settings = self._settings.model_copy(update={"port": port})
        keepers: list[asyncio.Task[None]] = []
        postgres = None
        try:
            web = await self._start_web(settings, listening)
            postgres = await _Postgres.start(settings)
            environment = child_environment(settings, postgres.url)
            keepers.append(asyncio.create_task(postgres.keep()))
            # It loads on another core while the web process begins, which alone says what keeps both from it.
            worker = await self._start(_worker(environment, "--wait"), told=True)
            started = await web.ready(postgres.url)
            if started is None:
                return 1
            keepers.append(asyncio.create_task(self._keep(replace(web.role, environment=environment), web.process)))
            _tell(worker, "begin")
            keepers.append(asyncio.create_task(self._keep(_worker(environment), worker)))
            _write(home / "server.json", json.dumps({"url": settings.url, "pid": os.getpid()}))
            _announce(settings, link=started)
            if self._runner:
                keepers.append(asyncio.create_task(self._keep(_runner(settings, host, port))))
            stopping = asyncio.create_task(self._stop.wait())
            await asyncio.wait([*keepers, stopping], return_when=asyncio.FIRST_COMPLETED)
            for keeper in keepers:
                if keeper.done() and (error := keeper.exception()):
                    raise error
            return 0
        finally:
            self._stop.set()
            await self._end_children(keepers)
            listening.close()
            if _running_url(home) == settings.url:  # of servers that share a home, the one that began last is named
                (home / "server.json").unlink(missing_ok=True)
            if postgres is not None:
                await postgres.stop()

    async def _start_web(self, settings: Settings, listening: socket.socket) -> "_FirstWeb":
        """Starts the web process; it loads while PostgreSQL starts, and is told its URL then."""
        reading, writing = os.pipe()
        command = (sys.executable, "-m", "quarterdeck.server", "web", "--parent", str(os.getpid()))
        role = Role(
            "web",
            (*command, "--socket", str(listening.fileno())),
            child_environment(settings, None),
            (listening.fileno(),),
        )
        first = replace(
            role, command=(*role.command, "--ready", str(writing)), descriptors=(*role.descriptors, writing)
        )
        process = await self._start(first, told=True)
        os.close(writing)
        return _FirstWeb(role, process, reading)

    async def _start(self, role: Role, *, told: bool = False) -> asyncio.subprocess.Process:
        """Starts a process in a session of its own: a Ctrl-C in the terminal is for us, who end all in their order.

        `told`: it waits for a line on its input.
        """
        process = await asyncio.create_subprocess_exec(
            *role.command,
            env=role.environment,
            stdin=asyncio.subprocess.PIPE if told else asyncio.subprocess.DEVNULL,
            pass_fds=role.descriptors,
            start_new_session=True,
        )
        self._children[role.name] = process
        return process

    async def _keep(self, role: Role, process: asyncio.subprocess.Process | None = None) -> None:
        """Keeps the process alive until the server stops; one that fails at once is started again ever later."""
        backoff = 0.0
        while not self._stop.is_set():
            began = time.monotonic()
            process = process or await self._start(role)
            code = await process.wait()
            process = None
            if self._stop.is_set():
                return
            calm = time.monotonic() - began > CALM_SECONDS
            longest = KILLED_BACKOFF if code == -signal.SIGKILL else LONGEST_BACKOFF
            backoff = 0.0 if calm else min(longest, max(0.1, backoff * 2))
            sys.stderr.write(f"quarterdeck: the {role.name} ended with {code}; it starts again in {backoff:.1f} s\n")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), backoff or 0.01)

    async def _end_children(self, keepers: list[asyncio.Task[None]]) -> None:
        end = asyncio.get_running_loop().time() + STOP_SECONDS
        web = [process for name, process in self._children.items() if name == "web"]
        hands = [process for name, process in self._children.items() if name != "web"]
        await _terminate(hands, end - STOP_SECONDS + HANDS_SECONDS)
        await _terminate([*web, *hands], end)
        for process in (*web, *hands):
            with suppress(ProcessLookupError):
                process.kill()
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)


def _worker(environment: dict[str, str], *options: str) -> Role:
    command = (sys.executable, "-m", "quarterdeck.server", "worker", "--parent", str(os.getpid()), *options)
    return Role("worker", command, environment)


def _runner(settings: Settings, host: str, port: int) -> Role:
    options = [
        *("--url", f"http://{'[' + host + ']' if ':' in host else host}:{port}"),
        *("--token-file", str(settings.home / server.RUNNER_FILE)),
        *("--name", "local" if settings.database_url is None else socket.gethostname()),
        *("--home", str(settings.home / "runner")),
        *("--parent", str(os.getpid())),
        "--allow-plain-http",  # the address is this machine's own
        *("--capacity", str(settings.runner_capacity)),
        *(("--limits", settings.session_limits) if settings.session_limits else ()),
        *(("--allow-unsandboxed",) if settings.allow_unsandboxed else ()),
        *(("--allow-reduced-isolation",) if settings.allow_reduced_isolation else ()),
    ]
    return Role("runner", (sys.executable, "-m", "quarterdeck.executor", *options), runner_environment())


async def _terminate(processes: list[asyncio.subprocess.Process], end: float) -> None:
    """Asks them to end, and waits for that until then, by the loop's clock."""
    for process in processes:
        with suppress(ProcessLookupError):
            process.terminate()
    with suppress(TimeoutError):
        async with asyncio.timeout_at(end):
            await asyncio.gather(*(process.wait() for process in processes))


def _tell(process: asyncio.subprocess.Process, line: str) -> None:
    if process.stdin is not None:
        process.stdin.write(f"{line}\n".encode())
        process.stdin.close()


@dataclass(frozen=True)
class _FirstWeb:
    """The web process as `serve` starts it first; when it can't begin, the server can't."""

    role: Role
    process: asyncio.subprocess.Process
    descriptor: int

    async def ready(self, database_url: str) -> str | None:
        """Tells it the database, and answers its word (a sign-in link at the first start); None when it ended."""
        _tell(self.process, database_url)
        said = await asyncio.get_running_loop().run_in_executor(None, _read_all, self.descriptor)
        if said:
            return said.decode().strip()
        await self.process.wait()
        return None


class _Postgres:
    """The database: one's own by URL, or the embedded one, which is started again when it dies."""

    def __init__(self, url: str, embedded: "object | None") -> None:
        self.url = url
        self._embedded = embedded

    @classmethod
    async def start(cls, settings: Settings) -> "_Postgres":
        if settings.database_url is not None:
            return cls(settings.database_url.get_secret_value(), None)
        from quarterdeck.store.embedded import EmbeddedPostgres

        embedded = EmbeddedPostgres(settings.home)
        return cls(await asyncio.to_thread(embedded.start), embedded)

    async def keep(self) -> None:
        """Starts the embedded server again whenever it ends; waits for ever when there is none."""
        from quarterdeck.store.embedded import EmbeddedPostgres

        if not isinstance(self._embedded, EmbeddedPostgres):
            await asyncio.Event().wait()
            return
        while True:
            await _ended(self._embedded.pid)
            sys.stderr.write("quarterdeck: PostgreSQL ended; it starts again\n")
            backoff = 0.1
            while not await self._started(self._embedded):
                await asyncio.sleep(backoff)
                backoff = min(LONGEST_BACKOFF, backoff * 2)

    async def _started(self, embedded: "EmbeddedPostgres") -> bool:
        """Whether it could be started again; if not, it says why, and that may pass: a full disk, a kill."""
        from quarterdeck.store.embedded import EmbeddedPostgresError

        try:
            await asyncio.to_thread(embedded.start)
        except EmbeddedPostgresError as error:
            sys.stderr.write(f"quarterdeck: {error.message}\n")
            return False
        return True

    async def stop(self) -> None:
        from quarterdeck.store.embedded import EmbeddedPostgres

        if isinstance(self._embedded, EmbeddedPostgres):
            await asyncio.to_thread(self._embedded.stop)


async def _ended(pid: int | None) -> None:
    """Returns when that process is gone; the kernel tells."""
    if pid is None:
        return
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _read_all(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _write(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def _announce(settings: Settings, *, link: str) -> None:
    lines = [f"Quarterdeck answers at {settings.url}", f"Its state lies in {settings.home}"]
    if link:
        lines += ["", f"Sign in (this link works once, within an hour): {link}"]
        lines += ["Watch a session repair a broken pipeline: qd demo"]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
