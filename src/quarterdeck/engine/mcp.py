"""MCP servers that are reached by HTTP: one connection for one question, within bounds of time, size and address."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from pydantic import JsonValue

from quarterdeck.app.outside import McpEndpoint
from quarterdeck.core.errors import InvalidInputError, QuarterdeckError, UnavailableError
from quarterdeck.core.redaction import Redactor
from quarterdeck.core.text import clean, line
from quarterdeck.tools.mcp import CALL_SECONDS, LIST_SECONDS, MESSAGE_BYTES, PAGES
from quarterdeck.tools.mcp import redactor as redactor_of

if TYPE_CHECKING:
    from fastmcp.client import Client

_SAID_CHARACTERS = 1_000


class HttpMcp:
    """The client of pydantic-ai, over connections of ours. `private` lets servers be in the private network."""

    def __init__(self, *, private: bool) -> None:
        self._private = private

    async def tools(self, endpoint: McpEndpoint) -> list[JsonValue]:
        """What the server lists as its tools; see `app.outside.McpClient`."""
        async with self._connected(endpoint, LIST_SECONDS) as client:
            found: list[JsonValue] = []
            cursor: str | None = None
            for _ in range(PAGES):
                page = await client.list_tools_mcp(cursor=cursor)
                found += [_plain(tool) for tool in page.tools]
                cursor = page.next_cursor
                if not cursor:
                    break
            return found

    async def call(self, endpoint: McpEndpoint, tool: str, args: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """The result of a call; see `app.outside.McpClient`."""
        async with self._connected(endpoint, CALL_SECONDS) as client:
            return _plain(await client.call_tool_mcp(tool, cast("dict[str, Any]", args)))

    @asynccontextmanager
    async def _connected(self, endpoint: McpEndpoint, seconds: float) -> "AsyncGenerator[Client[Any]]":
        # It takes a second or two to load, and is loaded by those alone who use it.
        toolset = (await asyncio.to_thread(import_module, "pydantic_ai.mcp")).MCPToolset
        http = await asyncio.to_thread(import_module, "quarterdeck.engine.bounded_http")
        named = f"The MCP server {endpoint.name}"
        redactor = redactor_of(endpoint.secrets)
        try:
            async with (
                asyncio.timeout(seconds),
                http.connection(
                    private=self._private,
                    setting="QUARTERDECK_MCP_PRIVATE_ADDRESSES",
                    headers=endpoint.headers,
                    seconds=seconds,
                    most_bytes=MESSAGE_BYTES,
                ) as own,
                toolset(endpoint.url, http_client=own, init_timeout=seconds, read_timeout=seconds) as it,
            ):
                yield it.client
        except Exception as error:
            fault = _first(error)
            # Ours, or one of the connection's, whose clock ends in the same moment.
            if isinstance(error, TimeoutError) or type(fault).__name__ in ("ReadTimeout", "ConnectTimeout"):
                raise UnavailableError(f"{named} did not answer within {seconds} seconds.") from None
            raise _told(named, fault, redactor) from None


def _told(named: str, fault: Exception, redactor: Redactor) -> QuarterdeckError:
    """A fault in words for the model, which hold nothing of the headers."""
    if isinstance(fault, QuarterdeckError):
        return type(fault)(f"{named}: {fault.message}")
    if isinstance(fault, TimeoutError):
        return UnavailableError(f"{named} did not answer in time.")
    said = redactor.text(line(clean(str(fault)), _SAID_CHARACTERS)) or type(fault).__name__
    if type(fault).__name__.lower() == "mcperror":
        return InvalidInputError(f"{named} refused: {said}")
    return UnavailableError(f"{named} can't be asked: {said}")


def _first(fault: Exception) -> Exception:
    """The first fault that is no group, of groups in groups; ours before those of libraries that stand around it."""
    found: BaseException | None = fault
    while found is not None:
        if isinstance(found, QuarterdeckError):
            return found
        found = found.__cause__ or found.__context__
    if isinstance(fault, ExceptionGroup):
        return _first(cast("ExceptionGroup[Exception]", fault).exceptions[0])
    return fault


def _plain(model: Any) -> dict[str, JsonValue]:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)
