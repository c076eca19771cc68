"""What a source sends: read, bounded, and made into events of ours."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from quarterdeck.core import events as e
from quarterdeck.core import limits
from quarterdeck.core.errors import IllegalTransitionError, InvalidInputError
from quarterdeck.core.fold import apply, begin
from quarterdeck.core.source_events import COMPONENT, SourceEvent, SourceGapError, WrongEventError, read
from quarterdeck.core.state import SessionState
from quarterdeck.core.status import Status
from tests.unit.test_fold import EXAMPLES

NOW = datetime(2026, 1, 1, tzinfo=UTC)
START: dict[str, Any] = {"kind": "status.changed", "transition": "start"}
CALL: dict[str, Any] = {
    "kind": "tool_call.requested",
    "call_id": "c",
    "tool": "bash",
    "args": {"n": [1.5, {"a": None}]},
}


def external(origin: str = "external") -> SessionState:
    created = next(one for one in EXAMPLES if isinstance(one, e.SessionCreated))
    created = created.model_copy(update={"origin": origin, "model": "some:model"})
    return begin(e.Event(session=5, seq=1, at=NOW, level=e.Level.RESULT, payload=created))


def taken(state: SessionState, *events: dict[str, Any]) -> list[e.AnyPayload]:
    batch = read(json.dumps({"events": [{"seq": n, **one} for n, one in enumerate(events, 1)]}).encode())
    found: list[e.AnyPayload] = []
    for event in batch.events:
        payload = event.payload(state, 5)
        apply(state, e.Event(session=5, seq=state.seq + 1, at=NOW, level=payload.default_level, payload=payload))
        found.append(payload)
    return found


def test_each_kind_becomes_the_event_of_its_name() -> None:
    state = external()
    sent: list[dict[str, Any]] = [
        START,
        {"kind": "message.added", "text": "x"},
        {"kind": "model.answered", "text": "y", "calls": [{"call_id": "c", "tool": "bash", "args": {"n": 1}}]},
        CALL,
        {"kind": "tool_call.finished", "call_id": "c", "outcome": "error", "exit_code": 1},
        {"kind": "plan.changed", "items": [{"text": "z"}]},
        {"kind": "artifact.created", "artifact": "file", "name": "f", "url": "/f"},
        {"kind": "usage.recorded", "model": "m", "input_tokens": 3, "cost": "0.5"},
        {"kind": "usage.recorded", "model": "m"},
        {"kind": "check.recorded", "name": "tests", "passed": False},
        {"kind": "link.added", "relation": "created", "target": "issue", "name": "#1"},
        {"kind": "status.changed", "transition": "finish", "reason": "done"},
    ]
    found = taken(state, *sent)
    assert [one.kind for one in found] == [one["kind"] for one in sent]
    assert (state.status, state.reason, state.answers, state.usage.cost) == (
        Status.FINISHED,
        "done",
        {COMPONENT: 1},
        None,
    )
    answer, call, result = found[2], found[3], found[4]
    assert isinstance(answer, e.ModelAnswered)
    assert isinstance(call, e.ToolCallRequested)
    assert isinstance(result, e.ToolCallFinished)
    assert answer.calls[0].call_id == call.call_id == result.call_id == "5.c"
    assert (answer.calls[0].provider_id, answer.model, result.tool) == ("c", "some:model", "bash")


def test_nobody_here_works_on_it() -> None:
    state, here = external(), external("api")
    assert (state.wants_turn, state.waiting, here.wants_turn) == (False, None, True)
    for one in (state, here):
        taken(one, START, CALL)
    assert (state.wants_turn, state.waiting, state.elsewhere, here.elsewhere) == (False, None, True, False)
    assert here.waiting is not None
    taken(state, {"kind": "status.changed", "transition": "require_input"})
    assert state.waiting is not None
    assert state.waiting.on == "person"


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (START, "running already"),
        ({"kind": "tool_call.finished", "call_id": "x"}, "under way"),
        ({"kind": "tool_call.finished", "call_id": "done"}, "under way"),
        ({"kind": "tool_call.requested", "call_id": "c", "tool": "t"}, "made already"),
        ({**CALL, "call_id": "d", "args": {"deep": json.loads("[" * 70 + "]" * 70)}}, "deeper"),
    ],
)
def test_what_does_not_fit(event: dict[str, Any], words: str) -> None:
    state = external()
    taken(state, START, CALL, {**CALL, "call_id": "done"}, {"kind": "tool_call.finished", "call_id": "done"})
    with pytest.raises(InvalidInputError, match=words):
        taken(state, event)


def test_a_move_that_the_machine_has_not() -> None:
    with pytest.raises(IllegalTransitionError, match="finish"):
        taken(external(), {"kind": "status.changed", "transition": "finish"})


def test_no_more_calls_than_an_answer_may_have() -> None:
    state = external()
    taken(state, START, *({**CALL, "call_id": str(n)} for n in range(limits.CALLS_PER_ANSWER)))
    with pytest.raises(InvalidInputError, match="since the last"):
        taken(state, CALL)
    taken(state, {"kind": "model.answered"}, CALL)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity"])
def test_numbers_that_json_does_not_have(number: str) -> None:
    body = b'{"events": [{"seq": 1, "kind": "tool_call.requested", "call_id": "1", "tool": "t", "args": {"n": %b}}]}'
    with pytest.raises(InvalidInputError):
        read(body % number.encode()).events[0].payload(external(), 5)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "JSON"),
        (b'{"events": "\\u00"}', "no JSON"),
        (b'{"events": []}', "at least 1"),
        (b'{"events": [{"seq": 1, "kind": "turn.ended"}]}', "events.0"),
        (
            b'{"events": [{"seq": 1, "kind": "model.answered"}, {"seq": 1, "kind": "model.answered"}]}',
            "events.1 has seq 1",
        ),
    ],
)
def test_no_batch(body: bytes, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        read(body)


def test_what_may_not_be_stored_is_replaced() -> None:
    body = b'{"events": [{"seq": 1, "kind": "message.added", "text": "\\u0000 \\ud800 \\u00e4 \xc3\xa4"}]}'
    payload = read(body).events[0].payload(external(), 5)
    assert isinstance(payload, e.MessageAdded)
    assert payload.text == "\ufffd \ufffd ä ä"


def test_a_kind_says_what_it_becomes() -> None:
    with pytest.raises(NotImplementedError):
        SourceEvent(seq=1).payload(external(), 5)


def test_refusals_say_where() -> None:
    assert (SourceGapError(5, 9, 3).expected, WrongEventError(2, "x").index) == (3, 2)
