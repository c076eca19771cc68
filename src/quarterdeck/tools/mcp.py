"""What MCP servers say, made harmless: their lists of tools, their results. All of it is text of strangers."""

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pydantic import JsonValue
from typing_extensions import override

from quarterdeck.core import mcp
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.events import Level
from quarterdeck.core.mcp import McpPin, McpTool
from quarterdeck.core.redaction import Redactor
from quarterdeck.core.text import clean
from quarterdeck.tools import schema
from quarterdeck.tools.tool import FreeArgs, Privilege, Tool, ToolArgs

LIST_SECONDS = 20
CALL_SECONDS = 120
PAGES = 10
"""How many pages of a list of tools are read."""
MESSAGE_BYTES = 4 * 1024 * 1024
"""What a server may say in answer to one call, or to all questions for its tools."""

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


@dataclass(frozen=True)
class Listed:
    """What was taken of a list of tools, and how many were not."""

    tools: tuple[McpTool, ...]
    left_out: int


def listed(server: str, raw: Iterable[JsonValue], *, allowed: Sequence[str] = (), room: int) -> Listed:
    """The usable tools of a list, in its order, as many as there is `room` for in characters.

    `allowed` are globs of the server's own names; none allow all. What nobody allows is not counted as left out.
    """
    tools: dict[str, McpTool] = {}
    left_out = 0
    for item in raw:
        name = item.get("name") if isinstance(item, dict) else None
        if isinstance(name, str) and not allows(allowed, name):
            continue
        found = _tool(server, item) if isinstance(item, dict) else None
        size = len(found.model_dump_json()) if found else 0
        if found is None or found.name in tools or size > room or len(tools) == mcp.PINNED_TOOLS:
            left_out += 1
            continue
        room -= size
        tools[found.name] = found
    return Listed(tuple(tools.values()), left_out)


def allows(globs: Sequence[str], remote: str) -> bool:
    """Whether a server's tool may be used at all."""
    return not globs or any(fnmatchcase(remote, glob) for glob in globs)


def _tool(server: str, item: Mapping[str, JsonValue]) -> McpTool | None:
    remote, form = item.get("name"), item.get("inputSchema", {"type": "object"})
    if not isinstance(remote, str) or not 1 <= len(remote) <= 128 or not remote.isprintable():
        return None
    try:
        form = _seen_value(form, mcp.SCHEMA_DEPTH)
        if not isinstance(form, dict) or len(json.dumps(form)) > mcp.SCHEMA_CHARACTERS:
            return None
        form = {"type": "object", **form}
        if form["type"] != "object" or schema.refusal(form):
            return None
    except (ValueError, RecursionError):
        return None
    description, annotations = item.get("description"), item.get("annotations")
    said = seen(description) if isinstance(description, str) else ""
    return McpTool(
        name=mcp.tool_name(server, remote),
        remote=remote,
        description=said[: mcp.DESCRIPTION_CHARACTERS].strip(),
        form=form,
        read_only=isinstance(annotations, dict) and annotations.get("readOnlyHint") is True,
    )


def seen(text: str) -> str:
    """`text` without what no reader sees: control and format characters, which hide words from people alone."""
    return "".join(c for c in clean(text) if c in "\n\t" or unicodedata.category(c) not in _UNSEEN)


def _seen_value(value: JsonValue, depth: int) -> JsonValue:
    """The same for every text of a schema. Raises ValueError when it is too deep, or a name has such characters."""
    if depth == 0:
        raise ValueError
    match value:
        case str():
            return seen(value)
        case list():
            return [_seen_value(item, depth - 1) for item in value]
        case dict():
            if not all(name.isprintable() for name in value):
                raise ValueError
            return {name: _seen_value(item, depth - 1) for name, item in value.items()}
        case _:
            return value


@dataclass(frozen=True)
class RemoteTool(Tool):
    """A tool of an MCP server, whose arguments the server checks itself.

    A stranger's schema is shown to the model and not run here: it could be made to take for ever, or never to end.
    """

    @override
    def parse(self, args: dict[str, JsonValue]) -> ToolArgs:
        """The arguments as they are, if all that must be there is there. Raises InvalidInputError."""
        required = (self.form or {}).get("required")
        missing = [name for name in required if str(name) not in args] if isinstance(required, list) else []
        if missing:
            raise InvalidInputError(f"The arguments of {self.name} don't fit: {', '.join(map(str, missing))}: missing")
        return FreeArgs.model_construct()


def tools_of(pins: Mapping[str, McpPin]) -> dict[str, Tool]:
    """The tools of all servers that a session has asked, by name."""
    return {tool.name: as_tool(server, pin, tool) for server, pin in pins.items() for tool in pin.tools}


def as_tool(server: str, pin: McpPin, tool: McpTool) -> Tool:
    """A pinned tool as agents are given it."""
    return RemoteTool(
        name=tool.name,
        description=f"(A tool of the MCP server {server}.) {tool.description or tool.remote}",
        args=FreeArgs,
        side=pin.side,
        risk="read" if tool.read_only else "write",
        privilege=Privilege.RUN_MCP_TOOLS,
        level=Level.CONCISE,
        timeout_seconds=CALL_SECONDS,
        snapshot=pin.side == "executor",
        form=tool.form,
    )


def redactor(secrets: Iterable[str]) -> Redactor:
    """Takes what was given to a server out of what it says: also the token behind a scheme, as in `Bearer TOKEN`."""
    return Redactor(part for secret in secrets for part in (secret, secret.rpartition(" ")[2]))


@dataclass(frozen=True)
class Told:
    """The result of a call, for the model."""

    text: str
    failed: bool


def told(result: Mapping[str, JsonValue]) -> Told:
    """What a `tools/call` came to: its texts; of what is no text, what it is."""
    content = result.get("content")
    parts = [_part(item) for item in content if isinstance(item, dict)] if isinstance(content, list) else []
    structured = result.get("structuredContent")
    if not any(parts) and structured is not None:
        parts = [json.dumps(structured, ensure_ascii=False)]
    text = "\n".join(part for part in parts if part)
    return Told(clean(text) or "The tool answered nothing.", result.get("isError") is True)


def _part(item: Mapping[str, JsonValue]) -> str:
    match item:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "resource", "resource": {"text": str(text)}}:
            return text
        case {"type": "resource_link", "uri": str(uri)}:
            return uri
        case {"type": str(kind), "data": str(data)}:
            return f"[{kind} of {len(data):,} characters left out]"
        case _:
            return "[left out: it is no text]"
