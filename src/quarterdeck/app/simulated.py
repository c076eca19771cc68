"""A session that is simulated: its whole log is in memory, its tools are not used, and its person answers at once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydantic import JsonValue

from quarterdeck.app import answers, compaction
from quarterdeck.app.acts import act, answer_drafts, histories_wanted, rendered
from quarterdeck.app.answers import Person
from quarterdeck.app.beginning import RUNNER_PRIVILEGES
from quarterdeck.app.calls import finished
from quarterdeck.app.change import redacted
from quarterdeck.app.compaction import Cut
from quarterdeck.app.outside import FlowLibrary
from quarterdeck.app.toolbox import toolbox
from quarterdeck.core import events as e
from quarterdeck.core import limits, step
from quarterdeck.core.answer import Reply
from quarterdeck.core.flow import Flow
from quarterdeck.core.fold import apply, begin
from quarterdeck.core.history import Conversation, conversation
from quarterdeck.core.inputs import pinned_inputs
from quarterdeck.core.redaction import Redactor
from quarterdeck.core.state import Call, PendingApproval, SessionState
from quarterdeck.core.status import Status, Transition, after
from quarterdeck.core.text import clean, line
from quarterdeck.store import log
from quarterdeck.tools.tool import Tool

YOU = Person("you", "cli")
FACTS: dict[str, JsonValue] = {
    "project_http_url_to_repo": "https://quarterdeck.example/project.git",
    "project_default_branch": "main",
    "namespace": "example",
    "workflow_id": "1",
    "session_url": "https://quarterdeck.example/sessions/1",
    "instance_type": "quarterdeck",
    "instance_url": "https://quarterdeck.example",
    "instance_version": "0.0.0",
}

Show = Callable[[e.Event], None]
"""Is told each event."""


@dataclass(frozen=True)
class Simulation:
    """What a flow is simulated with."""

    flow: str
    """The YAML."""
    script: str | None = None
    goal: str = ""
    inputs: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    answers: tuple[str, ...] = ()
    """What the person says to questions, in turn."""
    denied: tuple[str, ...] = ()
    """Tools, and components that ask for a plan, that the person refuses; `name=reason` once, with the reason."""
    ask_all: bool = False


@dataclass(frozen=True)
class Ending:
    """How a simulation ended."""

    status: Status
    reason: str
    way: tuple[str, ...]
    """The components in turn; subagents by their path."""
    well: bool


@dataclass(frozen=True)
class Asked:
    """What a model is asked."""

    component: str
    conversation: Conversation
    tools: tuple[Tool, ...]
    cut: Cut | None = None
    """Set when a shorter form of the conversation is asked for."""


class SimulatedSession:
    """Implements `acts.Acting` without a row."""

    def __init__(self, flows: FlowLibrary, flow: Flow, wish: Simulation, show: Show) -> None:
        """Raises InvalidInputError when the inputs don't fit the flow."""
        self.redactor = Redactor([])
        self.flow = flow
        self._flows = flows
        self._answers = list(wish.answers)
        self._denied = list(wish.denied)
        self._show = show
        goal = clean(wish.goal) or flow.description or f"Run the flow {flow.id}."
        created = e.SessionCreated(
            goal=goal,
            title=line(goal, limits.TITLE_CHARACTERS),
            flow=flow.id,
            model="scripted:script",
            scripted=True,
            project_id=1,
            initiator_id=1,
            initiator=YOU.name,
            origin="cli",
            ref="main",
            branch="quarterdeck/simulated",
            inputs=pinned_inputs(flow, wish.inputs),
            facts=FACTS,
            pre_approved=() if wish.ask_all else tuple(RUNNER_PRIVILEGES),
        )
        self.events = [self._event(1, created, created.default_level)]
        self.state: SessionState = begin(self.events[0])
        show(self.events[0])

    def append(self, *drafts: log.Draft | e.AnyPayload) -> None:
        """Puts events behind the log."""
        for draft in drafts:
            made = redacted(self.redactor, draft)
            payload, level = (made.payload, made.level) if isinstance(made, log.Draft) else (made, None)
            event = self._event(self.state.seq + 1, payload, level or payload.default_level)
            apply(self.state, event)
            self.events.append(event)
            self._show(event)

    def move(self, transition: Transition, *, reason: str = "", by: str = "") -> None:
        """Appends the status change."""
        before = self.state.status
        moved = after(before, transition)
        if moved is not before:
            self.append(
                e.StatusChanged(transition=transition, from_status=before, to_status=moved, reason=reason, by=by)
            )

    def advance(self) -> Asked | dict[str, Call] | None:
        """Goes on until a model is to be asked or calls are to end; None when it is over, or nobody answers."""
        while True:
            match step.next_step(self.flow, self.state):
                case step.AskModel(component):
                    return self._asked(component)
                case step.Compact(component):
                    return self._asked(component, compact=True)
                case step.End(transition, reason):
                    self.move(transition, reason=reason)
                    return None
                case step.Rest():
                    if self.state.final or not self._answered():
                        return None
                case next_:
                    histories = rendered(histories_wanted(self.flow, self.state, next_), self.events)
                    offered = act(self._flows, self, self.flow, next_, histories)
                    if offered:
                        return {call_id: self.state.calls[call_id] for call_id in offered}

    def answered(self, asked: Asked, answer: Reply) -> None:
        """A model's answer, or what it wrote to keep of its conversation."""
        if asked.cut is not None:
            self.append(compaction.compacted(asked.component, asked.cut, answer))
            return
        self.append(*answer_drafts(self, self.flow, asked.component, answer, self.state.seq))

    def called(self, call_id: str, outcome: e.Outcome, text: str) -> None:
        """The end of a call."""
        self.append(finished(call_id, self.state.calls[call_id], outcome, text))

    def ending(self) -> Ending:
        """How it stands, when `advance` has answered None."""
        status, reason = self.state.status, self.state.reason
        if self.state.approvals:
            waiting = next(iter(self.state.approvals.values()))
            reason = f"Nobody answers: {waiting.question}"
        payloads = [event.payload for event in self.events]
        way = tuple(p.component for p in payloads if isinstance(p, e.ComponentEntered | e.DelegationStarted))
        return Ending(status, reason, way, status in (Status.FINISHED, Status.IDLE))

    def _event(self, seq: int, payload: e.AnyPayload, level: e.Level) -> e.Event:
        return e.Event(session=1, seq=seq, at=datetime.now(UTC), level=level, payload=payload)

    def _asked(self, component: str, *, compact: bool = False) -> Asked:
        tools = tuple(usable.tool for usable in toolbox(self.flow, component, self.state).values())
        talk = conversation(component, self.events)
        at = compaction.point(talk, self.flow.component(component), self.state) if compact else None
        return Asked(component, at.question if at else talk, tools, at)

    def _answered(self) -> bool:
        """The person answers all that is asked; False when there is no answer left."""
        if not self.state.approvals:
            return False
        for approval_id, pending in list(self.state.approvals.items()):
            if pending.ask == "input" and not self._answers:
                return False
            self._answer(approval_id, pending)
        if not self.state.final:
            self.move(Transition.RESUME, by=YOU.name)
        return True

    def _answer(self, approval_id: str, pending: PendingApproval) -> None:
        if pending.ask == "input":
            answers.say(self, self.flow, YOU, approval_id, self._answers.pop(0))
        elif (reason := self._refusal(pending)) is not None:
            answers.refuse(self, self.flow, YOU, approval_id, reason)
        else:
            self.append(e.ApprovalGranted(approval_id=approval_id, by=YOU.name, door=YOU.door))

    def _refusal(self, pending: PendingApproval) -> str | None:
        """Why the person refuses, which may be no reason at all; None when they allow it."""
        names = {pending.component, *(self.state.calls[call_id].tool for call_id in pending.call_ids)}
        for one in self._denied:
            name, once, reason = one.partition("=")
            if name in names:
                if once:
                    self._denied.remove(one)
                return reason
        return None
