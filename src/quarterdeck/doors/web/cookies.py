"""Who is at the browser: a cookie that no script reads and no other site sends; writes only from our own pages."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

from litestar import Request
from litestar.datastructures import Cookie
from litestar.handlers import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult

from quarterdeck.app import people
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.errors import ForbiddenError, UnauthenticatedError
from quarterdeck.doors import identity
from quarterdeck.doors.api.tokens import Connection, quarterdeck

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
# The first that fits: most say of themselves that they are others, too.
_BROWSERS = (
    ("Firefox/", "Firefox"), ("Edg/", "Edge"), ("OPR/", "Opera"), ("Chrome/", "Chrome"), ("Safari/", "Safari"),
)  # fmt: skip
_SYSTEMS = (
    ("Android", "Android"), ("iPhone", "iOS"), ("iPad", "iOS"), ("Windows", "Windows"), ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)  # fmt: skip


def name(public_url: str) -> str:
    """The cookie's name; under https no other host or path of the domain can set it."""
    return "__Host-quarterdeck" if public_url.startswith("https://") else "quarterdeck"


def secret(app: App, connection: Connection) -> str:
    """The browser's token; empty if it brought none."""
    return connection.cookies.get(name(app.public_url), "")


def browser(agent: str) -> str:
    """A browser by its `User-Agent`, as its person knows it: `Firefox on Linux`."""
    found = (next((name for sign, name in signs if sign in agent), "") for signs in (_BROWSERS, _SYSTEMS))
    return " on ".join(filter(None, found))


def cookie(app: App, value: str) -> Cookie:
    """The cookie that signs a browser in, or out when `value` is empty."""
    return Cookie(
        key=name(app.public_url),
        value=value,
        max_age=people.BROWSER_DAYS * 86_400 if value else 0,
        path="/",
        secure=app.public_url.startswith("https://"),
        httponly=True,
        samesite="strict",
    )


class BrowserMiddleware(AbstractAuthenticationMiddleware):
    """Lets signed-in browsers in; `request.user` is the Actor."""

    async def authenticate_request(self, connection: Connection) -> AuthenticationResult:
        """The person behind the cookie. Raises UnauthenticatedError."""
        app = quarterdeck(connection)
        given = secret(app, connection)
        if not given:
            raise UnauthenticatedError
        return AuthenticationResult(user=await people.authenticate(app, given, "web"), auth=None)


def still(request: Request[Actor, None, Any]) -> Callable[[], Awaitable[Actor]]:
    """The dependency `still`."""
    app = quarterdeck(request)
    return partial(identity.still, app, secret(app, request), request.user)


def own_pages_only(connection: Connection, _: BaseRouteHandler) -> None:
    """A guard: a write has to come from one of our own pages.

    Raises:
        ForbiddenError: another site, or something that hides where it comes from, sent it.
    """
    if cast("Any", connection).method in _READS:
        return
    site = connection.headers.get("sec-fetch-site")
    origin = connection.headers.get("origin")
    ours = site == "same-origin" if site else bool(origin) and urlsplit(origin).netloc == connection.headers.get("host")
    if not ours:
        raise ForbiddenError("This request didn't come from a page of this server.")
