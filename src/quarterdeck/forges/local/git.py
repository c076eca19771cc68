"""The git program: run with nothing of the machine's configuration, bounded in time and output, killed as a group.

What takes objects in that somebody else made is bounded in memory, too: a pack of some bytes may come to any number.
"""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from quarterdeck.core.errors import QuarterdeckError, TooLargeError, UnavailableError
from quarterdeck.core.text import cut, decode

SECONDS = 60.0
OUTPUT_BYTES = 16 * 1024 * 1024
ERROR_BYTES = 64 * 1024
CHUNK_BYTES = 64 * 1024
WARY_BYTES = 2 * 1024**3
"""Of memory for git that takes in what others made; it holds an object and what that is a delta of at once."""

_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": str(Path(__file__).with_name("gitconfig")),
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/false",
    "GIT_ALLOW_PROTOCOL": "http:https:file",
    "GIT_LITERAL_PATHSPECS": "1",
}
# Not by options on its command line: git takes those away from the programs that it starts in other repositories.
_WARY = {"GIT_CONFIG_GLOBAL": str(Path(__file__).with_name("gitconfig-wary"))}
_BOUNDED = ("/bin/sh", "-c", f'ulimit -v {WARY_BYTES // 1024}; exec "$@"', "sh")


class GitError(QuarterdeckError):
    """Git didn't do what it was asked for."""

    code = "git"


@dataclass(frozen=True)
class Ended:
    """What a git command came to."""

    exit_code: int
    output: bytes
    error: str

    @property
    def reason(self) -> str:
        """Git's last words without its prefixes, for people."""
        lines = [line.strip() for line in self.error.splitlines() if line.strip()]
        told = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines[-3:]
        return "; ".join(line.removeprefix("fatal: ").removeprefix("error: ") for line in told) or "no reason given"


@dataclass(frozen=True)
class Beginning:
    """The first bytes of what a git command answered."""

    output: bytes
    cut_off: bool


@dataclass(frozen=True)
class Process:
    """A git process that runs, and its three streams."""

    running: asyncio.subprocess.Process
    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader

    async def wait(self) -> int:
        """Its exit code."""
        return await self.running.wait()


@asynccontextmanager
async def process(
    *arguments: str,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    wary: bool = False,
) -> AsyncGenerator[Process]:
    """A git process in a group of its own, which is killed whole at the end of the block.

    A `wary` one takes objects in that somebody else made, and gets no more than `WARY_BYTES` of memory.

    Raises:
        UnavailableError: git is not installed.
    """
    program = shutil.which("git")
    if program is None:
        raise UnavailableError("The program git is not installed. Install it (apt install git) and try again.")
    started = await asyncio.create_subprocess_exec(
        *(_BOUNDED if wary else ()),
        program,
        *arguments,
        cwd=directory,
        env={**_ENVIRONMENT, **(_WARY if wary else {}), **(environment or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        if started.stdin is None or started.stdout is None or started.stderr is None:
            raise GitError
        yield Process(started, started.stdin, started.stdout, started.stderr)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        await started.wait()


async def run(
    *arguments: str,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    seconds: float = SECONDS,
    limit: int = OUTPUT_BYTES,
    wary: bool = False,
) -> Ended:
    """Runs git to its end, whatever its exit code is.

    Raises:
        GitError: it took more than `seconds`.
        TooLargeError: it wrote more than `limit` bytes.
    """
    try:
        async with (
            asyncio.timeout(seconds),
            process(*arguments, directory=directory, environment=environment, wary=wary) as started,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(feed(started.stdin, stdin))
            error = group.create_task(drain(started.stderr))
            output = await _bounded(started.stdout, limit)
            code = await started.wait()
            return Ended(code, output, decode(await error))
    except TimeoutError as late:
        raise GitError(f"git {arguments[0]} took longer than {seconds:.0f} seconds and was ended.") from late
    except ExceptionGroup as several:
        raise several.exceptions[0] from None


async def ask(*arguments: str, directory: Path | None = None, stdin: bytes = b"", limit: int = OUTPUT_BYTES) -> bytes:
    """The output of a git command that has to end well. Raises GitError with git's reason."""
    ended = await run(*arguments, directory=directory, stdin=stdin, limit=limit)
    if ended.exit_code:
        raise GitError(cut(f"git {arguments[0]}: {ended.reason}", 2000))
    return ended.output


async def head(*arguments: str, directory: Path | None = None, limit: int, seconds: float = SECONDS) -> Beginning:
    """The first `limit` bytes of what a command answers; what it would say behind them is not waited for.

    Raises:
        GitError: it took more than `seconds`, was killed, or ended with more than 1, which some commands say when they
            found none.
    """
    try:
        async with (
            asyncio.timeout(seconds),
            process(*arguments, directory=directory) as started,
            asyncio.TaskGroup() as group,
        ):
            started.stdin.close()
            error = group.create_task(drain(started.stderr))
            kept = bytearray()
            while len(kept) <= limit and (piece := await started.stdout.read(CHUNK_BYTES)):
                kept += piece
            if len(kept) > limit:
                # Its end is told by asyncio only when its pipes have been read to theirs, and a full one is not read.
                with suppress(ProcessLookupError):
                    os.killpg(started.running.pid, signal.SIGKILL)
                await drain(started.stdout)
                return Beginning(bytes(kept[:limit]), cut_off=True)
            ended = Ended(await started.wait(), bytes(kept), decode(await error))
    except TimeoutError as late:
        raise GitError(f"git {arguments[0]} took longer than {seconds:.0f} seconds and was ended.") from late
    except ExceptionGroup as several:
        raise several.exceptions[0] from None
    if ended.exit_code not in (0, 1):  # a signal is a negative one, and what was read is a half
        raise GitError(cut(f"git {arguments[0]}: {ended.reason}", 2000))
    return Beginning(ended.output, cut_off=False)


async def feed(stdin: asyncio.StreamWriter, data: bytes) -> None:
    """Writes all of `data` and closes; a process that wants no more of it is left alone."""
    with suppress(BrokenPipeError, ConnectionResetError):
        stdin.write(data)
        await stdin.drain()
    stdin.close()


async def drain(stream: asyncio.StreamReader) -> bytes:
    """Reads to the end and keeps the first `ERROR_BYTES`."""
    kept = bytearray()
    while piece := await stream.read(CHUNK_BYTES):
        kept += piece[: ERROR_BYTES - len(kept)]
    return bytes(kept)


async def _bounded(stream: asyncio.StreamReader, limit: int) -> bytes:
    kept = bytearray()
    while piece := await stream.read(CHUNK_BYTES):
        kept += piece
        if len(kept) > limit:
            raise TooLargeError(f"Git's answer is larger than {limit:,} bytes.")
    return bytes(kept)
