"""A project's own flows, beside those that ship."""

from typing import Annotated

from litestar import Router, delete, get, post
from litestar.params import JSONBody, PathParameter, QueryParameter

from quarterdeck.app import project_flows
from quarterdeck.app.project_flows import FlowText, FlowView, ProjectFlows, StoreFlow
from quarterdeck.doors.api.parameters import Caller, ProjectRef, TheApp

FlowName = Annotated[
    str,
    PathParameter(max_length=200, description="Its name; `project:` or `repository:` before it as in a start."),
]
Version = Annotated[
    str, QueryParameter(max_length=50, description="A version or a constraint, such as `2.0.0` or `^1.0.0`.")
]


@get("/", summary="List a project's flows")
async def find(app: TheApp, actor: Caller, project_ref: ProjectRef) -> ProjectFlows:
    """Those that ship, those that it stores, and the files of its default branch with their faults."""
    return await project_flows.find(app, actor, project_ref)


@post("/", summary="Store a flow")
async def store(app: TheApp, actor: Caller, project_ref: ProjectRef, data: JSONBody[StoreFlow]) -> FlowView:
    """A new one, or a new version of one; the same text again changes nothing."""
    return await project_flows.store(app, actor, project_ref, data)


@get("/{name:str}", summary="Read a flow")
async def show(app: TheApp, actor: Caller, project_ref: ProjectRef, name: FlowName, version: Version = "") -> FlowText:
    """The YAML that a session would be started with."""
    return await project_flows.show(app, actor, project_ref, f"{name}/{version}" if version else name)


@delete("/{name:str}", summary="Delete a stored flow")
async def remove(app: TheApp, actor: Caller, project_ref: ProjectRef, name: FlowName) -> None:
    """With all its versions; sessions that were started with it go on."""
    await project_flows.remove(app, actor, project_ref, name)


ROUTES = Router("/projects/{project:str}/flows", route_handlers=[find, store, show, remove], tags=["flows"])
