"""`/acp`: who connects, by a person's token; whose connection it is; and the end of all when the server stops.

HTTP with server-sent events, and a WebSocket, as the package speaks them. Nothing of the package is loaded before
somebody connects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

from litestar import asgi
from litestar.connection import ASGIConnection

from quarterdeck.app import people
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.errors import NotFoundError, QuarterdeckError, TooLargeError
from quarterdeck.doors.api.tokens import Connection, quarterdeck, token
from quarterdeck.doors.problem import problem_of
from quarterdeck.doors.sse import CHECK_SECONDS, Closing

if TYPE_CHECKING:
    from quarterdeck.doors.acp.server import Server

MESSAGE_BYTES = 8 * 1024 * 1024
"""The largest message: a prompt with what is embedded, or a file that an editor reads for the agent."""
ID = b"acp-connection-id"
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
_coming: ContextVar[tuple[App, Actor]] = ContextVar("who opens a connection")


class Endpoint:
    """The connections of one web process."""

    def __init__(self) -> None:
        self._server: Server | None = None
        self._adapter: Any = None

    def _load(self) -> Any:
        if self._adapter is None:
            from acp.http.asgi import AcpAsgiApp

            from quarterdeck.doors.acp.agent import Agent
            from quarterdeck.doors.acp.server import Server

            def begun(client: Any) -> Any:
                app, actor = _coming.get()
                return Agent(app, actor, client)

            self._server = Server(begun)
            self._adapter = AcpAsgiApp(self._server)
        return self._adapter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry."""
        connection = cast("Connection", ASGIConnection(cast("Any", scope)))
        try:
            app, secret = quarterdeck(connection), token(connection)
            actor = await people.authenticate(app, secret)
            adapter = self._load()
            self._own(scope, actor)
        except QuarterdeckError as error:
            await _refuse(scope, receive, send, error)
            return
        _coming.set((app, actor))
        closing: Closing = connection.app.state["closing"]
        work = asyncio.create_task(adapter(scope, _bounded(scope, receive), send))
        watch = asyncio.create_task(_until_out(app, secret))
        with closing.telling(lambda: _end(work)):
            if closing.begun:
                _end(work)
            await asyncio.wait((work, watch), return_when=asyncio.FIRST_COMPLETED)
            work.cancel()
            watch.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)
        error = None if work.cancelled() else work.exception()
        if isinstance(error, QuarterdeckError) and scope["type"] == "http":
            await _refuse(scope, receive, send, error)
        elif error is not None:
            raise error

    def _own(self, scope: Scope, actor: Actor) -> None:
        """Raises NotFoundError for a connection of somebody else."""
        named = dict(scope["headers"]).get(ID)
        if named is None or self._server is None:
            return
        state = self._server.registry.get(named.decode("latin-1"))
        if state is not None and self._server.person(state) != actor.user_id:
            raise NotFoundError("There is no such connection of yours.")


def _end(work: asyncio.Task[None]) -> None:
    work.cancel()


async def _until_out(app: App, secret: str) -> None:
    """Returns when the token opens nothing any more."""
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        try:
            await people.authenticate(app, secret)
        except QuarterdeckError as error:
            if problem_of(error).status == 401:
                return


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """The same messages. Raises TooLargeError behind a body or a frame that is too large."""
    size = 0

    async def bounded() -> Any:
        nonlocal size
        message = await receive()
        part = len(message.get("body") or b"") + len(message.get("text") or "") + len(message.get("bytes") or b"")
        size = size + part if scope["type"] == "http" else part
        if size > MESSAGE_BYTES:
            raise TooLargeError(f"A message may have {MESSAGE_BYTES:,} bytes.")
        return message

    return bounded


async def _refuse(scope: Scope, receive: Receive, send: Send, error: QuarterdeckError) -> None:
    problem = problem_of(error)
    body = problem.model_dump_json(exclude_none=True).encode()
    headers = [(b"content-type", b"application/problem+json")]
    if problem.status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="Quarterdeck"'))
    kind = "http" if scope["type"] == "http" else "websocket.http"
    if scope["type"] == "websocket":
        await receive()
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008, "reason": problem.detail[:100]})
            return
    await send({"type": f"{kind}.response.start", "status": problem.status, "headers": headers})
    await send({"type": f"{kind}.response.body", "body": body})


def mounted() -> Any:
    """The route."""
    endpoint = Endpoint()

    @asgi("/acp", is_mount=True, copy_scope=True)
    async def acp(scope: Any, receive: Any, send: Any) -> None:
        await endpoint(scope, receive, send)

    return acp
