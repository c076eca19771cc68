"""Starting a session: a form made from what the flow wants to be given."""

import json
import secrets
from dataclasses import dataclass
from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.params import FromQuery, QueryParameter
from pydantic import JsonValue, ValidationError

from quarterdeck.app import project_flows, projects, sessions
from quarterdeck.app.actor import Actor
from quarterdeck.app.sessions import StartSession
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.flow import Flow
from quarterdeck.core.limits import PINNED_FLOW_BYTES
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp
from quarterdeck.doors.web.fields import Fields, Form
from quarterdeck.doors.web.layout import framed

ABOUT = {"pipeline": "pipeline_id", "issue": "issue_iid", "merge_request": "merge_request_iid"}
"""What a session is about is named by its number; the server knows the rest."""
_FILLED = frozenset({"agent_platform_standard_context", "user_rule", "workspace_agent_skills"})
"""The server gives these by itself."""


@dataclass(frozen=True)
class Wanted:
    """A field of the form; `kind` is a type of JSON Schema."""

    name: str
    label: str
    kind: str
    required: bool
    description: str = ""
    value: str = ""


def wanted_of(flow: Flow, given: dict[str, str]) -> list[Wanted]:
    """The fields that a flow's inputs come to, filled in with what is given by their names."""
    found: list[Wanted] = []
    for one in flow.inputs:
        if one.category in ABOUT:
            name = ABOUT[one.category]
            required = not all(field.get("optional") for field in one.input_schema.values())
            label = one.category.replace("_", " ").capitalize()
            found.append(Wanted(name, label, "integer", required, value=given.get(name, "")))
        elif one.category not in _FILLED:
            for field, schema in one.input_schema.items():
                name = f"{one.category}.{field}"
                kind, told = str(schema.get("type", "string")), str(schema.get("description") or "")
                found.append(Wanted(name, name, kind, not schema.get("optional"), told, given.get(name, "")))
    return found


def inputs_of(flow: Flow, form: Fields) -> dict[str, JsonValue]:
    """The envelopes that the form was filled in with. Raises InvalidInputError for what is no JSON where it has to."""
    inputs: dict[str, dict[str, JsonValue]] = {}
    for field in wanted_of(flow, {}):
        category, _, name = field.name.partition(".")
        text = form.text(field.name)
        if name and text:
            inputs.setdefault(category, {})[name] = _value(field, text)
    return dict(inputs)


def _value(field: Wanted, text: str) -> JsonValue:
    if field.kind == "string":
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInputError(f"{field.label} is of the type {field.kind}: write it as JSON.") from None


@get("/projects/{project_id:int}/run")
async def ask(
    app: TheApp,
    actor: Caller,
    request: Request[Actor, None, Any],
    project_id: RowId,
    flow: Annotated[FromQuery[str], QueryParameter(max_length=200)],
) -> Response[str]:
    """The form of a flow; the URL may fill fields in."""
    project = await projects.show(app, actor, project_id)
    found = await project_flows.show(app, actor, project_id, flow)
    read = app.flows.read(found.text, most=PINNED_FLOW_BYTES)
    return await framed(
        app,
        actor,
        "run.html",
        project_id=project.id,
        project_path=project.path,
        here="flows",
        flow=flow,
        read=read,
        fields=wanted_of(read, dict(request.query_params)),
        ref=project.default_branch,
        key=secrets.token_urlsafe(16),
    )


@post("/projects/{project_id:int}/run")
async def run(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """Starts it; the same form sent twice starts one session."""
    name = form.text("flow")
    flow = app.flows.read((await project_flows.show(app, actor, project_id, name)).text, most=PINNED_FLOW_BYTES)
    about = {field: int(form.text(field)) for field in ABOUT.values() if form.text(field).isdigit()}
    try:
        wish = StartSession.model_validate(
            {
                "project": project_id,
                "flow": name,
                "goal": form.text("goal"),
                "ref": form.text("ref"),
                "model": form.text("model") or None,
                "inputs": inputs_of(flow, form),
                "origin": "web",
                **about,
            }
        )
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_url=False))
        raise InvalidInputError("; ".join(faults)) from None
    made = await sessions.start(app, actor, wish, form.text("key") or None)
    return form.go(f"/sessions/{made.id}")


ROUTES = (ask, run)
