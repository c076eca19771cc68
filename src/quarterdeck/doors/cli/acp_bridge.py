"""Between an editor's pipes and the server's `/acp`: lines of JSON both ways, over any number of connections.

When the server goes away the editor is told so for each thing that it waits for, and its sessions are resumed as soon
as the server is back. Requests of the server are numbered anew for each connection, so an answer that comes late, to
one of a connection before, reaches nobody.
"""

import asyncio
import json
import sys
from contextlib import suppress
from typing import Any, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from quarterdeck.doors.cli.failure import Exit, Failure

LINE_BYTES = 16 * 1024 * 1024
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 5.0
OWN = "bridge-"
"""How the ids of requests begin that the bridge makes itself."""
LOST = "The server went away. The session goes on there when it is back; say it again then."
Message = dict[str, Any]


class Bridge:
    """One editor."""

    def __init__(self, url: str, token: str, wish: dict[str, str]) -> None:
        self._url = f"{url.replace('http', 'ws', 1)}/acp"
        self._token, self._wish = token, wish
        self._socket: ClientConnection | None = None
        self._connections = 0
        self._hello: Message | None = None
        self._waiting: dict[str, Message] = {}
        """Requests of the editor that have no answer yet, by their ids as JSON."""
        self._sessions: dict[str, str] = {}
        """Those that the editor has open, with their folders."""
        self._own: dict[str, asyncio.Future[Message]] = {}
        self._there = asyncio.Event()
        self._resuming: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until the editor closes its end.

        Raises:
            Failure: the server can't be reached at first, or doesn't know the token.
        """
        reader = asyncio.StreamReader(limit=LINE_BYTES)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
        listening: asyncio.Task[None] | None = None
        try:
            async for line in reader:
                message = _parsed(line)
                if message is None:
                    self._say({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "This is no JSON."}})
                    continue
                if listening is None:
                    await self._connect_first(message)
                    listening = asyncio.create_task(self._listen())
                await self._from_editor(message)
        finally:
            if listening is not None:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
            if self._socket is not None:
                await self._socket.close()

    async def _connect_first(self, message: Message) -> None:
        try:
            self._socket = await self._connected()
        except (OSError, WebSocketException) as error:
            why, code, exit_ = _why(error, self._url)
            self._say({"jsonrpc": "2.0", "id": message.get("id"), "error": {"code": code, "message": why}})
            raise Failure(why, exit_) from None
        self._there.set()

    async def _connected(self) -> ClientConnection:
        self._connections += 1
        headers = {"Authorization": f"Bearer {self._token}"}
        return await connect(self._url, additional_headers=headers, max_size=LINE_BYTES, proxy=None)

    async def _listen(self) -> None:
        """Brings what the server says, and connects anew whenever it went away."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            socket = self._socket
            if socket is not None:
                with suppress(WebSocketException):
                    async for frame in socket:
                        self._from_server(json.loads(frame))
                        pause = FIRST_PAUSE_SECONDS
            self._lost()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            with suppress(OSError, WebSocketException):
                self._socket = await self._connected()
                self._resuming = asyncio.create_task(self._resume())

    def _lost(self) -> None:
        self._socket = None
        self._there.clear()
        for request in self._waiting.values():
            self._say({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32603, "message": LOST}})
        self._waiting.clear()
        for future in self._own.values():
            future.cancel()
        self._own.clear()

    async def _resume(self) -> None:
        """Introduces the editor once more, and resumes what it has open."""
        with suppress(OSError, WebSocketException, asyncio.CancelledError):
            if self._hello is not None:
                await self._ask("initialize", _object(self._hello, "params"))
            for session_id, folder in tuple(self._sessions.items()):
                await self._ask("session/resume", {"sessionId": session_id, "cwd": folder, "mcpServers": []})
            self._there.set()

    async def _ask(self, method: str, params: Message) -> Message:
        name = f"{OWN}{len(self._own)}-{self._connections}"
        answer = self._own[name] = asyncio.get_running_loop().create_future()
        await self._send({"jsonrpc": "2.0", "id": name, "method": method, "params": params})
        return await answer

    async def _from_editor(self, message: Message) -> None:
        method = message.get("method")
        if method is None:
            message = self._answer_of_editor(message)
        elif method == "initialize":
            self._hello = message
        elif method in ("session/new", "session/resume") and self._wish:
            params = _object(message, "params")
            meta = {**_object(params, "_meta"), "quarterdeck": self._wish}
            message = {**message, "params": {**params, "_meta": meta}}
        if not message:
            return
        if method is not None and "id" in message:
            self._waiting[json.dumps(message["id"])] = message
        await self._there.wait()
        with suppress(WebSocketException):  # it went away just now, and what waits is answered
            await self._send(message)

    def _answer_of_editor(self, message: Message) -> Message:
        """The answer with the server's own id; nothing when it is for a connection before."""
        connection, _, number = str(message.get("id")).partition(":")
        return {**message, "id": int(number)} if connection == str(self._connections) and number.isdigit() else {}

    async def _send(self, message: Message) -> None:
        if self._socket is not None:
            await self._socket.send(json.dumps(message, separators=(",", ":")))

    def _from_server(self, message: Message) -> None:
        if "method" in message:
            named = {"id": f"{self._connections}:{message['id']}"} if "id" in message else {}
            self._say({**message, **named})
            return
        name = message.get("id")
        if isinstance(name, str) and name in self._own:
            self._own.pop(name).set_result(message)
            return
        request = self._waiting.pop(json.dumps(name), None)
        if request is not None:
            self._remember(request, message)
            self._say(message)

    def _remember(self, request: Message, answer: Message) -> None:
        params, result = _object(request, "params"), _object(answer, "result")
        match request.get("method"):
            case "session/new" | "session/fork" if "sessionId" in result:
                self._sessions[result["sessionId"]] = str(params.get("cwd", ""))
            case "session/load" | "session/resume" if "error" not in answer:
                self._sessions[str(params.get("sessionId"))] = str(params.get("cwd", ""))
            case "session/close" | "session/delete":
                self._sessions.pop(str(params.get("sessionId")), None)
            case _:
                pass

    @staticmethod
    def _say(message: Message) -> None:
        sys.stdout.write(json.dumps(message, ensure_ascii=False, separators=(",", ":")) + "\n")
        sys.stdout.flush()


def _parsed(line: bytes) -> Message | None:
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return cast("Message", message) if isinstance(message, dict) else None


def _object(of: Message, name: str) -> Message:
    value = of.get(name)
    return cast("Message", value) if isinstance(value, dict) else {}


def _why(error: Exception, url: str) -> tuple[str, int, Exit]:
    if isinstance(error, InvalidStatus) and error.response.status_code == 401:
        return "The server doesn't know this token. `qd token add` makes one.", -32000, Exit.FORBIDDEN
    return f"No server answers at {url}: {error}. Start it with `quarterdeck serve`.", -32603, Exit.UNREACHABLE
