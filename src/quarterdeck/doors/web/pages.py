"""The pages: sign in, the list of sessions, one session's log, stop it. No script."""

from importlib.resources import files
from typing import Any

from litestar import Request, Response, Router, get, post
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.params import FromQuery
from litestar.response import Redirect

from quarterdeck.app import people, session_lists, session_log, sessions, steering
from quarterdeck.app.actor import Actor
from quarterdeck.core.status import FINAL
from quarterdeck.doors.api.parameters import Caller, SessionId, TheApp
from quarterdeck.doors.problem import problem_of
from quarterdeck.doors.web import forge_pages
from quarterdeck.doors.web.cookies import BrowserMiddleware, cookie, name, own_pages_only
from quarterdeck.doors.web.entries import entries
from quarterdeck.doors.web.rendering import HEADERS, page

EVENTS = 1_000
"""The newest of them on a page; the API has the rest."""

_STYLE = (files("quarterdeck.doors.web") / "static" / "style.css").read_bytes()


@get("/style.css", media_type="text/css")
async def style() -> Response[bytes]:
    """The stylesheet."""
    return Response(_STYLE, media_type="text/css", headers={**HEADERS, "Cache-Control": "max-age=300"})


@get("/sign-in")
async def sign_in(app: TheApp, token: FromQuery[str | None] = None) -> Response[str]:
    """Takes a link's token, once, and goes on to the list."""
    if not token:
        return page("sign_in.html", 401, problem=None)
    secret = await people.sign_in(app, token)
    # A page of our own goes on, not a redirect: a browser that came from elsewhere would not send the new cookie.
    response = page("signed_in.html")
    response.set_cookie(cookie(app, secret))
    return response


@get("/")
async def index(app: TheApp, actor: Caller, cursor: FromQuery[str | None] = None) -> Response[str]:
    """The sessions that you may see."""
    found = await session_lists.find(app, actor, cursor=cursor)
    return page("sessions.html", actor=actor, page=found)


@get("/sessions/{session_id:int}")
async def show(app: TheApp, actor: Caller, session_id: SessionId) -> Response[str]:
    """A session and the newest part of its log."""
    session = await sessions.show(app, actor, session_id)
    events = await session_log.events(app, actor, session_id, after=max(0, session.seq - EVENTS), limit=EVENTS)
    return page(
        "session.html", actor=actor, session=session, entries=entries(events, session), ended=session.status in FINAL
    )


@post("/sessions/{session_id:int}/cancel", status_code=303)
async def cancel(app: TheApp, actor: Caller, session_id: SessionId) -> Redirect:
    """Stops it for good."""
    await steering.cancel(app, actor, session_id)
    return Redirect(f"/sessions/{session_id}", status_code=303)


@post("/sign-out", status_code=303)
async def sign_out(app: TheApp, request: Request[Actor, None, Any]) -> Redirect:
    """The browser forgets who you are, and its token opens nothing any more."""
    await people.sign_out(app, request.cookies.get(name(app.public_url), ""))
    response = Redirect("/sign-in", status_code=303)
    response.set_cookie(cookie(app, ""))
    return response


def _error(_: Request[Any, Any, Any], error: Exception) -> Response[str]:
    problem = problem_of(error)
    return page("sign_in.html" if problem.status == 401 else "error.html", problem.status, problem=problem)


def _actor(request: Request[Actor, None, Any]) -> Actor:
    return request.user


_ERRORS = {Exception: _error, HTTPException: _error}
ROUTES = (
    Router("/", route_handlers=[style, sign_in], exception_handlers=_ERRORS, include_in_schema=False),
    Router(
        "/",
        route_handlers=[index, show, cancel, sign_out, *forge_pages.ROUTES],
        middleware=[BrowserMiddleware],
        guards=[own_pages_only],
        dependencies={"actor": Provide(_actor, sync_to_thread=False)},
        exception_handlers=_ERRORS,
        include_in_schema=False,
    ),
)
"""The pages for everybody, and those for people who are signed in."""
