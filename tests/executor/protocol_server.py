"""A small real server that speaks the executor protocol over loopback HTTP, with a git repository to clone.

It keeps what it was told. `faults` makes it forget to answer, `stop` and `start` are a restart on the same port.
"""

import asyncio
import json
import subprocess
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from pydantic import BaseModel

from quarterdeck.core.protocol import (
    Cancel,
    Heartbeat,
    Hello,
    JobSpec,
    Offer,
    Prepared,
    Result,
    Started,
    Teardown,
    Wipe,
    WorkspaceSpec,
)
from quarterdeck.executor.runner import RunnerSettings, run
from tests import ports

TOKEN = "runner-token-1"
SESSION_TOKEN = "session-token-2"
Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


def git(folder: Path, *args: str, stdin: bytes = b"") -> str:
    """Plain git of the test."""
    env = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_GLOBAL": "/dev/null"}
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "protocol.file.allow=always")
    done = subprocess.run(["git", *identity, *args], cwd=folder, env=env, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("utf-8", "replace").strip()


def repository(folder: Path, files: dict[str, str]) -> str:
    """A bare repository `repo.git` with one commit on main; its id."""
    work = folder / "first"
    work.mkdir(parents=True)
    git(work, "init", "-q", "-b", "main")
    for name, text in files.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "First")
    git(folder, "clone", "-q", "--bare", "first", "repo.git")
    return git(work, "rev-parse", "HEAD")


class ProtocolServer:
    """One server on one port; `offer` sends work to whoever streams, and keeps offering it until it has a result."""

    def __init__(self, folder: Path, commit: str) -> None:
        self.folder = folder
        self.commit = commit
        self.kept = ports.reserved()
        self.port = ports.number(self.kept)
        self.url = f"http://127.0.0.1:{self.port}"
        self.faults: Counter[str] = Counter()
        """How many requests with this in their path are handled, but answered by 503."""
        self.refused: dict[str, tuple[int, dict[str, Any]]] = {}
        """Requests with this in their path are refused like this."""
        self.result_bytes = 4 * 1024 * 1024
        """Larger results are refused, and noted in `refusals`."""
        self.refusals: list[Result] = []
        self.lost: set[str] = set()
        self.wipe: tuple[str, ...] = ()
        self.hellos: list[Hello] = []
        self.heartbeats: list[Heartbeat] = []
        self.started: defaultdict[str, list[Started]] = defaultdict(list)
        self.results: defaultdict[str, list[Result]] = defaultdict(list)
        self.outputs: defaultdict[str, bytearray] = defaultdict(bytearray)
        self.prepared: dict[str, Prepared] = {}
        self.teardowns: defaultdict[str, list[Teardown]] = defaultdict(list)
        self.blobs: dict[int, bytes] = {}
        self.pushes: list[tuple[str, str]] = []
        self.git_headers: list[str] = []
        self.git_open = asyncio.Event()
        """Whether git is answered, or waits."""
        self.git_open.set()
        self._streams: set[asyncio.Queue[str | None]] = set()
        self._news = asyncio.Condition()
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._calls = 0
        self._open: dict[str, Offer] = {}

    async def start(self) -> None:
        """Listen."""
        config = uvicorn.Config(
            self._app, host="127.0.0.1", port=self.port, log_level="error", lifespan="off",
            timeout_graceful_shutdown=1, ws="none", interface="asgi3",
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None  # pyright: ignore[reportAttributeAccessIssue]
        self._task = asyncio.create_task(self._server._serve())  # pyright: ignore[reportPrivateUsage]
        while not self._server.started:
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Cut every connection and listen no more."""
        for stream in self._streams:
            stream.put_nowait(None)
        if self._server and self._task:
            self._server.should_exit = True
            await self._task

    async def until(self, seen: Callable[[], bool], seconds: float = 60) -> None:
        """Wait for something that a request brings."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(seen)

    async def result(self, call_id: str, seconds: float = 60) -> Result:
        """Wait for a call's result."""
        await self.until(lambda: bool(self.results[call_id]), seconds)
        return self.results[call_id][-1]

    def spec(self, **more: Any) -> WorkspaceSpec:
        """A workspace of the first commit."""
        return WorkspaceSpec.model_validate({
            "clone_path": "/repo.git", "token": SESSION_TOKEN, "ref": "main", "commit": self.commit,
            "branch": "quarterdeck/1", "author": "Ada", "author_email": "ada@example.org",
            "committer": "Quarterdeck", "committer_email": "q@example.org", **more,
        })  # fmt: skip

    def make_offer(self, tool: str, args: dict[str, Any], **more: Any) -> Offer:
        """An offer with a new call id."""
        self._calls += 1
        offer = {
            "call_id": f"c_{self._calls:026}", "subject": "session:1", "turn_no": 1, "lease_epoch": 1, "tool": tool,
            "args": args, "workspace": self.spec(), **more,
        }  # fmt: skip
        return Offer.model_validate(offer)

    def send(self, message: Offer | Cancel | Wipe) -> None:
        """Put a message on every stream; an offer without a result is also the first thing on a new one."""
        match message:
            case Offer():
                self._open[message.call_id] = message
            case Cancel(call_id=call_id) if call_id:
                self._open.pop(call_id, None)
            case Cancel() | Wipe():
                self._open = {id: offer for id, offer in self._open.items() if offer.subject != message.subject}
        self.say(_event(message))

    def say(self, text: str) -> None:
        """Put a piece of text on every stream as it is."""
        for stream in self._streams:
            stream.put_nowait(text)

    async def offer(self, tool: str, args: dict[str, Any], **more: Any) -> str:
        """Offer a call once somebody streams."""
        await self.until(lambda: bool(self._streams))
        offer = self.make_offer(tool, args, **more)
        self.send(offer)
        return offer.call_id

    def forget(self, call_id: str) -> None:
        """Offer a call no more, as when a runner is the first to speak of it again."""
        del self._open[call_id]

    async def job(self, job: JobSpec, subject: str = "job:7") -> str:
        """Offer a pipeline job."""
        return await self.offer("pipeline_job", {}, subject=subject, job=job)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path.startswith("/repo.git"):
            await self._git(scope, await _body(receive), send)
            return
        if dict(scope["headers"]).get(b"authorization") != f"Bearer {TOKEN}".encode():
            await _answer(send, 401, {"code": "unauthenticated", "detail": "No valid token came with the request."})
            return
        for part, (status, problem) in self.refused.items():
            if part in path:
                await _answer(send, status, problem)
                return
        if path.endswith("/stream"):
            await self._stream(receive, send)
            return
        parts = path.removeprefix("/api/v1/executor/").split("/")
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        status, answer = self._handle(scope["method"], parts, query, await _body(receive))
        fault = next((part for part in self.faults if part in path and self.faults[part] > 0), None)
        if fault:
            self.faults[fault] -= 1
            status, answer = 503, {"detail": "Lost on the way."}
        await _answer(send, status, answer)
        async with self._news:
            self._news.notify_all()

    async def _stream(self, receive: Receive, send: Send) -> None:
        stream: asyncio.Queue[str | None] = asyncio.Queue()
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b": hello\n\n", "more_body": True})
        for offer in self._open.values():
            if not self.results[offer.call_id]:
                stream.put_nowait(_event(offer))
        self._streams.add(stream)
        gone = asyncio.create_task(_gone(receive))
        try:
            async with self._news:
                self._news.notify_all()
            while not gone.done():
                following = asyncio.create_task(stream.get())
                await asyncio.wait({gone, following}, return_when="FIRST_COMPLETED")
                if not following.done() or (message := following.result()) is None:
                    following.cancel()
                    break
                await send({"type": "http.response.body", "body": message.encode(), "more_body": True})
        finally:
            gone.cancel()
            self._streams.discard(stream)

    def _handle(self, method: str, parts: list[str], query: dict[str, str], body: bytes) -> tuple[int, Any]:
        match [method, *parts]:
            case ["POST", "hello"]:
                self.hellos.append(Hello.model_validate_json(body))
                return 200, {"runner": 3, "protocol": 1, "wipe": self.wipe}
            case ["POST", "heartbeat"]:
                self.heartbeats.append(Heartbeat.model_validate_json(body))
                return 200, {"lost": sorted(self.lost & {held.subject for held in self.heartbeats[-1].held})}
            case ["POST", "calls", call_id, report]:
                return self._call(call_id, report, query, body)
            case ["POST", "subjects", subject, "prepared"]:
                self.prepared[subject] = Prepared.model_validate_json(body)
                return 200, {}
            case ["POST", "subjects", subject, "teardown"]:
                return self._keep(self.teardowns[subject], Teardown, body)
            case ["POST", "subjects", _, "blobs"]:
                self.blobs[len(self.blobs) + 1] = body
                return 200, {"blob": len(self.blobs)}
            case ["GET", "subjects", _, "blobs", blob]:
                return (200, self.blobs[int(blob)]) if int(blob) in self.blobs else (404, {})
            case _:
                return 404, {"code": "not_found", "detail": "There is nothing here."}

    def _call(self, call_id: str, report: str, query: dict[str, str], body: bytes) -> tuple[int, Any]:
        match report:
            case "started":
                return self._keep(self.started[call_id], Started, body)
            case "output":
                return self._output(self.outputs[call_id], int(query["offset"]), body)
            case "result" if len(body) > self.result_bytes:
                self.refusals.append(Result.model_validate_json(body))
                return 413, {"code": "too_large", "detail": "That is larger than the server accepts."}
            case "result":
                return self._keep(self.results[call_id], Result, body)
            case "push":
                return self._push(query["branch"], query["commit"], body)
            case _:
                return 404, {}

    def _keep(self, kept: list[Any], kind: type[BaseModel], body: bytes) -> tuple[int, Any]:
        kept.append(kind.model_validate_json(body))
        return 200, {}

    def _output(self, output: bytearray, offset: int, body: bytes) -> tuple[int, Any]:
        if offset > len(output):
            return 409, {"code": "conflict", "detail": "A gap.", "expected": len(output)}
        output += body[len(output) - offset :]
        return 200, {"next_offset": len(output)}

    def _push(self, branch: str, commit: str, bundle: bytes) -> tuple[int, Any]:
        (self.folder / "pushed.bundle").write_bytes(bundle)
        repo = self.folder / "repo.git"
        git(repo, "bundle", "verify", "-q", str(self.folder / "pushed.bundle"))
        git(repo, "fetch", "-q", str(self.folder / "pushed.bundle"), f"refs/heads/{branch}:refs/heads/{branch}")
        assert git(repo, "rev-parse", f"refs/heads/{branch}") == commit
        self.pushes.append((branch, commit))
        return 200, {"branch": branch, "commit": commit}

    async def _git(self, scope: Scope, body: bytes, send: Send) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.git_headers.append(headers.get("authorization", ""))
        async with self._news:
            self._news.notify_all()
        await self.git_open.wait()
        if self.faults["repo.git"] > 0:
            self.faults["repo.git"] -= 1
            await _answer(send, 503, {"detail": "The database is away."})
            return
        credentials = b64encode(f"session:{SESSION_TOKEN}".encode()).decode()
        if headers.get("authorization") != f"Basic {credentials}":
            await _answer(send, 401, {})
            return
        env = {
            "PATH": "/usr/bin:/bin", "GIT_PROJECT_ROOT": str(self.folder), "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": scope["path"], "REQUEST_METHOD": scope["method"], "REMOTE_USER": "session",
            "QUERY_STRING": scope["query_string"].decode(), "CONTENT_TYPE": headers.get("content-type", ""),
            "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""), "CONTENT_LENGTH": str(len(body)),
            "GIT_PROTOCOL": headers.get("git-protocol", ""), "GIT_CONFIG_NOSYSTEM": "1",
        }  # fmt: skip
        backend = await asyncio.create_subprocess_exec("git", "http-backend", stdin=-1, stdout=-1, env=env)
        answer, _ = await backend.communicate(body)
        head, _, content = answer.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        await _answer(send, int(fields.pop("Status", "200").split()[0]), content, fields["Content-Type"])


def _event(message: Offer | Cancel | Wipe) -> str:
    return f"event: {type(message).__name__.lower()}\ndata: {message.model_dump_json()}\n\n"


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(send: Send, status: int, content: Any, kind: str = "application/json") -> None:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def served(folder: Path, files: dict[str, str]) -> AsyncGenerator[ProtocolServer]:
    """A server with a repository of these files."""
    server = ProtocolServer(folder, repository(folder, files))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
        server.kept.close()


@asynccontextmanager
async def running(settings: RunnerSettings) -> AsyncGenerator[asyncio.Task[None]]:
    """A runner in this process."""
    task = asyncio.create_task(run(settings))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def gone(path: Path) -> None:
    """Wait until nothing is there any more."""
    async with asyncio.timeout(60):
        while path.exists():
            await asyncio.sleep(0.02)
