"""A project's connection to its repository at a forge: made, looked at, ended, and who is who there."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromQuery

from quarterdeck.app import connections, projects
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.connections import Connect, ConnectionView, LinkPerson
from quarterdeck.core.access import LEAST_ROLE, Ability
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp
from quarterdeck.doors.web.drafts import Draft, came_back, checked, saved
from quarterdeck.doors.web.fields import Fields, Form
from quarterdeck.doors.web.project_layout import in_project


@get("/projects/{project_id:int}/connection")
async def show(app: TheApp, actor: Caller, project_id: RowId, done: FromQuery[str] = "") -> Response[str]:
    """The connection, or the form of one."""
    return await _page(app, actor, project_id, saved(done))


@post("/projects/{project_id:int}/connection")
async def connect(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """Makes it; the webhook's secret is on the page that answers, and nowhere else."""
    try:
        wish = {name: form.text(name) for name in ("forge", "repository", "token", "api_url")}
        made = await connections.connect(app, actor, project_id, checked(Connect, wish))
    except QuarterdeckError as error:
        return await _page(app, actor, project_id, came_back(form, "connect", error))
    return await _page(app, actor, project_id, Draft(), made)


@post("/projects/{project_id:int}/connection/sync")
async def sync(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """Reads what webhooks have not told."""
    await connections.sync(app, actor, project_id)
    return _done(form, project_id)


@post("/projects/{project_id:int}/connection/disconnect")
async def disconnect(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """Ends it."""
    await connections.disconnect(app, actor, project_id)
    return _done(form, project_id)


@post("/projects/{project_id:int}/connection/people")
async def link(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """Who the actor is there."""
    try:
        await connections.link(app, actor, project_id, checked(LinkPerson, {"login": form.text("login")}))
    except QuarterdeckError as error:
        return await _page(app, actor, project_id, came_back(form, "people", error, "login"))
    return _done(form, project_id)


@post("/projects/{project_id:int}/connection/unlink")
async def unlink(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """Ends that."""
    await connections.unlink(app, actor, project_id, form.text("login"))
    return _done(form, project_id)


def _done(form: Fields, project_id: int) -> Response[Any]:
    return form.go(f"/projects/{project_id}/connection?done=connection")


async def _page(
    app: App, actor: Actor, project_id: int, draft: Draft, made: ConnectionView | None = None
) -> Response[str]:
    project = await projects.show(app, actor, project_id)
    return await in_project(
        app,
        actor,
        project,
        "connection.html",
        here="connection",
        draft=draft,
        it=made or await connections.find(app, actor, project_id),
        secret=made.hook_secret if made else None,
        manages=project.may(Ability.MANAGE_CONNECTIONS),
        least=LEAST_ROLE[Ability.MANAGE_CONNECTIONS].name,
        me=actor.username,
    )


ROUTES = (show, connect, sync, disconnect, link, unlink)
