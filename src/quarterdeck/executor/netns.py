"""A socket that listens inside a sandbox's network and is served by the runner outside of it.

A socket belongs to the network it was made in, wherever its descriptor goes. So the one way out of a sandbox is no
file and no program inside: nothing there can be replaced, killed or spoken past.
"""

import asyncio
import os
import socket
import sys

from quarterdeck.executor.command import PATIENCE_SECONDS, SandboxBrokenError

_MAKE = """
import ctypes, fcntl, socket, sys
network, answer, port = map(int, sys.argv[1:])
libc = ctypes.CDLL(None, use_errno=True)
def enter(fd, kind):
    if libc.setns(fd, kind):
        raise OSError(ctypes.get_errno(), "setns")
enter(fcntl.ioctl(network, 0xB701), 0x10000000)  # the user namespace that owns the network, NS_GET_USERNS
enter(network, 0x40000000)
made = socket.socket()
made.setsockopt(socket.SOL_IP, 15, 1)  # IP_FREEBIND: the loopback may not be up yet
made.bind(("127.0.0.1", port))
made.listen(64)
socket.send_fds(socket.socket(fileno=answer), [b"!"], [made.fileno()])
"""
"""Run in a process of its own, because only a process of one thread may enter a user namespace."""


async def listening(network: int, port: int) -> socket.socket:
    """A socket that listens on a port of the loopback of `network`, a descriptor of a network namespace.

    Raises:
        SandboxBrokenError: the kernel refuses that.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", _MAKE, str(network), str(theirs.fileno()), str(port)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            pass_fds=(network, theirs.fileno()),
            env={},
        )
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                exit_code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
        if exit_code:
            raise SandboxBrokenError("The way to the network could not be put into the sandbox.")
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
    return socket.socket(fileno=fds[0])


def network_of(pid: int) -> int:
    """A descriptor of the network namespace of a process. Raises OSError when it is gone."""
    return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
