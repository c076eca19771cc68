"""A command without a pid namespace: a supervisor of ours adopts what it leaves behind, and kills it."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from uuid import uuid4

from quarterdeck.executor import procfs, supervisor
from quarterdeck.executor.command import PATIENCE_SECONDS, Command, SandboxBrokenError
from quarterdeck.executor.confines import rlimits

_SWEEPS = 100
_SOURCE = str(Path(__file__).parents[2])


class SupervisedCommand(Command):
    """The last resort: a command that kills its supervisor is found by its group and the mark in its environment."""

    _socket: socket.socket | None = None
    _answer: asyncio.Task[bytes] | None = None
    _scratch = ""
    _mark = ""

    async def begin(self) -> None:
        """Start the supervisor, put it into its group, then tell it what to run."""
        self._scratch = tempfile.mkdtemp(prefix="quarterdeck-")
        self._mark = f"QUARTERDECK_COMMAND={uuid4().hex}"
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        with theirs:
            await self.spawn(_supervisor(theirs.fileno()), env={}, pass_fds=(theirs.fileno(),))
        if self.group and self.process:
            self.cgroup = self.group.command()
            self.cgroup.add(self.process.pid)
        request = json.dumps(self._request()).encode()
        await asyncio.get_running_loop().sock_sendall(self._socket, len(request).to_bytes(4, "big") + request)
        self._answer = asyncio.create_task(_line(self._socket))

    async def wait(self) -> None:
        """Until the supervisor says how the command ended and that nothing of it is left."""
        answer = await asyncio.shield(self._answer) if self._answer else b""
        if not answer and not self.cancelled:
            raise SandboxBrokenError("The supervisor of the command was killed, by the command or from outside.")
        exit_code = answer.split(b" ")[0]
        if answer and exit_code != b"killed":
            self.exit_code = int(exit_code) if int(exit_code) >= 0 else 128 - int(exit_code)

    async def end(self) -> tuple[int, int, str]:
        """Have the supervisor kill all; where it is gone, kill by group and by mark."""
        answer = await self._stopped()
        killed, left = (int(number) for number in answer.split(b" ")[1:]) if answer else (0, 1)
        method = "supervisor"
        if left and self.process:
            more, left = await self._last_resort()
            killed, method = killed + more, "cgroup and mark"
        await self.kill_process()
        if self._socket:
            self._socket.close()
        if self._scratch:
            await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)
        return killed, left if self.process else 0, method

    async def _stopped(self) -> bytes:
        """The supervisor's answer, empty when it gives none."""
        if self._answer is None or self._socket is None:
            return b""
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(self._socket, b"!")
        await asyncio.wait([self._answer], timeout=PATIENCE_SECONDS)
        return self._answer.result() if self._answer.done() else b""

    def _request(self) -> supervisor.Request:
        name, _, value = self._mark.partition("=")
        readable, writable = self.sandbox.landlock_rules(self.root, self.readable, self._scratch)
        return (
            self.argv,
            {**self.sandbox.environment(self.env, self._scratch), name: value},
            str(self.root),
            rlimits(self.limits, own_user_namespace=False),
            readable,
            writable if self.sandbox.isolation == "reduced" else None,
            self._scratch,
        )

    async def _last_resort(self) -> tuple[int, int]:
        killed: set[procfs.Process] = set()
        if self.cgroup:
            self.cgroup.kill()
        for _ in range(_SWEEPS):
            living = procfs.marked(self._mark)
            if not living:
                break
            for process in living:
                with contextlib.suppress(OSError):
                    os.kill(process.pid, signal.SIGKILL)
                    killed.add(process)
            await asyncio.sleep(0.01)
        return len(killed), len(procfs.marked(self._mark))


def _supervisor(fd: int) -> list[str]:
    """The command line of a supervisor on the inherited socket `fd`."""
    start = f"import sys; sys.path.append({_SOURCE!r}); from quarterdeck.executor.supervisor import main; main({fd})"
    return [sys.executable, "-I", "-S", "-c", start]


async def _line(connection: socket.socket) -> bytes:
    """One line, or nothing when the other end is gone first."""
    said = b""
    while not said.endswith(b"\n"):
        try:
            more = await asyncio.get_running_loop().sock_recv(connection, 4_096)
        except OSError:
            return b""
        if not more:
            return b""
        said += more
    return said
