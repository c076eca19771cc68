"""All pages: who may ask for them, in which language, and what an error looks like."""

from typing import Any
from urllib.parse import urlencode

from litestar import Request, Response, Router, get, post
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.params import FromQuery
from litestar.response import Redirect

from quarterdeck.app import people
from quarterdeck.app.actor import Actor
from quarterdeck.doors import problem
from quarterdeck.doors.api.parameters import TheApp
from quarterdeck.doors.web import (
    admin_pages,
    chat_pages,
    connection_pages,
    detail_pages,
    editor_pages,
    entry_pages,
    fields,
    flow_editor,
    flow_pages,
    home_pages,
    issue_pages,
    job_pages,
    languages,
    lint_pages,
    list_pages,
    member_pages,
    merge_request_pages,
    new_project_pages,
    personal_pages,
    pipeline_pages,
    project_pages,
    repository_pages,
    review_pages,
    run_pages,
    runner_pages,
    session_acts,
    session_pages,
    session_stream,
    setting_pages,
    sights,
    static_files,
    to_do_pages,
    trigger_pages,
    views,
    webhook_pages,
)
from quarterdeck.doors.web.cookies import BrowserMiddleware, browser, cookie, own_pages_only, secret, still
from quarterdeck.doors.web.fields import Form
from quarterdeck.doors.web.rendering import page


@get("/sign-in")
async def sign_in(app: TheApp, token: FromQuery[str | None] = None) -> Response[str]:
    """Says whom a link would sign in and asks: a link alone, from anywhere, makes nobody somebody else."""
    if not token:
        return page("sign_in.html", 401, problem=None)
    return page("sign_in_as.html", username=await people.signs_in(app, token), token=token)


@post("/sign-in", status_code=303, guards=[own_pages_only], dependencies={"form": Provide(fields.form)})
async def sign_in_now(app: TheApp, request: Request[Any, Any, Any], form: Form) -> Redirect:
    """Takes the link's token, once, and goes on to the first page."""
    response = Redirect("/", status_code=303)
    seen = browser(request.headers.get("user-agent", ""))
    response.set_cookie(cookie(app, await people.sign_in(app, form.text("token"), seen)))
    return response


@post("/sign-out", status_code=303)
async def sign_out(app: TheApp, request: Request[Actor, None, Any]) -> Redirect:
    """The browser forgets who you are, and its token opens nothing any more."""
    await people.sign_out(app, secret(app, request))
    response = Redirect("/sign-in", status_code=303)
    response.set_cookie(cookie(app, ""))
    return response


def _error(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    found = problem.problem_of(error)
    if "application/json" in request.headers.get("accept", ""):  # a script of ours sent a form
        return problem.respond(found)
    if found.status == 401 and request.method == "GET" and request.headers.get("sec-fetch-site") == "cross-site":
        # A link elsewhere led here, and so no cookie came: a page of our own asks again, which a browser lets bring it.
        return page("again.html", 401, path=request.url.path, query=request.url.query)
    return page("sign_in.html" if found.status == 401 else "error.html", found.status, problem=found)


async def _before(request: Request[Any, Any, Any]) -> Redirect | None:
    """Speaks the browser's language, in its theme; takes what was left empty in a form of filters out of the URL."""
    languages.speak(request.headers.get("accept-language", ""))
    sights.see(request)
    views.use_theme(request)
    given = list(request.query_params.multi_items())
    if request.method != "GET" or all(value for _, value in given):
        return None
    query = urlencode([(name, value) for name, value in given if value])
    return Redirect(f"{request.url.path}?{query}" if query else request.url.path, status_code=303)


def _actor(request: Request[Actor, None, Any]) -> Actor:
    return request.user


_ERRORS = {Exception: _error, HTTPException: _error}
ROUTES = (
    Router(
        "/",
        route_handlers=[static_files.static, sign_in, sign_in_now],
        before_request=_before,
        exception_handlers=_ERRORS,
        include_in_schema=False,
    ),
    Router(
        "/",
        route_handlers=[
            sign_out,
            *home_pages.ROUTES,
            *list_pages.ROUTES,
            *session_pages.ROUTES,
            *entry_pages.ROUTES,
            *session_stream.ROUTES,
            *session_acts.ROUTES,
            *detail_pages.ROUTES,
            *chat_pages.ROUTES,
            *project_pages.ROUTES,
            *issue_pages.ROUTES,
            *merge_request_pages.ROUTES,
            *review_pages.ROUTES,
            *pipeline_pages.ROUTES,
            *lint_pages.ROUTES,
            *job_pages.ROUTES,
            *repository_pages.ROUTES,
            *flow_pages.ROUTES,
            *flow_editor.ROUTES,
            *run_pages.ROUTES,
            *new_project_pages.ROUTES,
            *member_pages.ROUTES,
            *webhook_pages.ROUTES,
            *to_do_pages.ROUTES,
            *setting_pages.ROUTES,
            *trigger_pages.ROUTES,
            *runner_pages.ROUTES,
            *connection_pages.ROUTES,
            *personal_pages.ROUTES,
            *editor_pages.ROUTES,
            *admin_pages.ROUTES,
        ],
        before_request=_before,
        middleware=[BrowserMiddleware],
        guards=[own_pages_only],
        dependencies={
            "actor": Provide(_actor, sync_to_thread=False),
            "still": Provide(still, sync_to_thread=False),
            "form": Provide(fields.form),
        },
        exception_handlers=_ERRORS,
        include_in_schema=False,
    ),
)
"""The pages for everybody, and those for people who are signed in."""
