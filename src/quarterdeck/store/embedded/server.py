"""The embedded PostgreSQL server: started, attached to, watched and stopped."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from psycopg import pq

from quarterdeck.store.embedded import binaries, cluster, watcher
from quarterdeck.store.embedded.account import ENVIRONMENT
from quarterdeck.store.embedded.fault import EmbeddedPostgresError, reason
from quarterdeck.store.embedded.folder import SOCKET, Folder, locate
from quarterdeck.store.embedded.process import ended, listener

STEP_SECONDS = 0.005
# Recovery after a crash reads at most max_wal_size of log, but a machine may be slow and busy.
START_SECONDS = 600
FAST_STOP_SECONDS = 60
HARD_STOP_SECONDS = 20


class EmbeddedPostgres:
    """The PostgreSQL server under a home folder, one for all who start it there.

    The process that really starts it is its supervisor: when that process ends, in whatever way, the server shuts
    down. Others attach, and see by `alive` when it is time to call `start` again. Blocking; not for an event loop.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._watcher: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._pidfd: int | None = None

    @property
    def pid(self) -> int | None:
        """The postmaster's process id; None when it was not started or attached to, or was stopped."""
        return self._pid

    @property
    def ours(self) -> bool:
        """Whether this object started the server; else it is attached to another's."""
        return self._watcher is not None

    def start(self) -> str:
        """Start the server, or attach to the living one, and give the libpq URL of the database `quarterdeck`.

        The URL holds no secret: the kernel tells PostgreSQL who connects. Waits for a recovery after a crash, up to
        ten minutes. Raises EmbeddedPostgresError with a sentence for the person who started it.
        """
        try:
            return self._start()
        except OSError as error:
            raise EmbeddedPostgresError(f"The embedded PostgreSQL can't be started: {error}.") from error

    def alive(self) -> bool:
        """Whether the server that `start` gave is still there."""
        return self._pidfd is not None and not ended(self._pidfd)

    def stop(self, *, immediate: bool = False) -> None:
        """End the server, whoever started it, and wait for that: fast and clean, or at once with a recovery later.

        Does nothing when none runs. A fast shutdown that hangs for a minute becomes an immediate one.
        """
        if not any((self.home / name).exists() for name in ("postgres", "postgres.path")):
            return
        folder = locate(self.home)
        if self._pidfd is None:
            self._take(folder)
        if self._pidfd is not None:
            self._end(self._pidfd, immediate=immediate)
        self._let_go()
        if (lock := folder.lock()) is not None:
            folder.forget_socket()
            os.close(lock)

    def _start(self) -> str:
        folder = locate(self.home)
        if not self.alive():
            self._let_go()
        deadline, said = time.monotonic() + START_SECONDS, None
        while time.monotonic() < deadline:
            if self._watcher is not None and self._watcher.poll() is not None:
                if said is not None:
                    raise _failure(folder, said)
                self._let_go()  # it was ended by another while we looked
            if self._watcher is None and (lock := folder.lock()) is not None:
                try:
                    said = self._launch(folder, lock)
                finally:
                    os.close(lock)
            if (self._watcher or folder.supervised) and (url := _answer(folder)) and self._take(folder):
                return url
            time.sleep(STEP_SECONDS)
        self._let_go()
        raise EmbeddedPostgresError(
            f"PostgreSQL in {folder.place} did not answer within {START_SECONDS // 60} minutes. Its log: {folder.log}"
        )

    def _launch(self, folder: Folder, lock: int) -> int:
        """Start the watcher, which starts the server; gives the size that the log had before."""
        command = cluster.prepare(folder, binaries.find(folder.account))
        folder.sign(lock)
        log = folder.open("log", os.O_WRONLY | os.O_APPEND)
        numbers = [os.getpid(), folder.account.uid, folder.account.gid, lock]
        try:
            said = os.fstat(log).st_size
            self._watcher = subprocess.Popen(
                [sys.executable, "-I", "-S", watcher.__file__, *map(str, numbers), str(folder.log), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=ENVIRONMENT,
                pass_fds=[lock],
                start_new_session=True,  # a Ctrl-C in the terminal is for the supervisor, which ends us in its order
            )
        finally:
            os.close(log)
        return said

    def _take(self, folder: Folder) -> bool:
        """Hold on to the server that listens now; False when none does."""
        socket = folder.socket()
        pid = listener(socket / SOCKET, folder.account.uid) if socket else None
        if pid is None or (pid == self._pid and self.alive()):
            return pid is not None
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pid = self._pidfd = None
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        self._pid = pid
        return True

    def _end(self, pidfd: int, *, immediate: bool) -> None:
        for number, seconds in ((signal.SIGINT, FAST_STOP_SECONDS), (signal.SIGQUIT, HARD_STOP_SECONDS)):
            if immediate and number == signal.SIGINT:
                continue
            if not ended(pidfd):
                signal.pidfd_send_signal(pidfd, number)
            if ended(pidfd, seconds=seconds):
                return
        raise EmbeddedPostgresError(f"PostgreSQL (process {self._pid}) does not end. Its log is beside its data.")

    def _let_go(self) -> None:
        """Forget the server; a watcher of ours is ended with what it still watches."""
        if self._watcher is not None:
            if self._pidfd is None or not ended(self._pidfd):
                self._watcher.terminate()
            self._watcher.wait()
        if self._pidfd is not None:
            os.close(self._pidfd)
        self._watcher = self._pid = self._pidfd = None


def _answer(folder: Folder) -> str | None:
    """The URL, once a server answers there and takes connections."""
    if (socket := folder.socket()) is None:
        return None
    url = f"postgresql://quarterdeck@/quarterdeck?host={socket}&port=5432"
    ready = pq.PGconn.ping(f"{url}&connect_timeout=5".encode()) == pq.Ping.OK
    return url if ready else None


def _failure(folder: Folder, said: int) -> EmbeddedPostgresError:
    with folder.log.open("rb") as log:
        log.seek(said)
        why = reason(log.read().decode("utf-8", "replace")) or "it said nothing"
    return EmbeddedPostgresError(f"PostgreSQL ended while it started: {why}. Its log: {folder.log}")
