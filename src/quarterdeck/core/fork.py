"""A fork: one session's history as of an event, made the beginning of another's log (DESIGN section 5)."""

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import assert_never

from quarterdeck.core import events as e
from quarterdeck.core.attachment import Attachment
from quarterdeck.core.component import AgentComponent, HumanInputComponent
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.flow import Flow
from quarterdeck.core.fork_events import ForkedFrom, HistoryCopied
from quarterdeck.core.state import CallStatus, PendingApproval, SessionState
from quarterdeck.core.status import AWAITING, FINAL, TABLE, Status, Transition
from quarterdeck.core.step import End, next_step


class Copy:
    """Makes another session's events the fork's: renumbered, with calls and approvals of its own.

    What was said, asked and done is copied, at its own time. What was the other session's own affair is not: its turns,
    usage, executor, artifacts, end, what it had been told of MCP servers, whatever was noted about it.
    """

    def __init__(self, session: int, files: Mapping[int, int] | None = None) -> None:
        """`session` is the fork's number; its log has its first event. `files` names the copies of attached files."""
        self._session = session
        self._files = files or {}
        self._kept = [1]
        """The `seq` of each copied event over there, in order."""
        self._listings: set[str] = set()
        self._intents: set[str] = set()
        """The newest answer's calls whose intents haven't come yet."""
        self._last: e.AnyPayload | None = None

    def call_id(self, call_id: str) -> str:
        """What a call is called in the fork; it is another for each fork and always the same for one."""
        return f"c_{self._own(call_id)[:26]}"

    def take(self, event: e.Event, blobs: Mapping[int, int]) -> e.Event | None:
        """The event as the fork's, None when it isn't copied; `blobs` names the copies of all bytes it speaks of."""
        self._last = event.payload
        payload = self._copied(event.payload, blobs)
        if payload is None:
            return None
        self._kept.append(event.seq)
        seq, level = len(self._kept), event.level
        return e.Event(session=self._session, seq=seq, at=event.at, level=level, v=payload.version, payload=payload)

    def belongs(self, event: e.Event, state: SessionState) -> bool:
        """Whether the event, the next one, was one with the last: history that ends between the two is half.

        `state` is the fork's. An answer without the intents of its calls would be a final one, and a call that was
        refused when it was made would be carried out.
        """
        match self._last, event.payload:
            case _, e.ToolCallRequested(call_id=call_id):
                return call_id in self._intents
            case _, e.UsageRecorded():
                return bool(self._intents)
            case e.SnapshotTaken(call_id=of) | e.DelegationEnded(call_id=of), e.ToolCallFinished(call_id=call_id):
                return call_id == of
            case _, e.ToolCallFinished(call_id=call_id):
                call = state.calls.get(self.call_id(call_id))
                return call is not None and call.status is CallStatus.REQUESTED
            case (
                (e.ToolCallsOffered(), e.DelegationStarted())
                | (e.QuestionAnswered() | e.ApprovalDenied(), e.MessageAdded())
                | (e.ModelInterrupted(), e.StatusChanged())
            ):
                return True
            case _:
                return False

    def _own(self, name: str) -> str:
        return hashlib.sha256(f"{self._session} {name}".encode()).hexdigest()

    def _seq(self, seq: int) -> int:
        """The number of the last copied event that is not behind event `seq` over there."""
        return bisect_right(self._kept, seq)

    def _calls(self, call_ids: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self.call_id(one) for one in call_ids if one not in self._listings)

    def _copied(self, payload: e.AnyPayload, blobs: Mapping[int, int]) -> e.AnyPayload | None:  # noqa: C901 one arm for each kind
        match payload:
            case e.StatusChanged() as p:
                return None if p.to_status in FINAL else p
            case e.LinkAdded() as p:
                return p if p.relation == "source" else None
            case e.ModelAnswered() as p:
                self._intents = {call.call_id for call in p.calls}
                calls = tuple(call.model_copy(update={"call_id": self.call_id(call.call_id)}) for call in p.calls)
                seen = None if p.seen is None else self._seq(p.seen)
                return p.model_copy(update={"calls": calls, "seen": seen})
            case e.ContextCompacted() as p:
                return p.model_copy(update={"through": self._seq(p.through)})
            case e.ToolCallRequested(listing=True) as p:
                self._listings.add(p.call_id)
                return None
            case e.ToolCallsOffered() as p:
                call_ids = self._calls(p.call_ids)
                return p.model_copy(update={"call_ids": call_ids}) if call_ids else None
            case e.ToolCallRequested() | e.ToolCallStarted() | e.ToolCallFinished() as p:
                if p.call_id in self._listings:
                    return None
                self._intents.discard(p.call_id)
                return p.model_copy(update={"call_id": self.call_id(p.call_id)})
            case e.DelegationStarted() | e.DelegationEnded() as p:
                return p.model_copy(update={"call_id": self.call_id(p.call_id)})
            case e.SnapshotTaken() as p:
                names = ("bundle_blob", "step_diff_blob", "whole_diff_blob")
                kept = {name: blobs[getattr(p, name)] for name in names}
                return p.model_copy(update={**kept, "call_id": self.call_id(p.call_id) if p.call_id else ""})
            case e.ApprovalRequested() as p:
                return p.model_copy(update={**self._approval(p.approval_id), "call_ids": self._calls(p.call_ids)})
            case e.ApprovalGranted() | e.ApprovalDenied() | e.QuestionAnswered() as p:
                return p.model_copy(update=self._approval(p.approval_id))
            case e.MessageAdded() | e.ComponentEntered() as p:
                return p.model_copy(update={"attachments": renumbered(p.attachments, self._files)})
            case (
                e.ComponentLeft() | e.NoticeAdded() | e.ModelInterrupted()
                | e.PlanChanged() | e.HistoryCopied() | e.SessionImported()
            ):  # fmt: skip
                return payload
            case (
                e.SessionCreated() | e.TurnStarted() | e.TurnEnded() | e.ModelRetried() | e.McpToolsPinned()
                | e.ExecutorAssigned() | e.ExecutorAttached() | e.WorkspacePrepared() | e.ArtifactCreated()
                | e.SessionRenamed()
                | e.SessionHeld() | e.SessionReleased() | e.WorkspaceTornDown() | e.UsageRecorded() | e.CheckRecorded()
                | e.ChildrenUsed() | e.TeardownMissed() | e.MergeRequestEnded() | e.NetworkRefused() | e.SetupFinished()
                | e.RetentionChanged() | e.BudgetChanged() | e.BudgetNeared()
            ):  # fmt: skip
                return None
            case _:
                assert_never(payload)

    def _approval(self, approval_id: str) -> dict[str, str]:
        return {"approval_id": f"a_{self._own(approval_id)[:12]}"}


def opening(
    flow: Flow,
    state: SessionState,
    source: ForkedFrom,
    message: e.MessageAdded | None,
    *,
    door: str = "",
    elsewhere: bool = False,
) -> Iterator[e.AnyPayload]:
    """What follows the copied history, so that the fork goes on from there by itself, or with the message.

    A message to a flow that asks about a plan or for input is the answer, as it is in any session. Each event must have
    been applied to `state` before the next is asked for. Calls that were to be made `elsewhere` are not made here.

    Raises:
        InvalidInputError: nothing would come of it; says what is missing.
    """
    if message is not None and not any(isinstance(one, AgentComponent) for one in flow.components):
        raise InvalidInputError(f"The flow {flow.id} has no agent that could read a message.")
    asked = dict(state.approvals)
    yield HistoryCopied(session=source.session, seq=source.seq, status=state.status)
    foreign = elsewhere or state.imported is not None
    yield from _open_calls(state, source, cancelled=message is not None or foreign)
    if state.status in AWAITING or state.status is Status.PAUSED:
        yield _moved(state, Transition.RESUME)
    if message is None:
        nothing = state.status is Status.IDLE and not flow.chats
        if nothing or isinstance(next_step(flow, state), End):
            raise InvalidInputError(
                f"Behind event {source.seq} of session #{source.session} nothing is left to do. Say in a message what "
                "the fork shall do, or fork from an earlier event."
            )
        return
    if isinstance(next_step(flow, state), End):  # it takes a follow-up, as one that rests does
        yield _moved(state, Transition.IDLE)
    # Between two agents it is for whichever comes next.
    component = state.agent if state.component == state.agent else ""
    for approval_id, pending in asked.items():
        asking = flow.component(pending.component) if pending.component else None
        if isinstance(asking, HumanInputComponent):
            yield from _answer(approval_id, pending, message, door)
            component = asking.sends_response_to
    yield message.model_copy(update={"component": component})
    if state.status is Status.IDLE:
        yield _moved(state, Transition.RESUME)
    if isinstance(next_step(flow, state), End):
        raise InvalidInputError(
            f"As of event {source.seq} of session #{source.session} there is no agent that would read the message. "
            "Fork from another event."
        )


def _answer(
    approval_id: str, pending: PendingApproval, message: e.MessageAdded, door: str
) -> Iterator[e.ApprovalRequested | e.ApprovalDenied | e.QuestionAnswered]:
    """The question is put in the fork, too, so that it can be answered there."""
    yield e.ApprovalRequested(
        approval_id=approval_id, ask=pending.ask, question=pending.question, choices=pending.choices,
        component=pending.component,
    )  # fmt: skip
    if pending.ask == "plan":
        yield e.ApprovalDenied(approval_id=approval_id, by=message.by, door=door, reason=message.text)
    else:
        yield e.QuestionAnswered(approval_id=approval_id, text=message.text, by=message.by, door=door)


def _open_calls(state: SessionState, source: ForkedFrom, *, cancelled: bool) -> Iterator[e.ToolCallFinished]:
    """Ends what was under way over there; what nobody had begun stays to be done here, unless it is `cancelled`."""
    under_way = (
        f"This session goes on from event {source.seq} of session #{source.session}, where this call was under way. It "
        "may or may not have been carried out there; the files are as of the last snapshot before it."
    )
    for call_id, call in list(state.calls.items()):
        if call.status in (CallStatus.OFFERED, CallStatus.RUNNING):
            outcome, text = e.Outcome.INTERRUPTED, under_way
        elif cancelled and call.status is not CallStatus.FINISHED:
            outcome, text = e.Outcome.CANCELLED, "This session goes on without this call."
        else:
            continue
        yield e.ToolCallFinished(call_id=call_id, tool=call.tool, outcome=outcome, text=text)


def _moved(state: SessionState, transition: Transition) -> e.StatusChanged:
    return e.StatusChanged(transition=transition, from_status=state.status, to_status=TABLE[transition][1])


def renumbered(files: tuple[Attachment, ...], copies: Mapping[int, int]) -> tuple[Attachment, ...]:
    """The files under the numbers of their copies; 0, which is nobody's, where there is none."""
    return tuple(one.model_copy(update={"id": copies.get(one.id, 0)}) for one in files)
