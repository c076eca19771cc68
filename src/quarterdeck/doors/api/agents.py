"""Custom agents."""

from typing import Annotated

from litestar import Router, delete, get, patch, post
from litestar.params import JSONBody, QueryParameter

from quarterdeck.app import agents
from quarterdeck.app.agents import AddAgent, AgentView, EditAgent
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp


@post("/", summary="Add an agent")
async def add(app: TheApp, actor: Caller, data: JSONBody[AddAgent]) -> AgentView:
    """Yours, or a project's."""
    return await agents.add(app, actor, data)


@get("/", summary="List agents")
async def find(
    app: TheApp,
    actor: Caller,
    project: Annotated[str | None, QueryParameter(max_length=255, description="Number or path.")] = None,
) -> list[AgentView]:
    """Yours, and those of the project when one is named."""
    return await agents.find(app, actor, project=project)


@get("/{agent_id:int}", summary="Show an agent")
async def show(app: TheApp, actor: Caller, agent_id: RowId) -> AgentView:
    """With its prompt and tools."""
    return await agents.show(app, actor, agent_id)


@patch("/{agent_id:int}", summary="Change an agent")
async def edit(app: TheApp, actor: Caller, agent_id: RowId, data: JSONBody[EditAgent]) -> AgentView:
    """What is left out stays; chats that have begun keep what they began with."""
    return await agents.edit(app, actor, agent_id, data)


@delete("/{agent_id:int}", summary="Delete an agent")
async def remove(app: TheApp, actor: Caller, agent_id: RowId) -> None:
    """Its chats go on with what they began with."""
    await agents.remove(app, actor, agent_id)


ROUTES = Router("/agents", route_handlers=[add, find, show, edit, remove], tags=["agents"])
