"""The Litestar application of all HTTP doors, and the uvicorn server that lets it stop politely."""

import asyncio
import signal
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

import uvicorn
from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide

from quarterdeck.app.application import App
from quarterdeck.doors import problem
from quarterdeck.doors.acp import endpoint
from quarterdeck.doors.api import (
    agents,
    attachments,
    chats,
    connections,
    document,
    editors,
    executor,
    exports,
    external,
    flows,
    forks,
    health,
    issues,
    log,
    mcp_servers,
    merge_requests,
    models,
    network,
    people,
    pipelines,
    project_flows,
    projects,
    replays,
    repositories,
    retention,
    rules,
    runners,
    search,
    session_lists,
    session_records,
    sessions,
    sign_in,
    to_dos,
    triggers,
    webhooks,
)
from quarterdeck.doors.api.parameters import project_ref
from quarterdeck.doors.api.tokens import PersonMiddleware, actor, still
from quarterdeck.doors.body import JsonRequest
from quarterdeck.doors.git import smart_http
from quarterdeck.doors.hooks import forges
from quarterdeck.doors.hooks import triggers as hooks
from quarterdeck.doors.sse import Closing
from quarterdeck.doors.web import pages

BODY_BYTES = 1024 * 1024
"""The largest body of a request, unless its route says otherwise; a flow and a script fit in."""
STOP_SECONDS = 3
API = (
    sessions,
    session_lists,
    forks,
    log,
    external,
    exports,
    replays,
    search,
    session_records,
    chats,
    attachments,
    agents,
    mcp_servers,
    projects,
    connections,
    repositories,
    pipelines,
    merge_requests,
    issues,
    flows,
    project_flows,
    models,
    people,
    rules,
    retention,
    network,
    runners,
    editors,
    webhooks,
    to_dos,
    triggers,
    health,
)
"""What people's tokens open."""


class Application(Litestar):
    """Litestar, where a slash within a project's path may come as `%2F` and stays one name of the URL."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI entry."""
        raw: bytes = scope.get("raw_path") or b""
        if raw.startswith(b"/api/") and b"%2f" in raw.lower():
            names = raw.partition(b"?")[0].decode("ascii", "replace").split("/")
            scope = {**scope, "path": "/".join(unquote(name).replace("/", "%2F") for name in names)}
        await super().__call__(scope, receive, send)


def application(app: App) -> Litestar:
    """All routes; `close_streams` has to be called before it is stopped, as `Server` does."""
    closing = Closing()
    people_only = Router(
        document.PATH,
        route_handlers=[module.ROUTES for module in API],
        middleware=[PersonMiddleware],
        dependencies={
            "actor": Provide(actor, sync_to_thread=False),
            "still": Provide(still, sync_to_thread=False),
            "project_ref": Provide(project_ref, sync_to_thread=False),
        },
    )
    return Application(
        route_handlers=[
            health.alive,
            people_only,
            Router(document.PATH, route_handlers=[executor.ROUTES, executor.register, sign_in.redeem]),
            smart_http.ROUTES,
            forges.ROUTES,
            hooks.ROUTES,
            endpoint.mounted(),
            *pages.ROUTES,
        ],
        dependencies={
            "app": Provide(lambda: app, sync_to_thread=False),
            "closing": Provide(lambda: closing, sync_to_thread=False),
        },
        exception_handlers=problem.HANDLERS,
        request_class=JsonRequest,
        openapi_config=document.CONFIG,
        request_max_body_size=BODY_BYTES,
        logging_config=None,
        state=State({"closing": closing, "quarterdeck": app}, deep_copy=False),
        debug=False,
    )


def close_streams(application: Litestar) -> None:
    """Ends all open streams with a `closing` event; they would hold the server back from stopping."""
    application.state["closing"].begin()


class Server(uvicorn.Server):
    """uvicorn, with the streams closed before it waits for what is open, and the end of the process left to others."""

    def __init__(self, application: Litestar, *, host: str, port: int, trusted_proxies: str = "") -> None:
        super().__init__(
            uvicorn.Config(
                application,
                host=host,
                port=port,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=STOP_SECONDS,
                proxy_headers=bool(trusted_proxies),
                forwarded_allow_ips=trusted_proxies,
            )
        )
        self.ready = asyncio.Event()
        """Set when requests are answered."""
        self._application = application

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to answer."""
        await super().startup(sockets)
        if self.started:
            self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops taking requests, ends the streams, and waits for what is being answered."""
        close_streams(self._application)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Ends at SIGTERM and SIGINT; uvicorn's own would raise them again and cut short what comes behind."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            loop.add_signal_handler(number, self._leave)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _leave(self) -> None:
        self.should_exit = True
