"""The parent of PostgreSQL: ends it when its supervisor is gone, however that went.

A script of its own, by path and with the standard library alone, because it is started as root where the account that
it then works as may not be able to read our packages. If the watcher itself is killed, the kernel tells PostgreSQL.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
LOG_BYTES = 8 * 1024 * 1024
LOG_CHECK_SECONDS = 30
FAST_SECONDS = 60


def watch(supervisor: int, uid: int, gid: int, lock: int, log: Path, command: list[str]) -> int:
    """Start PostgreSQL as `uid`, and end it after `supervisor`; gives PostgreSQL's exit status.

    `lock` is the descriptor of the held lock file: PostgreSQL and its children keep it open, so it is held exactly as
    long as one of them lives.
    """
    watched = os.pidfd_open(supervisor)
    if os.getppid() != supervisor:
        return 1
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    os.umask(0o077)
    prctl, watcher = ctypes.CDLL(None).prctl, os.getpid()

    def die_with_watcher() -> None:
        prctl(PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)
        if os.getppid() != watcher:
            os._exit(1)

    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[lock], preexec_fn=die_with_watcher)
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    poll.register(ended := os.pidfd_open(server.pid), select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poll.poll(LOG_CHECK_SECONDS * 1000)}
        if ended in ready:
            return server.wait()
        if watched in ready:
            return end(server)
        bound(log)


def end(server: subprocess.Popen[bytes]) -> int:
    """Shut down fast but cleanly; where that hangs, at once: PostgreSQL then recovers at its next start."""
    server.send_signal(signal.SIGINT)
    try:
        return server.wait(FAST_SECONDS)
    except subprocess.TimeoutExpired:
        server.send_signal(signal.SIGQUIT)
        return server.wait()


def bound(log: Path) -> None:
    """Keep the log and the one before it; PostgreSQL appends to the open file, so that is emptied, not replaced."""
    if log.stat().st_size > LOG_BYTES:
        log.with_suffix(".1").write_bytes(log.read_bytes())
        os.truncate(log, 0)


if __name__ == "__main__":
    numbers, (path, *words) = [int(word) for word in sys.argv[1:5]], sys.argv[5:]
    sys.exit(watch(numbers[0], numbers[1], numbers[2], numbers[3], Path(path), words))
