"""A small MCP server over HTTP that says, byte by byte, what a test wants; and one over input and output."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Answer = Callable[[Json], Json | Awaitable[Json]]

ECHO: Json = {
    "name": "echo",
    "description": "Says again what it is told.",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    "annotations": {"readOnlyHint": True},
}


def echo(params: Json) -> Json:
    """The result of the tool above."""
    return {"content": [{"type": "text", "text": f"echo: {params['arguments']['text']}"}]}


@dataclass
class McpServer:
    """What it answers to each method, and all that it was asked."""

    answers: dict[str, Answer]
    url: str = ""
    status: tuple[int, str] = (200, "")
    """Another status than 200, and the header line that goes with it."""
    asked: list[Json] = field(default_factory=list[Json])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    def calls(self, method: str) -> list[Json]:
        """The parameters of each request of that method."""
        return [message.get("params", {}) for message in self.asked if message.get("method") == method]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                request, *lines = head.decode("latin-1").strip().split("\r\n")
                headers = {n.lower(): v.strip() for n, _, v in (one.partition(":") for one in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                if request.startswith("POST"):  # others may look for what answers on this machine
                    self.headers.append(headers)
                status, data = await self._answer(request.split()[0], json.loads(body or b"null"))
                extra = f"{self.status[1]}\r\n" if status == self.status[0] and self.status[1] else ""
                writer.write(
                    f"HTTP/1.1 {status} S\r\n{extra}Content-Type: application/json\r\n"
                    f"Content-Length: {len(data)}\r\n\r\n".encode()
                    + data
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, verb: str, message: Any) -> tuple[int, bytes]:
        if self.status[0] != 200:
            return self.status[0], b""
        if verb != "POST":
            return 405, b""
        self.asked.append(message)
        if "id" not in message:
            return 202, b""
        answer = self.answers.get(message["method"])
        if answer is None:
            said: Json = {"error": {"code": -32601, "message": f"no {message['method']}"}}
        else:
            found = answer(message.get("params", {}))
            said = found if isinstance(found, dict) else await found
            said = said if "error" in said else {"result": said}
        return 200, json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}).encode()


def welcome(params: Json) -> Json:
    """The answer to `initialize`, in the version that was asked for."""
    return {
        "protocolVersion": params["protocolVersion"],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "stub", "version": "1"},
    }


@asynccontextmanager
async def serving(**answers: Answer) -> AsyncGenerator[McpServer]:
    """A server on a free port of loopback; `tools_list` and `tools_call` are its answers, by default one echo."""
    methods: dict[str, Answer] = {
        "initialize": welcome,
        "ping": lambda _: {},
        "tools/list": lambda _: {"tools": [ECHO]},
        "tools/call": echo,
    }
    stub = McpServer(methods | {name.replace("_", "/"): answer for name, answer in answers.items()})
    writers: set[asyncio.StreamWriter] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        await stub.serve(reader, writer)

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    stub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
    try:
        yield stub
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()


STDIO = """\
import json, os, sys
print("a line that is no message")
print("started", file=sys.stderr, flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    method, params = asked["method"], asked.get("params", {})
    print(json.dumps({"jsonrpc": "2.0", "id": 99, "method": "roots/list"}), flush=True)
    declined = json.loads(sys.stdin.readline())
    assert declined["id"] == 99 and declined["error"]["code"] == -32601, declined
    if method == "initialize":
        me = {"name": "s", "version": "1"}
        said = {"protocolVersion": "2024-11-05", "capabilities": {"tools": {}}, "serverInfo": me}
    elif method == "tools/list" and "cursor" not in params:
        said = {"tools": [
            {"name": "note", "description": "Writes a\\x1b[31m note\\u202e.", "inputSchema": {"type": "object"}},
            {"name": "hang", "inputSchema": {"type": "object"}},
        ], "nextCursor": "2"}
    elif method == "tools/list":
        said = {"tools": [{"name": "die", "inputSchema": {"type": "object"}}]}
    elif params["name"] == "note":
        with open("note.txt", "w") as file:
            file.write(params["arguments"]["text"])
        said = {"content": [{"type": "text", "text": "noted with " + os.environ.get("NOTES_TOKEN", "nothing")}]}
    elif params["name"] == "die":
        sys.exit("it died")
    else:
        import time
        time.sleep(600)
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": said}), flush=True)
"""
"""A server over input and output: it writes notes into the workspace, hangs, and dies."""
