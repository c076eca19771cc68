"""What must be true of a flow beyond the shape of its parts: names that meet, paths that lead somewhere."""

from typing import assert_never

from quarterdeck.core.component import (
    AgentComponent,
    Component,
    DeterministicStepComponent,
    HumanInputComponent,
    OneOffComponent,
    Prompted,
)
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.flow import ABORT, END, FlowInput
from quarterdeck.core.inputs import FORMATS, TYPES
from quarterdeck.core.versions import bounds
from quarterdeck.flows import delegation, prompts, toolsets, ways
from quarterdeck.flows.document import Document, Path
from quarterdeck.flows.shape import LATER, Draft
from quarterdeck.flows.sources import CONTEXT, FACTS, check_sources
from quarterdeck.flows.toolsets import Tools

PROMPT_PARAMS = ("timeout", "vertex_location", "stop")
INPUT_KEYS = ("type", "format", "description", "optional")
TOOL_EVENTS = ("on_tool_execution_success", "on_tool_execution_failed")
AGENT_EVENTS = ("on_agent_final_answer", "on_agent_reasoning", *TOOL_EVENTS, "on_tool_approval_request")
DELEGATION_EVENTS = ("on_delegation", "on_delegation_returns", "on_delegation_error")
HUMAN_EVENTS = ("on_user_input_prompt", "on_user_response")


def check(document: Document, draft: Draft, tools: Tools) -> None:
    """Notes everything in the document that would go wrong in a session of this flow, and what has no effect."""
    _names(document, draft)
    for path, component in draft.components.items():
        check_sources(document, draft, component.inputs, (*path, "inputs"))
        if not isinstance(component, HumanInputComponent):
            toolsets.check_toolset(document, draft, component, tools, path)
        _events(document, component, path)
        match component:
            case AgentComponent():
                _prompt(document, draft, component, path)
                _agent(document, draft, component, path)
            case OneOffComponent():
                _prompt(document, draft, component, path)
                if not component.toolset:
                    document.fault(
                        (*path, "toolset"), "there is no tool in it, and a one-off does nothing but use tools"
                    )
            case DeterministicStepComponent():
                toolsets.check_step(document, draft, component, tools, path)
            case HumanInputComponent():
                _human(document, draft, component, path)
            case _:
                assert_never(component)
    _prompts(document, draft)
    _inputs(document, draft)
    delegation.check(document, draft)
    ways.check(document, draft)


def _names(document: Document, draft: Draft) -> None:
    seen: set[str] = set(draft.ends)
    for path, component in draft.components.items():
        at, name = (*path, "name"), component.name
        if name in seen:
            document.fault(at, f"there are two components called {name!r}")
        if not name or ":" in name or "." in name:
            document.fault(at, "a component's name has at least one character, and no ':' or '.'")
        if name in (END, ABORT, *CONTEXT, *FACTS):
            document.fault(at, f"{name!r} has a meaning of its own in every flow; take another name")
        seen.add(name)
    named = (
        ("prompt_id", "prompts", [(path, prompt.prompt_id) for path, prompt in draft.prompts.items()]),
        ("schema_id", "response schemas", [(path, schema.schema_id) for path, schema in draft.schemas.items()]),
        ("category", "inputs of the category", [(path, item.category) for path, item in draft.inputs.items()]),
    )
    for key, what, names in named:
        there: set[str] = set()
        for path, name in names:
            if name in there:
                called = "" if key == "category" else " called"
                document.fault((*path, key), f"there are two {what}{called} {name!r}")
            there.add(name)


def _agent(document: Document, draft: Draft, agent: AgentComponent, path: Path) -> None:
    names = [use.name for use in agent.toolset]
    for index, name in enumerate(agent.pre_approved_tools):
        if name not in names:
            hint = document.closest(name, names)
            document.fault((*path, "pre_approved_tools", index), f"{name!r} is not in the toolset", hint)
    schema = agent.response_schema_id
    if schema is not None and schema not in draft.schema_ids:
        hint = document.closest(schema, draft.schema_ids) or "Write it under `response_schemas`"
        document.fault((*path, "response_schema_id"), f"there is no response schema {schema!r}", hint)
    if agent.iteration_warning_offset >= agent.max_cycles:
        at = (*path, "max_cycles", "iteration_warning_offset")
        document.fault(at, f"must be less than the {agent.max_cycles} answers that there are")
    if agent.max_delegations is not None and not agent.subagents:
        document.note((*path, "max_delegations"), "it has no effect without subagents")


def _prompt(document: Document, draft: Draft, component: Prompted, path: Path) -> None:
    if component.model_size_preference is not None:
        document.note((*path, "model_size_preference"), "it is deprecated and has no effect", "Use model_tags")
    found = [(at, prompt) for at, prompt in draft.prompts.items() if prompt.prompt_id == component.prompt_id]
    if not found and component.prompt_id not in draft.prompt_ids:
        hint = document.closest(component.prompt_id, draft.prompt_ids) or "Write it under `prompts`"
        document.fault((*path, "prompt_id"), f"there is no prompt {component.prompt_id!r}", hint)
    variables = frozenset(source.variable for source in component.inputs)
    for at, prompt in found[:1]:
        used: set[str] = set()
        template = prompt.prompt_template
        for part, text in (("system", template.system), ("user", template.user)):
            used |= prompts.names(text)
            for fault in prompts.faults(text, variables):
                document.fault((*at, "prompt_template", part), fault, f"The component is {component.name!r}")
        if not template.user.strip():
            document.fault((*at, "prompt_template"), "an agent needs a `user` text to answer to")
        _unused(document, component, used, path)


def _human(document: Document, draft: Draft, human: HumanInputComponent, path: Path) -> None:
    at = (*path, "message_template")
    for fault in prompts.faults(human.message_template, frozenset(source.variable for source in human.inputs)):
        document.fault(at, fault)
    if not human.message_template.strip():
        document.fault(at, "there is nothing in it to ask")
    _unused(document, human, prompts.names(human.message_template), path)
    target = human.sends_response_to
    prompted = {one.name for one in draft.components.values() if isinstance(one, Prompted)}
    if target not in draft.names:
        at = (*path, "sends_response_to")
        document.fault(at, f"there is no component {target!r}", document.closest(target, prompted))
    elif target not in prompted and any(one.name == target for one in draft.components.values()):
        document.fault((*path, "sends_response_to"), f"{target!r} is no agent and has no conversation")


def _unused(document: Document, component: Component, used: set[str], path: Path) -> None:
    wrong = {fault.path for fault in document.faults}
    for index, source in enumerate(component.inputs):
        at = (*path, "inputs", index)
        if source.variable not in used and at in document.positions and at not in wrong:
            document.note(at, f"no template of {component.name!r} uses {source.variable!r}")


def _events(document: Document, component: Component, path: Path) -> None:
    match component:
        case AgentComponent():
            known = (*AGENT_EVENTS, *DELEGATION_EVENTS) if component.subagents else AGENT_EVENTS
        case OneOffComponent():
            known = (*AGENT_EVENTS, "on_tool_call_input")
        case DeterministicStepComponent():
            known = TOOL_EVENTS
        case HumanInputComponent():
            known = HUMAN_EVENTS
        case _:
            assert_never(component)
    for index, name in enumerate(component.ui_log_events):
        if name not in known:
            document.fault(
                (*path, "ui_log_events", index), f"there is no log event {name!r}", document.closest(name, known)
            )


def _prompts(document: Document, draft: Draft) -> None:
    used = {one.prompt_id for one in draft.components.values() if isinstance(one, Prompted)}
    whole = len(draft.names) == len(draft.components)
    for path, prompt in draft.prompts.items():
        for name in prompt.params.keys() - {*PROMPT_PARAMS}:
            document.fault((*path, "params", name), f"{name!r} is {LATER}", document.closest(name, PROMPT_PARAMS))
        if "stop" in prompt.params:
            document.note((*path, "params", "stop"), "it has no effect")
        if whole and prompt.prompt_id not in used:
            document.note((*path, "prompt_id"), f"no component uses the prompt {prompt.prompt_id!r}")
    schemas = {one.response_schema_id for one in draft.components.values() if isinstance(one, AgentComponent)}
    for path, schema in draft.schemas.items():
        if whole and schema.schema_id not in schemas:
            document.note((*path, "schema_id"), f"no agent uses the response schema {schema.schema_id!r}")


def _inputs(document: Document, draft: Draft) -> None:
    for path, item in draft.inputs.items():
        try:
            bounds(item.version_constraint)
        except InvalidInputError as error:
            document.fault((*path, "version_constraint"), error.message)
        for name in item.input_schema:
            _field(document, item, name, (*path, "input_schema", name))


def _field(document: Document, item: FlowInput, name: str, path: Path) -> None:
    schema = item.input_schema[name]
    for key in schema.keys() - {*INPUT_KEYS}:
        document.fault((*path, key), "unknown key", document.closest(key, INPUT_KEYS))
    kind, written = schema.get("type"), schema.get("format")
    if kind not in TYPES:
        what = "it has no type" if kind is None else f"{kind!r} is no type of a field"
        document.fault((*path, "type"), what, document.closest(str(kind), TYPES))
    if written is not None and written not in FORMATS:
        hint = document.closest(str(written), FORMATS)
        document.note((*path, "format"), f"the format {written!r} is not checked", hint)
    if not isinstance(schema.get("optional", False), bool):
        document.fault((*path, "optional"), "must be true or false")
