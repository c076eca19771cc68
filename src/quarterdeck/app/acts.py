"""What a turn does by itself, as events: enters and leaves components, asks people, delegates. No I/O."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Protocol, assert_never

from pydantic import JsonValue

from quarterdeck.app.calls import finished, intents, shown
from quarterdeck.app.outside import FlowLibrary
from quarterdeck.app.toolbox import toolbox
from quarterdeck.core import events as e
from quarterdeck.core import limits, step
from quarterdeck.core.answer import Reply, RequestedCall
from quarterdeck.core.component import AgentComponent, HumanInputComponent, Prompted
from quarterdeck.core.context import values
from quarterdeck.core.errors import InvalidInputError, QuarterdeckError
from quarterdeck.core.flow import Flow
from quarterdeck.core.history import conversation, transcript
from quarterdeck.core.redaction import Redactor
from quarterdeck.core.state import SessionState
from quarterdeck.core.status import Transition
from quarterdeck.core.text import clean, cut
from quarterdeck.store import log

Histories = Mapping[str, str]
"""The conversations that a component's inputs ask for, by component."""


class Acting(Protocol):
    """A session that can be moved on: its row is locked, or it is simulated."""

    @property
    def redactor(self) -> Redactor:
        """Takes secrets out."""
        ...

    @property
    def state(self) -> SessionState:
        """Where it stands."""
        ...

    def append(self, *drafts: log.Draft | e.AnyPayload) -> None:
        """Puts events behind its log."""
        ...

    def move(self, transition: Transition, *, reason: str = "", by: str = "") -> None:
        """Appends the status change."""
        ...


def histories_wanted(flow: Flow, state: SessionState, next_: step.Act) -> frozenset[str]:
    """The components whose conversations the step's own component has as inputs; almost always none."""
    match next_:
        case step.Enter(follow_up=False) | step.CallTool() | step.AskHuman():
            name = next_.component
        case step.Delegate(call_id):
            name = str(state.calls[call_id].args["agent"])
        case _:
            return frozenset()
    return frozenset(source.history_of for source in flow.component(name).inputs if source.history_of)


def rendered(wanted: frozenset[str], events: Sequence[e.Event]) -> Histories:
    """The conversations of these components as texts."""
    return {one: cut(transcript(conversation(one, events)), limits.STATE_CONTEXT_CHARACTERS) for one in wanted}


def new_call_id() -> str:
    """An id no other call has."""
    return f"c_{secrets.token_hex(13)}"


def act(flows: FlowLibrary, it: Acting, flow: Flow, next_: step.Act, histories: Histories) -> tuple[str, ...]:
    """Does what comes next; answers the calls that are to be offered to others now."""
    try:
        return _act(flows, it, flow, next_, histories)
    except QuarterdeckError as error:  # a template or an input of the flow is wrong
        it.move(Transition.DROP, reason=error.message)
        return ()


def _act(flows: FlowLibrary, it: Acting, flow: Flow, next_: step.Act, histories: Histories) -> tuple[str, ...]:
    match next_:
        case step.Start():
            it.move(Transition.START)
        case step.Enter():
            _enter(flows, it, flow, next_, histories)
        case step.Leave(component, outputs):
            it.append(e.ComponentLeft(component=component, outputs=outputs))
        case step.Notify(component, about, text):
            it.append(e.NoticeAdded(component=component, about=about, text=text))
        case step.CallTool(component, name, args):
            _call(it, flow, component, name, args, histories)
        case step.Delegate(call_id):
            _delegate(flows, it, flow, call_id, histories)
        case step.Return():
            _return(it, next_)
        case step.OfferCalls(call_ids):
            it.append(e.ToolCallsOffered(call_ids=call_ids))
            return call_ids
        case step.AskPerson() | step.AskQuestions() | step.AskHuman():
            _ask(flows, it, flow, next_, histories)
        case _:
            assert_never(next_)
    return ()


def _ask(
    flows: FlowLibrary,
    it: Acting,
    flow: Flow,
    next_: step.AskPerson | step.AskQuestions | step.AskHuman,
    histories: Histories,
) -> None:
    match next_:
        case step.AskPerson(call_ids):
            for call_id in call_ids:
                _question(it, "tool_call", f"May the session use {it.state.calls[call_id].tool}?", call_ids=(call_id,))
            it.move(Transition.REQUIRE_TOOL_CALL_APPROVAL)
        case step.AskQuestions(call_ids):
            for call_id in call_ids:
                args = it.state.calls[call_id].args
                choices = args.get("choices")
                shown = tuple(map(str, choices)) if isinstance(choices, list) else ()
                _question(it, "input", str(args["question"]), call_ids=(call_id,), choices=shown)
            it.move(Transition.REQUIRE_INPUT)
        case step.AskHuman(component):
            _ask_human(flows, it, flow, component, histories)


def _enter(flows: FlowLibrary, it: Acting, flow: Flow, enter: step.Enter, histories: Histories) -> None:
    component = flow.component(enter.component)
    system = user = ""
    if isinstance(component, Prompted) and not enter.follow_up:
        system, user = flows.render(flow, component.name, dict(values(component.inputs, it.state, histories)))
        if not user.strip():
            raise InvalidInputError(f"The prompt of {component.name!r} comes to no text: there is nothing to answer.")
    converses = isinstance(component, AgentComponent)
    given = it.state.created.attachments if user else ()
    it.append(
        e.ComponentEntered(
            component=component.name, system=clean(system), user=clean(user), converses=converses, attachments=given
        )
    )


def _call(it: Acting, flow: Flow, component: str, name: str, args: dict[str, JsonValue], histories: Histories) -> None:
    of = flow.component(component)
    known = {**values(of.inputs, it.state, histories), **args}
    call = RequestedCall("", name, {key: value for key, value in known.items() if value is not None})
    it.append(*intents(of, toolbox(flow, component, it.state), it.state, it.redactor, ((new_call_id(), call),)))


def _delegate(flows: FlowLibrary, it: Acting, flow: Flow, call_id: str, histories: Histories) -> None:
    state, args = it.state, it.state.calls[call_id].args
    agent, task, number = str(args["agent"]), str(args["task"]), args.get("subsession")
    kind = f"{state.component}:{agent}"
    system, user = "", task
    if not number:
        number = state.subsessions.get(kind, 0) + 1
        system, prompt = flows.render(flow, agent, dict(values(flow.component(agent).inputs, state, histories)))
        user = f"{prompt}\n\n{task}"
    it.append(
        e.ToolCallsOffered(call_ids=(call_id,)),
        e.DelegationStarted(call_id=call_id, component=f"{kind}:{number}", system=clean(system), user=clean(user)),
    )


def _return(it: Acting, next_: step.Return) -> None:
    path = it.state.component
    it.append(e.DelegationEnded(call_id=next_.call_id, component=path))
    number = path.rpartition(":")[2]
    text = f"{next_.text}\n\n(subsession {number})"
    it.append(finished(next_.call_id, it.state.calls[next_.call_id], next_.outcome, text))


def _question(
    it: Acting,
    ask: e.Ask,
    question: str,
    *,
    call_ids: tuple[str, ...] = (),
    choices: tuple[str, ...] = (),
    component: str = "",
) -> None:
    approval_id = f"a_{secrets.token_hex(6)}"
    it.append(
        e.ApprovalRequested(
            approval_id=approval_id, ask=ask, call_ids=call_ids, question=question, choices=choices, component=component
        )
    )


def _ask_human(flows: FlowLibrary, it: Acting, flow: Flow, name: str, histories: Histories) -> None:
    component = flow.component(name)
    if not isinstance(component, HumanInputComponent):
        raise TypeError(f"{name!r} asks no person")
    asks_for_input = component.interaction_type == "input"
    if not it.state.approvals:
        _, text = flows.render(flow, name, dict(values(component.inputs, it.state, histories)))
        _question(it, "input" if asks_for_input else "plan", clean(text), component=name)
    it.move(Transition.REQUIRE_INPUT if asks_for_input else Transition.REQUIRE_PLAN_APPROVAL)


def answer_drafts(it: Acting, flow: Flow, path: str, answer: Reply, seen: int | None) -> list[log.Draft]:
    """A model's answer with the intents of its calls."""
    component = flow.component(path)
    calls = tuple((new_call_id(), call) for call in answer.calls)
    level = e.Level.RESULT if answer.text.strip() else e.Level.FULL
    event = "on_agent_reasoning" if calls else "on_agent_final_answer"
    said = e.ModelAnswered(
        component=path,
        text=clean(answer.text),
        thinking=clean(answer.thinking),
        calls=tuple(e.AnswerCall(call_id=i, provider_id=c.provider_id, tool=c.tool, args=c.args) for i, c in calls),
        model=answer.model,
        opaque=answer.opaque,
        seen=seen,
        role=component.ui_role_as if isinstance(component, Prompted) else "agent",
        duration_ms=answer.duration_ms,
    )
    tools = toolbox(flow, path, it.state)
    return [
        log.Draft(said, shown(component, event, level)),
        *intents(component, tools, it.state, it.redactor, calls),
    ]
