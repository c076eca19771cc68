"""Which tools a component names, and whether it can use them so."""

from collections.abc import Mapping
from typing import Literal, Protocol

from pydantic import BaseModel, ValidationError

from quarterdeck.core.component import AgentComponent, DeterministicStepComponent, OneOffComponent
from quarterdeck.core.fold import FINAL_RESPONSE
from quarterdeck.flows.document import Document, Path
from quarterdeck.flows.shape import Draft

BY_THEMSELVES = {
    "delegate_task": "An agent with `subagents` has it by itself",
    FINAL_RESPONSE: "An agent with `subagents` or a `response_schema_id` has it by itself",
}
MCP_PREFIX = "mcp__"


class KnownTool(Protocol):
    """What the linter has to know of a tool."""

    @property
    def args(self) -> type[BaseModel]:
        """The model of its arguments."""
        ...

    @property
    def needs(self) -> Literal["workspace", "project", "session"]:
        """What a session must have for it."""
        ...


Tools = Mapping[str, KnownTool]


def check_toolset(
    document: Document,
    draft: Draft,
    component: AgentComponent | OneOffComponent | DeterministicStepComponent,
    tools: Tools,
    path: Path,
) -> None:
    """Notes tools that there are not, or that are fixed to what they don't take."""
    seen: set[str] = set()
    for index, use in enumerate(component.toolset):
        at = (*path, "toolset", index)
        if use.name in seen:
            document.fault(at, f"the tool {use.name!r} is there twice")
        seen.add(use.name)
        tool = _known(document, tools, use.name, at)
        if tool is None:
            continue
        if tool.needs == "workspace" and not draft.workspace and not isinstance(component, DeterministicStepComponent):
            document.note(at, f"the flow has no workspace, so that {use.name} is left out")
        try:
            tool.args.model_validate(use.fixed)
        except ValidationError as error:
            wrong = [fault for fault in error.errors(include_url=False) if fault["type"] != "missing"]
            document.fitting_faults((*at, use.name), wrong, tool.args.model_fields)
        for name, value in use.fixed.items():
            if isinstance(value, dict | list):
                document.fault((*at, use.name, name), "a fixed value is flat: a text, a number, true or false")


def check_step(document: Document, draft: Draft, step: DeterministicStepComponent, tools: Tools, path: Path) -> None:
    """Notes what a step's tool lacks to be used."""
    for index, use in enumerate(step.toolset):
        if use.name != step.tool_name:
            document.fault((*path, "toolset", index), f"the step uses {step.tool_name!r} only")
    tool = _known(document, tools, step.tool_name, (*path, "tool_name"))
    if tool is None:
        return
    if tool.needs == "workspace" and not draft.workspace:
        document.fault(
            (*path, "tool_name"), f"{step.tool_name} needs a workspace", "Leave coding_environment: none out"
        )
    fields = tool.args.model_fields
    for index, source in enumerate(step.inputs):
        if source.variable not in fields:
            hint = document.closest(source.variable, fields) or "It takes none"
            document.fault((*path, "inputs", index), f"{step.tool_name} has no parameter {source.variable!r}", hint)
    given = {source.variable for source in step.inputs}
    given.update(name for use in step.toolset if use.name == step.tool_name for name in use.fixed)
    for name, info in fields.items():
        if info.is_required() and name not in given:
            document.fault(path, f"{step.tool_name} needs {name!r}, which is no input of the step")


def _known(document: Document, tools: Tools, name: str, path: Path) -> KnownTool | None:
    if name in BY_THEMSELVES:
        document.fault(path, f"{name!r} can't be listed", BY_THEMSELVES[name])
        return None
    tool = tools.get(name)
    if tool is None and name.startswith(MCP_PREFIX):
        document.note(path, f"{name!r} is a tool of an MCP server; whether it is there shows when a session starts")
    elif tool is None:
        document.fault(path, f"there is no tool {name!r}", document.closest(name, tools))
    return tool
