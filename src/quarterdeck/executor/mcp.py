"""MCP servers over their standard input and output: started in the sandbox for one call, and ended with it.

A small exchange of JSON lines of our own: the executor needs three requests of the protocol, in the walls and under
the kill of every other command, and no library that starts processes by itself.
"""

import asyncio
import json
from typing import cast

from pydantic import JsonValue

from quarterdeck import __version__
from quarterdeck.core import mcp
from quarterdeck.core.errors import InvalidInputError, TooLargeError, UnavailableError
from quarterdeck.core.events import Outcome
from quarterdeck.core.limits import RESULT_CHARACTERS
from quarterdeck.core.protocol import McpSpec
from quarterdeck.core.text import clean, cut, line
from quarterdeck.executor.command import Command
from quarterdeck.executor.hands import Done, Hands
from quarterdeck.executor.output import CHUNK_BYTES
from quarterdeck.tools.mcp import CALL_SECONDS, LIST_SECONDS, MESSAGE_BYTES, PAGES, listed, redactor, told

PROTOCOL = "2025-06-18"
"""The version that is spoken first; a server may answer with another, in which these requests are the same."""
_NO_METHOD = -32601
Message = dict[str, JsonValue]


async def carry_out(hands: Hands, spec: McpSpec, args: dict[str, JsonValue]) -> Done:
    """A call of one of the server's tools, or its list of them; its errors go to the call's output.

    Raises:
        UnavailableError: it ended, or didn't answer in time.
        InvalidInputError: it refused, or what it says is not of the protocol.
    """
    if not spec.command:
        raise UnavailableError(f"{spec.server} may not be started any more.")
    seconds = CALL_SECONDS if spec.tool else LIST_SECONDS
    try:
        async with (
            asyncio.timeout(seconds),
            hands.processes.conversing(
                hands.subject,
                list(spec.command),
                root=hands.root,
                env=spec.env,
                sink=hands.sink,
                network=hands.network,
            ) as command,
        ):
            talk = _Talk(spec.server, command)
            await talk.begin()
            if not spec.tool:
                return await _tools(talk, spec)
            result = told(await talk.ask("tools/call", {"name": spec.tool, "arguments": args}))
    except TimeoutError:
        raise UnavailableError(f"The MCP server {spec.server} did not answer within {seconds} seconds.") from None
    text = redactor(spec.env.values()).text(result.text)
    return Done(
        Outcome.ERROR if result.failed else Outcome.OK,
        cut(text, RESULT_CHARACTERS),
        truncated=len(text) > RESULT_CHARACTERS,
    )


async def _tools(talk: "_Talk", spec: McpSpec) -> Done:
    raw: list[JsonValue] = []
    cursor: JsonValue = None
    for _ in range(PAGES):
        page = await talk.ask("tools/list", {"cursor": cursor} if cursor is not None else {})
        tools, cursor = page.get("tools"), page.get("nextCursor")
        raw += tools if isinstance(tools, list) else []
        if not isinstance(cursor, str):
            break
    found = listed(spec.server, raw, room=mcp.PINNED_CHARACTERS)
    return Done(Outcome.OK, f"{len(found.tools)} tools.", tools=found.tools, tools_left_out=found.left_out)


class _Talk:
    """One conversation with a server."""

    def __init__(self, server: str, command: Command) -> None:
        self._named = f"The MCP server {server}"
        self._command = command
        self._read = bytearray()
        self._number = 0
        self._left = MESSAGE_BYTES

    async def begin(self) -> None:
        """Each says who it is."""
        client: Message = {"name": "quarterdeck", "version": __version__}
        await self.ask("initialize", {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": client})
        await self._say({"method": "notifications/initialized"})

    async def ask(self, method: str, params: Message) -> Message:
        """The result of a request; in between notices are passed over, and requests of the server's own declined."""
        self._number += 1
        await self._say({"id": self._number, "method": method, "params": params})
        while True:
            message = await self._hear()
            if isinstance(message.get("method"), str):
                await self._decline(message)
            elif message.get("id") == self._number:
                return self._result(message)

    def _result(self, message: Message) -> Message:
        match message:
            case {"result": dict(result)}:
                return result
            case {"error": dict(error)}:
                said = line(clean(str(error.get("message", "no reason"))), 1_000)
                raise InvalidInputError(f"{self._named} refused: {said}")
            case _:
                raise InvalidInputError(f"{self._named} answered with what is no result.")

    async def _decline(self, message: Message) -> None:
        number = message.get("id")
        if number is None:
            return
        if message["method"] == "ping":
            await self._say({"id": number, "result": {}})
        else:
            await self._say({"id": number, "error": {"code": _NO_METHOD, "message": "not offered here"}})

    async def _say(self, message: Message) -> None:
        writer = self._command.input
        if writer is None:
            raise UnavailableError(f"{self._named} was not started.")
        try:
            writer.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            await writer.drain()
        except ConnectionError:  # it has ended: why is seen where its answer is waited for
            return

    async def _hear(self) -> Message:
        """The next message; lines that are none, which some servers print, are passed over."""
        while True:
            end = self._read.find(b"\n")
            if end >= 0:
                data = bytes(self._read[:end])
                del self._read[: end + 1]
                if (message := _message(data)) is not None:
                    return message
                continue
            chunk = await self._command.output.read(CHUNK_BYTES)
            if not chunk:
                raise UnavailableError(f"{self._named} ended before it answered. Its output says more.")
            self._left -= len(chunk)
            if self._left < 0:
                raise TooLargeError(f"{self._named} answered with more than {MESSAGE_BYTES:,} bytes.")
            self._read += chunk


def _message(data: bytes) -> Message | None:
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return cast(Message, message) if isinstance(message, dict) else None
