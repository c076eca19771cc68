"""Projects' connections to repositories at GitHub and GitLab."""

from typing import Annotated

from litestar import Router, delete, get, post
from litestar.params import JSONBody, PathParameter

from quarterdeck.app import connections
from quarterdeck.app.connections import Connect, ConnectionView, LinkPerson
from quarterdeck.doors.api.parameters import Caller, ProjectRef, TheApp

Login = Annotated[str, PathParameter(max_length=255, description="A name at the forge.")]


@post("/", summary="Connect a project to a forge")
async def connect(app: TheApp, actor: Caller, project_ref: ProjectRef, data: JSONBody[Connect]) -> ConnectionView:
    """Its repository, issues, merge requests and pipelines come from there; the answer has the webhook's secret."""
    return await connections.connect(app, actor, project_ref, data)


@get("/", summary="Show a project's connection")
async def show(app: TheApp, actor: Caller, project_ref: ProjectRef) -> ConnectionView:
    """With the newest deliveries of its webhook, and what waits to be written there."""
    return await connections.show(app, actor, project_ref)


@delete("/", summary="Disconnect a project")
async def disconnect(app: TheApp, actor: Caller, project_ref: ProjectRef) -> None:
    """With its secrets; what came from the forge stays, and all that is there."""
    await connections.disconnect(app, actor, project_ref)


@post("/sync", status_code=202, summary="Read what webhooks have not told")
async def sync(app: TheApp, actor: Caller, project_ref: ProjectRef) -> ConnectionView:
    """By a job; what the forge refused to take is tried once more, too."""
    return await connections.sync(app, actor, project_ref)


@post("/people", summary="Say who you are at the forge")
async def link(app: TheApp, actor: Caller, project_ref: ProjectRef, data: JSONBody[LinkPerson]) -> ConnectionView:
    """What that name does there is then yours."""
    return await connections.link(app, actor, project_ref, data)


@delete("/people/{login:str}", status_code=200, summary="Unlink a name at the forge")
async def unlink(app: TheApp, actor: Caller, project_ref: ProjectRef, login: Login) -> ConnectionView:
    """Yours, or with the role for it anybody's."""
    return await connections.unlink(app, actor, project_ref, login)


ROUTES = Router(
    "/projects/{project:str}/connection",
    route_handlers=[connect, show, disconnect, sync, link, unlink],
    tags=["connections"],
)
