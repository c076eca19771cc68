"""The runner's side of the wire (core/protocol.py): every report is repeated until the server answers it.

What a server refuses because the lease or the subject is gone comes as `SubjectLostError`, whatever the report was;
what it refuses for another reason as `RefusedError`. Everything else (cuts, restarts, 5xx, 429) is waited out.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, TypeVar

import httpx
import structlog
from httpx_sse import SSEError, aconnect_sse
from pydantic import BaseModel, Field, ValidationError

from quarterdeck.core.errors import (
    ConflictError,
    InvalidInputError,
    QuarterdeckError,
    UnauthenticatedError,
    UnavailableError,
    VersionMismatchError,
)
from quarterdeck.core.exposure import exposed
from quarterdeck.core.protocol import (
    DROP_SECONDS,
    HEARTBEAT_SECONDS,
    BlobAnswer,
    Cancel,
    Drained,
    Heartbeat,
    HeartbeatAnswer,
    Hello,
    Offer,
    OutputAnswer,
    Prepared,
    PushAnswer,
    Register,
    Registered,
    Result,
    Started,
    Teardown,
    Welcome,
    Wipe,
)

_log = structlog.get_logger(__name__)
_Answer = TypeVar("_Answer", bound=BaseModel)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
_CHUNK_BYTES = 1024 * 1024
_JSON = {"Content-Type": "application/json"}
_BYTES = {"Content-Type": "application/octet-stream"}
_LONG = httpx.Timeout(120, connect=10)
"""For bundles and artifacts; the server answers when it has read and kept them."""
_PASSING = frozenset({408, 423, 425, 429})
_EVENTS: dict[str, type[Offer | Cancel | Wipe | Drained]] = {
    "offer": Offer, "cancel": Cancel, "wipe": Wipe, "drained": Drained,
}  # fmt: skip


class UnreadableOffer(BaseModel):
    """What of an offer can be read when the rest can't: enough to answer it."""

    call_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    subject: str
    lease_epoch: int
    turn_no: int = 0


Message = Offer | UnreadableOffer | Cancel | Wipe | Drained


class SubjectLostError(ConflictError):
    """The server gave this subject to another or deleted it; what is held of it must be killed and forgotten."""

    code = "fenced"


class RefusedError(QuarterdeckError):
    """The server refuses this, and will refuse it again."""

    code = "refused"


class ClashError(RefusedError):
    """The server refuses this as long as something else stands in its way."""


class OutputGapError(QuarterdeckError):
    """The server has less of the output than was thought; `expected` is where it goes on."""

    def __init__(self, expected: int) -> None:
        super().__init__()
        self.expected = expected


class Pauses:
    """Pauses between attempts: twice as long each time, from 0.1 s to 5 s, each shortened by chance to a half."""

    def __init__(self) -> None:
        self._next = FIRST_PAUSE_SECONDS

    async def wait(self) -> None:
        """Sleep before the next attempt."""
        pause, self._next = self._next, min(self._next * 2, LONGEST_PAUSE_SECONDS)
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads load, guards nothing

    def reset(self) -> None:
        """It worked; the next pause is short again."""
        self._next = FIRST_PAUSE_SECONDS


def guard(url: str, *, allowed: bool) -> None:
    """Raises InvalidInputError when a token would be exposed on its way there and nobody allowed it."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InvalidInputError(f"{url} is not a URL of a server: {error}") from None
    if exposed(parsed.scheme, parsed.host) and not allowed:
        raise InvalidInputError(
            f"The token would be sent to {url} where others can read it on the way. Use https, or allow it with "
            "--allow-plain-http."
        )


class Client:
    """One runner's connection to its server."""

    def __init__(self, url: str, token: str, silent_seconds: float = DROP_SECONDS) -> None:
        self.url = url.rstrip("/")
        self._silent_seconds = silent_seconds
        self._http = httpx.AsyncClient(
            base_url=f"{self.url}/api/v1/executor/",
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(30, connect=10),
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=16),
            trust_env=False,
        )

    async def close(self) -> None:
        """Let go of all connections."""
        await self._http.aclose()

    async def register(self, register: Register) -> Registered:
        """Use up a registration token, which is this client's; asked once, for it works once.

        Raises:
            UnavailableError: no answer; whether it was used up is not known.
            UnauthenticatedError: it was used already or has expired, or it doesn't allow the tags.
            ClashError: another runner has the name.
            VersionMismatchError: one of the two has to be updated.
        """
        content = register.model_dump_json().encode()
        try:
            response = await self._http.post("register", content=content, headers=_JSON)
        except httpx.HTTPError as error:
            raise UnavailableError(f"No answer from {self.url}: {_said(error)}.") from error
        await _check(response)
        return _read(response, Registered)

    async def hello(self, hello: Hello) -> Welcome:
        """Introduce this runner.

        Raises:
            VersionMismatchError: one of the two has to be updated; the server's sentence says which.
            UnauthenticatedError: the token isn't one of a runner.
            ClashError: another runner that lives has this name.
        """
        try:
            return _read(await self._post("hello", hello), Welcome)
        except SubjectLostError as error:
            raise RefusedError(f"{self.url} is no Quarterdeck server: it has no executor API ({error}).") from error

    async def heartbeat(self, heartbeat: Heartbeat) -> HeartbeatAnswer:
        """Say once that this runner is alive.

        Raises:
            UnavailableError: no answer; the caller decides when to give up its leases.
            SubjectLostError: the server doesn't know this runner.
        """
        content = heartbeat.model_dump_json().encode()
        try:
            response = await self._http.post("heartbeat", content=content, headers=_JSON, timeout=HEARTBEAT_SECONDS)
        except httpx.HTTPError as error:
            raise UnavailableError(f"No answer to the heartbeat: {_said(error)}.") from error
        await _check(response)
        return _read(response, HeartbeatAnswer)

    async def stream(self, runner: int) -> AsyncIterator[Message | None]:
        """What the server wants done, until the connection ends or is silent too long; None once, when it opened."""
        timeout = httpx.Timeout(10, read=self._silent_seconds)
        params = {"runner": runner}
        try:
            async with aconnect_sse(self._http, "GET", "stream", params=params, timeout=timeout) as source:
                await _check(source.response)
                yield None
                async with aclosing(source.aiter_sse()) as events:
                    async for event in events:
                        if message := _message(event.event, event.data):
                            yield message
        except (httpx.HTTPError, SSEError) as error:
            raise UnavailableError(f"The stream from {self.url} ended: {_said(error)}.") from error

    async def started(self, call_id: str, started: Started) -> None:
        """A call began."""
        await self._post(f"calls/{call_id}/started", started)

    async def output(self, call_id: str, epoch: int, offset: int, data: bytes) -> int:
        """Hand over a piece of output; the answer is how much the server has now.

        Raises:
            OutputGapError: it has less than `offset`.
        """
        path = f"calls/{call_id}/output"
        answer = await self._send(path, OutputAnswer, {"epoch": epoch, "offset": offset}, data)
        return answer.next_offset

    async def result(self, call_id: str, result: Result) -> None:
        """How a call ended."""
        await self._post(f"calls/{call_id}/result", result)

    async def push(self, call_id: str, epoch: int, branch: str, commit: str, bundle: Path) -> PushAnswer:
        """Have the server check a bundle and push it.

        Raises:
            RefusedError: it doesn't; the message says why.
        """
        params: dict[str, str | int] = {"epoch": epoch, "branch": branch, "commit": commit}
        return await self._send(f"calls/{call_id}/push", PushAnswer, params, bundle)

    async def prepared(self, subject: str, prepared: Prepared) -> None:
        """The workspace is there."""
        await self._post(f"subjects/{subject}/prepared", prepared)

    async def teardown(self, subject: str, teardown: Teardown) -> None:
        """All processes were killed."""
        await self._post(f"subjects/{subject}/teardown", teardown)

    async def upload(self, subject: str, epoch: int, file: Path) -> int:
        """Keep a file's bytes at the server; the answer is the blob's id."""
        answer = await self._send(f"subjects/{subject}/blobs", BlobAnswer, {"epoch": epoch}, file)
        return answer.blob

    async def download(self, subject: str, blob: int, target: Path) -> None:
        """Fetch a blob into a file."""
        path = f"subjects/{subject}/blobs/{blob}"

        async def attempt() -> httpx.Response:
            async with self._http.stream("GET", path, timeout=_LONG) as response:
                await _check(response)
                with target.open("wb") as file:
                    async for chunk in response.aiter_bytes(_CHUNK_BYTES):
                        file.write(chunk)
            return response

        await self._repeated(path, attempt)

    async def _post(self, path: str, body: BaseModel) -> httpx.Response:
        content = body.model_dump_json().encode()
        return await self._repeated(path, lambda: self._http.post(path, content=content, headers=_JSON))

    async def _send(
        self, path: str, answer: type[_Answer], params: dict[str, str | int], source: bytes | Path
    ) -> _Answer:
        def content() -> bytes | AsyncIterator[bytes]:
            return source if isinstance(source, bytes) else _chunks(source)

        response = await self._repeated(
            path, lambda: self._http.post(path, params=params, content=content(), headers=_BYTES, timeout=_LONG)
        )
        return _read(response, answer)

    async def _repeated(self, path: str, attempt: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
        pauses = Pauses()
        while True:
            try:
                response = await attempt()
                await _check(response)
                return response
            except UnavailableError as error:
                _log.info("report waits for the server", path=path, fault=error.message)
            except httpx.HTTPError as error:
                _log.info("report waits for the server", path=path, fault=_said(error))
            await pauses.wait()


def _message(name: str, data: str) -> Message | None:
    """One message of the stream; None when it says nothing to this runner, or can't be read."""
    kind = _EVENTS.get(name)
    try:
        return kind.model_validate_json(data) if kind else None
    except ValidationError as error:
        _log.error("message from the server can't be read", kind=name, fault=str(error)[:2_000])
    return _unreadable(data) if kind is Offer else None


def _unreadable(data: str) -> UnreadableOffer | None:
    try:
        return UnreadableOffer.model_validate(json.loads(data))  # it reads what pydantic's parser finds too deep
    except (ValueError, RecursionError):
        return None


async def _chunks(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as source:
        while chunk := source.read(_CHUNK_BYTES):
            yield chunk


async def _check(response: httpx.Response) -> None:
    """Raise what the status means."""
    status = response.status_code
    if response.is_success:
        return
    if status >= 500 or status in _PASSING:
        raise UnavailableError(f"The server answered {status}.")
    problem = _problem(await response.aread())
    message = problem.message or f"The server answered {status}."
    match status:
        case 401 | 403:
            raise UnauthenticatedError(message)
        case 404 | 410:
            raise SubjectLostError(message)
        case 409 if problem.expected is not None:
            raise OutputGapError(problem.expected)
        case 409 if problem.code == SubjectLostError.code:
            raise SubjectLostError(message)
        case 409:
            raise ClashError(message)
        case 426:
            raise VersionMismatchError(message)
        case _:
            raise RefusedError(message)


class _Problem(BaseModel):
    """What of a problem document matters here, wherever its writer puts it."""

    code: str = ""
    title: str = ""
    detail: str = ""
    expected: int | None = None

    @property
    def message(self) -> str:
        return self.detail or self.title


def _problem(body: bytes) -> _Problem:
    try:
        return _Problem.model_validate_json(body)
    except ValidationError:
        return _Problem()


def _read(response: httpx.Response, answer: type[_Answer]) -> _Answer:
    try:
        return answer.model_validate_json(response.content)
    except ValidationError as error:
        raise RefusedError(f"The server's answer to {response.url.path} can't be read: {error}") from error


def _said(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()
