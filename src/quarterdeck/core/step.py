"""The program counter: what comes next, read off the flow and the folded state alone (promise 2)."""

import json
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal, assert_never

from pydantic import JsonValue

from quarterdeck.core import limits
from quarterdeck.core.component import (
    AgentComponent,
    DeterministicStepComponent,
    HumanInputComponent,
    OneOffComponent,
    Prompted,
)
from quarterdeck.core.context import value_of, values
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.events import Outcome
from quarterdeck.core.flow import ABORT, END, Flow
from quarterdeck.core.fold import FINAL_RESPONSE
from quarterdeck.core.state import Call, CallStatus, SessionState
from quarterdeck.core.status import Status, Transition


@dataclass(frozen=True)
class Start:
    """Move from created to running."""


@dataclass(frozen=True)
class Enter:
    """Go to a component; a follow-up goes on with its conversation instead of a new prompt."""

    component: str
    follow_up: bool = False


@dataclass(frozen=True)
class Leave:
    """The component is done and these are its outputs."""

    component: str
    outputs: dict[str, JsonValue]


@dataclass(frozen=True)
class AskModel:
    """Ask the agent's model for its next answer."""

    component: str


@dataclass(frozen=True)
class Compact:
    """Ask the model for a shorter form of the conversation, before it is asked to go on."""

    component: str


@dataclass(frozen=True)
class Notify:
    """Tell an agent something that it has to heed in its next answer."""

    component: str
    about: Literal["iterations", "wrap_up", "correction"]
    text: str


@dataclass(frozen=True)
class CallTool:
    """A deterministic step's tool with its arguments, but for those that are other components' conversations."""

    component: str
    tool: str
    args: dict[str, JsonValue]


@dataclass(frozen=True)
class Delegate:
    """Give the floor to the subagent that the call names."""

    call_id: str


@dataclass(frozen=True)
class Return:
    """The subagent at work is done: this is the result of the call that it was made for."""

    call_id: str
    text: str
    outcome: Outcome = Outcome.OK


@dataclass(frozen=True)
class OfferCalls:
    """Give these calls out to be carried out."""

    call_ids: tuple[str, ...]


@dataclass(frozen=True)
class AskPerson:
    """Ask for an approval of each of these calls; none are named when all that is left has been asked already."""

    call_ids: tuple[str, ...]


@dataclass(frozen=True)
class AskQuestions:
    """Put the questions of these calls to a person; none are named when they have been put already."""

    call_ids: tuple[str, ...]


@dataclass(frozen=True)
class AskHuman:
    """Put the message of a human input component to a person, unless that has been done."""

    component: str


@dataclass(frozen=True)
class End:
    """The flow is over: `finish`, `idle` (its merge request is open), `drop`; or `pause`: what it may use is spent."""

    transition: Transition
    reason: str = ""


@dataclass(frozen=True)
class Rest:
    """Nothing to do until somebody else does something."""


Act = Start | Enter | Leave | Notify | CallTool | Delegate | Return | OfferCalls | AskPerson | AskQuestions | AskHuman
"""What a turn does by itself."""
Step = Act | AskModel | Compact | End | Rest


def next_step(flow: Flow, state: SessionState) -> Step:
    """What the brain does next. Pure: the same flow and state give the same step, on any worker, after any crash."""
    if state.status is Status.CREATED:
        return Start()
    if state.status is not Status.RUNNING:
        return Rest()
    try:
        if state.nodes > limits.NODE_TRANSITIONS:
            return End(
                Transition.DROP,
                f"The flow went through more than {limits.NODE_TRANSITIONS} components.",
            )
        if state.exhausted is not None and not state.in_flight:
            return End(Transition.PAUSE, state.exhausted.pause)
        if not state.component:
            return _end(flow, state) if state.ended else Enter(flow.entry_point)
        if state.component_done:
            return _route(flow, state)
        if state.batch_open:
            return _batch(state)
        return _inside(flow, state)
    except QuarterdeckError as error:
        return End(Transition.DROP, error.message)


def _end(flow: Flow, state: SessionState) -> Step:
    if state.unanswered and state.agent:  # a message that came after the agent's last answer
        return Enter(state.agent, follow_up=True)
    return End(Transition.IDLE if flow.chats or state.open_merge_request else Transition.FINISH)


def _route(flow: Flow, state: SessionState) -> Step:
    for router in flow.routers:
        if router.source != state.component:
            continue
        target = router.to
        if router.condition is not None:
            value = value_of(router.condition.input, state)
            text = str(value).lower() if isinstance(value, bool) else str(value)
            routes = router.condition.routes
            target = routes.get(text, routes.get("default_route"))
            if target is None:
                return End(
                    Transition.DROP,
                    f"The router after {state.component!r} has no route for {text!r}.",
                )
        if target == END:
            return _end(flow, state)
        if target == ABORT:
            return End(Transition.DROP, f"The flow aborted after {state.component!r}.")
        if target is not None:
            return Enter(target, follow_up=state.addressed == target and target in state.answers)
    return _end(flow, state)


def _batch(state: SessionState) -> Step:
    """One answer's calls: first those that ask nobody, side by side where they may; then one question for the rest."""
    if state.in_flight:
        return Rest()
    if ready := list(state.ready):
        first = ready[0]
        if state.calls[first].side == "brain":
            return Delegate(first)
        beside = takewhile(lambda call_id: state.calls[call_id].parallel, ready)  # a read behind a write stays there
        return OfferCalls(tuple(beside) or (first,))
    left = {call_id: call for call_id, call in state.calls.items() if call.status is not CallStatus.FINISHED}
    approvals = {call_id: call for call_id, call in left.items() if call.side != "brain"}
    if approvals:
        return AskPerson(_not_asked(approvals))
    return AskQuestions(_not_asked(left))


def _not_asked(calls: dict[str, Call]) -> tuple[str, ...]:
    return tuple(call_id for call_id, call in calls.items() if call.status is CallStatus.REQUESTED)


def _inside(flow: Flow, state: SessionState) -> Step:
    component = flow.component(state.component)
    match component:
        case AgentComponent():
            return _agent(component, state)
        case DeterministicStepComponent():
            return _deterministic(component, state)
        case OneOffComponent():
            return _one_off(component, state)
        case HumanInputComponent():
            return Leave(component.name, {"approval": state.verdict}) if state.verdict else AskHuman(component.name)
        case _:
            assert_never(component)


def _agent(agent: AgentComponent, state: SessionState) -> Step:
    path = state.component
    if state.response is not None and state.last_message <= state.seen:
        formless = agent.response_schema_id is None
        return _done(state, state.response["final_response"] if formless else state.response)
    if state.corrections > agent.max_wrap_up_retries:
        return _give_up(state, f"The agent {path!r} gave no final answer that fits its response schema.")
    if not state.unanswered:
        return _said(agent, state)
    cycles = state.cycles.get(path, 0)
    left = agent.max_cycles - cycles
    if left <= -agent.max_wrap_up_retries:
        return _give_up(state, f"The agent {path!r} has answered {cycles} times without coming to an end (max_cycles).")
    if left <= 0 and "wrap_up" not in state.noticed:
        return Notify(path, "wrap_up", "You have used up your answers. Give your final answer now, with no other tool.")
    if 0 < left <= agent.iteration_warning_offset and "iterations" not in state.noticed:
        return Notify(path, "iterations", f"You have {left} answers left. Come to an end within them.")
    return _ask(agent, state)


def _said(agent: AgentComponent, state: SessionState) -> Step:
    """After an answer without calls: it is the final one, unless a schema asks for another form or it has no words."""
    path = state.component
    if agent.response_schema_id is not None:
        return Notify(path, "correction", f"Give your final answer by calling {FINAL_RESPONSE}. A text alone is none.")
    if not state.answer.strip() and state.corrections < agent.max_wrap_up_retries:
        return Notify(path, "correction", "Your answer was empty. Go on, or give your final answer in words.")
    return _done(state, state.answer)


def _done(state: SessionState, answer: JsonValue) -> Step:
    if state.stack:
        text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
        return Return(state.stack[-1].call_id, text)
    return Leave(state.component, {"final_answer": answer})


def _give_up(state: SessionState, reason: str) -> Step:
    return Return(state.stack[-1].call_id, reason, Outcome.ERROR) if state.stack else End(Transition.DROP, reason)


def _ask(component: Prompted, state: SessionState) -> Step:
    """Asks the model, or first for a shorter conversation; at least two answers must have come since the last time."""
    if state.budget is not None and (spent := state.budget.spent(state.spent)):
        return End(Transition.PAUSE, spent)
    path, compaction = state.component, component.compaction
    before = state.compacted.get(path)
    fresh = state.answers.get(path, 0) - (before.answers if before else 0)
    most = min(compaction.max_context_tokens or state.created.context_tokens, state.created.context_tokens)
    if compaction.enabled and fresh > 1 and state.context_tokens(path) > most * compaction.trim_threshold:
        return Compact(path)
    return AskModel(path)


def _one_off(component: OneOffComponent, state: SessionState) -> Step:
    calls = list(state.calls.values())
    tried = state.visit_answers > component.max_correction_attempts
    if state.visit_answers and not state.unanswered and not calls and not tried:
        return Notify(component.name, "correction", "Answer by calling a tool. A text alone does nothing.")
    well = bool(calls) and all(call.outcome is Outcome.OK for call in calls)
    if not well and not tried:
        return _ask(component, state)
    return Leave(
        component.name,
        {
            "tool_calls": [{"tool": call.tool, "args": call.args} for call in calls],
            "tool_responses": [call.text for call in calls],
            "execution_result": "success" if well else "failed",
        },
    )


def _deterministic(component: DeterministicStepComponent, state: SessionState) -> Step:
    last = next(reversed(state.calls.values()), None)
    died = last is not None and (last.outcome is Outcome.INTERRUPTED or last.exhausted)
    if last is None or (died and state.visit_calls <= limits.INTERRUPTED_REPEATS):
        fixed = {
            name: value
            for use in component.toolset
            if use.name == component.tool_name
            for name, value in use.fixed.items()
        }
        given = {name: value for name, value in values(component.inputs, state).items() if value is not None}
        return CallTool(component.name, component.tool_name, {**given, **fixed})
    well = last.outcome is Outcome.OK
    return Leave(
        component.name,
        {
            "tool_responses": last.text,
            "execution_result": "success" if well else "failed",
            "error": "" if well else last.text,
        },
    )
