"""What sessions may reach: of the server, and of a project."""

from litestar import Router, get, put
from litestar.params import JSONBody

from quarterdeck.app import network
from quarterdeck.app.network import EditNetwork, NetworkView, ProjectNetworkView
from quarterdeck.doors.api.parameters import Caller, ProjectRef, TheApp


@get("/network", summary="Show what sessions may reach")
async def show(app: TheApp, actor: Caller) -> NetworkView:
    """What an `agent-config.yml` may ask for here, and what each group of package registries stands for."""
    return await network.show(app, actor)


@get("/projects/{project:str}/network", summary="Show what a project's sessions may reach")
async def of_project(app: TheApp, actor: Caller, project_ref: ProjectRef) -> ProjectNetworkView:
    """What the project allows of what the server does."""
    return await network.show_project(app, actor, project_ref)


@put("/projects/{project:str}/network", summary="Say what a project's sessions may reach")
async def edit(app: TheApp, actor: Caller, project_ref: ProjectRef, data: JSONBody[EditNetwork]) -> ProjectNetworkView:
    """For those that start from now on, and never more than the server allows."""
    return await network.edit_project(app, actor, project_ref, data)


ROUTES = Router("/", route_handlers=[show, of_project, edit], tags=["network"])
