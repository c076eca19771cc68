"""`qd session watch`: a session's log as it grows, through restarts of the server."""

import base64
import json
import sys
from collections import deque
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from httpx_sse import ServerSentEvent
from pydantic import ValidationError
from rich.text import Text

from quarterdeck.client.models import SessionView
from quarterdeck.core import events as e
from quarterdeck.core.events import Event, Level
from quarterdeck.core.status import FINAL, Status
from quarterdeck.doors.cli.asking import Asker
from quarterdeck.doors.cli.client import Client
from quarterdeck.doors.cli.failure import Exit, Failure
from quarterdeck.doors.cli.plain import Lines, line, plain
from quarterdeck.doors.cli.screen import clock, console
from quarterdeck.doors.cli.signals import signals
from quarterdeck.doors.cli.timeline import Row, arguments, failed, finished, row

HEAD_LINES, TAIL_LINES = 8, 12
"""The lines of one call's output that are shown below level full: its first at once, its last at its end."""
_ORDER = list(Level)


@dataclass
class _Output:
    """The output of one running call."""

    lines: Lines = field(default_factory=Lines)
    tail: deque[str] = field(default_factory=lambda: deque[str](maxlen=TAIL_LINES))
    shown: int = 0
    hidden: int = 0
    seen: int = 0


@dataclass
class _Call:
    """A tool call as it was requested, and whether it was shown."""

    requested: e.ToolCallRequested
    row: Row
    at: float
    shown: bool = False

    @property
    def name(self) -> str:
        """What it is called among others."""
        return f"{self.requested.tool} {arguments(self.requested.args)}".rstrip()


class Watcher:
    """Prints the signals of one session; knows where it stands."""

    def __init__(self, session: SessionView, level: Level, *, as_json: bool) -> None:
        self.session = session
        self.seq = 0
        self.status = Status.CREATED
        self.reason = ""
        self.torn_down: e.WorkspaceTornDown | None = None
        self._level = level
        self._json = as_json
        self._console = console()
        self._outputs: dict[str, _Output] = {}
        self._calls: dict[str, _Call] = {}
        self._partial = ""
        self._speaking = ""
        """The call that the last line is about."""

    def open(self, approval_id: str) -> bool:
        """Whether an approval that was just read still waits: a new one, or one that the session's row names."""
        return self.seq > self.session.seq or any(approval.id == approval_id for approval in self.session.approvals)

    def take(self, signal: ServerSentEvent) -> None:
        """Prints one signal."""
        if self._json:
            print(json.dumps({"event": signal.event, "data": json.loads(signal.data)}, ensure_ascii=False), flush=True)
        if signal.event == "partial":
            self._take_partial(json.loads(signal.data))
        elif signal.event == "output":
            self._take_output(json.loads(signal.data))
        else:
            self._take_event(signal)

    def print(self, made: Row, at: float | None = None) -> None:
        """One entry, its further lines indented below it."""
        self._speaking = ""
        if self._json:
            return
        first, *rest = made.text.splitlines() or [""]
        time = clock(at) if at is not None else ""
        self._console.print(Text.assemble((f"{time:>7}  ", "dim"), (f"{made.glyph} ", made.style), (first, made.style)))
        for text in rest:
            self._console.print(Text.assemble(" " * 11, (text, made.style)))

    def _take_partial(self, data: dict[str, Any]) -> None:
        """Whole lines of the answer that is being written; the rest comes with the answer."""
        text = plain(str(data["text"]))
        ready = text[: text.rfind("\n") + 1]
        if ready.startswith(self._partial) and len(ready) > len(self._partial):
            new = ready[len(self._partial) :].rstrip("\n")
            at = (datetime.now(UTC) - self.session.created_at).total_seconds()
            self.print(Row(" " if self._partial else "●", new), None if self._partial else at)
            self._partial = ready
        elif self._partial and not text.startswith(self._partial):
            self.print(Row("!", "the answer was cut off and is asked for again", "yellow"))
            self._partial = ""

    def _take_output(self, data: dict[str, Any]) -> None:
        """Shows it below level full only of a call that is shown: who saw no request wants no output."""
        call_id = str(data["call_id"])
        call = self._calls.get(call_id)
        if self._level is not Level.FULL and (self._level is Level.RESULT or call is None or not call.shown):
            return
        output = self._outputs.setdefault(call_id, _Output())
        raw = base64.b64decode(str(data["data"]))
        fresh = raw[max(0, output.seen - int(data["offset"])) :]
        output.seen = max(output.seen, int(data["offset"]) + len(raw))
        self._print_output(call_id, output, output.lines.feed(fresh))

    def _print_output(self, call_id: str, output: _Output, lines: list[str]) -> None:
        for text in lines:
            if self._level is Level.FULL or output.shown < HEAD_LINES:
                output.shown += 1
                self._print_of(call_id, Row("│", text, "dim"))
            else:
                output.hidden += len(output.tail) == TAIL_LINES
                output.tail.append(text)

    def _print_of(self, call_id: str, made: Row, at: float | None = None) -> None:
        """A line about a call; it says which one when others stand between."""
        if self._speaking != call_id:
            call = self._calls.get(call_id)
            self.print(Row("│", f"of {call.name if call else call_id}:", "dim"))
        self.print(made, at)
        self._speaking = call_id

    def _take_event(self, signal: ServerSentEvent) -> None:
        try:
            event = Event.model_validate_json(signal.data)
        except ValidationError:
            self.print(Row("·", f"{signal.event} (this qd is older than the server and doesn't know it)", "dim"))
            return
        self.seq = event.seq
        at = (event.at - self.session.created_at).total_seconds()
        shown = _ORDER.index(event.level) <= _ORDER.index(self._level)
        if not self._take_call(event, at, shown=shown):
            self._take_other(event, at, shown=shown)

    def _take_other(self, event: Event, at: float, *, shown: bool) -> None:
        made = row(event)
        match event.payload:
            case e.StatusChanged(to_status=status, reason=reason):
                self.status, self.reason = status, reason
            case e.WorkspaceTornDown() as proof:
                self.torn_down = proof
            case e.ModelAnswered() as answer:
                made = self._rest_of_answer(answer.text, made)
            case e.ModelInterrupted() as answer:
                made = self._rest_of_interrupted(answer, made)
            case e.ApprovalRequested(call_ids=call_ids):
                for call_id in call_ids:
                    self._show_call(call_id)
            case _:
                pass
        if made is not None and shown:
            self.print(made, at)

    def _take_call(self, event: Event, at: float, *, shown: bool) -> bool:
        """Whether the event is the request or the end of a tool call."""
        match event.payload:
            case e.ToolCallRequested() as requested if (made := row(event)) is not None:
                self._calls[requested.call_id] = _Call(requested, made, at)
                if shown:
                    self._show_call(requested.call_id)
            case e.ToolCallFinished() as p:
                self._end_call(p, at, shown=shown)
            case _:
                return False
        return True

    def _show_call(self, call_id: str) -> None:
        """A call's request, once: at its level, or because a person is asked about it."""
        call = self._calls.get(call_id)
        if call is not None and not call.shown:
            call.shown = True
            self.print(call.row, call.at)
            self._speaking = call_id

    def _end_call(self, p: e.ToolCallFinished, at: float, *, shown: bool) -> None:
        """The end of a call: below its request, or all in one when only its failure is worth a line."""
        heard, call = self._close_output(p.call_id), self._calls.get(p.call_id)
        wrong = p.outcome is not e.Outcome.OK
        if self._level is Level.FULL or (call is not None and call.shown):
            if shown if self._level is Level.FULL or wrong else p.exit_code is not None:
                self._print_of(p.call_id, finished(p, heard=heard), at)
        elif wrong and shown:
            self.print(failed(p, call.requested.args if call else {}), at)
        self._calls.pop(p.call_id, None)

    def _close_output(self, call_id: str) -> bool:
        """Shows the end of a call's output; whether there was any."""
        output = self._outputs.pop(call_id, None)
        if output is None:
            return False
        self._print_output(call_id, output, output.lines.close())
        if output.hidden:
            self._print_of(call_id, Row("│", f"… {output.hidden:,} more lines (--level full shows them)", "dim"))
        for text in output.tail:
            self._print_of(call_id, Row("│", text, "dim"))
        return True

    def _rest_of_interrupted(self, answer: e.ModelInterrupted, made: Row | None) -> Row | None:
        if not self._partial:
            return made
        rest = self._rest_of_answer(answer.text, None)
        return Row(" ", f"{rest.text if rest else ''}\n(interrupted by {answer.by})".strip())

    def _rest_of_answer(self, said: str, made: Row | None) -> Row | None:
        before, self._partial = self._partial, ""
        text = plain(said)
        if before and text.startswith(before):
            rest = text[len(before) :]
            return Row(" ", rest) if rest.strip() else None
        return made


async def watch(
    client: Client, session: SessionView, level: Level, *, as_json: bool, after: int = 0, stay: bool = False
) -> Watcher:
    """Prints a session's log until it ends or rests; `stay` goes on when it rests (idle).

    An approval that is open is asked for by keys when somebody sits at the terminal, else shown with its commands.
    """
    watcher = Watcher(session, level, as_json=as_json)
    asker = Asker(client, session.id) if sys.stdin.isatty() and not as_json else None
    with closing(asker) if asker else nullcontext():
        async for signal in signals(client, session.id, after):
            watcher.take(signal)
            if signal.event == "approval.requested":
                _ask(watcher, asker, json.loads(signal.data)["payload"])
            elif signal.event in ("approval.granted", "approval.denied") and asker:
                asker.forget(str(json.loads(signal.data)["payload"]["approval_id"]))
            elif signal.event == "status.changed":
                _say_how_to_go_on(watcher)
            if watcher.status is Status.IDLE and watcher.seq >= session.seq and not stay:
                break
    return watcher


def _ask(watcher: Watcher, asker: Asker | None, payload: dict[str, Any]) -> None:
    approval = str(payload["approval_id"])
    if payload.get("ask") == "input" or not watcher.open(approval):
        return
    which = f"{watcher.session.id} {approval}"
    if asker is not None:
        asker.ask(approval)
        watcher.print(Row(" ", "press a to approve, s to approve it for the session, d to deny, l for later", "yellow"))
    else:
        commands = (
            f"approve:                 qd session approve {which}\n"
            f"approve for the session: qd session approve {which} --for-session\n"
            f"deny:                    qd session deny {which} --reason TEXT"
        )
        watcher.print(Row(" ", commands, "yellow"))


def _say_how_to_go_on(watcher: Watcher) -> None:
    if watcher.seq < watcher.session.seq:
        return
    if watcher.status is Status.INPUT_REQUIRED:
        watcher.print(Row(" ", f"answer: qd session reply {watcher.session.id} TEXT", "yellow"))
    elif watcher.status is Status.PAUSED:
        watcher.print(Row(" ", f"go on: qd session resume {watcher.session.id}", "yellow"))


def verdict(watcher: Watcher) -> None:
    """Ends the command as the session ended: one that failed or was stopped is exit status 1."""
    if watcher.status in FINAL and watcher.status is not Status.FINISHED:
        raise Failure(f"Session #{watcher.session.id} {watcher.status.value}: {line(watcher.reason)}", Exit.FAILED)
