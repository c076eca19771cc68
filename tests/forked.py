"""The command line as processes that are forked, not started: what takes them longest, loading libraries, is done once.

One process beside each process of tests has loaded the libraries of others that commands need, and forks for each
command. The child loads Quarterdeck's own modules itself and is a command like any: with arguments, environment, folder
and files of its own, and an end of its own.
"""

import atexit
import gc
import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

LIBRARIES = (
    "anyio", "asyncio", "email.message", "http.cookiejar", "httpx", "httpx_sse", "pydantic", "pydantic_settings",
    "rich.console", "rich.progress", "rich.table", "rich.text", "ssl", "typer", "urllib.request",
)  # fmt: skip


def run(*words: str, env: Mapping[str, str], given: str = "", seconds: float = 240) -> subprocess.CompletedProcess[str]:
    """What `python -m quarterdeck` with these words says, and how it ends; `given` is its input.

    Raises:
        subprocess.TimeoutExpired: it was killed after so many seconds.
    """
    ours, theirs = socket.socketpair()
    file = tempfile.TemporaryFile
    with ours, file() as told, file() as typed, file() as out, file() as errors:
        told.write(json.dumps({"words": words, "env": dict(env)}).encode())
        typed.write(given.encode())
        for one in (told, typed):
            one.seek(0)
        with theirs:
            socket.send_fds(_forker(), [b"!"], [one.fileno() for one in (theirs, told, typed, out, errors)])
        status = _status(ours, words, seconds)
        said: list[str] = []
        for one in (out, errors):
            one.seek(0)
            said.append(one.read().decode().replace("\r\n", "\n").replace("\r", "\n"))
    return subprocess.CompletedProcess(words, status, *said)


def _status(keeper: socket.socket, words: tuple[str, ...], seconds: float) -> int:
    keeper.settimeout(seconds)
    try:
        told = keeper.recv(64)
    except TimeoutError:
        keeper.sendall(b"kill it")
        raise subprocess.TimeoutExpired(words, seconds) from None
    return os.waitstatus_to_exitcode(int(told))


@cache
def _forker() -> socket.socket:
    ours, theirs = socket.socketpair()
    with theirs:
        number = theirs.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forked", str(number)],
            cwd=Path(__file__).parents[1], stdin=subprocess.DEVNULL, pass_fds=[number],
        )  # fmt: skip

    def end() -> None:
        ours.close()
        process.wait(60)

    atexit.register(end)
    return ours


def _fork(control: socket.socket) -> None:
    """Forks for each command that is asked for; returns in its process, or when nobody asks any more."""
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()
    while files := socket.recv_fds(control, 1, 5)[1]:
        if os.fork() == 0:
            control.close()
            _become(*files)
            return
        for file in files:
            os.close(file)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _become(line: int, told: int, typed: int, out: int, errors: int) -> None:
    """Becomes the command, of which a parent of its own tells how it ended."""
    if command := os.fork():
        ends = os.pidfd_open(command)
        if ends not in select.select([line, ends], [], [])[0]:
            os.kill(command, signal.SIGKILL)
        with socket.socket(fileno=line) as asking, suppress(OSError):
            asking.sendall(str(os.waitpid(command, 0)[1]).encode())
        os._exit(0)
    for number, file in enumerate((typed, out, errors)):
        os.dup2(file, number)
    with open(told, encoding="utf-8") as text:
        asked = json.load(text)
    os.closerange(3, max(line, typed, out, errors) + 1)
    os.environ.clear()
    os.environ.update(asked["env"])
    sys.argv = ["qd", *asked["words"]]
    random.seed()
    runpy.run_module("quarterdeck", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as asked_for:
        _fork(asked_for)
