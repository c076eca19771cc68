"""Flows: what a project has of them, and a page for each: its graph, its inputs, its prompts, its versions."""

import difflib
import json
from asyncio import to_thread
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from litestar import MediaType, Response, get, post
from litestar.params import FromQuery, PathParameter, QueryParameter

from quarterdeck.app import flow_versions, project_flows, projects, session_lists
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.flow_versions import FlowSource
from quarterdeck.app.project_flows import FlowView
from quarterdeck.app.projects import ProjectView
from quarterdeck.app.repository_flows import FOLDERS
from quarterdeck.app.session_filter import SessionFilter
from quarterdeck.core.access import Ability, Role, allows
from quarterdeck.core.component import Component, Prompted, ToolUse
from quarterdeck.core.errors import InvalidInputError, NotFoundError
from quarterdeck.core.flow import Flow
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp
from quarterdeck.doors.web import flow_drawing, graph
from quarterdeck.doors.web.fields import Form
from quarterdeck.doors.web.flow_drawing import Plan, Turn
from quarterdeck.doors.web.layout import framed
from quarterdeck.doors.web.rendering import HEADERS
from quarterdeck.flows.document import REPORTED_FAULTS
from quarterdeck.flows.reader import examine
from quarterdeck.tools.catalogue import CATALOGUE

SESSIONS = 5
PROMPTS, PROMPT_CHARACTERS = 20, 6_000
"""Of one page; the YAML has the rest."""
VERSIONS = 20

Name = Annotated[str, PathParameter(max_length=255, description="As a start calls it.")]
Version = Annotated[FromQuery[str], QueryParameter(max_length=50)]


@dataclass(frozen=True)
class Part:
    """A component as a line of a table, which says the same as the picture."""

    component: Component
    kind: str
    turns: tuple[Turn, ...]

    @property
    def tools(self) -> tuple[ToolUse, ...]:
        """What it may use."""
        return () if self.component.type == "HumanInputComponent" else self.component.toolset


def parts_of(plan: Plan) -> list[Part]:
    """The components that a page has room for."""
    leaving: dict[str, list[Turn]] = {}
    for turn in flow_drawing.turns(plan):
        leaving.setdefault(turn.source, []).append(turn)
    shown = plan.components[: graph.NODES]
    return [Part(one, flow_drawing.kind(one), tuple(leaving.get(one.name, ()))) for one in shown]


def link(project_id: int, name: str, version: str = "", page: str = "") -> str:
    """The page of a flow, or one that belongs to it."""
    query = f"?{urlencode({'version': version})}" if version else ""
    return f"/projects/{project_id}/flows/{quote(name, safe=':')}{page}{query}"


def maintains(project: ProjectView) -> bool:
    """Whether who looks may store flows."""
    return allows(Role[project.role.upper()], Ability.MANAGE_FLOWS)


@get("/projects/{project_id:int}/flows")
async def catalogue(app: TheApp, actor: Caller, project_id: RowId) -> Response[str]:
    """All flows that its sessions can be started with, and those that can't with the reason."""
    project = await projects.show(app, actor, project_id)
    found = await project_flows.find(app, actor, project_id)
    return await framed(
        app,
        actor,
        "flows.html",
        project_id=project.id,
        project_path=project.path,
        here="flows",
        project=project,
        shipped=_newest([one for one in found.flows if one.origin == "shipped"]),
        stored=[one for one in found.flows if one.origin == "project"],
        files=[one for one in found.flows if one.origin == "repository"],
        left_out=found.left_out,
        folders=[f"{folder}/*{ending}" for folder, endings in FOLDERS.items() for ending in endings],
        maintains=maintains(project),
        link=link,
    )


def _newest(shipped: Iterable[FlowView]) -> list[FlowView]:
    """One of each name: they are listed by their versions, and a page has the others."""
    return list({one.name: one for one in shipped}.values())


@get("/projects/{project_id:int}/flows/{name:str}")
async def flow(app: TheApp, actor: Caller, project_id: RowId, name: Name, version: Version = "") -> Response[str]:
    """A flow in one of its versions."""
    project = await projects.show(app, actor, project_id)
    source = await _source(app, actor, project_id, name, version)
    read, faults, plan = await _read(app, source)
    recent = SessionFilter(project=project_id, flow=source.name, kind="flow")
    return await framed(
        app,
        actor,
        "flow.html",
        project_id=project.id,
        project_path=project.path,
        here="flows",
        project=project,
        source=source,
        flow=read,
        faults=faults,
        drawing=flow_drawing.draw(plan),
        parts=parts_of(plan),
        plan=plan,
        prompts=_prompts(read),
        schemas=[(one.schema_id, json.dumps(one.definition, indent=2)) for one in read.response_schemas]
        if read
        else [],
        sessions=(await session_lists.find(app, actor, recent, limit=SESSIONS)).items,
        versions=source.versions[:VERSIONS],
        maintains=maintains(project),
        link=link,
        most=PROMPT_CHARACTERS,
    )


async def _source(app: App, actor: Actor, project_id: int, name: str, version: str) -> FlowSource:
    return await flow_versions.show(app, actor, project_id, f"{name}/{version}" if version else name)


async def _read(app: App, source: FlowSource) -> tuple[Flow | None, tuple[str, ...], Plan]:
    """The flow, or why it can't be used and what of it can be read."""
    if not source.faults:
        try:
            read = app.flows.read(source.text)
        except InvalidInputError:
            pass
        else:
            return read, (), Plan.of(read)
    reading = await to_thread(examine, source.text, CATALOGUE)
    told = tuple(str(one) for one in reading.document.findings() if one.severity == "fault")
    return None, source.faults or told[:REPORTED_FAULTS], Plan.draft(reading.draft)


def _prompts(read: Flow | None) -> list[tuple[str, str, str, str, list[str]]]:
    """Of each prompt: its id, its name, its texts, and the components that are asked with it."""
    asked = [one for one in read.components if isinstance(one, Prompted)] if read else []
    return [
        (
            prompt.prompt_id,
            prompt.name,
            prompt.prompt_template.system,
            prompt.prompt_template.user,
            [one.name for one in asked if one.prompt_id == prompt.prompt_id],
        )
        for prompt in (read.prompts if read else ())[:PROMPTS]
    ]


@get("/projects/{project_id:int}/flows/{name:str}/yaml")
async def yaml(app: TheApp, actor: Caller, project_id: RowId, name: Name, version: Version = "") -> Response[str]:
    """Its text as it is."""
    source = await _source(app, actor, project_id, name, version)
    headers = {**HEADERS, "Content-Security-Policy": "default-src 'none'; sandbox"}
    return Response(source.text, media_type=MediaType.TEXT, headers=headers)


@get("/projects/{project_id:int}/flows/{name:str}/changes")
async def changes(
    app: TheApp, actor: Caller, project_id: RowId, name: Name, version: Version = "", base: Version = ""
) -> Response[str]:
    """What a version changed in the one before it; `base` is the one that its author began with."""
    project = await projects.show(app, actor, project_id)
    source = await _source(app, actor, project_id, name, version)
    if not source.before:
        raise NotFoundError(f"There is no version of {source.name} before {source.version}.")
    before = await _source(app, actor, project_id, name, source.before)
    lines = difflib.unified_diff(
        before.text.splitlines(keepends=True), source.text.splitlines(keepends=True), before.version, source.version
    )
    diff = "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
    return await framed(
        app,
        actor,
        "flow_changes.html",
        project_id=project.id,
        project_path=project.path,
        here="flows",
        source=source,
        between=base if base and base != source.before else "",
        diff=diff,
        link=link,
    )


@get("/projects/{project_id:int}/flows/{name:str}/delete")
async def ask_to_delete(app: TheApp, actor: Caller, project_id: RowId, name: Name) -> Response[str]:
    """The confirmation, for browsers without script."""
    project = await projects.show(app, actor, project_id)
    source = await _source(app, actor, project_id, name, "")
    return await framed(
        app,
        actor,
        "flow_delete.html",
        project_id=project.id,
        project_path=project.path,
        here="flows",
        source=source,
        maintains=maintains(project),
        link=link,
    )


@post("/projects/{project_id:int}/flows/{name:str}/delete")
async def delete(app: TheApp, actor: Caller, project_id: RowId, name: Name, form: Form) -> Response[Any]:
    """Deletes a stored flow with all its versions."""
    await project_flows.remove(app, actor, project_id, name)
    return form.go(f"/projects/{project_id}/flows")


ROUTES = (catalogue, flow, yaml, changes, ask_to_delete, delete)
