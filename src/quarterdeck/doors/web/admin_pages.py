"""Administration of the instance; whoever is no administrator finds nothing here."""

from typing import Any

from litestar import Response, Router, get, post
from litestar.handlers import BaseRouteHandler
from litestar.params import FromQuery

from quarterdeck.app import (
    accounts,
    health,
    instance,
    projects,
    registrations,
    retention_views,
    runners,
    session_counts,
)
from quarterdeck.app.accounts import AddPerson, Invitation
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.registrations import AddRegistration, RegistrationView
from quarterdeck.core.errors import NotFoundError, QuarterdeckError
from quarterdeck.doors.api.parameters import Caller, TheApp
from quarterdeck.doors.api.tokens import Connection
from quarterdeck.doors.web import model_pages
from quarterdeck.doors.web.drafts import Draft, came_back, checked, drafted, saved
from quarterdeck.doors.web.fields import Form
from quarterdeck.doors.web.layout import framed
from quarterdeck.doors.web.runner_pages import server_address


def administrators_only(connection: Connection, _: BaseRouteHandler) -> None:
    """A guard: raises NotFoundError for anybody else."""
    if not connection.user.admin:
        raise NotFoundError(f"There is nothing at {connection.url.path}.")


@get("/")
async def overview(app: TheApp, actor: Caller) -> Response[str]:
    """How the server is, and what there is on it."""
    return await framed(
        app,
        actor,
        "admin.html",
        tab="overview",
        health=await health.health(app),
        size=await instance.show(app, actor),
        counted=(await session_counts.counts(app, actor)).all,
        sweep=await retention_views.preview(app, actor),
    )


@get("/people")
async def people(app: TheApp, actor: Caller, done: FromQuery[str] = "") -> Response[str]:
    """Everybody who has an account."""
    return await _people(app, actor, saved(done))


@post("/people")
async def add_person(app: TheApp, actor: Caller, form: Form) -> Response[Any]:
    """Makes an account; the link that lets its person in is on the page that answers, and nowhere else."""
    try:
        fields = {name: form.text(name) for name in ("username", "name", "email")}
        wish = checked(AddPerson, {**fields, "admin": form.text("admin") == "yes"})
        made = await accounts.add(app, actor, wish)
    except QuarterdeckError as error:
        return await _people(app, actor, came_back(form, "add", error, "username"))
    return await _people(app, actor, Draft(), made)


@post("/people/link")
async def link(app: TheApp, actor: Caller, form: Form) -> Response[Any]:
    """Another link for somebody."""
    try:
        made = await accounts.invite(app, actor, form.text("username"))
    except QuarterdeckError as error:
        return await _people(app, actor, came_back(form, "people", error))
    return await _people(app, actor, Draft(), made)


@post("/people/shut-out")
async def shut_out(app: TheApp, actor: Caller, form: Form) -> Response[Any]:
    """Ends all that lets somebody in."""
    try:
        await accounts.shut_out(app, actor, form.text("username"))
    except QuarterdeckError as error:
        return await _people(app, actor, came_back(form, "people", error))
    return form.go("/admin/people?done=people")


@get("/projects")
async def all_projects(app: TheApp, actor: Caller) -> Response[str]:
    """All projects."""
    return await framed(app, actor, "admin_projects.html", tab="projects", projects=await projects.find(app, actor))


@get("/runners")
async def all_runners(app: TheApp, actor: Caller) -> Response[str]:
    """All runners."""
    return await _runners(app, actor, Draft())


@post("/runners")
async def invite_runner(app: TheApp, actor: Caller, form: Form) -> Response[Any]:
    """A token that registers one runner of the whole instance."""
    try:
        wish = {"tags": form.lines("tags") or None, "description": form.text("description")}
        made = await registrations.add(app, actor, checked(AddRegistration, wish))
    except QuarterdeckError as error:
        return await _runners(app, actor, came_back(form, "invite", error))
    return await _runners(app, actor, Draft(), made)


async def _people(app: App, actor: Actor, draft: Draft, made: Invitation | None = None) -> Response[str]:
    found = await accounts.find(app, actor)
    return await drafted(app, actor, "admin_people.html", draft, tab="people", people=found, made=made)


async def _runners(app: App, actor: Actor, draft: Draft, made: RegistrationView | None = None) -> Response[str]:
    found = await runners.find(app, actor)
    about = server_address(app)
    return await drafted(app, actor, "admin_runners.html", draft, tab="runners", runners=found, made=made, **about)


ROUTES = (
    Router(
        "/admin",
        route_handlers=[
            overview, people, add_person, link, shut_out, all_projects, all_runners, invite_runner, *model_pages.ROUTES,
        ],
        guards=[administrators_only],
    ),
)  # fmt: skip
