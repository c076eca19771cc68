"""MCP servers: added, switched and removed by a project's maintainers, and by people for their own sessions."""

import json
import re
from datetime import datetime
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from sqlalchemy import ColumnElement, Row, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.access import project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.outside import McpEndpoint
from quarterdeck.core import mcp
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import ConflictError, NotFoundError
from quarterdeck.store.tables import mcp_blocks, mcp_servers
from quarterdeck.tools import mcp as tools_mcp

SERVERS = 20
"""How many a project or a person may have."""
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_RESERVED = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection", "accept"})
_SECRET_CHARACTERS = 8_192


class AddMcpServer(BaseModel):
    """A server: by HTTP with `url` and `headers`, or started in the sandbox with `command` and `env`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = Field(max_length=24, description="Small letters, digits and `-`; its tools are mcp__NAME__TOOL.")
    url: str = Field(default="", max_length=2_000, repr=False, description="Where it is reached by (streamable) HTTP.")
    headers: dict[str, SecretStr] = Field(
        default={}, max_length=20, description="Sent with every request; stored encrypted, never shown."
    )
    command: tuple[str, ...] = Field(
        default=(), max_length=100, description="Program and arguments of one that speaks over its input and output."
    )
    env: dict[str, SecretStr] = Field(
        default={}, max_length=20, description="Variables that the command gets; stored encrypted, never shown."
    )
    allow: tuple[str, ...] = Field(
        default=(), max_length=100, description="Which of its tools may be used, as globs of its own names; none: all."
    )
    enabled: bool = True

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if fault := _fault(self):
            raise ValueError(fault)
        return self


def _fault(given: AddMcpServer) -> str:
    """What is wrong with a server; empty when nothing is."""
    names, pattern = (given.headers, _HEADER) if given.url else (given.env, _VARIABLE)
    values = [secret.get_secret_value() for secret in (*given.headers.values(), *given.env.values())]
    words = (*given.command, *given.allow, *values)
    faults = (
        (not re.fullmatch(mcp.SERVER_NAME, given.name), "a name has small letters, digits and -, and ends with none"),
        (bool(given.url) == bool(given.command), "give either a url or a command"),
        (bool(given.env if given.url else given.headers), "headers belong to a url, variables to a command"),
        (bool(given.url) and not _usable(given.url), "the url is not one of http or https, or has a user in it"),
        (not all(map(pattern.fullmatch, names)), "a header or variable has a name that none can have"),
        (bool(_RESERVED & {name.lower() for name in given.headers}), "a header is one that the client itself sends"),
        (any(len(word) > _SECRET_CHARACTERS for word in words), "a value is too long"),
        (any("\x00" in word for word in words), "a word has a NUL in it"),
        (any(c in value for value in values for c in "\r\n"), "a value has a line end in it"),
        (
            not all(map(str.isascii, (secret.get_secret_value() for secret in given.headers.values()))),
            "a header is ASCII",
        ),
    )
    return next((fault for wrong, fault in faults if wrong), "")


def _usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and "@" not in parts.netloc
            and parts.port != 0
            and url.isascii()
            and url.isprintable()
            and not parts.fragment
        )
    except ValueError:
        return False


class McpServerView(BaseModel):
    """A server as doors show it: of its secrets the names."""

    model_config = ConfigDict(frozen=True)
    id: int
    name: str
    scope: Literal["project", "person"]
    kind: str
    url: str
    command: tuple[str, ...]
    secret_names: tuple[str, ...]
    allow: tuple[str, ...]
    enabled: bool
    added_by: str
    created_at: datetime


class McpServersView(BaseModel):
    """All servers of a project or a person."""

    model_config = ConfigDict(frozen=True)
    blocked: bool
    """The project uses no MCP server at all, its members' own included."""
    servers: list[McpServerView]


class McpToolView(BaseModel):
    """A tool that a server offers, as sessions would get it."""

    model_config = ConfigDict(frozen=True)
    name: str
    description: str
    read_only: bool
    """As the server says."""


class McpTest(BaseModel):
    """What a server answered."""

    model_config = ConfigDict(frozen=True)
    tools: list[McpToolView]
    left_out: int


class Switch(BaseModel):
    """On or off."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    enabled: bool


async def add(app: App, actor: Actor, project: int | str | None, request: AddMcpServer) -> McpServerView:
    """Adds a server to a project, or to the actor's own where none is named.

    Raises:
        ConflictError: there is one of that name, or too many.
    """
    async with app.database.transaction() as connection:
        owner = await _owner(connection, actor, project, Ability.MANAGE_MCP_SERVERS)
        # One after the other, so that the count holds.
        await connection.exec_driver_sql("select pg_advisory_xact_lock(hashtext(%s))", (f"mcp:{owner}",))
        count = select(func.count()).select_from(mcp_servers).where(_of(owner))
        if (await connection.execute(count)).scalar_one() >= SERVERS:
            raise ConflictError(f"There are {SERVERS} MCP servers already. Remove one first.")
        base, _, query = request.url.partition("?")
        secrets = {name: one.get_secret_value() for name, one in (request.headers or request.env).items()}
        row = insert(mcp_servers).values(
            **owner,
            name=request.name,
            kind="http" if request.url else "stdio",
            url=base,
            command=list(request.command),
            secret_names=sorted(secrets) + (["(query of the url)"] if query else []),
            secret=app.vault.encrypt(json.dumps({"values": secrets, "query": query})),
            allow=list(request.allow),
            enabled=request.enabled,
            added_by=actor.username,
        )
        try:
            made = (await connection.execute(row.returning(mcp_servers))).one()
        except IntegrityError:
            raise ConflictError(f"There is an MCP server {request.name!r} already.") from None
        return _view(made)


async def find(app: App, actor: Actor, project: int | str | None) -> McpServersView:
    """The servers of a project, or the actor's own."""
    async with app.database.transaction() as connection:
        owner = await _owner(connection, actor, project, Ability.START_SESSION)
        rows = await connection.execute(select(mcp_servers).where(_of(owner)).order_by(mcp_servers.c.name))
        blocked = await is_blocked(connection, owner.get("project_id"))
        return McpServersView(blocked=blocked, servers=[_view(row) for row in rows])


async def show(app: App, actor: Actor, project: int | str | None, name: str) -> McpServerView:
    """One server."""
    async with app.database.transaction() as connection:
        return _view(await _named(connection, await _owner(connection, actor, project, Ability.START_SESSION), name))


async def switch(app: App, actor: Actor, project: int | str | None, name: str, *, enabled: bool) -> McpServerView:
    """Turns a server on or off; sessions that have its tools are refused at their next call."""
    async with app.database.transaction() as connection:
        owner = await _owner(connection, actor, project, Ability.MANAGE_MCP_SERVERS)
        row = await _named(connection, owner, name)
        change = update(mcp_servers).where(mcp_servers.c.id == row.id).values(enabled=enabled)
        return _view((await connection.execute(change.returning(mcp_servers))).one())


async def remove(app: App, actor: Actor, project: int | str | None, name: str) -> None:
    """Removes a server with its secrets."""
    async with app.database.transaction() as connection:
        owner = await _owner(connection, actor, project, Ability.MANAGE_MCP_SERVERS)
        row = await _named(connection, owner, name)
        await connection.execute(delete(mcp_servers).where(mcp_servers.c.id == row.id))


async def block(app: App, actor: Actor, project: int | str, *, blocked: bool) -> McpServersView:
    """Lets no session of the project use an MCP server, or lets them again; it is looked at in every call."""
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.MANAGE_MCP_SERVERS)
        await connection.execute(
            upsert(mcp_blocks).values(project_id=found.id, blocked_by=actor.username).on_conflict_do_nothing()
            if blocked
            else delete(mcp_blocks).where(mcp_blocks.c.project_id == found.id)
        )
    return await find(app, actor, project)


async def ask(app: App, actor: Actor, project: int | str | None, name: str) -> McpTest:
    """Asks a server for its tools now; no session is told of it.

    Raises:
        ConflictError: it is one that runs in a session's sandbox alone.
    """
    async with app.database.transaction() as connection:
        row = await _named(connection, await _owner(connection, actor, project, Ability.MANAGE_MCP_SERVERS), name)
    if row.kind == "stdio":
        raise ConflictError(
            f"{name} is started in the sandbox of a session, when one first needs it. Look at the session's log."
        )
    raw = await app.mcp.tools(endpoint(app, row))
    found = tools_mcp.listed(row.name, raw, allowed=row.allow, room=mcp.PINNED_CHARACTERS)
    tools = [McpToolView(name=t.name, description=t.description, read_only=t.read_only) for t in found.tools]
    return McpTest(tools=tools, left_out=found.left_out)


def secrets_of(app: App, row: Row[Any]) -> tuple[dict[str, str], str]:
    """The values of a server's headers or variables, and what stands behind its URL's `?`."""
    stored = json.loads(app.vault.decrypt(row.secret))
    return stored["values"], stored["query"]


def endpoint(app: App, row: Row[Any]) -> McpEndpoint:
    """How a server is reached by HTTP."""
    headers, query = secrets_of(app, row)
    return McpEndpoint(row.name, f"{row.url}?{query}" if query else row.url, headers)


async def is_blocked(connection: AsyncConnection, project_id: int | None) -> bool:
    """Whether a project's sessions may use no MCP server."""
    query = select(mcp_blocks.c.project_id).where(mcp_blocks.c.project_id == project_id)
    return (await connection.execute(query)).one_or_none() is not None


async def _owner(
    connection: AsyncConnection, actor: Actor, project: int | str | None, ability: Ability
) -> dict[str, int]:
    """Whose servers are meant; everybody may do everything with their own."""
    if project is None:
        return {"user_id": actor.user_id}
    return {"project_id": (await project_for(connection, actor, project, ability)).id}


def _of(owner: dict[str, int]) -> ColumnElement[bool]:
    ((column, number),) = owner.items()
    return mcp_servers.c[column] == number


async def _named(connection: AsyncConnection, owner: dict[str, int], name: str) -> Row[Any]:
    query = select(mcp_servers).where(_of(owner), mcp_servers.c.name == name)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no MCP server {name!r} here.")
    return row


def _view(row: Row[Any]) -> McpServerView:
    return McpServerView(
        id=row.id,
        name=row.name,
        scope="person" if row.project_id is None else "project",
        kind=row.kind,
        url=row.url,
        command=tuple(row.command),
        secret_names=tuple(row.secret_names),
        allow=tuple(row.allow),
        enabled=row.enabled,
        added_by=row.added_by,
        created_at=row.created_at,
    )
