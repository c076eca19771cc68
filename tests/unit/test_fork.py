"""A fork begins with another session's history, and goes on from there by itself or with a message."""

from collections.abc import Mapping, Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.core import events as e
from quarterdeck.core import step
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.flow import Flow
from quarterdeck.core.fold import apply, begin, fold
from quarterdeck.core.fork import Copy, opening
from quarterdeck.core.fork_events import ForkedFrom
from quarterdeck.core.history import Answered, Result, Results, Said, conversation
from quarterdeck.core.state import CallStatus, SessionState
from quarterdeck.core.status import Status, Transition
from quarterdeck.core.step import OfferCalls
from quarterdeck.core.usage import Usage
from tests.unit.test_fold import EXAMPLES, FLOWS, look
from tests.unit.world import CREATED, NOON, RECORDS, World, agent, deterministic, event, finished, flow, human_input

ONE = flow([agent("a")], [{"from": "a", "to": "end"}])
CHAT = flow([agent("a")], [], environment="chat")
FORK = 7
BLOBS = {1: 11, 2: 12, 3: 13}


def forked(
    its_flow: Flow, log: Sequence[e.Event], through: int, say: str = "", blobs: Mapping[int, int] = BLOBS
) -> tuple[list[e.Event], SessionState]:
    """The log and state of a fork, as the app makes it."""
    copy = Copy(FORK)
    made = [event(1, CREATED.model_copy(update={"forked_from": ForkedFrom(session=1, seq=through)}), session=FORK)]
    state = begin(made[0])
    for one in log[1:]:
        if one.seq > through and not copy.belongs(one, state):
            break
        through = max(through, one.seq)
        taken = copy.take(one, blobs)
        if taken is not None:
            apply(state, taken)
            made.append(taken)
    message = e.MessageAdded(text=say, by="bob") if say else None
    for payload in opening(its_flow, state, ForkedFrom(session=1, seq=through), message):
        made.append(event(state.seq + 1, payload, at=state.last_activity, session=FORK))
        apply(state, made[-1])
    return made, state


def log_of(*payloads: e.AnyPayload) -> list[e.Event]:
    """A log whose second event is the first of `payloads`; a transition is a status change from where it stands."""
    return [event(seq, payload) for seq, payload in enumerate([CREATED, *payloads], 1)]


def status(from_: Status, to: Status, transition: Transition) -> e.StatusChanged:
    return e.StatusChanged(transition=transition, from_status=from_, to_status=to)


STARTED = status(Status.CREATED, Status.RUNNING, Transition.START)
FINISHED = status(Status.RUNNING, Status.FINISHED, Transition.FINISH)
STOPPED = status(Status.RUNNING, Status.STOPPED, Transition.STOP)
IDLE = status(Status.RUNNING, Status.IDLE, Transition.IDLE)
ASKED = status(Status.RUNNING, Status.TOOL_CALL_APPROVAL_REQUIRED, Transition.REQUIRE_TOOL_CALL_APPROVAL)
RESUMED = status(Status.TOOL_CALL_APPROVAL_REQUIRED, Status.RUNNING, Transition.RESUME)
ENTERED = e.ComponentEntered(component="a", system="s", user="u")
LEFT = e.ComponentLeft(component="a", outputs={"final_answer": "done"})
USED = e.UsageRecorded(component="a", model="m", usage=Usage(requests=1))


def answered(text: str, *call_ids: str, seen: int | None = None) -> e.ModelAnswered:
    calls = tuple(e.AnswerCall(call_id=one, provider_id=f"p_{one}", tool="t", args={}) for one in call_ids)
    return e.ModelAnswered(component="a", text=text, calls=calls, model="m", seen=seen)


def requested(call_id: str, *, asks: bool = False, listing: bool = False) -> e.ToolCallRequested:
    return e.ToolCallRequested(
        call_id=call_id, component="a", tool="t", args={"server": "s"}, side="server", asks=asks, listing=listing
    )


def offered(*call_ids: str) -> e.ToolCallsOffered:
    return e.ToolCallsOffered(call_ids=call_ids)


def kinds(events: Sequence[e.Event]) -> list[str]:
    return [one.kind for one in events]


# anything that may happen


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.sampled_from(FLOWS), st.integers(0, 60), st.floats(0, 1), st.booleans())
def test_a_fork_of_any_session_at_any_event_stands_right_and_comes_to_an_end(
    seed: int, its_flow: Flow, happenings: int, place: float, says: bool
) -> None:
    source = World(its_flow, Random(seed), lambda world: None)
    source.chaos(happenings)
    through = 1 + round(place * (len(source.log) - 1))
    try:
        log, state = forked(its_flow, source.log, through, "go on" if says else "")
    except InvalidInputError:
        return  # nothing is left to do, or nobody would hear it: the tests below say when
    assert fold(log) == state
    old = {call_id for one in source.log for call_id in called(one)}
    assert not old & {call_id for one in log for call_id in called(one)}
    world = World(its_flow, Random(seed + 1), look)
    world.log, world.state = log, state
    look(world)
    assert (state.turn_no, state.usage, state.artifacts, state.executor) == (0, Usage(), (), "")
    if not its_flow.chats or says:
        assert state.wants_turn, "a fork goes on at once"
    world.calm(2_000)
    assert world.state.final


def called(one: e.Event) -> list[str]:
    match one.payload:
        case e.ToolCallRequested() as p:
            return [p.call_id]
        case e.ModelAnswered() as p:
            return [call.call_id for call in p.calls]
        case _:
            return []


def test_each_kind_of_event_is_copied_or_left_out() -> None:
    copied: set[str] = set()
    for example in EXAMPLES:
        taken = Copy(FORK).take(event(5, example), BLOBS)
        if taken is not None:
            copied.add(taken.kind)
            assert (taken.session, taken.seq, taken.at) == (FORK, 2, event(5, example).at)
            assert e.Event.model_validate_json(taken.model_dump_json()) == taken
    assert copied == {
        "message.added", "component.entered", "component.left", "model.answered", "model.interrupted",
        "tool_call.requested", "tool_call.started", "tool_call.finished", "approval.requested", "approval.granted",
        "approval.denied", "question.answered", "delegation.started", "delegation.ended", "notice.added",
        "context.compacted", "plan.changed", "snapshot.taken", "history.copied", "session.imported",
    }  # fmt: skip
    for record in RECORDS:
        assert Copy(FORK).take(event(5, record), BLOBS) is None
    subject = e.LinkAdded(relation="source", target="issue", name="#1")
    taken = Copy(FORK).take(event(5, subject), BLOBS)
    assert taken is not None
    assert taken.payload == subject


# where it goes on


def test_a_stopped_session_goes_on_where_its_agent_had_something_to_answer() -> None:
    source = log_of(STARTED, ENTERED, answered("", "c1"), USED, requested("c1"), offered("c1"),
                    finished("c1", e.Outcome.OK), STOPPED)  # fmt: skip
    log, state = forked(ONE, source, len(source))
    assert state.status is Status.RUNNING
    assert step.next_step(ONE, state) == step.AskModel("a")
    assert state.started_at == log[-1].at
    talk = conversation("a", log)
    copied = Copy(FORK).call_id("c1")
    assert talk.messages[0] == Said("u")
    assert talk.messages[2] == Results((Result(copied, "p_c1", "t", {}, e.Outcome.OK, "it was ok"),))


def test_what_was_under_way_is_interrupted_and_what_nobody_began_is_still_done() -> None:
    source = log_of(STARTED, ENTERED, answered("", "c1", "c2"), requested("c1"), requested("c2"), offered("c1"))
    log, state = forked(ONE, source, len(source))
    first, second = (Copy(FORK).call_id(one) for one in ("c1", "c2"))
    assert state.calls[first].outcome is e.Outcome.INTERRUPTED
    assert step.next_step(ONE, state) == OfferCalls((second,))
    told = next(one.payload for one in log if isinstance(one.payload, e.ToolCallFinished))
    assert "event 7 of session #1" in told.text
    log, state = forked(ONE, source, len(source), "leave that")
    assert [call.outcome for call in state.calls.values()] == [e.Outcome.INTERRUPTED, e.Outcome.CANCELLED]
    assert step.next_step(ONE, state) == step.AskModel("a")
    assert conversation("a", log).messages[-1] == Said("leave that")


def test_a_fork_at_an_answer_has_the_calls_of_the_answer_as_they_were_made() -> None:
    """Without them the answer would be the final one, and the refused call would be carried out."""
    source = log_of(STARTED, ENTERED, answered("I use two.", "c1", "c2"), USED, requested("c1"),
                    requested("c2"), finished("c2", e.Outcome.ERROR), offered("c1"))  # fmt: skip
    for through in range(4, 8):
        log, state = forked(ONE, source, through)
        assert log[-1].payload == e.HistoryCopied(session=1, seq=8, status=Status.RUNNING)
        first, second = (Copy(FORK).call_id(one) for one in ("c1", "c2"))
        assert state.calls[second].outcome is e.Outcome.ERROR
        assert step.next_step(ONE, state) == OfferCalls((first,))


def test_what_was_committed_together_is_not_parted() -> None:
    snapshot = e.SnapshotTaken(
        call_id="c1", step=1, commit="d" * 40, files=(), bundle_blob=1, step_diff_blob=2, whole_diff_blob=3
    )
    source = log_of(STARTED, ENTERED, answered("", "c1"), requested("c1"), offered("c1"), snapshot,
                    finished("c1", e.Outcome.OK), answered("more", "c2"), requested("c2"), offered("c2"))  # fmt: skip
    _, state = forked(ONE, source, 7)
    assert state.calls[Copy(FORK).call_id("c1")].outcome is e.Outcome.OK
    assert (state.step, state.bundle_blob, state.whole_diff_blob) == (1, 11, 13)
    lead = flow([agent("a", subagents=[{"name": "b"}]), agent("b")], [{"from": "a", "to": "end"}])
    task = e.ToolCallRequested(
        call_id="c1", component="a", tool="delegate_task", args={"agent": "b"}, side="brain", asks=False
    )
    source = log_of(STARTED, ENTERED, answered("", "c1"), task, offered("c1"),
                    e.DelegationStarted(call_id="c1", component="a:b:1", user="u"),
                    e.DelegationEnded(call_id="c1", component="a:b:1"), finished("c1", e.Outcome.OK))  # fmt: skip
    _, state = forked(lead, source, 6)
    assert step.next_step(lead, state) == step.AskModel("a:b:1")
    _, state = forked(lead, source, 8)
    assert state.calls[Copy(FORK).call_id("c1")].outcome is e.Outcome.OK
    source = log_of(STARTED, ENTERED, e.ModelInterrupted(component="a", text="ha", by="ada"), IDLE)
    assert forked(CHAT, source, 4)[1].status is Status.IDLE


PLAN = flow(
    [agent("a"), human_input("h", "a")],
    [
        {"from": "a", "to": "h"},
        {
            "from": "h",
            "condition": {"input": {"from": "context:h.approval"}, "routes": {"approve": "end", "reject": "a"}},
        },
    ],
)
PLANNED = (
    STARTED, ENTERED, answered("a plan"), LEFT, e.ComponentEntered(component="h"),
    e.ApprovalRequested(approval_id="p", ask="plan", question="So?", component="h"),
    status(Status.RUNNING, Status.PLAN_APPROVAL_REQUIRED, Transition.REQUIRE_PLAN_APPROVAL),
    e.ApprovalDenied(approval_id="p", by="ada", door="cli", reason="shorter"),
    e.MessageAdded(text="shorter", by="ada", component="a"),
)  # fmt: skip


def test_a_person_is_asked_again_and_what_they_answered_stays_answered() -> None:
    source = log_of(*PLANNED)
    for through in (7, 8):
        _, state = forked(PLAN, source, through)
        assert not state.approvals
        assert step.next_step(PLAN, state) == step.AskHuman("h")
    for ask in ("plan", "input"):
        asked = e.ApprovalRequested(approval_id="p", ask=ask, question="So?", component="h")
        log, state = forked(PLAN, log_of(*PLANNED[:5], asked, *PLANNED[6:7]), 8, "without the tests")
        told = "approval.denied" if ask == "plan" else "question.answered"
        assert kinds(log[-4:]) == ["status.changed", "approval.requested", told, "message.added"]
        verdict = "reject" if ask == "plan" else "approve"
        assert step.next_step(PLAN, state) == step.Leave("h", {"approval": verdict})
        assert conversation("a", log).messages[-1] == Said("without the tests")
    log, state = forked(PLAN, source, 9)
    assert step.next_step(PLAN, state) == step.Leave("h", {"approval": "reject"})
    assert Said("shorter") in conversation("a", log).messages


def test_what_was_allowed_for_the_session_asks_again_in_a_fork() -> None:
    grant = e.ApprovalGranted(approval_id="p", by="ada", door="cli", for_session=True, pattern="ls*")
    source = log_of(STARTED, ENTERED, answered("", "c1", "c2"), requested("c1", asks=True), requested("c2", asks=True),
                    e.ApprovalRequested(approval_id="p", ask="tool_call", call_ids=("c1",), question="?"),
                    e.ApprovalRequested(approval_id="q", ask="tool_call", call_ids=("c2",), question="?"),
                    ASKED, grant)  # fmt: skip
    assert fold(source).session_approvals
    _, state = forked(ONE, source, len(source))
    assert (state.session_approvals, state.session_patterns, state.approvals) == ((), {}, {})
    first, second = (Copy(FORK).call_id(one) for one in ("c1", "c2"))
    assert (state.calls[first].status, state.calls[second].status) == (CallStatus.REQUESTED, CallStatus.REQUESTED)
    assert step.next_step(ONE, state) == step.AskPerson((first, second))
    log, state = forked(ONE, source, len(source), "neither")
    assert {call.outcome for call in state.calls.values()} == {e.Outcome.CANCELLED}
    assert conversation("a", log).messages[-1] == Said("neither")


def test_servers_are_asked_for_their_tools_anew() -> None:
    source = log_of(STARTED, ENTERED, requested("c0", listing=True), offered("c0"), finished("c0", e.Outcome.ERROR),
                    answered("", "c1"), requested("c1"))  # fmt: skip
    assert fold(source).mcp
    log, state = forked(ONE, source, len(source))
    assert not state.mcp
    assert kinds(log) == [
        "session.created", "status.changed", "component.entered", "model.answered", "tool_call.requested",
        "history.copied",
    ]  # fmt: skip
    _, state = forked(ONE, source, 4)
    assert step.next_step(ONE, state) == step.AskModel("a")


def test_numbers_of_events_are_those_of_the_fork() -> None:
    compacted = e.ContextCompacted(component="a", text="so far", through=5, answers=1, system="s", size=6)
    source = log_of(e.TurnStarted(turn_no=1, job=1), STARTED, ENTERED, e.MessageAdded(text="m", by="ada"),
                    answered("one", seen=4), USED, compacted, answered("two", seen=7))  # fmt: skip
    log, state = forked(CHAT, source, len(source))
    by_kind = {one.kind: one.payload for one in log}
    assert [one.payload.seen for one in log if isinstance(one.payload, e.ModelAnswered)] == [3, 5]
    assert isinstance(by_kind["context.compacted"], e.ContextCompacted)
    assert by_kind["context.compacted"].through == 4
    assert state.compacted["a"].through == 4
    assert [m.text for m in conversation("a", log).messages if isinstance(m, Answered)] == ["two"]


# what it is refused, and what rests


def test_a_finished_flow_needs_a_message_which_its_last_agent_hears() -> None:
    source = log_of(STARTED, ENTERED, answered("done"), LEFT, FINISHED)
    with pytest.raises(InvalidInputError, match="event 6 of session #1 nothing is left to do"):
        forked(ONE, source, 6)
    log, state = forked(ONE, source, 6, "once more")
    assert state.status is Status.RUNNING
    assert step.next_step(ONE, state) == step.Enter("a", follow_up=True)
    assert kinds(log[-4:]) == ["history.copied", "status.changed", "message.added", "status.changed"]
    assert state.started_at is not None


def test_a_flow_that_rested_needs_one_too_and_a_chat_rests_on() -> None:
    source = log_of(STARTED, ENTERED, answered("done"), LEFT, IDLE)
    with pytest.raises(InvalidInputError, match="nothing is left"):
        forked(ONE, source, 6)
    _, state = forked(CHAT, source, 6)
    assert (state.status, state.wants_turn, state.started_at) == (Status.IDLE, False, None)
    _, state = forked(CHAT, source, 6, "and now?")
    assert step.next_step(CHAT, state) == step.Enter("a", follow_up=True)


def test_a_paused_session_is_forked_going_on() -> None:
    paused = status(Status.RUNNING, Status.PAUSED, Transition.PAUSE)
    source = log_of(STARTED, ENTERED, e.ModelRetried(component="a", attempt=3, since=NOON, retry_at=NOON, error="x"),
                    paused)  # fmt: skip
    _, state = forked(ONE, source, 5)
    assert (state.status, state.retry) == (Status.RUNNING, None)


def test_a_message_needs_somebody_who_reads_it() -> None:
    steps = flow([deterministic("d")], [])
    with pytest.raises(InvalidInputError, match=r"f/1\.0\.0 has no agent"):
        forked(steps, log_of(STARTED), 2, "hello")
    never = flow([deterministic("d"), agent("a")], [{"from": "d", "to": "end"}])
    entered = e.ComponentEntered(component="d")
    source = log_of(STARTED, entered, e.ComponentLeft(component="d", outputs={}), FINISHED)
    with pytest.raises(InvalidInputError, match="no agent that would read"):
        forked(never, source, 5, "hello")


def test_a_fork_of_a_fork_has_the_history_of_both() -> None:
    source = log_of(STARTED, ENTERED, answered("", "c1"), requested("c1"), offered("c1"))
    log, _ = forked(ONE, source, 6)
    again, state = forked(ONE, log, len(log))
    assert [one.payload for one in again if isinstance(one.payload, e.HistoryCopied)] == [
        e.HistoryCopied(session=1, seq=6, status=Status.RUNNING),
        e.HistoryCopied(session=1, seq=len(log), status=Status.RUNNING),
    ]  # fmt: skip
    assert step.next_step(ONE, state) == step.AskModel("a")


def test_no_end_is_copied() -> None:
    for end in (FINISHED, STOPPED, status(Status.RUNNING, Status.FAILED, Transition.DROP)):
        source = log_of(STARTED, ENTERED, end, RECORDS[3])
        _, state = forked(ONE, source, 5)
        assert (state.status, state.ended_at, state.torn_down) == (Status.RUNNING, None, False)
