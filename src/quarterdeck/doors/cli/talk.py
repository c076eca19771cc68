"""A chat at the terminal, or with one message from elsewhere."""

import asyncio
import json
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typing_extensions import override

from quarterdeck.client.models import SessionView
from quarterdeck.core.events import Level
from quarterdeck.core.status import AWAITING, FINAL, Status
from quarterdeck.doors.cli.client import Client
from quarterdeck.doors.cli.command import Cli
from quarterdeck.doors.cli.failure import Exit, Failure
from quarterdeck.doors.cli.given import attached
from quarterdeck.doors.cli.keyboard import Keyboard
from quarterdeck.doors.cli.plain import line, plain
from quarterdeck.doors.cli.signals import signals
from quarterdeck.doors.cli.timeline import Row
from quarterdeck.doors.cli.watching import Watcher, verdict

ATTACH = "/attach"
"""Typed at a chat: `/attach FILE`."""
KEYS = "press a to approve, s to approve it for the session, d to deny; a line that you type denies it and is read"


@dataclass
class _Asked:
    """What is asked of the person."""

    id: str
    ask: str
    choices: list[str] = field(default_factory=list[str])


class _Printer(Watcher):
    """A watcher that prints above the line that is typed."""

    keyboard: Keyboard | None = None

    @override
    def print(self, made: Row, at: float | None = None) -> None:
        if self.keyboard is None:
            super().print(made, at)
            return
        self.keyboard.hide()
        super().print(made, at)
        self.keyboard.show()


class Talk:
    """A chat with a person at the terminal."""

    def __init__(self, client: Client, session: SessionView, level: Level) -> None:
        self._client = client
        self._path = f"/sessions/{session.id}"
        self._number = session.id
        self._printer = _Printer(session, level, as_json=False)
        self._asked: list[_Asked] = []
        self._files: list[asyncio.Future[list[int]]] = []
        """Those that go with the next message."""
        self._sent: set[asyncio.Task[None]] = set()
        self._left = asyncio.Event()

    async def hold(self) -> Watcher:
        """Until the person leaves, or the session has ended."""
        loop = asyncio.get_running_loop()
        keyboard = Keyboard(on_key=self._key, on_line=self._line, on_end=self._left.set)
        self._printer.keyboard = keyboard
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        listening = asyncio.create_task(self._listen())
        leaving = asyncio.create_task(self._left.wait())
        try:
            keyboard.show()
            await asyncio.wait((listening, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            leaving.cancel()
            self._printer.keyboard = None
            keyboard.close()
            if self._sent:
                await asyncio.wait(self._sent, timeout=10)
            if not listening.done():
                listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
        return self._printer

    async def _listen(self) -> None:
        async for one in signals(self._client, self._number):
            self._printer.take(one)
            payload: Any = json.loads(one.data).get("payload", {}) if one.event != "partial" else {}
            if one.event == "approval.requested":
                self._open(payload)
            elif one.event in ("approval.granted", "approval.denied", "question.answered"):
                self._asked = [asked for asked in self._asked if asked.id != payload["approval_id"]]
            elif one.event == "status.changed" and self._printer.status not in AWAITING | {Status.RUNNING}:
                self._asked = []

    def _open(self, payload: Any) -> None:
        asked = _Asked(str(payload["approval_id"]), str(payload["ask"]), list(payload.get("choices", [])))
        if not self._printer.open(asked.id):
            return
        self._asked.append(asked)
        if asked.ask != "input":
            self._printer.print(Row(" ", KEYS, "yellow"))
        elif asked.choices:
            self._printer.print(Row(" ", "type the number of a choice, or your answer", "yellow"))

    def _key(self, key: str) -> bool:
        """One key decides on what is asked for; all else begins a line."""
        asked = self._asked[0] if self._asked else None
        if asked is None or asked.ask == "input" or key not in "asd":
            return False
        self._asked.pop(0)
        body: dict[str, Any] = {"approval_id": asked.id}
        if key == "d":
            self._send(self._client.post(f"{self._path}/deny", body))
        else:
            self._send(self._client.post(f"{self._path}/approve", {**body, "for_session": key == "s"}))
        return True

    def _line(self, text: str) -> None:
        choices = self._asked[0].choices if self._asked else []
        if choices and text.isascii() and text.isdigit() and 0 < int(text) <= len(choices):
            text = choices[int(text) - 1]
        command, _, name = text.partition(" ")
        if command == ATTACH:
            self._files.append(asyncio.ensure_future(self._attach(Path(name.strip()).expanduser())))
            return
        files, self._files = self._files, []
        self._send(self._message(text, files))

    async def _attach(self, file: Path) -> list[int]:
        """Uploads a file for the next message."""
        try:
            found = await attached(self._client, [file])
        except Failure as failure:
            self._printer.print(Row("!", line(str(failure)), "red"))
            return []
        self._printer.print(Row("+", f"{line(str(file), 200)} goes with your next message", "dim"))
        return found

    async def _message(self, text: str, files: list[asyncio.Future[list[int]]]) -> None:
        numbers = [number for found in await asyncio.gather(*files) for number in found]
        await self._client.post(f"{self._path}/messages", {"text": text, "attachments": numbers})

    def _interrupt(self) -> None:
        """Ctrl-C: the answer is interrupted while there is one, else the person leaves."""
        if self._printer.status is Status.IDLE or self._printer.status in FINAL:
            self._left.set()
        else:
            self._send(self._client.post(f"{self._path}/interrupt"))

    def _send(self, request: Coroutine[Any, Any, object]) -> None:
        task = asyncio.ensure_future(self._said(request))
        self._sent.add(task)
        task.add_done_callback(self._sent.discard)

    async def _said(self, request: Coroutine[Any, Any, object]) -> None:
        try:
            await request
        except Failure as failure:
            self._printer.print(Row("!", line(str(failure)), "red"))


async def at_terminal(cli: Cli, client: Client, session: SessionView, level: Level) -> None:
    """Talks until the person leaves; says how to come back."""
    cli.say(f"Chat #{session.id}  {session.url}\nCtrl-C interrupts an answer, and leaves when there is none.")
    watcher = await Talk(client, session, level).hold()
    verdict(watcher)
    cli.say(f"Go on with this chat: qd chat --session {session.id}")


async def one_answer(cli: Cli, client: Client, session: SessionView, after: int) -> None:
    """Waits for the answer to one message and prints it.

    Raises:
        Failure: the session has ended, is paused, or waits for a person.
    """
    answers: list[str] = []
    status, reason = Status(session.status), session.reason
    async for one in signals(client, session.id, after):
        data: Any = json.loads(one.data)
        if cli.json:
            print(json.dumps({"event": one.event, "data": data}, ensure_ascii=False), flush=True)
        if one.event == "model.answered":
            answers.append(plain(str(data["payload"]["text"])))
        elif one.event == "status.changed":
            status, reason = Status(data["payload"]["to_status"]), str(data["payload"]["reason"])
            if status not in (Status.RUNNING, Status.CREATED):
                break
    if not cli.json:
        print("\n\n".join(text for text in answers if text.strip()), file=sys.stdout, flush=True)
    if status is not Status.IDLE:
        why = f": {line(reason)}" if reason else ""
        hint = f" See it: qd session show {session.id}" if status not in FINAL else ""
        raise Failure(f"Session #{session.id} {status.value.replace('_', ' ')}{why}.{hint}", Exit.FAILED)
