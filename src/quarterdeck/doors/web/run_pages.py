"""Starting a session: a form made from what the flow wants to be given."""

import secrets
from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.params import FromQuery, QueryParameter

from quarterdeck.app import flow_versions, project_flows, projects, sessions
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.errors import ConflictError, InvalidInputError, NotFoundError, QuarterdeckError
from quarterdeck.core.limits import GOAL_CHARACTERS, REF_CHARACTERS, TITLE_CHARACTERS
from quarterdeck.doors import problem
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp
from quarterdeck.doors.web import run_form
from quarterdeck.doors.web.fields import Form
from quarterdeck.doors.web.flow_pages import link
from quarterdeck.doors.web.layout import framed


@get("/projects/{project_id:int}/run")
async def ask(
    app: TheApp,
    actor: Caller,
    request: Request[Actor, None, Any],
    project_id: RowId,
    flow: Annotated[FromQuery[str], QueryParameter(max_length=200)],
) -> Response[str]:
    """The form of a flow; the URL may fill fields in."""
    return await _form(app, actor, project_id, flow, dict(request.query_params), secrets.token_urlsafe(16))


@post("/projects/{project_id:int}/run")
async def run(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """Starts it; the same form sent twice starts one session. What can't be started keeps what was typed."""
    name, key = form.text("flow"), form.text("key")
    flow = app.flows.read((await project_flows.show(app, actor, project_id, name)).text)
    fields = (*run_form.FREE, *(one.name for one in run_form.wanted_of(flow)))
    given = {field: form.text(field) for field in fields}
    inputs, faults = run_form.read(flow, given)
    wish, more = (None, {}) if faults else run_form.wish_of(project_id, name, given, inputs)
    if wish is None:
        return await _form(app, actor, project_id, name, given, key, faults={**more, **faults}, status=400)
    try:
        made = await sessions.start(app, actor, wish, key or None)
    except (InvalidInputError, NotFoundError, ConflictError) as error:
        status = problem.status_of(error)
        return await _form(app, actor, project_id, name, given, key, refused=error, status=status)
    return form.go(f"/sessions/{made.id}")


async def _form(
    app: App,
    actor: Actor,
    project_id: int,
    name: str,
    given: dict[str, str],
    key: str,
    *,
    faults: dict[str, str] | None = None,
    refused: QuarterdeckError | None = None,
    status: int = 200,
) -> Response[str]:
    project = await projects.show(app, actor, project_id)
    source = await flow_versions.show(app, actor, project_id, name)
    flow = app.flows.read(source.text).model_copy(update={"name": source.name, "version": source.version})
    response = await framed(
        app,
        actor,
        "run.html",
        project_id=project.id,
        project_path=project.path,
        here="flows",
        start_as=name,
        source=source,
        flow=flow,
        fields=run_form.wanted_of(flow),
        offers=await run_form.offers(app, actor, project_id, flow, scripted=source.scripted),
        given={**dict.fromkeys(run_form.FREE, ""), **given},
        faults=faults or {},
        refused=refused.message if refused else "",
        ref=project.default_branch,
        key=key,
        link=link,
        most={"goal": GOAL_CHARACTERS, "title": TITLE_CHARACTERS, "ref": REF_CHARACTERS, "model": 200},
    )
    response.status_code = status
    return response


ROUTES = (ask, run)
