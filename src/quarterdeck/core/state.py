"""The fold: a session's state is what its events make of it, and nothing else (promise 1)."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Literal, assert_never

from pydantic import BaseModel, ConfigDict, JsonValue

from quarterdeck.core import events as e
from quarterdeck.core import limits
from quarterdeck.core.approval import fingerprint
from quarterdeck.core.errors import SessionEndedError
from quarterdeck.core.status import AWAITING, FINAL, Status, after, human
from quarterdeck.core.text import cut
from quarterdeck.core.usage import Usage


class CallStatus(StrEnum):
    """Where a tool call of the present batch stands."""

    REQUESTED = "requested"
    ASKED = "asked"
    APPROVED = "approved"
    OFFERED = "offered"
    RUNNING = "running"
    FINISHED = "finished"


class Call(BaseModel):
    """A tool call of the present batch."""

    model_config = ConfigDict(validate_assignment=False, extra="forbid")
    tool: str
    args: dict[str, JsonValue]
    component: str
    side: Literal["executor", "server"]
    asks: bool
    parallel: bool
    status: CallStatus = CallStatus.REQUESTED
    outcome: e.Outcome | None = None
    text: str = ""


class PendingApproval(BaseModel):
    """A question that waits for a person."""

    model_config = ConfigDict(extra="forbid")
    ask: Literal["tool_call", "plan", "input"]
    call_ids: tuple[str, ...]
    question: str


class Waiting(BaseModel):
    """What a session waits for, for its row, the lists and the CLI."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    on: Literal["worker", "runner", "tool", "model", "person"]
    detail: str = ""
    until: datetime | None = None


class ArtifactRef(BaseModel):
    """An artifact as the state remembers it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    artifact: str
    name: str
    url: str = ""


class SessionState(BaseModel):
    """The fold of a session's events. Bounded: it holds where the session stands, not what was said."""

    model_config = ConfigDict(extra="forbid")

    created: e.SessionCreated
    title: str
    status: Status = Status.CREATED
    reason: str = ""
    """Why it is paused, failed or stopped; empty otherwise."""
    seq: int = 0
    turn_no: int = 0
    turn_open: bool = False
    turn_job: int = 0
    component: str = ""
    """Where the flow is; empty before its entry point and after its end."""
    component_done: bool = False
    """The present component has been left and the router is next."""
    agent: str = ""
    """The agent entered last: it takes a follow-up."""
    ended: bool = False
    """The flow came to its end; an idle session may go on from there."""
    nodes: int = 0
    cycles: dict[str, int] = {}
    visit_calls: int = 0
    """Calls that the present visit of a deterministic step has made."""
    unanswered: bool = False
    """The agent has something to answer: its prompt, a message, results."""
    answer: str = ""
    calls: dict[str, Call] = {}
    approvals: dict[str, PendingApproval] = {}
    session_approvals: tuple[str, ...] = ()
    """`tool` and canonical arguments approved for the session, as `core.approval.fingerprint` makes them."""
    context: dict[str, dict[str, JsonValue]] = {}
    plan: tuple[e.PlanItem, ...] = ()
    retry: e.ModelRetried | None = None
    executor: str = ""
    lease_epoch: int = 0
    isolation: str = ""
    base_commit: str = ""
    step: int = 0
    snapshot_commit: str = ""
    bundle_blob: int | None = None
    whole_diff_blob: int | None = None
    artifacts: tuple[ArtifactRef, ...] = ()
    open_merge_request: str = ""
    checks_passed: int = 0
    checks_failed: int = 0
    usage: Usage = Usage()
    warnings: int = 0
    errors: int = 0
    held: bool = False
    torn_down: bool = False
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    last_activity: datetime

    @property
    def final(self) -> bool:
        """Nothing more is done in it."""
        return self.status in FINAL

    @property
    def expires_on(self) -> date | None:
        """The day on which the sweep may delete it; None while it is held."""
        if self.held:
            return None
        return (self.last_activity + timedelta(days=self.created.retention_days)).date()

    @property
    def batch_open(self) -> bool:
        """Whether a call of the present batch has not come to its end."""
        return any(call.status is not CallStatus.FINISHED for call in self.calls.values())

    @property
    def in_flight(self) -> bool:
        """Whether somebody is carrying out a call now."""
        return any(call.status in (CallStatus.OFFERED, CallStatus.RUNNING) for call in self.calls.values())

    @property
    def wants_turn(self) -> bool:
        """Whether the brain has something to do and nobody is doing it."""
        return self.status in (Status.CREATED, Status.RUNNING) and not self.turn_open and not self.in_flight

    @property
    def waiting(self) -> Waiting | None:
        """What it waits for; None when it works or has ended."""
        if self.status in AWAITING:
            question = next(iter(self.approvals.values()), None)
            return Waiting(
                on="person",
                detail=question.question if question else human(self.status),
            )
        if self.status in (Status.PAUSED, Status.IDLE):
            return Waiting(on="person", detail=self.reason or human(self.status))
        if self.status not in (Status.CREATED, Status.RUNNING) or self.turn_open:
            return None
        if self.retry is not None:
            return Waiting(on="model", detail=self.retry.error, until=self.retry.retry_at)
        if any(call.status is CallStatus.RUNNING for call in self.calls.values()):
            return Waiting(on="tool", detail=", ".join(self._tools(CallStatus.RUNNING)))
        if self.in_flight:
            hands = {c.side for c in self.calls.values() if c.status is CallStatus.OFFERED}
            on = "runner" if "executor" in hands and not self.executor else "tool"
            return Waiting(on=on, detail=", ".join(self._tools(CallStatus.OFFERED)))
        return Waiting(on="worker")

    def _tools(self, status: CallStatus) -> list[str]:
        return [call.tool for call in self.calls.values() if call.status is status]


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
    """Moves `state` by one event, in place.

    Raises:
        SessionEndedError: a work event after the end.
        IllegalTransitionError: a status change that the table doesn't have.
        ValueError: the event is not the next one.
    """
    if event.seq != state.seq + 1:
        raise ValueError(f"event {event.seq} can't follow {state.seq}")
    if state.final and event.event_class is e.EventClass.WORK:
        raise SessionEndedError(f"The session is {human(state.status)}; it takes no more work ({event.kind}).")
    if isinstance(event.payload, e.StatusChanged):
        after(state.status, event.payload.transition)
    _change(state, event)
    state.seq = event.seq
    state.last_activity = max(state.last_activity, event.at)


def _change(state: SessionState, event: e.Event) -> None:  # noqa: C901 one arm for each kind, nothing nested
    match event.payload:
        case e.SessionCreated():
            raise ValueError("a log has one session.created")
        case e.StatusChanged() as p:
            _status(state, p, event.at)
        case e.TurnStarted() as p:
            state.turn_no, state.turn_open, state.turn_job = p.turn_no, True, p.job
        case e.TurnEnded():
            state.turn_open = False
        case e.MessageAdded():
            state.unanswered = True
        case e.ComponentEntered() as p:
            _enter(state, p)
        case e.ComponentLeft() as p:
            state.component_done = True
            state.calls = {}
            state.context[p.component] = {name: _bounded(value) for name, value in p.outputs.items()}
        case e.ModelAnswered() as p:
            state.retry = None
            state.unanswered = False
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
            if p.call_id in state.calls:
                state.calls[p.call_id].status = CallStatus.RUNNING
        case e.ToolCallFinished() as p:
            _finish_call(state, p)
        case e.ApprovalRequested() as p:
            state.approvals[p.approval_id] = PendingApproval(ask=p.ask, call_ids=p.call_ids, question=p.question)
            for call_id in p.call_ids:
                state.calls[call_id].status = CallStatus.ASKED
        case e.ApprovalGranted() as p:
            _grant(state, p)
        case e.ApprovalDenied() as p:
            state.approvals.pop(p.approval_id, None)
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
        case e.LinkAdded():
            pass
        case never:
            assert_never(never)


def _status(state: SessionState, change: e.StatusChanged, at: datetime) -> None:
    state.status = change.to_status
    state.reason = change.reason
    if change.to_status is Status.RUNNING:
        state.retry = None
        state.started_at = state.started_at or at
    if change.to_status is Status.IDLE:
        state.component, state.component_done, state.ended = "", False, True
    if state.final:
        state.ended_at = at
        state.turn_open = False
        state.calls = {}
        state.approvals = {}
        state.retry = None
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
    if call is None:
        return
    call.status, call.outcome = CallStatus.FINISHED, finished.outcome
    call.text = cut(finished.text, limits.STATE_CONTEXT_CHARACTERS)
    state.warnings += finished.outcome is not e.Outcome.OK
    state.unanswered = True


def _grant(state: SessionState, granted: e.ApprovalGranted) -> None:
    approval = state.approvals.pop(granted.approval_id, None)
    for call_id in approval.call_ids if approval else ():
        call = state.calls[call_id]
        call.status = CallStatus.APPROVED
        call.args = granted.args if granted.args is not None else call.args
        if granted.for_session:
            state.session_approvals = (
                *state.session_approvals,
                fingerprint(call.tool, call.args),
            )


def _bounded(value: JsonValue) -> JsonValue:
    return cut(value, limits.STATE_CONTEXT_CHARACTERS) if isinstance(value, str) else value
