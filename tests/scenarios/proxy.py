"""A proxy on loopback that is as bad as networks are: it cuts, closes what is idle, repeats and reorders requests."""

import asyncio
import random
import threading
from collections import Counter
from contextlib import suppress

IDLE_SECONDS = 2.0


class Proxy:
    """Listens in front of a port of this machine, in a thread of its own."""

    def __init__(self, target: int, seed: int) -> None:
        self.port = 0
        self.done: Counter[str] = Counter()
        """What it did to those who came through."""
        self.cut = threading.Event()
        """While it is set nothing gets through, and what was open is closed."""
        self.silent = threading.Event()
        """While it is set a request of git is heard and never answered."""
        self._target, self._chance = target, random.Random(seed)
        self._ready, self._stop = threading.Event(), threading.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "Proxy":
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        while not self._stop.is_set():
            if self.cut.is_set():
                await self._close_all()
            await asyncio.sleep(0.05)
        server.close()
        await self._close_all()

    async def _close_all(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
            self.done["cut"] += 1
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if not self.cut.is_set():
                while await self._one(reader, writer):
                    pass
        except (OSError, EOFError, TimeoutError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Passes one request on; False when the connection is to be closed."""
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), IDLE_SECONDS)
        request = head + await self._body(reader, head)
        line = head.partition(b"\r\n")[0].decode()
        if "/git/" in line and self.silent.is_set():
            self.done["git kept waiting"] += 1
            await asyncio.sleep(3_600)
        if "/stream?" in line:
            await self._stream(request, writer)
            return False
        report = line.startswith("POST") and any(word in line for word in ("/output", "/result", "/started", "/heart"))
        if report and self._chance.random() < 0.3:
            self.done["late"] += 1  # those that come behind are faster: they are in another order now
            await asyncio.sleep(self._chance.uniform(0.05, 0.4))
        if report and self._chance.random() < 0.3:
            self.done["repeated"] += 1
            await self._asked(request)
        answer = await self._asked(request)
        if report and self._chance.random() < 0.2:
            self.done["answer lost"] += 1
            return False
        writer.write(answer)
        await writer.drain()
        return False  # no connection is kept: as a proxy that closes what is idle, all the time

    async def _body(self, reader: asyncio.StreamReader, head: bytes) -> bytes:
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        if b"content-length" in fields:
            return await reader.readexactly(int(fields[b"content-length"]))
        if fields.get(b"transfer-encoding") != b"chunked":
            return b""
        body = b""
        while not body.endswith(b"0\r\n\r\n"):
            size = await reader.readuntil(b"\r\n")
            body += size + await reader.readexactly(int(size, 16) + 2)
        return body

    async def _asked(self, request: bytes) -> bytes:
        """The whole answer; the server is told to close behind it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._target)
        head, _, body = request.partition(b"\r\n\r\n")
        kept = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        writer.write(b"\r\n".join([*kept, b"Connection: close"]) + b"\r\n\r\n" + body)
        try:
            return await reader.read()
        finally:
            writer.close()

    async def _stream(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        """Server-sent events, until one says nothing for too long, which is before the server's keep-alive."""
        reader, upward = await asyncio.open_connection("127.0.0.1", self._target)
        upward.write(request)
        try:
            with suppress(TimeoutError):
                while piece := await asyncio.wait_for(reader.read(65_536), IDLE_SECONDS):
                    writer.write(piece)
                    await writer.drain()
                return
            self.done["idle stream closed"] += 1
        finally:
            upward.close()
