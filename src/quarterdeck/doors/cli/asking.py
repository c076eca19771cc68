"""Answers an approval by one key while the log goes on."""

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Coroutine
from typing import Any

from quarterdeck.doors.cli.client import Client
from quarterdeck.doors.cli.failure import Failure


class Asker:
    """Reads keys from the terminal: nothing is decided without an approval that is open; `close` gives it back."""

    def __init__(self, client: Client, session_id: int) -> None:
        self._client = client
        self._path = f"/sessions/{session_id}"
        self._open: list[str] = []
        self._sent: set[asyncio.Task[None]] = set()
        self._terminal = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._terminal)
        tty.setcbreak(self._terminal)
        asyncio.get_running_loop().add_reader(self._terminal, self._key)

    def ask(self, approval_id: str) -> None:
        """The next key is about this approval, after those that were asked before."""
        self._open.append(approval_id)

    def forget(self, approval_id: str) -> None:
        """It was answered, here or elsewhere."""
        if approval_id in self._open:
            self._open.remove(approval_id)

    def close(self) -> None:
        """The terminal is as it was."""
        asyncio.get_running_loop().remove_reader(self._terminal)
        termios.tcsetattr(self._terminal, termios.TCSADRAIN, self._before)

    def _key(self) -> None:
        try:
            key = os.read(self._terminal, 1).decode("ascii", "replace")
        except OSError:
            key = ""
        if not key:  # the terminal is gone, and would be readable for ever
            asyncio.get_running_loop().remove_reader(self._terminal)
        if not self._open:
            return
        approval = {"approval_id": self._open[0]}
        match key:
            case "a":
                self._send(self._client.post(f"{self._path}/approve", approval))
            case "s":
                self._send(self._client.post(f"{self._path}/approve", {**approval, "for_session": True}))
            case "d":
                self._send(self._client.post(f"{self._path}/deny", approval))
            case "l":
                self._open.pop(0)
            case _:
                pass

    def _send(self, request: Coroutine[Any, Any, object]) -> None:
        self._open.pop(0)
        task = asyncio.ensure_future(_said(request))
        self._sent.add(task)
        task.add_done_callback(self._sent.discard)


async def _said(request: Coroutine[Any, Any, object]) -> None:
    try:
        await request
    except Failure as failure:
        print(f"qd: {failure}", file=sys.stderr, flush=True)
