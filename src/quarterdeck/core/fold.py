"""The fold: a session's state is what its events make of it, and nothing else (promise 1)."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Literal, assert_never

from pydantic import JsonValue

from quarterdeck.core import events as e
from quarterdeck.core import limits
from quarterdeck.core.approval import fingerprint
from quarterdeck.core.attachment import Attachment
from quarterdeck.core.errors import SessionEndedError
from quarterdeck.core.mcp import McpPin
from quarterdeck.core.session_limits import Used
from quarterdeck.core.state import (
    ArtifactRef,
    Call,
    CallStatus,
    Compacted,
    Editor,
    Frame,
    LinkRef,
    PendingApproval,
    SessionState,
)
from quarterdeck.core.status import Status, after, human
from quarterdeck.core.text import cut, cut_texts, line, long_texts

FINAL_RESPONSE = "final_response_tool"
"""The tool by which an agent gives its final answer in the form that its schema asks for."""


def begin(event: e.Event) -> SessionState:
    """The state after the first event, which must be `session.created`."""
    if not isinstance(event.payload, e.SessionCreated) or event.seq != 1:
        raise ValueError("a log begins with session.created, number 1")
    created = event.payload
    return SessionState(
        created=created,
        title=created.title,
        budget=created.budget,
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
    if not isinstance(event.payload, e.RetentionChanged):
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
        case e.SnapshotTaken() as p:
            fits = p.step > state.step
        case e.ToolCallsOffered() as p:
            fits = state.ready.keys() >= set(p.call_ids)
        case e.ApprovalRequested() as p:
            asking = {i for i, call in state.calls.items() if call.status is CallStatus.REQUESTED and call.asks}
            fits = asking >= set(p.call_ids)
        case e.DelegationStarted() as p:
            call = state.calls.get(p.call_id)
            fits = call is not None and call.side == "brain" and call.status is CallStatus.OFFERED
        case e.DelegationEnded() as p:
            fits = bool(state.stack) and state.stack[-1].call_id == p.call_id
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
        case e.MessageAdded() as p:
            _hear(state, p, event.seq)
        case e.ComponentEntered() as p:
            _enter(state, p)
        case e.ComponentLeft() as p:
            state.component_done = True
            state.calls = {}
            state.verdict = ""
            state.unanswered = state.unanswered and state.last_message > state.seen
            state.context[p.component] = {name: _bounded(value) for name, value in p.outputs.items()}
        case e.ModelAnswered() as p:
            _answer(state, p, event.seq)
        case e.ModelInterrupted() as p:
            state.retry, state.unanswered, state.addressed, state.seen = None, False, "", event.seq
            _grow(state, p.component, p.text)
        case e.ModelRetried() as p:
            state.retry = p
            state.warnings += 1
        case e.ToolCallRequested() as p:
            _request(state, p, event.seq)
        case e.ToolCallsOffered() as p:
            for call_id in p.call_ids:
                state.calls[call_id].status = CallStatus.OFFERED
        case e.ToolCallStarted() as p:
            call = state.calls.get(p.call_id)
            if call is not None and call.status is CallStatus.OFFERED:
                call.status = CallStatus.RUNNING
        case e.ToolCallFinished() as p:
            _finish_call(state, p, event.seq)
        case e.ApprovalRequested() as p:
            state.approvals[p.approval_id] = PendingApproval(
                ask=p.ask, call_ids=p.call_ids, question=p.question, choices=p.choices, component=p.component
            )
            for call_id in p.call_ids:
                state.calls[call_id].status = CallStatus.ASKED
        case e.ApprovalGranted() as p:
            _grant(state, p)
        case e.ApprovalDenied() as p:
            _settle(state, p.approval_id, "reject")
        case e.QuestionAnswered() as p:
            _settle(state, p.approval_id, "approve")
        case e.DelegationStarted() as p:
            _delegate(state, p)
        case e.DelegationEnded():
            _return(state)
        case e.NoticeAdded() as p:
            _notice(state, p)
        case e.ContextCompacted() as p:
            state.compacted[p.component] = Compacted(through=p.through, answers=state.answers.get(p.component, 0))
            state.sizes[p.component], state.tokens[p.component] = p.size, 0
            state.retry = None
        case e.McpToolsPinned() as p:
            state.mcp[p.server] = McpPin(server_id=p.server_id, side=p.side, tools=p.tools, seq=event.seq)
        case e.HistoryCopied():
            _fork(state, event.at)
        case e.PlanChanged() as p:
            state.plan = p.items
        case e.ExecutorAssigned() as p:
            state.editor = _editor(p)
        case e.ExecutorAttached() as p:
            state.executor, state.lease_epoch = p.executor, p.lease_epoch
        case e.WorkspacePrepared() as p:
            state.isolation, state.base_commit = p.isolation, p.base_commit
        case e.SnapshotTaken() as p:
            state.step, state.snapshot_commit = p.step, p.commit
            state.bundle_blob, state.whole_diff_blob = p.bundle_blob, p.whole_diff_blob
            state.start_commit = state.start_commit if p.call_id else p.commit
        case e.ArtifactCreated() as p:
            state.artifacts = (
                *state.artifacts,
                ArtifactRef(artifact=p.artifact, name=p.name, url=p.url),
            )[-100:]
            if p.artifact == "merge_request":
                state.open_merge_request = p.name
            elif p.artifact == "commit":
                state.verified = None
        case e.SessionRenamed() as p:
            state.title = p.title
        case e.SessionHeld():
            state.held = True
        case e.SessionReleased():
            state.held = False
        case e.SessionImported() as p:
            state.imported = p
        case e.RetentionChanged() as p:
            state.kept_days = p.days
        case e.WorkspaceTornDown() as p:
            state.torn_down = True
            state.errors += 1 if p.left else 0
        case e.TeardownMissed() as p:
            state.teardown_missed = p.why
            state.warnings += 1
        case e.UsageRecorded() as p:
            state.usage += p.usage
            state.tokens[p.component] = p.usage.input_tokens + p.usage.output_tokens
        case e.ChildrenUsed() as p:
            state.children_usage = p.usage
        case e.CheckRecorded() as p:
            state.checks_passed += p.passed
            state.checks_failed += not p.passed
            state.verified = p.passed
        case e.MergeRequestEnded():
            state.open_merge_request = ""
        case e.BudgetChanged() as p:
            state.budget, state.budget_neared = p.budget, False
        case e.BudgetNeared():
            state.budget_neared = True
            state.warnings += 1
        case e.SetupFinished() as p:
            state.warnings += p.outcome is not e.Outcome.OK
        case e.NetworkRefused():
            state.warnings += 1
        case e.SessionCreated() | e.LinkAdded() as p:  # the first is refused where it isn't the first event
            state.links = (*state.links, *_link(p))[-limits.STATE_LINKS :]
        case _:
            assert_never(event.payload)


def _editor(p: e.ExecutorAssigned) -> Editor | None:
    if p.executor_id is None or p.executor_kind == "runner":
        return None
    return Editor(id=p.executor_id, name=p.executor, kind=p.executor_kind, folder=p.folder)


def _link(p: e.SessionCreated | e.LinkAdded) -> tuple[LinkRef, ...]:
    added = (one for one in (p,) if isinstance(one, e.LinkAdded))
    return tuple(LinkRef(relation=one.relation, target=one.target, name=one.name, url=one.url) for one in added)


def _status(state: SessionState, change: e.StatusChanged, at: datetime) -> None:
    state.status = change.to_status
    state.reason = change.reason
    if change.to_status is Status.RUNNING:
        state.retry = state.exhausted = None
        state.started_at = state.started_at or at
    if change.to_status is Status.IDLE:
        state.component, state.component_done, state.ended = "", False, True
        if state.stack:  # an answer was interrupted while a subagent worked
            state.agent = state.stack[0].component
            state.stack = []
    if state.final or change.to_status is Status.IDLE:
        state.calls = {}
        state.approvals = {}
        state.retry = None
    if state.final:
        state.ended_at = at
        state.turn_open = False
        state.errors += change.to_status is Status.FAILED


def _fork(state: SessionState, at: datetime) -> None:
    """A question is put again by whoever put it; what a person allowed for another session is not allowed here."""
    for call in state.calls.values():
        if call.status in (CallStatus.ASKED, CallStatus.APPROVED):
            call.status = CallStatus.REQUESTED
    state.approvals = {}
    state.session_approvals, state.session_patterns = (), {}
    state.used, state.exhausted = Used(), None
    state.started_at = at if state.status is Status.RUNNING else None


def _enter(state: SessionState, entered: e.ComponentEntered) -> None:
    state.component, state.component_done, state.ended = entered.component, False, False
    state.nodes += 1
    state.visit_calls = state.visit_answers = 0
    state.calls = {}
    state.answer, state.verdict = "", ""
    _begin_anew(state)
    if entered.system or entered.user:
        state.agent = entered.component if entered.converses else state.agent
        state.unanswered = True
        _grow(state, entered.component, entered.user, attached=entered.attachments)


def _begin_anew(state: SessionState) -> None:
    """What an agent is told of its limits begins with each prompt and message."""
    state.response, state.corrections, state.noticed = None, 0, ()


def _hear(state: SessionState, message: e.MessageAdded, seq: int) -> None:
    state.unanswered, state.last_message = True, seq
    state.addressed = message.component
    state.cycles, state.nodes = {}, 0
    _begin_anew(state)
    _grow(state, message.component or state.agent, message.text, attached=message.attachments)


def _answer(state: SessionState, answer: e.ModelAnswered, seq: int) -> None:
    path = answer.component
    state.retry, state.response = None, None
    state.seen = seq if answer.seen is None else answer.seen
    state.unanswered = state.last_message > state.seen
    state.addressed = state.addressed if state.unanswered else ""
    state.answer = cut(answer.text, limits.STATE_CONTEXT_CHARACTERS)
    state.calls = {}
    state.visit_answers += 1
    state.cycles[path] = state.cycles.get(path, 0) + 1
    state.answers[path] = state.answers.get(path, 0) + 1
    _grow(state, path, answer.text, *(str(call.args) for call in answer.calls))


def _grow(state: SessionState, path: str, *texts: str, attached: tuple[Attachment, ...] = ()) -> None:
    if path:
        more = sum(len(text) for text in texts) + sum(one.characters for one in attached)
        state.sizes[path] = state.sizes.get(path, 0) + more


def _notice(state: SessionState, notice: e.NoticeAdded) -> None:
    state.unanswered = True
    if notice.about == "correction":
        state.corrections += 1
    else:
        state.noticed = (*state.noticed, notice.about)
    _grow(state, notice.component, notice.text)


def _delegate(state: SessionState, started: e.DelegationStarted) -> None:
    """The agent that delegates is laid by as it is; its subagent has the floor."""
    lead = state.component
    state.stack.append(
        Frame(
            call_id=started.call_id,
            component=lead,
            calls=state.calls,
            answer=state.answer,
            response=state.response,
            noticed=state.noticed,
            corrections=state.corrections,
        )
    )
    kind, _, number = started.component.rpartition(":")
    state.subsessions[kind] = max(state.subsessions.get(kind, 0), int(number))
    state.delegations[lead] = state.delegations.get(lead, 0) + 1
    state.cycles.pop(started.component, None)
    state.component = state.agent = started.component
    state.calls, state.answer, state.unanswered = {}, "", True
    _begin_anew(state)
    _grow(state, started.component, started.user)


def _return(state: SessionState) -> None:
    frame = state.stack.pop()
    state.component = state.agent = frame.component
    state.calls, state.answer = frame.calls, frame.answer
    state.response, state.corrections, state.noticed = frame.response, frame.corrections, frame.noticed


def _request(state: SessionState, requested: e.ToolCallRequested, seq: int) -> None:
    state.visit_calls += not requested.listing
    state.calls[requested.call_id] = Call(
        tool=requested.tool,
        args=requested.args,
        component=requested.component,
        side=requested.side,
        asks=requested.asks,
        parallel=requested.parallel,
        level=requested.level,
        failure_level=requested.failure_level,
        listing=requested.listing,
        seq=seq,
    )


def _finish_call(state: SessionState, finished: e.ToolCallFinished, seq: int) -> None:
    call = state.calls.get(finished.call_id)
    if call is None or call.status is CallStatus.FINISHED:
        return
    call.status, call.outcome = CallStatus.FINISHED, finished.outcome
    state.used += finished.used or Used()
    if finished.limit is not None and finished.limit.total:
        call.exhausted, state.exhausted = True, finished.limit
    state.warnings += finished.outcome is not e.Outcome.OK
    if call.listing:
        _listed(state, finished, seq)
        return
    if call.component == state.agent:
        state.unanswered = True
    else:
        call.text = cut(finished.text, limits.STATE_CONTEXT_CHARACTERS // len(state.calls))
    if call.tool == FINAL_RESPONSE and finished.outcome is e.Outcome.OK:
        state.response = dict(call.args)
    elif call.tool == FINAL_RESPONSE and call.side == "brain":  # an agent that has no such tool is told so, no more
        state.corrections += 1
    _grow(state, call.component, finished.text)


def _listed(state: SessionState, finished: e.ToolCallFinished, seq: int) -> None:
    """A server was asked for its tools: that is nothing that the component did."""
    call = state.calls.pop(finished.call_id)
    if finished.outcome is not e.Outcome.OK:
        state.mcp[str(call.args["server"])] = McpPin(fault=line(finished.text, limits.MCP_FAULT_CHARACTERS), seq=seq)


def _grant(state: SessionState, granted: e.ApprovalGranted) -> None:
    for call in _settle(state, granted.approval_id, "approve"):
        call.status = CallStatus.APPROVED
        call.args = granted.args if granted.args is not None else call.args
        exact = fingerprint(call.tool, call.args)
        if granted.for_session and exact not in state.session_approvals:
            state.session_approvals = (*state.session_approvals, exact)
        known = state.session_patterns.get(call.tool, ())
        if granted.pattern and granted.pattern not in known:
            state.session_patterns = {**state.session_patterns, call.tool: (*known, granted.pattern)}


def _settle(state: SessionState, approval_id: str, verdict: Literal["approve", "reject"]) -> list[Call]:
    """Takes the question away, and answers its calls, which wait for their end or to be offered."""
    approval = state.approvals.pop(approval_id, None)
    if approval is None:
        return []
    if approval.component:
        state.verdict = verdict
    calls = [state.calls[call_id] for call_id in approval.call_ids]
    asked = [call for call in calls if call.status is CallStatus.ASKED]
    for call in asked:
        call.status = CallStatus.REQUESTED  # a denial or an answer is followed by the call's end
    return asked


def _bounded(value: JsonValue) -> JsonValue:
    """What is kept of an output: long texts in it are cut, and what is too long all the same is kept as a text."""
    most = limits.STATE_CONTEXT_CHARACTERS
    if isinstance(value, str):
        return cut(value, most)
    if _fits(value):
        return value
    shorter = cut_texts(value, most // max(1, long_texts(value)))
    return shorter if _fits(shorter) else cut(json.dumps(value, ensure_ascii=False), most)


def _fits(value: JsonValue) -> bool:
    # Marks and names around texts that were cut already are no reason to cut them again.
    return len(json.dumps(value, ensure_ascii=False)) <= 2 * limits.STATE_CONTEXT_CHARACTERS
