"""Where components read from: whether `context:a.final_answer` names something that will be there."""

from collections.abc import Iterable
from typing import assert_never

from quarterdeck.core.component import (
    AgentComponent,
    Component,
    DeterministicStepComponent,
    HumanInputComponent,
    InputSource,
    OneOffComponent,
    Prompted,
)
from quarterdeck.flows import response_schemas
from quarterdeck.flows.document import Document, Path
from quarterdeck.flows.shape import Draft

CONTEXT = ("goal", "project_id", "current_date", "primary_branch", "workload_branch", "inputs")
"""What `core.context` gives a flow to start with."""
FACTS = (
    "project_http_url_to_repo",
    "project_default_branch",
    "namespace",
    "workflow_id",
    "session_url",
    "instance_type",
    "instance_url",
    "instance_version",
)
"""What else a session may be started with, `SessionCreated.facts`."""
TARGETS = ("context", "conversation_history", "status")


def outputs(component: Component) -> dict[str, str]:
    """What a component leaves in the context, and what each is."""
    match component:
        case AgentComponent():
            return {"final_answer": "a text" if component.response_schema_id is None else "a mapping"}
        case DeterministicStepComponent():
            return {"tool_responses": "a text", "error": "a text", "execution_result": "a text"}
        case OneOffComponent():
            return {"tool_calls": "a list", "tool_responses": "a list", "execution_result": "a text"}
        case HumanInputComponent():
            return {"approval": "a text"}
        case _:
            assert_never(component)


def check_sources(document: Document, draft: Draft, sources: Iterable[InputSource], path: Path) -> None:
    """Notes inputs that lead nowhere or clash."""
    seen: set[str] = set()
    for index, source in enumerate(sources):
        at = (*path, index)
        check_source(document, draft, source, at)
        if source.variable in seen:
            document.fault(at, f"two inputs are called {source.variable!r}", "Name one of them with `as`")
        seen.add(source.variable)


def check_source(document: Document, draft: Draft, source: InputSource, path: Path) -> None:
    """Notes a source that leads nowhere."""
    if source.literal:
        if not source.name:
            document.fault(path, "a literal needs a name", "Add `as: name`")
        return
    target, _, rest = source.source.partition(":")
    parts = rest.split(".")
    match target:
        case "status":
            return
        case "conversation_history":
            _history(document, draft, rest, path)
        case "context" if rest and all(parts):
            _context(document, draft, parts, path, optional=source.optional)
        case "context":
            document.fault(path, f"{source.source!r} names no value", "Write context:goal, for example")
        case _:
            what = f"{source.source!r} reads from {target!r}, which is no target"
            document.fault(path, what, document.closest(target, TARGETS))


def _history(document: Document, draft: Draft, name: str, path: Path) -> None:
    owner = _owner(draft, name)
    if isinstance(owner, Prompted) and name not in draft.subagents:
        return
    prompted = {one.name for one in draft.components.values() if isinstance(one, Prompted)} - draft.subagents
    if owner is None and name in draft.names:
        return
    if name in draft.subagents:
        document.fault(path, f"{name!r} is a subagent, whose conversations are not kept under its name")
    elif owner is not None:
        document.fault(path, f"{name!r} is no agent and has no conversation", document.closest(name, prompted))
    else:
        document.fault(path, f"there is no component {name!r}", document.closest(name, prompted))


def _context(document: Document, draft: Draft, parts: list[str], path: Path, *, optional: bool) -> None:
    head, rest = parts[0], parts[1:]
    if head == "inputs":
        categories = {item.category for item in draft.inputs.values()}
        if rest and rest[0] not in categories and not optional:
            hint = document.closest(rest[0], categories) or "Declare it under flow.inputs, or make this one optional"
            document.fault(path, f"the flow has no input {rest[0]!r}", hint)
        return
    owner = _owner(draft, head)
    if owner is None:
        known = (*CONTEXT, *FACTS, *draft.names)
        if head not in known:
            document.fault(path, f"there is no {head!r} in the context", document.closest(head, known))
        return
    if head in draft.subagents:
        what = f"{head!r} is a subagent, whose answers go to the agent that delegates to it"
        document.fault(path, what, f"Read the answer of {_lead(draft, head)!r}")
        return
    there = outputs(owner)
    if rest and rest[0] not in there:
        document.fault(path, f"{head!r} has no output {rest[0]!r}", document.closest(rest[0], there))
    elif len(rest) > 1 and there[rest[0]] != "a mapping":
        hint = "Give the agent a response_schema_id" if isinstance(owner, AgentComponent) else ""
        document.fault(path, f"{rest[0]!r} of {head!r} is {there[rest[0]]} and has no {rest[1]!r}", hint)
    elif len(rest) > 1 and isinstance(owner, AgentComponent):
        _field(document, draft, owner, rest[1], path, optional=optional)


def _field(document: Document, draft: Draft, agent: AgentComponent, name: str, path: Path, *, optional: bool) -> None:
    found = [one for one in draft.schemas.values() if one.schema_id == agent.response_schema_id]
    known = response_schemas.properties(found[0].definition) if found else None
    if known is None:
        return
    fields, required = known
    if name not in fields:
        document.fault(path, f"the response schema of {agent.name!r} has no {name!r}", document.closest(name, fields))
    elif name not in required and not optional:
        what = f"the response schema of {agent.name!r} doesn't require {name!r}; an answer without it ends the session"
        document.note(path, what, "Require it, or make the input optional")


def _owner(draft: Draft, name: str) -> Component | None:
    return next((component for component in draft.components.values() if component.name == name), None)


def _lead(draft: Draft, subagent: str) -> str:
    return next(
        one.name
        for one in draft.components.values()
        if isinstance(one, AgentComponent) and any(use.name == subagent for use in one.subagents)
    )
