"""Small HTTP servers that speak the wire formats of model providers, byte by byte as a test wants it."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
LOOKS = "GET /v1/models "
"""By which `qd doctor` looks for servers of models on all ports of loopback."""


@dataclass
class Wire:
    """One request that came in, and the way to answer it."""

    path: str
    headers: dict[str, str]
    body: Json
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    raw: bytes = b""

    async def json(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        """A whole answer."""
        data = json.dumps(body).encode() if not isinstance(body, bytes) else body
        lines = {"Content-Type": "application/json", "Content-Length": str(len(data)), **(headers or {})}
        await self._send(self._head(status, lines) + data)

    async def begin(self, kind: str = "text/event-stream") -> None:
        """A stream's head."""
        await self._send(self._head(200, {"Content-Type": kind, "Transfer-Encoding": "chunked"}))

    async def send(self, *events: bytes) -> None:
        """Events of a stream, each a chunk of its own."""
        for event in events:
            await self._send(f"{len(event):x}\r\n".encode() + event + b"\r\n")

    async def end(self) -> None:
        """A stream's end in good order."""
        await self._send(b"0\r\n\r\n")

    async def stream(self, *events: bytes) -> None:
        """A whole stream."""
        await self.begin()
        await self.send(*events)
        await self.end()

    def cut(self) -> None:
        """The connection breaks."""
        self.writer.transport.abort()

    async def gone(self) -> None:
        """Waits until the client has closed the connection."""
        while await self.reader.read(65_536):
            pass

    async def _send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    @staticmethod
    def _head(status: int, headers: dict[str, str]) -> bytes:
        lines = [f"HTTP/1.1 {status} Status", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


Reply = Callable[[Wire], Awaitable[None]]


@dataclass
class Stub:
    """A provider that answers its requests by `replies`, in turn; `requests` are all that came."""

    replies: list[Reply]
    url: str = ""
    found: bool = False
    """Whether those who look for servers of models are answered too, as one of another test may do at any time."""
    requests: list[Wire] = field(default_factory=list[Wire])

    def next(self) -> Reply:
        """The reply to a request that has come; there must be one for each."""
        return self.replies.pop(0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept for several requests."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                request, *lines = head.decode("latin-1").strip().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                wire = Wire(request.split()[1], headers, json.loads(body or b"{}"), reader, writer, body)
                if request.startswith(LOOKS) and not self.found:
                    await wire.json(404, {})
                    continue
                self.requests.append(wire)
                await self.next()(wire)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*replies: Reply, found: bool = False) -> AsyncGenerator[Stub]:
    """A stub on a free port of loopback, for as long as the block lasts."""
    stub = Stub(list(replies), found=found)
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0)
    stub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield stub
    finally:
        server.close()
        for wire in stub.requests:
            wire.cut()
        await server.wait_closed()


def stream(*events: bytes) -> Reply:
    """A reply of these events."""
    return lambda wire: wire.stream(*events)


def refusal(status: int, body: object, headers: dict[str, str] | None = None) -> Reply:
    """A reply of a status and a body."""
    return lambda wire: wire.json(status, body, headers)


def sse(data: object, event: str = "") -> bytes:
    """One server-sent event."""
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode()


def delta(finish: str | None = None, **fields: object) -> bytes:
    """One chunk of OpenAI's chat completions."""
    choice = {"index": 0, "delta": fields, "finish_reason": finish}
    return sse({"id": "r1", "object": "chat.completion.chunk", "created": 1, "model": "m-1", "choices": [choice]})


def call_delta(index: int, arguments: str, name: str | None = None, call_id: str | None = None) -> bytes:
    """A fragment of a tool call in OpenAI's chat completions."""
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    started = {} if call_id is None else {"id": call_id, "type": "function"}
    return delta(tool_calls=[{"index": index, "function": function, **started}])


def openai(*chunks: bytes, finish: str = "stop", usage: Json | None = None) -> list[bytes]:
    """A whole stream of OpenAI's chat completions around `chunks`."""
    last: Json = {"id": "r1", "object": "chat.completion.chunk", "created": 1, "model": "m-1", "choices": []}
    counted = [sse(last | {"usage": usage})] if usage else []
    return [delta(role="assistant", content=""), *chunks, delta(finish), *counted, sse("[DONE]")]


@dataclass(frozen=True)
class Block:
    """One content block of an Anthropic message and the deltas that fill it."""

    start: Json
    deltas: tuple[Json, ...]


def text_block(*pieces: str) -> Block:
    """Text in pieces."""
    return Block({"type": "text", "text": ""}, tuple({"type": "text_delta", "text": piece} for piece in pieces))


def thinking_block(signature: str, *pieces: str) -> Block:
    """Signed thoughts in pieces."""
    thoughts = tuple({"type": "thinking_delta", "thinking": piece} for piece in pieces)
    start = {"type": "thinking", "thinking": "", "signature": ""}
    return Block(start, (*thoughts, {"type": "signature_delta", "signature": signature}))


def tool_block(call_id: str, name: str, *pieces: str) -> Block:
    """A tool call whose arguments come in pieces."""
    start: Json = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
    return Block(start, tuple({"type": "input_json_delta", "partial_json": piece} for piece in pieces))


def anthropic(*blocks: Block, stop: str = "end_turn", usage: Json | None = None, output: int = 5) -> list[bytes]:
    """A whole stream of Anthropic's messages around `blocks`."""
    events: list[Json] = [
        {
            "type": "message_start",
            "message": {
                "id": "msg_1", "type": "message", "role": "assistant", "model": "m-1", "content": [],
                "stop_reason": None, "stop_sequence": None,
                "usage": usage or {"input_tokens": 10, "output_tokens": 1},
            },
        },
        {"type": "ping"},
    ]  # fmt: skip
    for index, block in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block.start})
        events.extend({"type": "content_block_delta", "index": index, "delta": piece} for piece in block.deltas)
        events.append({"type": "content_block_stop", "index": index})
    done = {"stop_reason": stop, "stop_sequence": None}
    events.append({"type": "message_delta", "delta": done, "usage": {"output_tokens": output}})
    events.append({"type": "message_stop"})
    return [sse(event, str(event["type"])) for event in events]


def openai_error(message: str, code: str | None = None) -> Json:
    """An error body of OpenAI's."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def anthropic_error(message: str, kind: str) -> Json:
    """An error body of Anthropic's."""
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def responses(*items: Json, usage: Json | None = None, status: str = "completed") -> list[bytes]:
    """A whole stream of OpenAI's Responses API of these output items; each text comes in two pieces."""
    whole: Json = {
        "id": "resp_1", "object": "response", "created_at": 1, "model": "m-1", "output": [], "status": "in_progress",
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
    }  # fmt: skip
    events: list[Json] = [{"type": "response.created", "response": whole}]
    for index, item in enumerate(items):
        at = {"output_index": index, "item_id": item["id"]}
        begun: Json = {**item, "status": "in_progress"} if item["type"] != "reasoning" else {**item, "summary": []}
        begun |= {"content": []} if item["type"] == "message" else {}
        begun |= {"arguments": ""} if item["type"] == "function_call" else {}
        events.append({"type": "response.output_item.added", "output_index": index, "item": begun})
        events += [{**event, **at} for event in _within(item)]
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    end = {**whole, "status": status, "output": list(items)}
    end["usage"] = usage or {
        "input_tokens": 11, "output_tokens": 5, "total_tokens": 16,
        "input_tokens_details": {"cached_tokens": 4}, "output_tokens_details": {"reasoning_tokens": 2},
    }  # fmt: skip
    if status == "incomplete":
        end["incomplete_details"] = {"reason": "max_output_tokens"}
    events.append({"type": f"response.{status}", "response": end})
    return [sse({"sequence_number": n, **event}, str(event["type"])) for n, event in enumerate(events)]


def _within(item: Json) -> list[Json]:
    match item["type"]:
        case "message":
            text = str(item["content"][0]["text"])
            empty: Json = {"type": "output_text", "text": "", "annotations": []}
            pieces = [text[: len(text) // 2], text[len(text) // 2 :]]
            return [
                {"type": "response.content_part.added", "content_index": 0, "part": empty},
                *(
                    {"type": "response.output_text.delta", "content_index": 0, "delta": piece, "logprobs": []}
                    for piece in pieces
                ),
            ]
        case "function_call":
            arguments = str(item["arguments"])
            pieces = [arguments[: len(arguments) // 2], arguments[len(arguments) // 2 :]]
            return [{"type": "response.function_call_arguments.delta", "delta": piece} for piece in pieces]
        case _:
            text = str(item["summary"][0]["text"])
            part = {"type": "summary_text", "text": ""}
            return [
                {"type": "response.reasoning_summary_part.added", "summary_index": 0, "part": part},
                {"type": "response.reasoning_summary_text.delta", "summary_index": 0, "delta": text},
            ]


def said_item(text: str) -> Json:
    """A message among a response's output."""
    content: list[Json] = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}


def call_item(call_id: str, name: str, arguments: str) -> Json:
    """A tool call among a response's output."""
    return {
        "type": "function_call", "id": f"fc_{call_id}", "call_id": call_id, "name": name, "arguments": arguments,
        "status": "completed",
    }  # fmt: skip


def reasoning_item(summary: str, encrypted: str) -> Json:
    """Thoughts among a response's output, with what goes back unread."""
    parts = [{"type": "summary_text", "text": summary}]
    return {"type": "reasoning", "id": "rs_1", "summary": parts, "encrypted_content": encrypted}


def google(*parts: Json, finish: str | None = "STOP", usage: Json | None = None) -> list[bytes]:
    """A whole stream of Google's generateContent, each part a chunk of its own."""
    chunks: list[Json] = [{"candidates": [{"index": 0, "content": {"role": "model", "parts": [p]}}]} for p in parts]
    last: Json = {"index": 0, "content": {"role": "model", "parts": [{"text": ""}]}}
    if finish:
        last["finishReason"] = finish
    counted = usage or {"promptTokenCount": 12, "candidatesTokenCount": 6, "totalTokenCount": 18}
    chunks.append({"candidates": [last], "usageMetadata": counted})
    return [sse({"responseId": "r1", "modelVersion": "m-1", **chunk}) for chunk in chunks]


def google_error(message: str, status: str, code: int) -> Json:
    """An error body of Google's."""
    return {"error": {"code": code, "message": message, "status": status}}
