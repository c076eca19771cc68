"""Lines on loopback that can be cut: what a process is told as its server's or its database's address."""

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
Target = int | Path
"""A port of this machine, or a socket in the file system."""


class Wire:
    """One port; each connection goes on to the first of its targets, in turn, that takes it."""

    def __init__(self, exchange: "Exchange", *targets: Target) -> None:
        self._exchange, self._targets = exchange, targets
        self._turn, self._cut = 0, False
        self._speaks = asyncio.Event()
        self._speaks.set()
        self._open: set[_End] = set()
        self.port: int = exchange.do(self._listen())
        exchange.wires.append(self)

    def cut(self) -> None:
        """Ends what is open, in the middle of a word, and lets nothing through from now on."""
        self._exchange.do(self._set(cut=True))

    def mute(self) -> None:
        """Lets nothing through from now on, and nobody is told: as when packets are lost on their way."""
        self._exchange.do(self._set(mute=True))

    def mend(self) -> None:
        """Lets everything through again, with what was held back."""
        self._exchange.do(self._set())

    async def _set(self, *, cut: bool = False, mute: bool = False) -> None:
        self._cut = cut
        if mute:
            self._speaks.clear()
        else:
            self._speaks.set()
        if cut:
            self.end()
        for end in self._open:
            if mute:
                end.transport.pause_reading()
            else:
                end.transport.resume_reading()

    def end(self) -> None:
        """Ends what is open, within the exchange."""
        for end in tuple(self._open):
            end.transport.abort()

    async def _listen(self) -> int:
        server = await asyncio.get_running_loop().create_server(lambda: _Near(self), "127.0.0.1", 0)
        self._exchange.servers.append(server)
        return server.sockets[0].getsockname()[1]

    async def connect(self, near: "_Near") -> None:
        """The far end of a connection that came in."""
        await self._speaks.wait()
        self._turn += 1
        for place in range(len(self._targets)):
            target = self._targets[(self._turn + place) % len(self._targets)]
            try:
                if not self._cut:
                    await self._connected(near, target)
                    return
            except OSError:
                continue
        near.transport.abort()

    def opened(self, end: "_End") -> None:
        """It is cut with the others."""
        self._open.add(end)
        if not self._speaks.is_set():
            end.transport.pause_reading()

    def closed(self, end: "_End") -> None:
        """It has ended."""
        self._open.discard(end)

    async def _connected(self, near: "_Near", target: Target) -> None:
        loop = asyncio.get_running_loop()
        if isinstance(target, Path):
            await loop.create_unix_connection(lambda: _Far(self, near), str(target))
        else:
            await loop.create_connection(lambda: _Far(self, near), "127.0.0.1", target)


class _End(asyncio.Protocol):
    """One end of a connection; what comes here goes out at the other."""

    transport: asyncio.Transport

    def __init__(self, wire: Wire, other: "_End | None" = None) -> None:
        self.wire, self.other = wire, other

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.wire.closed(self)
        if self.other is not None and exc is None:
            self.other.transport.close()
        elif self.other is not None:
            self.other.transport.abort()

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.transport.resume_reading()


class _Near(_End):
    _connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.pause_reading()  # until there is where to send it
        self._connecting = asyncio.create_task(self.wire.connect(self))


class _Far(_End):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.other is not None
        self.other.other = self
        if self.other.transport.is_closing():
            self.transport.abort()
            return
        self.other.transport.resume_reading()
        self.wire.opened(self)
        self.wire.opened(self.other)


class Exchange:
    """The thread in which all wires are."""

    def __init__(self) -> None:
        self.servers: list[asyncio.Server] = []
        self.wires: list[Wire] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wires", daemon=True)
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Has it done there, and answers what came of it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def close(self) -> None:
        """Ends all wires."""
        self.do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        for server in self.servers:
            server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        for wire in self.wires:
            wire.end()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # in which connections are closed
