"""MCP servers in a session: which are asked for their tools, what is pinned of them, and whom a call is for."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import mcp_servers
from quarterdeck.app.access import project_for
from quarterdeck.app.acts import new_call_id
from quarterdeck.app.application import App
from quarterdeck.app.change import Change, change
from quarterdeck.app.outside import McpEndpoint
from quarterdeck.app.session_access import initiator
from quarterdeck.app.toolbox import toolset
from quarterdeck.core import events as e
from quarterdeck.core import mcp, protocol
from quarterdeck.core.access import Ability
from quarterdeck.core.component import AgentComponent
from quarterdeck.core.errors import ForbiddenError, NotFoundError
from quarterdeck.core.flow import Flow
from quarterdeck.core.mcp import McpTool, McpToolsPinned
from quarterdeck.core.state import Call, SessionState
from quarterdeck.store import log
from quarterdeck.store.tables import mcp_servers as rows
from quarterdeck.tools import mcp as tools_mcp
from quarterdeck.tools.tool import Privilege


@dataclass(frozen=True, repr=False)
class McpCall:
    """A call as it is carried out by HTTP; `remote` is the tool's name there, empty when the tools are asked for."""

    endpoint: McpEndpoint
    remote: str


async def listings(it: Change, flow: Flow, path: str) -> list[log.Draft]:
    """Calls that ask for tools of servers that the component at `path` may use and that have not been asked.

    One that could not tell them is asked again when the person has spoken since.
    """
    component, state = flow.component(path), it.state
    everything = flow.chats and isinstance(component, AgentComponent)
    named = {mcp.server_of(use.name) for use in toolset(component)} - {""}
    privileges = state.created.privileges
    if not (everything or named) or (privileges is not None and Privilege.RUN_MCP_TOOLS not in privileges):
        return []
    works = state.created.project_id is not None and flow.workspace
    return [
        log.Draft(_listing(state, row), e.Level.FULL)
        for row in await _enabled(it.connection, state.created)
        if (everything or row.name in named) and (works or row.kind == "http") and _to_be_asked(state, row.name)
    ]


def _to_be_asked(state: SessionState, server: str) -> bool:
    pin = state.mcp.get(server)
    return pin is None or (bool(pin.fault) and state.last_message > pin.seq)


def _listing(state: SessionState, row: Row[Any]) -> e.ToolCallRequested:
    return e.ToolCallRequested(
        call_id=new_call_id(),
        component=state.component,
        tool=mcp.LIST_TOOLS,
        args={"server": row.name, "id": row.id},
        side="server" if row.kind == "http" else "executor",
        asks=False,
        parallel=True,
        listing=True,
    )


async def _enabled(connection: AsyncConnection, created: e.SessionCreated) -> list[Row[Any]]:
    """The servers that are on for the session; of two of one name the project's."""
    if await mcp_servers.is_blocked(connection, created.project_id):
        return []
    found = await connection.execute(
        select(rows)
        .where((rows.c.project_id == created.project_id) | (rows.c.user_id == created.initiator_id))
        .order_by(rows.c.project_id.is_(None), rows.c.name)
    )
    first: dict[str, Row[Any]] = {}
    for row in found:
        first.setdefault(row.name, row)
    return [row for row in first.values() if row.enabled]


async def prepare(app: App, session_id: int, call_id: str) -> McpCall:
    """What a call of the server's side is carried out with.

    Raises:
        NotFoundError, ForbiddenError: its server may not be used any more; in words for the model.
    """
    async with change(app, session_id) as it:
        row, tool = await _target(it, _open(it, call_id))
        return McpCall(mcp_servers.endpoint(app, row), tool.remote if tool else "")


async def pin(app: App, session_id: int, call_id: str, raw: Iterable[JsonValue]) -> McpToolsPinned:
    """What the call's session is going to keep of a list of tools. Raises as `prepare` does."""
    async with change(app, session_id) as it:
        return await pinned(it, _open(it, call_id), raw)


async def spec(app: App, it: Change, call: Call) -> protocol.McpSpec:
    """What an executor starts for a call. Raises as `prepare` does."""
    row, tool = await _target(it, call)
    values, _ = mcp_servers.secrets_of(app, row)
    return protocol.McpSpec(server=row.name, command=tuple(row.command), env=values, tool=tool.remote if tool else "")


async def pinned(it: Change, call: Call, raw: Iterable[JsonValue], left_out: int = 0) -> McpToolsPinned:
    """What a session keeps of a server's list of tools. Raises as `prepare` does."""
    row, _ = await _target(it, call)
    held = [tool for name, pin in it.state.mcp.items() if name != row.name for tool in pin.tools]
    room = mcp.PINNED_CHARACTERS - sum(len(tool.model_dump_json()) for tool in held)
    found = tools_mcp.listed(row.name, raw, allowed=row.allow, room=room)
    return McpToolsPinned(
        server=row.name,
        server_id=row.id,
        side="server" if call.side == "server" else "executor",
        tools=found.tools,
        left_out=found.left_out + left_out,
    )


def told(pin: McpToolsPinned) -> str:
    """The list in one line, as the end of the call says it."""
    names = ", ".join(tool.remote for tool in pin.tools) or "none"
    return f"Tools of {pin.server}: {names}." + (f" Left out: {pin.left_out}." if pin.left_out else "")


def _open(it: Change, call_id: str) -> Call:
    """Raises NotFoundError when the answer that made the call was interrupted in the meantime."""
    call = it.state.calls.get(call_id)
    if call is None:
        raise NotFoundError(f"Call {call_id} has ended.")
    return call


async def _target(it: Change, call: Call) -> tuple[Row[Any], McpTool | None]:
    """The server of a call, and its tool unless the tools are asked for; looked at anew for every call."""
    created = it.state.created
    if call.listing:
        name, number, tool = str(call.args["server"]), int(str(call.args["id"])), None
    else:
        name = mcp.server_of(call.tool)
        pin = it.state.mcp[name]
        number, tool = pin.server_id, next(tool for tool in pin.tools if tool.name == call.tool)
    row = (await it.connection.execute(select(rows).where(rows.c.id == number))).one_or_none()
    if row is None or (row.project_id != created.project_id and row.user_id != created.initiator_id):
        raise NotFoundError(f"The MCP server {name} was removed. A new session has what is there now.")
    if created.project_id is not None:
        actor = await initiator(it.connection, created)
        await project_for(it.connection, actor, created.project_id, Ability.START_SESSION)
    if await mcp_servers.is_blocked(it.connection, created.project_id):
        raise ForbiddenError("MCP servers are blocked in this project.")
    if not row.enabled:
        raise ForbiddenError(f"The MCP server {name} is turned off.")
    if tool is not None and not tools_mcp.allows(row.allow, tool.remote):
        raise ForbiddenError(f"{call.tool} is not one of the tools that may be used of {name}.")
    return row, tool
