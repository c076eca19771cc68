"""A server for the time of one command, when none is running."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import IO, Any

import httpx

from quarterdeck.client.request import trust
from quarterdeck.doors.cli.client import Client, find
from quarterdeck.doors.cli.command import Cli
from quarterdeck.doors.cli.failure import Exit, Failure
from quarterdeck.doors.cli.plain import plain

START_SECONDS = 180.0
"""The first start of all unpacks and makes a database."""
STOP_SECONDS = 60.0
POLL_SECONDS = 0.2


@asynccontextmanager
async def running_server(cli: Cli) -> AsyncGenerator[Client]:
    """A client of the server that runs; of one that is started here, and stopped at the end, when none does.

    Raises:
        Failure: the server that `--server` names doesn't answer, or ours doesn't start; with what it said.
    """
    if cli.options.server is not None or await _answers(find(None, None).url):
        async with cli.client() as client:
            yield client
        return
    cli.say("No server is running; starting one for the time of this command.")
    with _ended_by_signals(), tempfile.TemporaryFile() as said:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "quarterdeck", "serve", "--parent", str(os.getpid()),
            stdin=asyncio.subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
        )  # fmt: skip
        try:
            await _wait_for(process, said)
            async with cli.client() as client:
                await _wait_for_hands(client)
                yield client
        finally:
            with suppress(OSError):  # the terminal may be gone
                cli.say("Stopping the server. `qd serve` starts it again, with all that it has.")
            await _stop(process)


@contextmanager
def _ended_by_signals() -> Generator[None]:
    """Lets SIGTERM and SIGHUP end the command as Ctrl-C does: what it started is stopped first."""
    loop, task, came = asyncio.get_running_loop(), asyncio.current_task(), list[signal.Signals]()

    def end(number: signal.Signals) -> None:
        came.append(number)
        if task is not None and len(came) == 1:
            task.cancel()

    heeded = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is not signal.SIG_IGN]
    for number in heeded:
        loop.add_signal_handler(number, end, number)
    try:
        yield
    except asyncio.CancelledError:
        if not came:
            raise
        raise Failure(f"Ended by {came[0].name}.", Exit.TERMINATED) from None
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)


async def _wait_for(process: asyncio.subprocess.Process, said: IO[bytes]) -> None:
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await _answers(find(None, None).url):
                if process.returncode is not None:
                    raise Failure(f"The server didn't start:\n{_tail(said)}", Exit.UNREACHABLE)
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        message = f"The server didn't answer within {START_SECONDS:.0f} seconds:\n{_tail(said)}"
        raise Failure(message, Exit.UNREACHABLE) from None


async def _wait_for_hands(client: Client) -> None:
    """Until its runner has said hello; without one nothing could be shown, but the session would say so itself."""
    for _ in range(int(30 / POLL_SECONDS)):
        health: Any = await client.get("/health")
        if any(runner["alive"] for runner in health["runners"]):
            return
        await asyncio.sleep(POLL_SECONDS)


async def _answers(url: str) -> bool:
    try:
        async with httpx.AsyncClient(timeout=5, verify=trust(url)) as http:
            return (await http.get(f"{url}/healthz")).is_success
    except httpx.TransportError:
        return False


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await asyncio.shield(process.wait())
    except TimeoutError:
        process.kill()
        await process.wait()


def _tail(said: IO[bytes]) -> str:
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - 4_000))
    return plain(said.read().decode("utf-8", "replace")).strip()
