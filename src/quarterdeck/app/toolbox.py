"""Which tools a component of a session has."""

from dataclasses import dataclass, replace

from pydantic import JsonValue

from quarterdeck.core.component import (
    AgentComponent,
    Component,
    DeterministicStepComponent,
    HumanInputComponent,
    ToolUse,
)
from quarterdeck.core.flow import Flow
from quarterdeck.core.fold import FINAL_RESPONSE
from quarterdeck.core.state import SessionState
from quarterdeck.tools.catalogue import CATALOGUE
from quarterdeck.tools.catalogue import tool as tool_named
from quarterdeck.tools.mcp import tools_of
from quarterdeck.tools.tool import FreeArgs, Tool

DELEGATE = "delegate_task"
ASK = "clarification_question"


@dataclass(frozen=True)
class Usable:
    """A tool, with the arguments that the flow has fixed."""

    tool: Tool
    fixed: dict[str, JsonValue]


def toolbox(flow: Flow, path: str, state: SessionState) -> dict[str, Usable]:
    """The tools of the component at `path`, by name.

    A tool is left out when the session lacks its privilege, or what it works on (a workspace, a project), or may not
    ask questions. Subagents and response schemas bring tools of their own. Those of MCP servers are there once the
    session has asked for them: all in a chat's agents, elsewhere the ones that the toolset names.
    """
    component = flow.component(path)
    uses = {use.name: use.fixed for use in toolset(component)}
    remote = tools_of(state.mcp)
    if flow.chats and isinstance(component, AgentComponent):
        uses = {name: dict[str, JsonValue]() for name in remote} | uses
    found = {
        name: Usable(remote.get(name) or tool_named(name), fixed)
        for name, fixed in uses.items()
        if name in remote or name in CATALOGUE  # a pinned flow may name what there is no more
    }
    there = {name: usable for name, usable in found.items() if _makes_sense(usable.tool, flow, state)}
    if isinstance(component, AgentComponent):
        there |= {tool.name: Usable(tool, {}) for tool in _own(flow, component)}
    return there


def toolset(component: Component) -> tuple[ToolUse, ...]:
    """What the flow gives the component, a step's one tool too."""
    match component:
        case HumanInputComponent():
            return ()
        case DeterministicStepComponent():
            fixed = [use for use in component.toolset if use.name == component.tool_name]
            return tuple(fixed) or (ToolUse(name=component.tool_name),)
        case _:
            return component.toolset


def _makes_sense(tool: Tool, flow: Flow, state: SessionState) -> bool:
    created = state.created
    if tool.name == ASK:
        return created.may_ask
    if created.privileges is not None and tool.privilege is not None and tool.privilege not in created.privileges:
        return False
    match tool.needs:
        case "session":
            return True
        case "project":
            return created.project_id is not None
        case "workspace":
            return created.project_id is not None and flow.workspace


def _own(flow: Flow, agent: AgentComponent) -> list[Tool]:
    """The tools that an agent has for its subagents and for its final answer."""
    own: list[Tool] = []
    if agent.subagents:
        own.append(_delegation(flow, agent))
    if agent.response_schema_id is not None:
        form = flow.response_schema(agent.response_schema_id).definition
        own.append(replace(tool_named(FINAL_RESPONSE), args=FreeArgs, form=form))
    elif agent.subagents:
        own.append(tool_named(FINAL_RESPONSE))
    return own


def _delegation(flow: Flow, agent: AgentComponent) -> Tool:
    tool = tool_named(DELEGATE)
    names = [use.name for use in agent.subagents]
    told: list[str] = []
    for name in names:
        subagent = flow.component(name)
        about = subagent.description if isinstance(subagent, AgentComponent) else ""
        told.append(f"{name}: {about}" if about else name)
    form = tool.schema()
    properties = form["properties"]
    if isinstance(properties, dict) and isinstance(properties["agent"], dict):
        form = {**form, "properties": {**properties, "agent": {**properties["agent"], "enum": list(names)}}}
    return replace(tool, description=f"{tool.description} Your subagents are:\n" + "\n".join(told), form=form)
