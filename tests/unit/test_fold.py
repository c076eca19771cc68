"""Promise 1, and what else must hold at every moment of any session: checked in a world where anything may happen."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from quarterdeck.core import events as e
from quarterdeck.core import limits, step
from quarterdeck.core.budget import Budget
from quarterdeck.core.errors import IllegalTransitionError, SessionEndedError
from quarterdeck.core.flow import Flow
from quarterdeck.core.fold import apply, begin, fold
from quarterdeck.core.mcp import McpTool
from quarterdeck.core.state import Call, CallStatus, SessionState
from quarterdeck.core.status import AWAITING, FINAL, TABLE, Status, Transition, human
from quarterdeck.core.usage import Usage
from tests.unit.world import (
    CREATED,
    NOON,
    RECORDS,
    World,
    agent,
    deterministic,
    event,
    finished,
    flow,
    human_input,
    moved,
    one_off,
)

WORKING = (Status.CREATED, Status.RUNNING)
LINES = (
    flow([agent("a")], [{"from": "a", "to": "end"}]),
    flow([deterministic("d")], []),
    flow(
        [agent("a", max_cycles=9), deterministic("d"), agent("b")],
        [
            {"from": "a", "to": "d"},
            {
                "from": "d",
                "condition": {
                    "input": {"from": "context:d.execution_result"},
                    "routes": {"success": "b", "failed": "a"},
                },
            },
            {
                "from": "b",
                "condition": {
                    "input": {"from": "context:b.final_answer"},
                    "routes": {"no": "abort", "default_route": "end"},
                },
            },
        ],
    ),
    flow(
        [agent("a"), deterministic("d", inputs=[{"from": "context:a.final_answer", "optional": True}])],
        [
            {"from": "a", "condition": {"input": {"from": "context:nowhere"}, "routes": {"x": "d"}}},
            {"from": "d", "to": "a"},
        ],
        entry="d",
    ),
)

SCHEMA = {"schema_id": "s", "definition": {"type": "object"}}
FLOWS = (
    *LINES,
    flow(
        [
            agent("a", subagents=[{"name": "b"}], response_schema_id="s", max_wrap_up_retries=2),
            agent("b", max_cycles=4, iteration_warning_offset=2),
        ],
        [],
        response_schemas=[SCHEMA],
    ),
    flow(
        [
            agent("a", subagents=[{"name": "b"}], compaction={"max_context_tokens": 100, "trim_threshold": 0.01}),
            agent("b", subagents=[{"name": "c"}]),
            agent("c"),
        ],
        [{"from": "a", "to": "end"}],
        environment="chat",
    ),
    flow(
        [agent("a"), human_input("h", "a"), one_off("o")],
        [
            {"from": "a", "to": "h"},
            {
                "from": "h",
                "condition": {"input": {"from": "context:h.approval"}, "routes": {"approve": "o", "reject": "a"}},
            },
            {
                "from": "o",
                "condition": {
                    "input": {"from": "context:o.execution_result"},
                    "routes": {"success": "end", "default_route": "a"},
                },
            },
        ],
    ),
)
EXAMPLES: tuple[e.AnyPayload, ...] = (
    *RECORDS,
    CREATED,
    e.StatusChanged(transition=Transition.STOP, from_status=Status.STOPPED, to_status=Status.STOPPED),
    e.TurnStarted(turn_no=1, job=1),
    e.TurnEnded(turn_no=1),
    e.MessageAdded(text="x", by="ada"),
    e.ComponentEntered(component="a"),
    e.ComponentLeft(component="a"),
    e.ModelAnswered(component="a", text="x", model="m"),
    e.ModelRetried(component="a", attempt=1, since=NOON, retry_at=NOON, error="x"),
    e.ToolCallRequested(call_id="c", component="a", tool="t", args={}, side="server", asks=False),
    e.ToolCallsOffered(call_ids=()),
    e.ToolCallStarted(call_id="c", executor="r"),
    finished("c", e.Outcome.OK),
    e.ApprovalRequested(approval_id="a", ask="plan", question="x"),
    e.ApprovalGranted(approval_id="a", by="ada", door="web"),
    e.ApprovalDenied(approval_id="a", by="ada", door="web"),
    e.PlanChanged(items=()),
    e.ExecutorAssigned(executor_id=7, executor="VS Code", executor_kind="ide", folder="/work/app", by="ada"),
    e.ExecutorAttached(executor="r", executor_kind="runner", lease_epoch=1),
    e.WorkspacePrepared(executor="r", base_commit="c", isolation="none"),
    e.SetupFinished(outcome=e.Outcome.ERROR, text="x", exit_code=1),
    e.SnapshotTaken(
        call_id="c", step=1, commit="c", files=(e.FileChange(path="a", change="added"),),
        bundle_blob=1, step_diff_blob=2, whole_diff_blob=3,
    ),
    e.ArtifactCreated(artifact="branch", name="b"),
    e.QuestionAnswered(approval_id="a", text="x", by="ada", door="web"),
    e.DelegationStarted(call_id="c_none", component="a:b:1", user="u"),
    e.DelegationEnded(call_id="c_none", component="a:b:1"),
    e.NoticeAdded(component="a", about="correction", text="x"),
    e.ContextCompacted(component="a", text="x", through=1, answers=1, system="s", size=1),
    e.ModelInterrupted(component="a", text="x", by="ada"),
    e.HistoryCopied(session=1, seq=2, status=Status.RUNNING),
    e.SessionImported(number=7, initiator="bob", exported_at=NOON, by="ada"),
    e.BudgetChanged(budget=Budget(cost=Decimal("2.5"), tokens=10), by="ada"),
    e.McpToolsPinned(
        server="s",
        server_id=7,
        side="executor",
        tools=(McpTool(name="mcp__s__t", remote="t", description="d", form={"type": "object"}),),
    ),
)  # fmt: skip


def test_there_is_an_example_of_each_kind() -> None:
    kinds = {kind.__name__ for kind in get_args(get_args(e.AnyPayload)[0])}
    assert {type(example).__name__ for example in EXAMPLES} == kinds


def reloaded(state: SessionState) -> SessionState:
    return SessionState.model_validate(state.model_dump(mode="json"))


def look(world: World) -> None:
    """What must hold after every event."""
    state, last = world.state, world.log[-1]
    assert e.Event.model_validate_json(last.model_dump_json()) == last
    assert SessionState.model_validate_json(state.model_dump_json()) == reloaded(state) == state
    assert state.seq == last.seq == len(world.log)
    active = next(one.at for one in reversed(world.log) if not isinstance(one.payload, e.RetentionChanged))
    days = next((one.payload.days for one in reversed(world.log) if isinstance(one.payload, e.RetentionChanged)), 30)
    assert state.expires_on == (None if state.held else (active + timedelta(days=days)).date())
    assert not (state.works and (state.final or (state.waiting and state.waiting.on in {"worker", "model", "runner"})))
    asked = {call_id for approval in state.approvals.values() for call_id in approval.call_ids}
    assert asked == {call_id for call_id, call in state.calls.items() if call.status is CallStatus.ASKED}
    look_ahead(world.flow, state)
    look_at_waiting(state)


def look_ahead(its_flow: Flow, state: SessionState) -> None:
    next_ = step.next_step(its_flow, state)
    assert next_ == step.next_step(its_flow, reloaded(state))
    assert state.wants_turn == (not state.turn_open and next_ != step.Rest())
    if state.status not in WORKING:
        assert next_ == step.Rest()
    elif not state.in_flight:
        assert next_ != step.Rest(), "nobody works on it, and nothing will wake it"
    if isinstance(next_, step.OfferCalls):
        offered = [state.calls[call_id] for call_id in next_.call_ids]
        assert len(offered) == 1 or all(call.parallel for call in offered)
        assert all(call.status is CallStatus.APPROVED if call.asks else True for call in offered)


def look_at_waiting(state: SessionState) -> None:
    waiting = state.waiting
    works = state.turn_open and state.status in WORKING
    assert (waiting is None) == (works or state.final)
    if waiting is None:
        return
    assert (waiting.on == "person") == (state.status in {*AWAITING, Status.PAUSED, Status.IDLE})
    assert (waiting.on in {"worker", "model"}) == state.wants_turn
    assert (waiting.on in {"runner", "tool"}) == (state.status in WORKING and state.in_flight)
    assert (waiting.until is not None) == (waiting.on == "model")
    assert waiting.detail or waiting.on == "worker"


def unchanged(state: SessionState, refused: e.Event, error: type[Exception]) -> str:
    before = state.model_copy(deep=True)
    with pytest.raises(error) as raised:
        apply(state, refused)
    assert state == before
    return str(raised.value)


def look_at_refusals(world: World) -> None:
    """What can't be is refused, by its reason, and changes nothing."""
    state, seq = world.state, world.state.seq + 1
    for transition, (sources, target) in TABLE.items():
        if state.status not in {*sources, target, *FINAL}:
            message = unchanged(state, event(seq, moved(state, transition)), IllegalTransitionError)
            assert transition.value in message
            assert human(state.status) in message
    unchanged(state, event(seq + 1, RECORDS[0]), ValueError)
    unchanged(state, event(seq - 1, RECORDS[0]), ValueError)
    for example in EXAMPLES:
        if state.final and example.event_class is e.EventClass.WORK:
            assert example.kind in unchanged(state, event(seq, example), SessionEndedError)
        elif state.final:
            apply(state.model_copy(deep=True), event(seq, example))
    if not state.final:
        look_at_misfits(world, seq)


def look_at_misfits(world: World, seq: int) -> None:
    state = world.state
    misfits: list[e.AnyPayload] = [
        CREATED,
        e.DelegationStarted(call_id="c_none", component="a:b:1", user="u"),
        e.DelegationEnded(call_id="c_none", component="a:b:1"),
    ]
    wrong = Status.STOPPED if state.status is not Status.STOPPED else Status.FAILED
    misfits.append(e.StatusChanged(transition=Transition.DROP, from_status=wrong, to_status=Status.FAILED))
    misfits.append(e.StatusChanged(transition=Transition.DROP, from_status=state.status, to_status=wrong))
    for call_id, call in [*state.calls.items(), ("c_none", None)]:
        together = (*list(state.ready)[:1], call_id)
        if call_id not in state.ready:
            misfits.append(e.ToolCallsOffered(call_ids=together))
        if call is None or call.status is not CallStatus.REQUESTED or not call.asks:
            misfits.append(e.ApprovalRequested(approval_id="a_new", ask="tool_call", call_ids=(call_id,), question="?"))
        if call is not None:
            misfits.append(
                e.ToolCallRequested(call_id=call_id, component="a", tool="t", args={}, side="server", asks=False)
            )
    for misfit in misfits:
        assert misfit.kind in unchanged(state, event(seq, misfit), ValueError)


def look_at_offers(log: list[e.Event]) -> None:
    """No call is offered twice, and none that asks before a person has said yes to it."""
    asks: set[str] = set()
    questions: dict[str, tuple[str, ...]] = {}
    approved: set[str] = set()
    offered: list[str] = []
    for entry in log:
        match entry.payload:
            case e.ToolCallRequested(call_id=call_id, asks=True):
                asks.add(call_id)
            case e.ApprovalRequested() as p:
                questions[p.approval_id] = p.call_ids
            case e.ApprovalGranted() as p:
                approved.update(questions[p.approval_id])
            case e.ToolCallsOffered() as p:
                assert not asks & set(p.call_ids) - approved
                offered += p.call_ids
            case _:
                pass
    assert len(offered) == len(set(offered))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(FLOWS), st.randoms(use_true_random=False), st.integers(0, 80))
def test_any_session(its_flow: Flow, chance: Random, happenings: int) -> None:
    live(its_flow, chance, happenings)


@pytest.mark.parametrize("its_flow", FLOWS)
def test_the_same_sessions_every_time(its_flow: Flow) -> None:
    for seed in range(8):
        live(its_flow, Random(seed), 60)


def live(its_flow: Flow, chance: Random, happenings: int) -> None:
    world = World(its_flow, chance, look)
    world.chaos(happenings)
    look_at_refusals(world)
    world.calm(400)
    assert world.state.status in FINAL
    world.chaos(3)
    look_at_refusals(world)
    look_at_offers(world.log)
    assert fold(world.log) == world.state
    assert fold(e.Event.model_validate_json(entry.model_dump_json()) for entry in world.log) == world.state


@given(st.permutations(range(4)), st.booleans())
def test_results_may_come_in_any_order(order: list[int], twice: bool) -> None:
    def state(places: list[int]) -> SessionState:
        payloads: list[e.AnyPayload] = [
            moved(begin(event(1, CREATED)), Transition.START),
            e.ComponentEntered(component="a", user="u"),
        ]
        payloads += [
            e.ToolCallRequested(
                call_id=f"c{n}", component="a", tool="t", args={}, side="server", asks=False, parallel=True
            )
            for n in range(4)
        ]
        payloads.append(e.ToolCallsOffered(call_ids=tuple(f"c{n}" for n in range(4))))
        payloads += [finished(f"c{n}", list(e.Outcome)[n]) for n in places]
        return fold(event(seq, payload, at=NOON) for seq, payload in enumerate([CREATED, *payloads], 1))

    expected = state([0, 1, 2, 3])
    again = state([*order, *order] if twice else order)
    assert again.model_copy(update={"seq": 0}) == expected.model_copy(update={"seq": 0})
    assert step.next_step(FLOWS[0], again) == step.AskModel("a")


def test_a_log_begins_with_its_creation() -> None:
    for first in (event(1, RECORDS[0]), event(2, CREATED)):
        with pytest.raises(ValueError, match="begins with"):
            begin(first)


def test_activity_never_goes_back() -> None:
    state = begin(event(1, CREATED, at=NOON))
    apply(state, event(2, RECORDS[0], at=NOON - timedelta(days=2)))
    assert state.last_activity == NOON
    assert state.expires_on == (NOON + timedelta(days=30)).date()


def test_another_retention_moves_the_end_and_is_no_activity() -> None:
    state = begin(event(1, CREATED, at=NOON))
    apply(state, event(2, e.RetentionChanged(days=2, by="ada"), at=NOON + timedelta(days=1)))
    assert (state.last_activity, state.retention_days) == (NOON, 2)
    assert state.expires_at == NOON + timedelta(days=2)
    apply(state, event(3, e.SessionHeld(by="ada"), at=NOON + timedelta(days=1)))
    assert (state.expires_at, state.expires_on) == (None, None)
    apply(state, event(4, e.SessionReleased(by="ada"), at=NOON + timedelta(days=5)))
    assert state.expires_on == (NOON + timedelta(days=7)).date()


def test_who_works_is_a_turn_or_a_call_that_was_begun() -> None:
    state = begin(event(1, CREATED))
    apply(state, event(2, moved(state, Transition.START)))
    assert not state.works
    apply(state, event(3, e.TurnStarted(turn_no=1, job=1)))
    assert state.works
    apply(state, event(4, e.TurnEnded(turn_no=1)))
    state.calls = {"c": Call(tool="t", args={}, component="a", side="executor", asks=False, parallel=True)}
    assert not state.works
    state.calls["c"].status = CallStatus.RUNNING
    assert state.works


def test_no_time_without_a_zone_gets_into_the_log() -> None:
    naive = datetime(2026, 11, 23, tzinfo=UTC).replace(tzinfo=None)
    with pytest.raises(ValueError, match="timezone"):
        e.Event(session=1, seq=1, at=naive, level=e.Level.FULL, payload=CREATED)


def test_what_the_records_leave_in_the_state() -> None:
    state = fold(event(seq, payload) for seq, payload in enumerate([CREATED, *RECORDS], 1))
    assert (state.title, state.held, state.torn_down, state.errors) == ("Another", False, True, 1)
    assert (state.checks_passed, state.checks_failed) == (1, 1)
    assert state.usage == Usage(requests=1, input_tokens=3, cost=state.usage.cost)


def test_half_an_answer_stays_in_the_conversation_and_asks_for_no_turn() -> None:
    state = begin(event(1, CREATED))
    apply(state, event(2, moved(state, Transition.START)))
    apply(state, event(3, e.ComponentEntered(component="a", user="u")))
    apply(state, event(4, e.ModelInterrupted(component="a", text="half an answer", by="ada")))
    assert (state.retry, state.unanswered, state.addressed, state.seen) == (None, False, "", 4)
    assert state.sizes == {"a": len("u") + len("half an answer")}


def test_an_approval_for_the_session_is_remembered_once() -> None:
    state = begin(event(1, CREATED))
    for seq in range(2):
        for payload in (
            e.ToolCallRequested(call_id=f"c{seq}", component="a", tool="t", args={}, side="server", asks=True),
            e.ApprovalRequested(approval_id=f"a{seq}", ask="tool_call", call_ids=(f"c{seq}",), question="?"),
            e.ApprovalGranted(approval_id=f"a{seq}", by="ada", door="web", for_session=True, args={"n": 1}),
        ):
            apply(state, event(state.seq + 1, payload))
    assert len(state.session_approvals) == 1
    assert state.calls["c0"].args == {"n": 1}


def left_with(value: JsonValue) -> JsonValue:
    state = begin(event(1, CREATED))
    apply(state, event(2, moved(state, Transition.START)))
    apply(state, event(3, e.ComponentEntered(component="o", user="u")))
    apply(state, event(4, e.ComponentLeft(component="o", outputs={"tool_calls": value})))
    return state.context["o"]["tool_calls"]


def test_what_the_state_keeps_of_an_output_is_bounded_however_it_nests() -> None:
    most = limits.STATE_CONTEXT_CHARACTERS
    short: JsonValue = [{"tool": "t", "args": {"text": "x" * most}}]
    assert left_with(short) == short
    files: list[JsonValue] = [{"tool": "t", "args": {"path": f"p{n}", "text": "x" * 500_000}} for n in range(64)]
    kept = left_with(files)
    assert isinstance(kept, list)
    assert [list(one) for one in kept if isinstance(one, dict)] == [["tool", "args"]] * 64
    assert "'path': 'p63'" in str(kept[63])
    assert most // 2 < len(str(kept)) < 2 * most
    numbers = left_with([list(range(100_000))])
    assert isinstance(numbers, str)
    assert len(numbers) < most + 100


def test_a_pattern_for_the_session_is_remembered_once_and_an_answer_to_nothing_changes_nothing() -> None:
    state = begin(event(1, CREATED))
    for seq in range(2):
        for payload in (
            e.ToolCallRequested(call_id=f"c{seq}", component="a", tool="t", args={}, side="server", asks=True),
            e.ApprovalRequested(approval_id=f"a{seq}", ask="tool_call", call_ids=(f"c{seq}",), question="?"),
            e.ApprovalGranted(approval_id=f"a{seq}", by="ada", door="web", pattern="git status*"),
            e.ApprovalDenied(approval_id=f"a{seq}", by="ada", door="web"),
        ):
            apply(state, event(state.seq + 1, payload))
    assert state.session_patterns == {"t": ("git status*",)}
    call = state.calls["c1"]
    assert call.status is CallStatus.APPROVED
    assert call.end_level(e.Outcome.OK) is e.Level.FULL
    assert call.end_level(e.Outcome.ERROR) is e.Level.CONCISE


def test_a_setup_script_that_fails_is_a_warning() -> None:
    state = begin(event(1, CREATED))
    apply(state, event(2, e.SetupFinished(outcome=e.Outcome.OK, text="")))
    assert state.warnings == 0
    apply(state, event(3, e.SetupFinished(outcome=e.Outcome.TIMED_OUT, text="")))
    apply(state, event(4, e.NetworkRefused(host="a.test", port=443, reason="x", call_id="c")))
    assert state.warnings == 2
