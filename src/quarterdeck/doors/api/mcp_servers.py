"""MCP servers: of projects, and of the person who asks."""

from typing import Annotated

from litestar import Router, delete, get, patch, post
from litestar.params import JSONBody, PathParameter
from pydantic import BaseModel, ConfigDict

from quarterdeck.app import mcp_servers
from quarterdeck.app.mcp_servers import AddMcpServer, McpServersView, McpServerView, McpTest, Switch
from quarterdeck.doors.api.parameters import Caller, ProjectRef, TheApp

Name = Annotated[str, PathParameter(max_length=24, description="The server's name.")]


class Block(BaseModel):
    """Whether a project uses any MCP server."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    blocked: bool


@get("/projects/{project:str}/mcp_servers", summary="List a project's MCP servers")
async def find(app: TheApp, actor: Caller, project_ref: ProjectRef) -> McpServersView:
    """By name; of their secrets the names only."""
    return await mcp_servers.find(app, actor, project_ref)


@post("/projects/{project:str}/mcp_servers", summary="Add an MCP server to a project")
async def add(app: TheApp, actor: Caller, project_ref: ProjectRef, data: JSONBody[AddMcpServer]) -> McpServerView:
    """Its sessions may use it from now on; values of headers and variables are never shown again."""
    return await mcp_servers.add(app, actor, project_ref, data)


@get("/projects/{project:str}/mcp_servers/{name:str}", summary="Show an MCP server of a project")
async def show(app: TheApp, actor: Caller, project_ref: ProjectRef, name: Name) -> McpServerView:
    """Without its secrets."""
    return await mcp_servers.show(app, actor, project_ref, name)


@patch("/projects/{project:str}/mcp_servers/{name:str}", summary="Turn an MCP server of a project on or off")
async def switch(
    app: TheApp, actor: Caller, project_ref: ProjectRef, name: Name, data: JSONBody[Switch]
) -> McpServerView:
    """A session that has its tools is refused at its next call."""
    return await mcp_servers.switch(app, actor, project_ref, name, enabled=data.enabled)


@delete("/projects/{project:str}/mcp_servers/{name:str}", summary="Remove an MCP server from a project")
async def remove(app: TheApp, actor: Caller, project_ref: ProjectRef, name: Name) -> None:
    """With its secrets."""
    await mcp_servers.remove(app, actor, project_ref, name)


@post("/projects/{project:str}/mcp_servers/{name:str}/test", status_code=200, summary="Ask a project's MCP server")
async def ask(app: TheApp, actor: Caller, project_ref: ProjectRef, name: Name) -> McpTest:
    """For its tools, now; one with a command is asked in sessions only."""
    return await mcp_servers.ask(app, actor, project_ref, name)


@patch("/projects/{project:str}/mcp_block", summary="Block MCP servers in a project")
async def block(app: TheApp, actor: Caller, project_ref: ProjectRef, data: JSONBody[Block]) -> McpServersView:
    """All of them in all of its sessions, at every call, or not any more."""
    return await mcp_servers.block(app, actor, project_ref, blocked=data.blocked)


@get("/mcp_servers", summary="List your MCP servers")
async def find_own(app: TheApp, actor: Caller) -> McpServersView:
    """Those that your own sessions may use, in any project that doesn't block them."""
    return await mcp_servers.find(app, actor, None)


@post("/mcp_servers", summary="Add an MCP server of yours")
async def add_own(app: TheApp, actor: Caller, data: JSONBody[AddMcpServer]) -> McpServerView:
    """Your own sessions may use it from now on."""
    return await mcp_servers.add(app, actor, None, data)


@get("/mcp_servers/{name:str}", summary="Show an MCP server of yours")
async def show_own(app: TheApp, actor: Caller, name: Name) -> McpServerView:
    """Without its secrets."""
    return await mcp_servers.show(app, actor, None, name)


@patch("/mcp_servers/{name:str}", summary="Turn an MCP server of yours on or off")
async def switch_own(app: TheApp, actor: Caller, name: Name, data: JSONBody[Switch]) -> McpServerView:
    """A session that has its tools is refused at its next call."""
    return await mcp_servers.switch(app, actor, None, name, enabled=data.enabled)


@delete("/mcp_servers/{name:str}", summary="Remove an MCP server of yours")
async def remove_own(app: TheApp, actor: Caller, name: Name) -> None:
    """With its secrets."""
    await mcp_servers.remove(app, actor, None, name)


@post("/mcp_servers/{name:str}/test", status_code=200, summary="Ask an MCP server of yours")
async def ask_own(app: TheApp, actor: Caller, name: Name) -> McpTest:
    """For its tools, now; one with a command is asked in sessions only."""
    return await mcp_servers.ask(app, actor, None, name)


ROUTES = Router(
    "/",
    route_handlers=[
        find, add, show, switch, remove, ask, block, find_own, add_own, show_own, switch_own, remove_own, ask_own
    ],
    tags=["mcp servers"],
)  # fmt: skip
