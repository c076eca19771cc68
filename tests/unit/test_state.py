from datetime import timedelta

import pytest

from quarterdeck.core import events as e
from quarterdeck.core import limits
from quarterdeck.core.fold import apply, begin
from quarterdeck.core.state import Editor, SessionState, Waiting
from quarterdeck.core.status import Transition
from tests.unit.world import CREATED, NOON, event, finished, moved


def after(*payloads: e.AnyPayload | Transition) -> SessionState:
    state = begin(event(1, CREATED))
    for payload in payloads:
        whole = moved(state, payload) if isinstance(payload, Transition) else payload
        apply(state, event(state.seq + 1, whole))
    return state


def call(call_id: str, side: str = "executor", *, asks: bool = False) -> e.ToolCallRequested:
    return e.ToolCallRequested.model_validate(
        {"call_id": call_id, "component": "a", "tool": f"tool_{call_id}", "args": {}, "side": side, "asks": asks}
    )


RETRIED = e.ModelRetried(component="a", attempt=1, since=NOON, retry_at=NOON + timedelta(seconds=8), error="overloaded")
ATTACHED = e.ExecutorAttached(executor="r", executor_kind="runner", lease_epoch=1)
OFFERED = e.ToolCallsOffered(call_ids=("c1",))


@pytest.mark.parametrize(
    ("happened", "waiting"),
    [
        ((), Waiting(on="worker")),
        ((e.TurnStarted(turn_no=1, job=1),), None),
        ((Transition.START,), Waiting(on="worker")),
        ((Transition.START, RETRIED), Waiting(on="model", detail="overloaded", until=RETRIED.retry_at)),
        ((Transition.START, RETRIED, Transition.PAUSE, Transition.RESUME), Waiting(on="worker")),
        ((Transition.START, call("c1"), OFFERED), Waiting(on="runner", detail="tool_c1")),
        ((Transition.START, call("c1"), ATTACHED, OFFERED), Waiting(on="runner", detail="tool_c1")),
        ((Transition.START, call("c1", "server"), OFFERED), Waiting(on="tool", detail="tool_c1")),
        (
            (Transition.START, call("c1"), OFFERED, e.ToolCallStarted(call_id="c1", executor="r")),
            Waiting(on="tool", detail="tool_c1"),
        ),
        ((Transition.START, call("c1"), OFFERED, finished("c1", e.Outcome.OK)), Waiting(on="worker")),
        ((Transition.START, Transition.PAUSE), Waiting(on="person", detail="paused")),
        ((Transition.START, Transition.REQUIRE_INPUT), Waiting(on="person", detail="input required")),
        (
            (
                Transition.START,
                call("c1", asks=True),
                e.ApprovalRequested(approval_id="a1", ask="tool_call", call_ids=("c1",), question="May it?"),
                Transition.REQUIRE_TOOL_CALL_APPROVAL,
            ),
            Waiting(on="person", detail="May it?"),
        ),
        ((Transition.START, Transition.IDLE), Waiting(on="person", detail="idle")),
        ((Transition.STOP,), None),
    ],
)
def test_what_a_session_waits_for(happened: tuple[e.AnyPayload | Transition, ...], waiting: Waiting | None) -> None:
    assert after(*happened).waiting == waiting


def test_who_carries_the_calls_out() -> None:
    given = e.ExecutorAssigned(executor_id=7, executor="VS Code", executor_kind="ide", folder="/work/app", by="ada")
    assert after(given).editor == Editor(id=7, name="VS Code", kind="ide", folder="/work/app")
    assert after(given, e.ExecutorAssigned(executor_id=None, by="ada")).editor is None


def test_an_editors_folder_as_it_was_is_where_its_changes_begin() -> None:
    first = e.SnapshotTaken(
        call_id="", step=1, commit="start", files=(), bundle_blob=1, step_diff_blob=2, whole_diff_blob=3
    )
    second = first.model_copy(update={"call_id": "c1", "step": 2, "commit": "changed"})
    state = after(first, second)
    assert (state.start_commit, state.snapshot_commit, state.step) == ("start", "changed", 2)
    assert after(second).start_commit == ""


def test_the_end_leaves_nothing_open() -> None:
    state = after(
        Transition.START,
        e.TurnStarted(turn_no=1, job=1),
        call("c1", asks=True),
        e.ApprovalRequested(approval_id="a1", ask="tool_call", call_ids=("c1",), question="?"),
        RETRIED,
        Transition.DROP,
    )
    assert (state.calls, state.approvals, state.retry, state.turn_open, state.errors) == ({}, {}, None, False, 1)
    assert state.ended_at == state.last_activity
    assert not state.wants_turn


def test_an_interrupted_answer_leaves_no_call_that_anybody_waits_for() -> None:
    state = after(Transition.START, call("c1"), OFFERED, Transition.IDLE, e.MessageAdded(text="x", by="ada"))
    apply(state, event(state.seq + 1, moved(state, Transition.RESUME)))
    assert state.wants_turn


def test_the_state_is_bounded() -> None:
    long = "x" * (2 * limits.STATE_CONTEXT_CHARACTERS)
    state = after(
        *(e.ArtifactCreated(artifact="commit", name=str(n)) for n in range(150)),
        e.ModelAnswered(component="a", text=long, model="m"),
        call("c1"),
        finished("c1", e.Outcome.OK).model_copy(update={"text": long}),
    )
    assert len(state.artifacts) == 100
    assert state.artifacts[-1].name == "149"
    for kept in (state.answer, state.calls["c1"].text):
        assert len(kept) < limits.STATE_CONTEXT_CHARACTERS + 100
    apply(state, event(state.seq + 1, e.ComponentLeft(component="a", outputs={"final_answer": long, "n": 1})))
    assert len(str(state.context["a"]["final_answer"])) < limits.STATE_CONTEXT_CHARACTERS + 100
    assert state.context["a"]["n"] == 1
