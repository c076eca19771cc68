"""Git's smart HTTP: the programs behind it, streamed both ways as fast as the slower end takes it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path

import structlog

from quarterdeck.app.outside import PushGate, RefUpdate
from quarterdeck.core.text import decode
from quarterdeck.forges.local import git, pushes

REQUEST_SECONDS = 3600.0
_PROGRAMS = {"git-upload-pack": "upload-pack", "git-receive-pack": "receive-pack"}

_log = structlog.get_logger(__name__)


async def advertisement(folder: Path, service: str, protocol: str) -> AsyncGenerator[bytes]:
    """The refs that there are, or what this git can do."""
    if not (service == "git-upload-pack" and "version=2" in protocol.split(":")):
        yield pushes.line(f"# service={service}\n".encode()) + b"0000"
    arguments = (_PROGRAMS[service], "--stateless-rpc", "--advertise-refs", str(folder))
    async with aclosing(_stream(arguments, _nothing(), protocol)) as pieces:
        async for piece in pieces:
            yield piece


async def exchange(folder: Path, service: str, body: AsyncIterator[bytes], protocol: str) -> AsyncGenerator[bytes]:
    """One request's answer."""
    arguments = (_PROGRAMS[service], "--stateless-rpc", str(folder))
    async with aclosing(_stream(arguments, body, protocol)) as pieces:
        async for piece in pieces:
            yield piece


class Pushes:
    """Pushes that are being received; what one did is told even when its client has gone."""

    def __init__(self) -> None:
        self._settling: set[asyncio.Task[None]] = set()

    async def receive(self, folder: Path, body: AsyncIterator[bytes], gate: PushGate | None) -> AsyncGenerator[bytes]:
        """One push: refused whole, or given to git, and its outcome told to the gate."""
        push = await pushes.read(body)
        reasons = gate.refusals(push.updates) if gate else {}
        if reasons:
            async for _ in body:  # the client reads the answer only after it has sent everything
                pass
            yield pushes.refusal(push, reasons)
            return
        try:
            async with aclosing(exchange(folder, "git-receive-pack", _chained(bytes(push.seen), body), "")) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            if gate and push.updates:
                task = asyncio.create_task(_settle(folder, push.updates, gate))
                self._settling.add(task)
                task.add_done_callback(self._settling.discard)
                await asyncio.shield(task)


async def _settle(folder: Path, updates: tuple[RefUpdate, ...], gate: PushGate) -> None:
    output = decode(await git.ask("for-each-ref", "--format=%(objectname) %(refname)", directory=folder))
    standing = {ref: sha for sha, _, ref in (line.partition(" ") for line in output.split("\n"))}
    made = [u for u in updates if (u.ref not in standing if u.deletes else standing.get(u.ref) == u.new)]
    if made:
        await gate.accepted(tuple(made))


async def _stream(arguments: tuple[str, ...], body: AsyncIterator[bytes], protocol: str) -> AsyncGenerator[bytes]:
    environment = {"GIT_PROTOCOL": protocol} if protocol else {}
    deadline = asyncio.get_running_loop().time() + REQUEST_SECONDS
    wary = arguments[0] == "receive-pack"
    async with git.process(*arguments, environment=environment, wary=wary) as started:
        sending = asyncio.create_task(_send(started.stdin, body))
        errors = asyncio.create_task(git.drain(started.stderr))
        try:
            while True:
                async with asyncio.timeout_at(deadline):
                    piece = await started.stdout.read(git.CHUNK_BYTES)
                if not piece:
                    break
                yield piece
            if await started.wait():
                _log.warning("git ended with an error", command=arguments[0], reason=decode(await errors).strip())
        finally:
            sending.cancel()
            errors.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(sending, errors, return_exceptions=True)


async def _send(stdin: asyncio.StreamWriter, body: AsyncIterator[bytes]) -> None:
    try:
        with suppress(BrokenPipeError, ConnectionResetError):
            async for piece in body:
                stdin.write(piece)
                await stdin.drain()
    finally:
        stdin.close()  # a body that broke off is one that ends too early for git, too


async def _nothing() -> AsyncGenerator[bytes]:
    for piece in ():
        yield piece


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    yield first
    async for piece in rest:
        yield piece
