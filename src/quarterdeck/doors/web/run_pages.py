"""Starting a session: a form made from what the flow wants to be given."""

import secrets
from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.params import FromQuery, QueryParameter

from quarterdeck.app import flow_versions, project_flows, projects, sessions
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.errors import ConflictError, InvalidInputError, NotFoundError
from quarterdeck.core.limits import GOAL_CHARACTERS, REF_CHARACTERS, TITLE_CHARACTERS
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp
from quarterdeck.doors.web import run_form
from quarterdeck.doors.web.drafts import Draft, came_back, drafted
from quarterdeck.doors.web.fields import Form
from quarterdeck.doors.web.flow_pages import link


@get("/projects/{project_id:int}/run")
async def ask(
    app: TheApp,
    actor: Caller,
    request: Request[Actor, None, Any],
    project_id: RowId,
    flow: Annotated[FromQuery[str], QueryParameter(max_length=200)],
) -> Response[str]:
    """The form of a flow; the URL may fill fields in."""
    given = {name: (value,) for name, value in request.query_params.items()}
    return await _form(app, actor, project_id, flow, Draft(run_form.SECTION, given), secrets.token_urlsafe(16))


@post("/projects/{project_id:int}/run")
async def run(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """Starts it; the same form sent twice starts one session. What can't be started keeps what was typed."""
    name, key = form.text("flow"), form.text("key")[:255]
    flow = app.flows.read((await project_flows.show(app, actor, project_id, name)).text)
    try:
        wish = run_form.wish_of(flow, project_id, name, form)
        made = await sessions.start(app, actor, wish, key or None)
    except (InvalidInputError, NotFoundError, ConflictError) as error:
        return await _form(app, actor, project_id, name, came_back(form, run_form.SECTION, error), key)
    return form.go(f"/sessions/{made.id}")


async def _form(app: App, actor: Actor, project_id: int, name: str, draft: Draft, key: str) -> Response[str]:
    project = await projects.show(app, actor, project_id)
    source = await flow_versions.show(app, actor, project_id, name)
    if source.faults:
        raise InvalidInputError("\n".join((f"The flow {source.name!r} can't be used:", *source.faults)))
    flow = app.flows.read(source.text).model_copy(update={"name": source.name, "version": source.version})
    return await drafted(
        app,
        actor,
        "run.html",
        draft,
        project_id=project.id,
        project_path=project.path,
        here="flows",
        start_as=name,
        source=source,
        flow=flow,
        wanted=run_form.wanted_of(flow),
        offers=await run_form.offers(app, actor, project_id, flow, scripted=source.scripted),
        ref=project.default_branch,
        key=key,
        link=link,
        most={"goal": GOAL_CHARACTERS, "title": TITLE_CHARACTERS, "ref": REF_CHARACTERS, "model": 200},
        full=run_form.CHOICES,
    )


ROUTES = (ask, run)
