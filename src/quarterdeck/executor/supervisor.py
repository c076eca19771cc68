"""A process for one command where there is no pid namespace to kill it by.

It adopts whatever the command leaves behind, and lives until nothing of that is left. For a quick start it is run as
`python -I -S -c`, with as few imports of the standard library as will do. On its socket:

    in   four bytes of length and a `Request` as JSON
    in   any further byte, or the end of the socket (the runner is gone): kill everything now
    out  one line at the end: exit code or `killed`, number of killed processes, number of those left
"""

import json
import os
import resource
import select
import signal
import time

from quarterdeck.executor import landlock, procfs

_CHILD_SUBREAPER = 36
_PATIENCE_SECONDS = 5
_LAST_SECONDS = 1
_ROUNDS = 3

Request = tuple[list[str], dict[str, str], str, list[tuple[int, int]], list[str], list[str] | None, str]
"""argv, env, cwd, limits as pairs of resource and bound, readable paths, writable ones (None: without Landlock), and
the scratch folder, which is left to the supervisor when the runner is gone."""


def main(fd: int) -> None:
    """Supervise one command and report how it ended."""
    os.set_inheritable(fd, False)
    landlock.libc.prctl(_CHILD_SUBREAPER, 1, 0, 0, 0)
    request = _request(fd)
    if request is None:
        return
    command = _start(request)
    status = _wait(command, fd)
    killed, left = _sweep()
    exit_code = "killed" if status is None else os.waitstatus_to_exitcode(status)
    try:
        os.write(fd, f"{exit_code} {killed} {left}\n".encode())
    except OSError:
        _tidy(request[-1])


def _tidy(scratch: str) -> None:
    # Imported here, because it takes its time and is hardly ever needed.
    import shutil

    shutil.rmtree(scratch, ignore_errors=True)


def _request(fd: int) -> Request | None:
    size = int.from_bytes(os.read(fd, 4), "big")
    data = b""
    while len(data) < size and (more := os.read(fd, size - len(data))):
        data += more
    return json.loads(data) if size and len(data) == size else None


def _start(request: Request) -> int:
    pid = os.fork()
    if pid:
        # The output must end with the command, not with its supervisor.
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 1)
        os.dup2(null, 2)
        return pid
    argv, env, cwd, limits, readable, writable, _ = request
    try:
        os.setsid()
        for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(ignored_by_python, signal.SIG_DFL)
        os.chdir(cwd)
        for limit, bound in limits:
            resource.setrlimit(limit, (bound, bound))
        landlock.no_new_privs()
        if writable is not None:
            landlock.restrict(readable, writable)
        _exec(argv, env)
    except BaseException as fault:
        os.write(2, f"{argv[0]}: {fault}\n".encode())
    finally:
        os._exit(127)


def _exec(argv: list[str], env: dict[str, str]) -> None:
    # Not os.execvpe: it imports a module, which Landlock may have put out of reach by now.
    for folder in [""] if "/" in argv[0] else env["PATH"].split(":"):
        try:
            os.execve(os.path.join(folder, argv[0]), argv, env)  # noqa: S606 there is no shell wanted
        except (FileNotFoundError, NotADirectoryError):
            continue
    raise FileNotFoundError("not found")


def _wait(command: int, fd: int) -> int | None:
    ended = os.pidfd_open(command)
    ready, _, _ = select.select([ended, fd], [], [])
    if ended not in ready:
        return None
    _, status = os.waitpid(command, 0)
    return status


def _sweep() -> tuple[int, int]:
    """Kill until there is no child: what is below a subreaper has its roots in its children, so the kernel says it.

    What is still there after some rounds forks faster than it dies, and is made to stand still before the next one:
    who stands can't take the room of the dead.
    """
    killed: set[procfs.Process] = set()
    standing: set[procfs.Process] = set()
    rounds, give_up = 0, time.monotonic() + _PATIENCE_SECONDS
    while _reap() and time.monotonic() < give_up:
        rounds += 1
        found = procfs.descendants(os.getpid())
        moving = [process for process in found if process not in standing]
        if rounds > _ROUNDS and moving:
            standing.update(_signalled(moving, signal.SIGSTOP))
            continue
        killed.update(_signalled(found, signal.SIGKILL))
        time.sleep(0.001)
    if _reap():  # out of patience: what was made to stand must not be left standing
        killed.update(_signalled(procfs.descendants(os.getpid()), signal.SIGKILL))
        while _reap() and time.monotonic() < give_up + _LAST_SECONDS:
            time.sleep(0.001)
    return len(killed), len(procfs.descendants(os.getpid()))


def _signalled(processes: list[procfs.Process], number: int) -> list[procfs.Process]:
    """Those that the signal was sent to."""
    sent: list[procfs.Process] = []
    for process in processes:
        try:
            os.kill(process.pid, number)
        except OSError:
            continue
        sent.append(process)
    return sent


def _reap() -> bool:
    """Bury the dead; whether there are others."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True
