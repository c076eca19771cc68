"""The fold: a session's state is what its events make of it, and nothing else (promise 1)."""

from collections.abc import Iterable
from datetime import datetime
from typing import assert_never

from pydantic import JsonValue

from quarterdeck.core import events as e
from quarterdeck.core import limits
from quarterdeck.core.approval import fingerprint
from quarterdeck.core.errors import SessionEndedError
from quarterdeck.core.state import ArtifactRef, Call, CallStatus, PendingApproval, SessionState
from quarterdeck.core.status import Status, after, human
from quarterdeck.core.text import cut


def begin(event: e.Event) -> SessionState:
    """The state after the first event, which must be `session.created`."""
    if not isinstance(event.payload, e.SessionCreated) or event.seq != 1:
        raise ValueError("a log begins with session.created, number 1")
    created = event.payload
    return SessionState(
        created=created,
        title=created.title,
        seq=1,
        created_at=event.at,
        last_activity=event.at,
    )


def fold(events: Iterable[e.Event]) -> SessionState:
    """The state that a whole log makes."""
    rest = iter(events)
    state = begin(next(rest))
    for event in rest:
        apply(state, event)
    return state


def apply(state: SessionState, event: e.Event) -> None:
    """Moves `state` by one event, in place; an event that it can't take leaves it as it was.

    Raises:
        SessionEndedError: a work event after the end.
        IllegalTransitionError: a status change that the table doesn't have.
        ValueError: the event is not the next one, or speaks of what is not so.
    """
    if event.seq != state.seq + 1:
        raise ValueError(f"event {event.seq} can't follow {state.seq}")
    if state.final and event.event_class is e.EventClass.WORK:
        raise SessionEndedError(f"The session is {human(state.status)}; it takes no more work ({event.kind}).")
    _check(state, event)
    _change(state, event)
    state.seq = event.seq
    state.last_activity = max(state.last_activity, event.at)


def _check(state: SessionState, event: e.Event) -> None:
    """Refuses what would offer a call twice, or before its approval, or move from where the session is not."""
    match event.payload:
        case e.SessionCreated():
            fits = False
        case e.StatusChanged() as p:
            fits = (p.from_status, p.to_status) == (state.status, after(state.status, p.transition))
        case e.ToolCallRequested() as p:
            fits = p.call_id not in state.calls
        case e.ToolCallsOffered() as p:
            fits = state.ready.keys() >= set(p.call_ids)
        case e.ApprovalRequested() as p:
            asking = {i for i, call in state.calls.items() if call.status is CallStatus.REQUESTED and call.asks}
            fits = asking >= set(p.call_ids)
        case _:
            fits = True
    if not fits:
        raise ValueError(f"event {event.seq}, {event.kind}, does not fit the session: {event.payload!r}")


def _change(state: SessionState, event: e.Event) -> None:  # noqa: C901 one arm for each kind, nothing nested
    match event.payload:
        case e.StatusChanged() as p:
            _status(state, p, event.at)
        case e.TurnStarted() as p:
            state.turn_no, state.turn_open, state.turn_job = p.turn_no, True, p.job
        case e.TurnEnded():
            state.turn_open = False
        case e.MessageAdded():
            state.unanswered = True
            state.last_message = event.seq
        case e.ComponentEntered() as p:
            _enter(state, p)
        case e.ComponentLeft() as p:
            state.component_done = True
            state.calls = {}
            state.context[p.component] = {name: _bounded(value) for name, value in p.outputs.items()}
        case e.ModelAnswered() as p:
            state.retry = None
            state.unanswered = p.seen is not None and state.last_message > p.seen
            state.answer = cut(p.text, limits.STATE_CONTEXT_CHARACTERS)
            state.calls = {}
            state.cycles[p.component] = state.cycles.get(p.component, 0) + 1
        case e.ModelRetried() as p:
            state.retry = p
            state.warnings += 1
        case e.ToolCallRequested() as p:
            _request(state, p)
        case e.ToolCallsOffered() as p:
            for call_id in p.call_ids:
                state.calls[call_id].status = CallStatus.OFFERED
        case e.ToolCallStarted() as p:
            call = state.calls.get(p.call_id)
            if call is not None and call.status is CallStatus.OFFERED:
                call.status = CallStatus.RUNNING
        case e.ToolCallFinished() as p:
            _finish_call(state, p)
        case e.ApprovalRequested() as p:
            state.approvals[p.approval_id] = PendingApproval(ask=p.ask, call_ids=p.call_ids, question=p.question)
            for call_id in p.call_ids:
                state.calls[call_id].status = CallStatus.ASKED
        case e.ApprovalGranted() as p:
            _grant(state, p)
        case e.ApprovalDenied() as p:
            _deny(state, p)
        case e.PlanChanged() as p:
            state.plan = p.items
        case e.ExecutorAttached() as p:
            state.executor, state.lease_epoch = p.executor, p.lease_epoch
        case e.WorkspacePrepared() as p:
            state.isolation, state.base_commit = p.isolation, p.base_commit
        case e.SnapshotTaken() as p:
            state.step, state.snapshot_commit = p.step, p.commit
            state.bundle_blob, state.whole_diff_blob = p.bundle_blob, p.whole_diff_blob
        case e.ArtifactCreated() as p:
            state.artifacts = (
                *state.artifacts,
                ArtifactRef(artifact=p.artifact, name=p.name, url=p.url),
            )[-100:]
            if p.artifact == "merge_request":
                state.open_merge_request = p.name
        case e.SessionRenamed() as p:
            state.title = p.title
        case e.SessionHeld():
            state.held = True
        case e.SessionReleased():
            state.held = False
        case e.WorkspaceTornDown() as p:
            state.torn_down = True
            state.errors += 1 if p.left else 0
        case e.UsageRecorded() as p:
            state.usage += p.usage
        case e.CheckRecorded() as p:
            state.checks_passed += p.passed
            state.checks_failed += not p.passed
        case e.MergeRequestEnded():
            state.open_merge_request = ""
        case e.SessionCreated() | e.LinkAdded():
            pass
        case _:
            assert_never(event.payload)


def _status(state: SessionState, change: e.StatusChanged, at: datetime) -> None:
    state.status = change.to_status
    state.reason = change.reason
    if change.to_status is Status.RUNNING:
        state.retry = None
        state.started_at = state.started_at or at
    if change.to_status is Status.IDLE:
        state.component, state.component_done, state.ended = "", False, True
    if state.final or change.to_status is Status.IDLE:
        state.calls = {}
        state.approvals = {}
        state.retry = None
    if state.final:
        state.ended_at = at
        state.turn_open = False
        state.errors += change.to_status is Status.FAILED


def _enter(state: SessionState, entered: e.ComponentEntered) -> None:
    state.component, state.component_done, state.ended = entered.component, False, False
    state.nodes += 1
    state.visit_calls = 0
    state.calls = {}
    state.answer = ""
    if entered.system or entered.user:
        state.agent = entered.component
        state.unanswered = True


def _request(state: SessionState, requested: e.ToolCallRequested) -> None:
    state.visit_calls += 1
    state.calls[requested.call_id] = Call(
        tool=requested.tool,
        args=requested.args,
        component=requested.component,
        side=requested.side,
        asks=requested.asks,
        parallel=requested.parallel,
    )


def _finish_call(state: SessionState, finished: e.ToolCallFinished) -> None:
    call = state.calls.get(finished.call_id)
    if call is None or call.status is CallStatus.FINISHED:
        return
    call.status, call.outcome = CallStatus.FINISHED, finished.outcome
    state.warnings += finished.outcome is not e.Outcome.OK
    if call.component == state.agent:
        state.unanswered = True
    else:
        call.text = cut(finished.text, limits.STATE_CONTEXT_CHARACTERS)


def _grant(state: SessionState, granted: e.ApprovalGranted) -> None:
    approval = state.approvals.pop(granted.approval_id, None)
    for call in _asked(state, approval):
        call.status = CallStatus.APPROVED
        call.args = granted.args if granted.args is not None else call.args
        exact = fingerprint(call.tool, call.args)
        if granted.for_session and exact not in state.session_approvals:
            state.session_approvals = (*state.session_approvals, exact)


def _deny(state: SessionState, denied: e.ApprovalDenied) -> None:
    for call in _asked(state, state.approvals.pop(denied.approval_id, None)):
        call.status = CallStatus.REQUESTED  # its end, with the reason, is the next event


def _asked(state: SessionState, approval: PendingApproval | None) -> list[Call]:
    calls = [state.calls[call_id] for call_id in approval.call_ids] if approval else []
    return [call for call in calls if call.status is CallStatus.ASKED]


def _bounded(value: JsonValue) -> JsonValue:
    return cut(value, limits.STATE_CONTEXT_CHARACTERS) if isinstance(value, str) else value
