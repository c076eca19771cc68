"""What a session knows of MCP servers: the tools that it saw when it asked, pinned under names of ours."""

import re
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from quarterdeck.core.payload import Level, Payload

PREFIX = "mcp__"
"""With what the name of every such tool begins: `mcp__SERVER__TOOL`."""
LIST_TOOLS = "list_mcp_tools"
"""The call by which a session asks a server for its tools; no model is given it."""
SERVER_NAME = r"[a-z0-9](?:[a-z0-9-]{0,22}[a-z0-9])?"
"""Without `_`, so that a tool's name tells where the server's ends."""
NAME_CHARACTERS = 64
"""How long a tool's name may be for every provider of models."""
PINNED_CHARACTERS = 65_536
"""What a session keeps of the tools of all its servers."""
PINNED_TOOLS = 64
"""How many tools of one server a session takes."""
DESCRIPTION_CHARACTERS = 1_024
SCHEMA_CHARACTERS = 8_192
SCHEMA_DEPTH = 24

Side = Literal["executor", "server"]
"""Who reaches the server: an executor starts it in the sandbox, the server asks it by HTTP."""


class McpTool(BaseModel):
    """A tool as it was listed; `remote` is its name there."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    name: str
    remote: str
    description: str
    form: dict[str, JsonValue]
    """The JSON Schema of its arguments."""
    read_only: bool = False
    """What the server says of it, which nobody verifies."""


class McpPin(BaseModel):
    """What a session has of one server."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    server_id: int = 0
    side: Side = "server"
    tools: tuple[McpTool, ...] = ()
    fault: str = ""
    """Why there are none; it is asked again after the person's next message."""
    seq: int


class McpToolsPinned(Payload):
    """An MCP server told its tools; they stay as they are for the session's life."""

    kind: Literal["mcp_tools.pinned"] = "mcp_tools.pinned"
    default_level: ClassVar[Level] = Level.CONCISE
    server: str
    server_id: int
    side: Side
    tools: tuple[McpTool, ...]
    left_out: int = 0
    """How many of what it listed were not taken: unusable, too large, too many."""


def is_mcp(tool: str) -> bool:
    """Whether a call of that name is for an MCP server."""
    return tool.startswith(PREFIX) or tool == LIST_TOOLS


def server_of(tool: str) -> str:
    """The server's name within a tool's; empty when it is none of theirs."""
    found = re.fullmatch(rf"{PREFIX}({SERVER_NAME})__.+", tool)
    return found[1] if found else ""


def tool_name(server: str, remote: str) -> str:
    """Our name for a server's tool: characters that providers refuse become `_`, and what is too long is cut."""
    return f"{PREFIX}{server}__{re.sub(r'[^A-Za-z0-9_-]', '_', remote)}"[:NAME_CHARACTERS]
