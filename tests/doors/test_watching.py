"""What `watch` shows of signals: once, in order, harmless, and no more than its level."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from httpx_sse import ServerSentEvent

from quarterdeck.client.models import ProjectLimits, SessionView, Usage, Used
from quarterdeck.core import events as e
from quarterdeck.core.events import Event, Level
from quarterdeck.doors.cli.client import Place, refusal
from quarterdeck.doors.cli.failure import Failure
from quarterdeck.doors.cli.signals import signals
from quarterdeck.doors.cli.watching import Watcher, verdict

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
SESSION = SessionView(
    id=7, project_id=1, project_path="sample", title="t", goal="g", flow="f/1", model="m", scripted=False,
    initiator="ada", origin="cli", agent="", parent_id=None, privileges=None, pre_approved=[], may_ask=True,
    patterns={}, component_models={}, status="running", status_group="active", reason="", waiting_for=None, turn_no=1,
    seq=0, component="", plan=[], approvals=[], artifacts=[], links=[], merge_request=None, branch="b", ref="main",
    forked_from=None, base_commit="", isolation="full", executor="runner", editor=None, steps=0, torn_down=False,
    teardown_missed="", runner_tags=[], used=Used(), limits=ProjectLimits(), usage=Usage(), budget=None,
    warnings=0, errors=0, checks_passed=0, checks_failed=0, verified=None, held=False, imported=None, created_at=BEGAN,
    started_at=BEGAN, ended_at=None, last_activity=BEGAN, expires_on=None, retention_days=30, days_left=None,
    expires_soon=False, url="http://x",
)  # fmt: skip


class Screen:
    """A watcher that is fed, and what it printed."""

    def __init__(self, capture: pytest.CaptureFixture[str], level: Level = Level.CONCISE) -> None:
        self.watcher = Watcher(SESSION, level, as_json=False)
        self._capture = capture
        self._seq = 0

    def event(self, payload: e.AnyPayload, level: Level | None = None) -> None:
        self._seq += 1
        at = BEGAN + timedelta(seconds=self._seq)
        event = Event(session=7, seq=self._seq, at=at, level=level or payload.default_level, payload=payload)
        self.watcher.take(ServerSentEvent(event=event.kind, data=event.model_dump_json(), id=str(self._seq)))

    def output(self, data: bytes, offset: int, call_id: str = "c_1") -> None:
        self.signal("output", {"call_id": call_id, "offset": offset, "data": base64.b64encode(data).decode()})

    def signal(self, name: str, data: dict[str, Any]) -> None:
        self.watcher.take(ServerSentEvent(event=name, data=json.dumps(data)))

    def lines(self) -> list[str]:
        return [line.strip() for line in self._capture.readouterr().out.splitlines()]


def answered(text: str) -> e.ModelAnswered:
    return e.ModelAnswered(component="a", text=text, model="m")


def requested(command: str = "make", *, call_id: str = "c_1", asks: bool = False) -> e.ToolCallRequested:
    return e.ToolCallRequested(
        call_id=call_id, component="a", tool="run_command", args={"command": command}, side="executor", asks=asks
    )


def finished(outcome: e.Outcome, code: int, size: int, text: str = "told") -> e.ToolCallFinished:
    return e.ToolCallFinished(
        call_id="c_1", tool="run_command", outcome=outcome, text=text, exit_code=code, output_bytes=size
    )


def test_an_answer_that_was_shown_in_parts_is_not_shown_again(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(capsys)
    for text in ("First", "First line\nSec", "First line\nSecond\x1b[2J line\nThi"):
        screen.signal("partial", {"turn_no": 1, "text": text})
    screen.event(answered("First line\nSecond\x1b[2J line\nThird"))
    shown = [line.split("●")[-1].strip() for line in screen.lines()]
    assert [line.split()[-2:] for line in shown[:2]] == [["First", "line"], ["Second", "line"]]
    assert shown[2].endswith("Third")
    assert len(shown) == 3


def test_an_answer_that_was_cut_off_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(capsys)
    screen.signal("partial", {"turn_no": 1, "text": "One way\n"})
    screen.signal("partial", {"turn_no": 1, "text": "Another"})
    screen.event(answered("Another way"))
    shown = screen.lines()
    assert "asked for again" in shown[1]
    assert shown[2].endswith("Another way")


def test_output_comes_under_its_call_once_and_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(capsys)
    screen.event(requested(), Level.CONCISE)
    data = b"".join(b"row %d\n" % number for number in range(100))
    screen.output(data[:300], 0)
    screen.output(data[:300], 0)
    screen.output(data[250:], 250)
    screen.event(finished(e.Outcome.ERROR, 2, len(data)), Level.CONCISE)
    shown = screen.lines()
    assert shown[0].endswith("$ run_command make")
    assert shown[1:9] == [f"│ row {number}" for number in range(8)]
    assert "80 more lines" in shown[9]
    assert shown[10:22] == [f"│ row {number}" for number in range(88, 100)]
    assert "exit code 2" in shown[22]
    assert len(shown) == 23


def test_of_a_call_that_is_not_shown_only_a_failure_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(capsys)
    screen.event(requested(), Level.FULL)
    screen.output(b"all well\n", 0)
    screen.event(finished(e.Outcome.OK, 0, 9), Level.FULL)
    assert screen.lines() == []
    text = "\n".join(["Exit code 2.", *(f"row {number}" for number in range(40))])
    screen.event(requested("make check"), Level.FULL)
    screen.output(b"row 0\n", 0)
    screen.event(finished(e.Outcome.ERROR, 2, 400, text), Level.CONCISE)
    first, *rest = screen.lines()
    assert "✗ run_command make check: error, exit code 2" in first
    assert rest == [f"row {number}" for number in range(28, 40)]


def test_a_failure_says_its_end_where_no_output_came(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(capsys, Level.FULL)
    screen.event(requested(), Level.FULL)
    screen.event(finished(e.Outcome.ERROR, 2, 400, "Exit code 2.\nno rule"), Level.CONCISE)
    assert screen.lines()[-1] == "no rule"


def test_lines_of_parallel_calls_say_whose_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(capsys, Level.FULL)
    screen.event(requested("one"))
    screen.event(requested("two", call_id="c_2"))
    screen.output(b"2a\n2b\n", 0, "c_2")
    screen.output(b"1a\n", 0)
    screen.event(finished(e.Outcome.OK, 0, 3))
    screen.output(b"2c\n", 6, "c_2")
    assert [line.split("  ")[-1] for line in screen.lines()[2:]][:4] == [
        "│ 2a", "│ 2b", "│ of run_command one:", "│ 1a",
    ]  # fmt: skip


def test_an_approval_shows_the_whole_call(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(capsys)
    hidden = "true " + "x" * 500 + " \x1b]0;\x07\u202e; rm -rf ~"
    screen.event(requested(hidden, asks=True), Level.FULL)
    assert screen.lines() == []
    screen.event(e.ApprovalRequested(approval_id="a_1", ask="tool_call", call_ids=("c_1",), question="May it\x1b]?"))
    first, second = screen.lines()
    assert first.endswith("x ␛]0;␇\\u202e; rm -rf ~")
    assert "x" * 500 in first
    assert second.endswith("? May it␛]?")


class Answers:
    """A server of `signals`: each stream is a list of signals, or an error."""

    place = Place("http://x", None, Path("/"))

    def __init__(self, *streams: list[ServerSentEvent] | Failure) -> None:
        self._streams = list(streams)
        self.asked: list[int] = []

    @asynccontextmanager
    async def stream(self, path: str, *, last_event_id: int) -> AsyncGenerator[AsyncIterator[ServerSentEvent]]:
        self.asked.append(last_event_id)
        answer = self._streams.pop(0)
        if isinstance(answer, Failure):
            raise answer
        yield _each(answer)


async def _each(items: list[ServerSentEvent]) -> AsyncIterator[ServerSentEvent]:
    for item in items:
        yield item


def broken(status: int) -> ServerSentEvent:
    return ServerSentEvent(event="error", data=json.dumps({"status": status, "detail": "The database is away."}))


async def test_a_stream_that_breaks_for_a_while_is_opened_again_behind_what_was_seen() -> None:
    one, two = ServerSentEvent(event="one", id="1"), ServerSentEvent(event="two", id="2")
    server = Answers([one, broken(503)], refusal(500, "away"), [broken(500)], [two, ServerSentEvent(event="end")])
    async with asyncio.timeout(60):
        seen = [signal.event async for signal in signals(cast("Any", server), 7)]
    assert seen == ["one", "two"]
    assert server.asked == [0, 1, 1, 1]


async def test_a_stream_that_is_refused_ends_the_watch() -> None:
    for status in (401, 403, 404):
        with pytest.raises(Failure, match="away"):
            _ = [signal async for signal in signals(cast("Any", Answers([broken(status)])), 7)]


def test_levels(capsys: pytest.CaptureFixture[str]) -> None:
    for level, expected in ((Level.RESULT, 0), (Level.CONCISE, 1), (Level.FULL, 2)):
        screen = Screen(capsys, level)
        screen.event(e.ComponentEntered(component="a"))
        screen.event(e.ExecutorAttached(executor="local", executor_kind="runner", lease_epoch=1))
        assert len(screen.lines()) == expected


def test_a_kind_of_a_newer_server_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(capsys)
    screen.signal("moon.landed", {"seq": 1})
    assert "moon.landed" in screen.lines()[0]


def test_the_session_s_end_is_the_command_s(capsys: pytest.CaptureFixture[str]) -> None:
    from quarterdeck.core.status import Status, Transition

    screen = Screen(capsys)
    screen.event(
        e.StatusChanged(
            transition=Transition.DROP, from_status=Status.RUNNING, to_status=Status.FAILED, reason="no \x1b[1mway"
        )
    )
    with pytest.raises(Failure, match="failed: no way"):
        verdict(screen.watcher)
