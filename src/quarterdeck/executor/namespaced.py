"""A command in bubblewrap: its pid namespace is the handle that it is killed by, and the proof."""

import asyncio
import contextlib
import json
import os
import resource
import signal

from quarterdeck.executor import procfs
from quarterdeck.executor.command import Command, SandboxBrokenError, until_dead
from quarterdeck.executor.confines import rlimits
from quarterdeck.executor.netns import listening, network_of
from quarterdeck.executor.network import PORT
from quarterdeck.executor.proxy import Proxy
from quarterdeck.executor.sandbox import etc_files

_EXEC = ("/bin/sh", "-c", 'exec "$@"', "sh")
"""Makes a program that isn't there exit code 127, which bubblewrap would say with 1."""


class NamespacedCommand(Command):
    """Started blocked by bubblewrap, and let go once its limits are on it.

    bubblewrap has two processes of its own: the outer one, our child, and the first one of the namespace, which takes
    all others with it when it dies and is reaped only after them. A pidfd of the latter is the proof.
    """

    _status: asyncio.StreamReader | None = None
    _status_transport: asyncio.ReadTransport | None = None
    _init_pid = 0
    _init = -1
    """The pidfd of the namespace's first process."""
    _proxy: Proxy | None = None

    async def begin(self) -> None:
        """Put up the walls and the limits, then let the command go."""
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            status, status_end = os.pipe()
            ours.callback(os.close, status)
            theirs.callback(os.close, status_end)
            block_end, block = os.pipe()
            ours.callback(os.close, block)
            theirs.callback(os.close, block_end)
            fds = {"status": status_end, "block": block_end}
            for name, content in etc_files().items():
                fds[name] = _memory_file(content)
                theirs.callback(os.close, fds[name])
            argv = self.sandbox.bwrap_argv([*_EXEC, *self.argv], root=self.root, readable=self.readable, fds=fds)
            online = self.network.environment if self.network else {}
            await self.spawn(argv, env=self.sandbox.environment({**online, **self.env}), pass_fds=tuple(fds.values()))
            theirs.close()
            await self._listen(os.dup(status))
            self._init_pid = (await self._said("child-pid")) or 0
            if not self._init_pid:
                raise SandboxBrokenError
            self._confine()
            await self._connect()
            # A broken pipe: it died of its walls, which is seen when it is waited for.
            with contextlib.suppress(BrokenPipeError):
                os.write(block, b"!")

    async def wait(self) -> None:
        """Until bubblewrap says the exit code, which it does only for a command that really began."""
        self.exit_code = await self._said("exit-code")
        if self.exit_code is None and not self.cancelled:
            raise SandboxBrokenError

    async def end(self) -> tuple[int, int, str]:
        """Kill the namespace by its first process, and see that gone."""
        if self.process is None:
            return 0, 0, "nothing ran"
        noted: list[procfs.Process] = []
        if self._init >= 0:
            if self.exit_code is None and not _ended(self._init):
                noted = procfs.offspring(self._init_pid)
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init, signal.SIGKILL)
            await until_dead(self._init)  # which it is only after all others of its namespace
            os.close(self._init)
            self._init = -1
        if self._proxy:
            await self._proxy.close()
        await self.kill_process()
        if self._status_transport:
            self._status_transport.close()
        left = sum(procfs.alive(process) for process in noted)
        return len(noted) - left, left, "pid namespace"

    async def _connect(self) -> None:
        """Give it the one way out that it may have, before anything of it runs."""
        if self.network is None or self._init < 0:
            return
        try:
            network = network_of(self._init_pid)
        except OSError:
            return  # it is gone, which is seen when it is waited for
        try:
            if _ended(self._init):  # else the number may be another process's by now
                return
            inside = await listening(network, PORT)
        finally:
            os.close(network)
        self._proxy = Proxy(self.network)
        await self._proxy.listen(inside)

    async def _listen(self, status: int) -> None:
        reader = asyncio.StreamReader()
        self._status_transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(status, "rb", buffering=0)
        )
        self._status = reader

    async def _said(self, key: str) -> int | None:
        """The next number that bubblewrap reports under `key`; None when it ends without."""
        while self._status and (line := await self._status.readline()):
            if (value := json.loads(line).get(key)) is not None:
                return int(value)
        return None

    def _confine(self) -> None:
        try:
            self._init = os.pidfd_open(self._init_pid)
            for limit, bound in rlimits(self.limits, own_user_namespace=True):
                resource.prlimit(self._init_pid, limit, (bound, bound))
        except ProcessLookupError:
            return
        if self.group:
            self.cgroup = self.group.command()
            self.cgroup.add(self._init_pid)


def _ended(pidfd: int) -> bool:
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return True
    return False


def _memory_file(content: bytes) -> int:
    fd = os.memfd_create("etc", 0)
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
