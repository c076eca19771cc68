"""What must be true of a flow beyond the shape of its parts: names that meet, paths that lead somewhere."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from pydantic import BaseModel, ValidationError

from quarterdeck.core.component import (
    AgentComponent,
    Component,
    DeterministicStepComponent,
    HumanInputComponent,
    InputSource,
    ToolUse,
)
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.flow import ABORT, END, Router
from quarterdeck.flows import prompts, versions
from quarterdeck.flows.document import Document, Path, closest
from quarterdeck.flows.shape import LATER, Draft

CONTEXT = ("goal", "project_id", "current_date", "primary_branch", "workload_branch", "inputs")
"""What `core.context` gives a flow to start with."""
AGENT_OUTPUTS = ("final_answer",)
STEP_OUTPUTS = ("tool_responses", "error", "execution_result")
PROMPT_PARAMS = ("timeout", "vertex_location")
DEFAULT_ROUTE = "default_route"
AGENT_EVENTS = (
    "on_agent_final_answer",
    "on_agent_reasoning",
    "on_tool_execution_success",
    "on_tool_execution_failed",
    "on_tool_approval_request",
)
STEP_EVENTS = ("on_tool_execution_success", "on_tool_execution_failed")


class KnownTool(Protocol):
    """What the linter has to know of a tool."""

    @property
    def args(self) -> type[BaseModel]:
        """The model of its arguments."""
        ...


Tools = Mapping[str, KnownTool]


def check(document: Document, draft: Draft, tools: Tools) -> None:
    """Notes everything in the document that would go wrong in a session of this flow."""
    _names(document, draft)
    for path, component in draft.components.items():
        _sources(document, draft, component.inputs, (*path, "inputs"))
        if not isinstance(component, HumanInputComponent):
            _toolset(document, component.toolset, tools, (*path, "toolset"))
        match component:
            case AgentComponent():
                _agent(document, draft, component, path)
            case DeterministicStepComponent():
                _step(document, component, tools, path)
            case _:
                pass
    for path, prompt in draft.prompts.items():
        for name in prompt.params.keys() - {*PROMPT_PARAMS}:
            document.fault((*path, "params", name), LATER, closest(name, PROMPT_PARAMS))
    for path, item in draft.inputs.items():
        try:
            versions.bounds(item.version_constraint)
        except InvalidInputError as error:
            document.fault((*path, "version_constraint"), error.message)
    _routers(document, draft)
    _ways(document, draft)


def _names(document: Document, draft: Draft) -> None:
    seen: set[str] = set()
    for path, component in draft.components.items():
        at, name = (*path, "name"), component.name
        if name in seen:
            document.fault(at, f"there are two components called {name!r}")
        if not name or ":" in name or "." in name:
            document.fault(at, "a component's name has at least one character, and no ':' or '.'")
        if name in (END, ABORT, *CONTEXT):
            document.fault(at, f"{name!r} has a meaning of its own in every flow; take another name")
        seen.add(name)
    ids: set[str] = set()
    for path, prompt in draft.prompts.items():
        if prompt.prompt_id in ids:
            document.fault((*path, "prompt_id"), f"there are two prompts called {prompt.prompt_id!r}")
        ids.add(prompt.prompt_id)


def _sources(document: Document, draft: Draft, sources: Iterable[InputSource], path: Path) -> None:
    seen: set[str] = set()
    for index, source in enumerate(sources):
        at = (*path, index)
        _source(document, draft, source, at)
        if source.variable in seen:
            document.fault(at, f"two inputs are called {source.variable!r}", "Name one of them with `as`")
        seen.add(source.variable)


def _source(document: Document, draft: Draft, source: InputSource, path: Path) -> None:
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
            document.fault(
                path, f"conversation_history as an input is {LATER}", "Read context:<component>.final_answer"
            )
        case "context" if rest and all(parts):
            _context_path(document, draft, parts, path, optional=source.optional)
        case "context":
            document.fault(path, f"{source.source!r} names no value", "Write context:goal, for example")
        case _:
            hint = closest(target, ("context", "conversation_history", "status"))
            document.fault(path, f"{source.source!r} reads from {target!r}, which is no target", hint)


def _context_path(document: Document, draft: Draft, parts: list[str], path: Path, *, optional: bool) -> None:
    head, rest = parts[0], parts[1:]
    if head == "inputs":
        categories = {item.category for item in draft.inputs.values()}
        if rest and rest[0] not in categories and not optional:
            hint = closest(rest[0], categories) or "Declare it under flow.inputs, or make this one optional"
            document.fault(path, f"the flow has no input {rest[0]!r}", hint)
        return
    owner = next((component for component in draft.components.values() if component.name == head), None)
    if owner is None:
        if head not in (*CONTEXT, *draft.names):
            document.fault(path, f"there is no {head!r} in the context", closest(head, (*CONTEXT, *draft.names)))
        return
    outputs = AGENT_OUTPUTS if isinstance(owner, AgentComponent) else STEP_OUTPUTS
    if rest and rest[0] not in outputs:
        document.fault(path, f"{head!r} has no output {rest[0]!r}", closest(rest[0], outputs))


def _toolset(document: Document, toolset: tuple[ToolUse, ...], tools: Tools, path: Path) -> None:
    seen: set[str] = set()
    for index, use in enumerate(toolset):
        at = (*path, index)
        if use.name in seen:
            document.fault(at, f"the tool {use.name!r} is there twice")
        seen.add(use.name)
        tool = tools.get(use.name)
        if tool is None:
            document.fault(at, f"there is no tool {use.name!r}", closest(use.name, tools))
            continue
        try:
            tool.args.model_validate(use.fixed)
        except ValidationError as error:
            wrong = [fault for fault in error.errors(include_url=False) if fault["type"] != "missing"]
            document.fitting_faults((*at, use.name), wrong, tool.args.model_fields)
        for name, value in use.fixed.items():
            if isinstance(value, dict | list):
                document.fault((*at, use.name, name), "a fixed value is flat: a text, a number, true or false")


def _agent(document: Document, draft: Draft, agent: AgentComponent, path: Path) -> None:
    names = [use.name for use in agent.toolset]
    for index, name in enumerate(agent.pre_approved_tools):
        if name not in names:
            document.fault(
                (*path, "pre_approved_tools", index), f"{name!r} is not in the toolset", closest(name, names)
            )
    _events(document, agent, AGENT_EVENTS, path)
    found = [(at, prompt) for at, prompt in draft.prompts.items() if prompt.prompt_id == agent.prompt_id]
    if not found and agent.prompt_id not in draft.prompt_ids:
        hint = closest(agent.prompt_id, draft.prompt_ids)
        document.fault((*path, "prompt_id"), f"there is no prompt {agent.prompt_id!r}", hint)
    variables = frozenset(source.variable for source in agent.inputs)
    for at, prompt in found[:1]:
        template = prompt.prompt_template
        for part, text in (("system", template.system), ("user", template.user)):
            for fault in prompts.faults(text, variables):
                document.fault((*at, "prompt_template", part), fault, f"The component is {agent.name!r}")
        if not template.user.strip():
            document.fault((*at, "prompt_template"), "an agent needs a `user` text to answer to")


def _step(document: Document, step: DeterministicStepComponent, tools: Tools, path: Path) -> None:
    _events(document, step, STEP_EVENTS, path)
    for index, use in enumerate(step.toolset):
        if use.name != step.tool_name:
            document.fault((*path, "toolset", index), f"the step uses {step.tool_name!r} only")
    tool = tools.get(step.tool_name)
    if tool is None:
        hint = closest(step.tool_name, tools)
        document.fault((*path, "tool_name"), f"there is no tool {step.tool_name!r}", hint)
        return
    fields = tool.args.model_fields
    for index, source in enumerate(step.inputs):
        if source.variable not in fields:
            hint = closest(source.variable, fields) or "It takes none"
            document.fault((*path, "inputs", index), f"{step.tool_name} has no parameter {source.variable!r}", hint)
    given = {source.variable for source in step.inputs}
    given.update(name for use in step.toolset if use.name == step.tool_name for name in use.fixed)
    for name, info in fields.items():
        if info.is_required() and name not in given:
            document.fault(path, f"{step.tool_name} needs {name!r}, which is no input of the step")


def _events(document: Document, component: Component, known: tuple[str, ...], path: Path) -> None:
    for index, name in enumerate(component.ui_log_events):
        if name not in known:
            document.fault((*path, "ui_log_events", index), f"there is no log event {name!r}", closest(name, known))


def targets(router: Router) -> dict[Path, str]:
    """Where a router may go, by the path inside it."""
    found: dict[Path, str] = {} if router.to is None else {("to",): router.to}
    if router.condition is not None:
        found.update({("condition", "routes", key): name for key, name in router.condition.routes.items()})
    return found


def _routers(document: Document, draft: Draft) -> None:
    seen: set[str] = set()
    for path, router in draft.routers.items():
        if router.source not in draft.names:
            hint = closest(router.source, draft.names)
            document.fault((*path, "from"), f"there is no component {router.source!r}", hint)
        if router.source in seen:
            document.fault((*path, "from"), f"{router.source!r} has a router already; this one would never be used")
        seen.add(router.source)
        if (router.to is None) == (router.condition is None):
            document.fault(path, "a router has either `to` or a `condition`")
        for at, name in targets(router).items():
            if name not in (END, ABORT, *draft.names):
                hint = closest(name, (END, ABORT, *draft.names))
                document.fault((*path, *at), f"there is no component {name!r}", hint)
        if router.condition is not None:
            _condition(document, draft, router.condition.input, (*path, "condition", "input"))
            if not router.condition.routes:
                document.fault((*path, "condition", "routes"), "there is no route in it")


def _condition(document: Document, draft: Draft, source: InputSource, path: Path) -> None:
    if source.literal or source.source.startswith("conversation_history:"):
        document.fault(path, "a router reads context or status only")
    else:
        _source(document, draft, source, path)


def _ways(document: Document, draft: Draft) -> None:
    """Whether everything can be come to from the entry point."""
    if not draft.entry_point:
        document.fault(("flow",), "it has no entry_point")
        return
    if draft.entry_point not in draft.names:
        hint = closest(draft.entry_point, draft.names)
        document.fault(("flow", "entry_point"), f"there is no component {draft.entry_point!r}", hint)
        return
    reached, new = {draft.entry_point}, {draft.entry_point}
    while new:
        new = {name for router in draft.routers.values() if router.source in new for name in targets(router).values()}
        new -= reached
        reached |= new
    for path, component in draft.components.items():
        if component.name not in reached:
            document.fault((*path, "name"), f"no way leads from {draft.entry_point!r} to {component.name!r}")
