"""Tool calls on their way into the log: the intents of an answer, and how a call ended."""

import json
from collections.abc import Iterator
from dataclasses import replace

from pydantic import JsonValue

from quarterdeck.app.toolbox import ASK, DELEGATE, Usable
from quarterdeck.core import events as e
from quarterdeck.core import limits
from quarterdeck.core.answer import RequestedCall, characters
from quarterdeck.core.approval import needs_approval
from quarterdeck.core.component import AgentComponent, Component
from quarterdeck.core.errors import InvalidInputError, NotFoundError, QuarterdeckError
from quarterdeck.core.fold import FINAL_RESPONSE
from quarterdeck.core.redaction import Redactor
from quarterdeck.core.session_limits import Used
from quarterdeck.core.state import Call, SessionState
from quarterdeck.core.text import clean, cut
from quarterdeck.store import log
from quarterdeck.tools.tool import Tool

SUCCESS, FAILURE = "on_tool_execution_success", "on_tool_execution_failed"


def intents(
    component: Component,
    tools: dict[str, Usable],
    state: SessionState,
    redactor: Redactor,
    calls: tuple[tuple[str, RequestedCall], ...],
) -> list[log.Draft]:
    """What an answer's calls mean to do, by their ids; those that can't be are finished at once, with the reason."""
    drafts: list[log.Draft] = []
    delegated = 0
    waits = any(call.tool in (ASK, DELEGATE) for _, call in calls)
    for place, (call_id, call) in enumerate(_bounded(calls)):
        fault, usable, args = call.fault, tools.get(call.tool), dict(call.args)
        try:
            if usable is None:
                raise NotFoundError(f"There is no tool {call.tool!r} here. You have: {', '.join(sorted(tools))}.")
            args |= usable.fixed
            if call.tool == FINAL_RESPONSE and len(json.dumps(args)) > limits.STATE_CONTEXT_CHARACTERS:
                raise InvalidInputError(f"Your answer may have {limits.STATE_CONTEXT_CHARACTERS:,} characters.")
            if not fault:
                parsed = usable.tool.parse(args)
                _check(component, usable.tool, state, redactor, args, place)
                if call.tool == FINAL_RESPONSE and waits:
                    raise InvalidInputError("You wait for another's answer; read it, then give your final answer.")
                if call.tool == DELEGATE and isinstance(component, AgentComponent):
                    args = parsed.model_dump(exclude_unset=True)  # JSON has a whole number 1.0, a path has none
                    _check_delegation(component, state, args, delegated)
                    delegated += 1
        except QuarterdeckError as error:
            fault = error.message
        known = usable.tool if usable else None
        made = replace(call, args=args)
        drafts.append(_intent(component, known, state, call_id, made, refused=bool(fault)))
        if fault:
            drafts.append(_ended(call_id, call.tool, e.Outcome.ERROR, fault))
        elif call.tool == FINAL_RESPONSE:
            drafts.append(_ended(call_id, call.tool, e.Outcome.OK, "Taken as your final answer."))
    return drafts


def _bounded(calls: tuple[tuple[str, RequestedCall], ...]) -> Iterator[tuple[str, RequestedCall]]:
    """Those that bring the arguments of their answer beyond what it may have lose theirs."""
    total = 0
    for call_id, call in calls:
        total += characters(call.args)
        if total > limits.ANSWER_ARGUMENT_CHARACTERS:
            most = f"{limits.ANSWER_ARGUMENT_CHARACTERS:,}"
            fault = f"The arguments of one answer may have {most} characters. Make this call in your next."
            yield call_id, replace(call, args={}, fault=call.fault or fault)
        else:
            yield call_id, call


def _check(
    component: Component, tool: Tool, state: SessionState, redactor: Redactor, args: dict[str, JsonValue], place: int
) -> None:
    """Raises InvalidInputError for a call that fits its schema and can't be made all the same."""
    if redactor.value(args) != args:
        raise InvalidInputError("The arguments hold what looks like a secret. It isn't stored, so no tool is given it.")
    if place >= limits.CALLS_PER_ANSWER:
        raise InvalidInputError(f"One answer may have {limits.CALLS_PER_ANSWER} calls; this one is beyond that.")
    if not isinstance(component, AgentComponent) or tool.name == FINAL_RESPONSE:
        return
    if state.cycles.get(state.component, 0) >= component.max_cycles:
        raise InvalidInputError("You have used up your answers; no tool is at hand any more. Give your final answer.")


def _check_delegation(agent: AgentComponent, state: SessionState, args: dict[str, JsonValue], before: int) -> None:
    """Raises InvalidInputError for what is not there to go on with, and for too many; `before` are its answer's."""
    number, there = args.get("subsession"), state.subsessions.get(f"{state.component}:{args['agent']}", 0)
    if isinstance(number, int) and number > there:
        raise InvalidInputError(f"{args['agent']} has no subsession {number}; there are {there}.")
    most, had = agent.max_delegations, state.delegations.get(state.component, 0) + before
    if most is not None and had >= most:
        raise InvalidInputError(f"You have delegated {most} times; do the rest yourself.")


def _intent(
    component: Component,
    tool: Tool | None,
    state: SessionState,
    call_id: str,
    call: RequestedCall,
    *,
    refused: bool,
) -> log.Draft:
    level = tool.level if tool else e.Level.CONCISE
    failure = e.Level.CONCISE if level is e.Level.FULL else level
    level, failure = shown(component, SUCCESS, level), shown(component, FAILURE, failure)
    asks = not refused and tool is not None and _asks(component, tool, state, call.args)
    if asks:  # beside the question stands what was asked for, and what came of it
        level, failure = (e.Level.CONCISE if one is e.Level.FULL else one for one in (level, failure))
    return log.Draft(
        e.ToolCallRequested(
            call_id=call_id,
            component=state.component,
            tool=call.tool,
            args=call.args,
            side=tool.side if tool else "server",
            asks=asks,
            parallel=tool.parallel if tool else False,
            level=level,
            failure_level=failure,
        ),
        level,
    )


def shown(component: Component, event: str, level: e.Level) -> e.Level:
    """The level of what a component does: `ui_log_events`, where a flow lists any, makes the others full detail."""
    return level if not component.ui_log_events or event in component.ui_log_events else e.Level.FULL


def _asks(component: Component, tool: Tool, state: SessionState, args: dict[str, JsonValue]) -> bool:
    if tool.side == "brain":
        return tool.name == ASK
    agent = component if isinstance(component, AgentComponent) else None
    return needs_approval(
        tool.name,
        args,
        privilege=tool.privilege,
        component_asks=agent is not None and agent.require_tool_approval,
        component_pre_approved=agent.pre_approved_tools if agent else (),
        session_pre_approved=state.created.pre_approved,
        session_approvals=state.session_approvals,
        session_patterns=state.session_patterns.get(tool.name, ()),
        start_patterns=state.created.pre_approved_patterns.get(tool.name, ()),
        always_ask=state.created.always_ask,
    )


def _ended(call_id: str, tool: str, outcome: e.Outcome, text: str) -> log.Draft:
    text = cut(clean(text), limits.RESULT_CHARACTERS)
    return log.Draft(e.ToolCallFinished(call_id=call_id, tool=tool, outcome=outcome, text=text), e.Level.CONCISE)


def finished(call_id: str, call: Call, outcome: e.Outcome, text: str, used: Used | None = None) -> log.Draft:
    """The end of a call, at the level that its intent says."""
    text = cut(clean(text), limits.RESULT_CHARACTERS)
    return log.Draft(
        e.ToolCallFinished(call_id=call_id, tool=call.tool, outcome=outcome, text=text, used=used),
        call.end_level(outcome),
    )
