"""A receiver of webhooks on loopback, which answers as a test says and keeps what came."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Came:
    """One request."""

    path: str
    headers: dict[str, str]
    body: str


@dataclass
class Receiver:
    """What came, and how the next is answered."""

    url: str = ""
    came: list[Came] = field(default_factory=list[Came])
    status: Callable[[Came], int] = lambda _: 204
    more: str = ""
    """Further headers of each answer, with their line ends."""
    text: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = (await reader.readexactly(int(headers["content-length"]))).decode()
            one = Came(first.split(" ")[1], headers, body)
            status = self.status(one)
            self.came.append(one)
            said = self.text.encode()
            answer = f"HTTP/1.1 {status} X\r\n{self.more}Content-Length: {len(said)}\r\nConnection: close\r\n\r\n"
            writer.write(answer.encode() + said)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiving() -> AsyncGenerator[Receiver]:
    """A receiver that takes all, on a port of its own."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?key=of-the-receiver"
    async with server:
        yield receiver
