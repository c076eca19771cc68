"""What every held command has in common, however it is held: a start, its output, an end, and a kill with proof."""

import asyncio
import contextlib
import os
import signal
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.session_limits import Limits
from quarterdeck.executor.cgroup import Cgroup, SessionGroup
from quarterdeck.executor.network import Network
from quarterdeck.executor.output import CHUNK_BYTES
from quarterdeck.executor.sandbox import Sandbox

PATIENCE_SECONDS = 20
"""How long a step of the kernel or of a helper process may take before it counts as broken."""


class SandboxBrokenError(QuarterdeckError):
    """The sandbox stood when the runner started, but could not be put up for this command."""

    code = "sandbox_broken"


@dataclass(frozen=True)
class Killed:
    """The proof of a kill: how many processes it ended, how many live still, how long it took, and by what."""

    killed: int
    left: int
    duration_ms: float
    method: str


class Command(ABC):
    """One command between its start and the proof of its end.

    `exit_code` is None while it runs, and when we killed it.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        argv: list[str],
        *,
        root: Path,
        env: dict[str, str],
        readable: tuple[Path, ...],
        limits: Limits,
        group: SessionGroup | None,
        talks: bool = False,
        network: Network | None = None,
    ) -> None:
        self.sandbox = sandbox
        self.argv = argv
        self.root = root
        self.env = env
        self.readable = readable
        self.limits = limits
        self.group = group
        self.talks = talks
        """Whether it is spoken with: it has an input, and its errors do not stand within its output."""
        self.network = network
        """What it may reach; nothing without."""
        self.exit_code: int | None = None
        self.cgroup: Cgroup | None = None
        self.process: asyncio.subprocess.Process | None = None
        self.cancelled = False
        """Whether a kill was asked for."""
        self._pidfd = -1
        self._start: asyncio.Task[None] | None = None
        self._stopping = asyncio.Lock()
        self._proof: Killed | None = None

    @property
    def output(self) -> asyncio.StreamReader:
        """Its standard output and its errors in one; at its end when nothing was started."""
        if self.process and self.process.stdout:
            return self.process.stdout
        return _nothing()

    @property
    def errors(self) -> asyncio.StreamReader:
        """Its errors, where it is spoken with."""
        return self.process.stderr if self.process and self.process.stderr else _nothing()

    @property
    def input(self) -> asyncio.StreamWriter | None:
        """What it reads, where it is spoken with."""
        return self.process.stdin if self.process else None

    async def start(self) -> None:
        """Start it within its walls and limits; nothing of it runs before both are up."""
        if self.cancelled:
            return
        # A task of its own, because a start that is cancelled half-way leaves nothing to kill it by.
        self._start = asyncio.create_task(self._begin_in_time())
        await asyncio.shield(self._start)

    async def kill(self) -> Killed:
        """End everything that the command started, and see it dead; the second time says what the first one saw."""
        self.cancelled = True
        if self._start:
            # Its failure is the business of whoever called start.
            await asyncio.gather(self._start, return_exceptions=True)
        async with self._stopping:
            if self._proof is None:
                began = time.monotonic()
                killed, left, method = await self.end()
                if self.cgroup:
                    await self.cgroup.remove()
                self._proof = Killed(killed, left, round((time.monotonic() - began) * 1000, 1), method)
            return self._proof

    async def reap(self) -> None:
        """Leave no zombie and no open pipe; call it when the output was read to its end."""
        if self.process:
            await self.process.wait()

    async def spawn(self, argv: list[str], *, env: dict[str, str], pass_fds: tuple[int, ...]) -> None:
        """Start our own first process of the command, in a session of its own."""
        self.process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE if self.talks else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE if self.talks else asyncio.subprocess.STDOUT,
            env=env,
            cwd="/",
            pass_fds=pass_fds,
            start_new_session=True,
            limit=CHUNK_BYTES,
        )
        with contextlib.suppress(ProcessLookupError):
            self._pidfd = os.pidfd_open(self.process.pid)

    async def kill_process(self) -> None:
        """Kill our own first process, if it is there still, and see it dead.

        By pidfd, because `Process.kill` reaps as it looks, and takes the exit status from the event loop.
        """
        pidfd, self._pidfd = self._pidfd, -1
        if pidfd < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        await until_dead(pidfd)
        os.close(pidfd)

    async def _begin_in_time(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.begin()
        except TimeoutError:
            raise SandboxBrokenError(f"The sandbox was not up after {PATIENCE_SECONDS} seconds.") from None

    @abstractmethod
    async def begin(self) -> None:
        """Put up walls and limits, and let the command go."""

    @abstractmethod
    async def wait(self) -> None:
        """Until it has ended by itself; sets the exit code."""

    @abstractmethod
    async def end(self) -> tuple[int, int, str]:
        """Kill all of it: how many were killed, how many are left, by what."""


async def until_dead(pidfd: int) -> None:
    """Until the process is dead, or patience ends."""
    loop = asyncio.get_running_loop()
    dead = loop.create_future()
    loop.add_reader(pidfd, lambda: dead.done() or dead.set_result(None))
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await dead
    except TimeoutError:
        return
    finally:
        loop.remove_reader(pidfd)


def _nothing() -> asyncio.StreamReader:
    nothing = asyncio.StreamReader()
    nothing.feed_eof()
    return nothing
