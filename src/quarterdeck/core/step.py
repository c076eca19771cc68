"""The program counter: what comes next, read off the flow and the folded state alone (promise 2)."""

from dataclasses import dataclass
from itertools import takewhile
from typing import assert_never

from pydantic import JsonValue

from quarterdeck.core import limits
from quarterdeck.core.context import value_of, values
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.events import Outcome
from quarterdeck.core.flow import (
    ABORT,
    END,
    AgentComponent,
    DeterministicStepComponent,
    Flow,
)
from quarterdeck.core.state import CallStatus, SessionState
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
class CallTool:
    """A deterministic step's tool with its arguments."""

    component: str
    tool: str
    args: dict[str, JsonValue]


@dataclass(frozen=True)
class OfferCalls:
    """Give these calls out to be carried out."""

    call_ids: tuple[str, ...]


@dataclass(frozen=True)
class AskPerson:
    """Ask for an approval of each of these calls; none are named when all that is left has been asked already."""

    call_ids: tuple[str, ...]


@dataclass(frozen=True)
class End:
    """The flow is over: `finish`, `idle` (its merge request is open) or `drop`."""

    transition: Transition
    reason: str = ""


@dataclass(frozen=True)
class Rest:
    """Nothing to do until somebody else does something."""


Step = Start | Enter | Leave | AskModel | CallTool | OfferCalls | AskPerson | End | Rest


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
        if not state.component:
            return _outside(flow, state)
        if state.component_done:
            return _route(flow, state)
        if state.batch_open:
            return _batch(state)
        return _inside(flow, state)
    except QuarterdeckError as error:
        return End(Transition.DROP, error.message)


def _outside(flow: Flow, state: SessionState) -> Step:
    return _end(state) if state.ended else Enter(flow.entry_point)


def _end(state: SessionState) -> Step:
    if state.unanswered and state.agent:  # a message that came after the agent's last answer
        return Enter(state.agent, follow_up=True)
    return End(Transition.IDLE if state.open_merge_request else Transition.FINISH)


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
            return _end(state)
        if target == ABORT:
            return End(Transition.DROP, f"The flow aborted after {state.component!r}.")
        if target is not None:
            return Enter(target)
    return _end(state)


def _batch(state: SessionState) -> Step:
    """One answer's calls: first those that ask nobody, side by side where they may; then one question for the rest."""
    if state.in_flight:
        return Rest()
    if ready := list(state.ready):
        beside = takewhile(lambda call_id: state.calls[call_id].parallel, ready)  # a read behind a write stays there
        return OfferCalls(tuple(beside) or (ready[0],))
    return AskPerson(tuple(i for i, call in state.calls.items() if call.status is CallStatus.REQUESTED))


def _inside(flow: Flow, state: SessionState) -> Step:
    component = flow.component(state.component)
    match component:
        case AgentComponent():
            return _agent(component, state)
        case DeterministicStepComponent():
            return _deterministic(component, state)
        case _:
            assert_never(component)


def _agent(agent: AgentComponent, state: SessionState) -> Step:
    if not state.unanswered:
        return Leave(agent.name, {"final_answer": state.answer})
    if state.cycles.get(agent.name, 0) >= agent.max_cycles:
        return End(
            Transition.DROP,
            f"The agent {agent.name!r} has answered {agent.max_cycles} times without coming to an end (max_cycles).",
        )
    return AskModel(agent.name)


def _deterministic(component: DeterministicStepComponent, state: SessionState) -> Step:
    last = next(reversed(state.calls.values()), None)
    died = last is not None and last.outcome is Outcome.INTERRUPTED
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
