"""Pipelines: found, started, looked at as they run, cancelled, tried again, and repaired by a session."""

import secrets
from collections.abc import AsyncIterator
from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.params import FromQuery, QueryParameter
from litestar.response import Stream
from markupsafe import Markup

from quarterdeck.app import pipeline_watch, pipelines, projects, repositories, sessions
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.pipeline_views import JobView, PipelineView
from quarterdeck.app.projects import ProjectView
from quarterdeck.app.sessions import StartSession
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.limits import PAGE_ROWS, REF_CHARACTERS
from quarterdeck.core.pipeline import PIPELINE_ENDED, PipelineStatus
from quarterdeck.doors.api.parameters import Caller, RowId, Still, TheApp
from quarterdeck.doors.sse import KEEPALIVE, Closes
from quarterdeck.doors.web.drafts import Draft, came_back, checked
from quarterdeck.doors.web.fields import Form
from quarterdeck.doors.web.layout import fresh, live
from quarterdeck.doors.web.list_pages import Place
from quarterdeck.doors.web.project_layout import about, in_project, offers
from quarterdeck.doors.web.rendering import fragment

FIX = "fix_pipeline/v1"
"""The flow of *Fix pipeline*."""


@get("/projects/{project_id:int}/pipelines")
async def pipeline_list(
    app: TheApp,
    actor: Caller,
    request: Request[Actor, None, Any],
    project_id: RowId,
    ref: Annotated[FromQuery[str], QueryParameter(max_length=REF_CHARACTERS)] = "",
    status: FromQuery[PipelineStatus | None] = None,
    before: Annotated[int | None, QueryParameter(ge=1, le=2**63 - 1)] = None,
) -> Response[str]:
    """The newest first."""
    project = await projects.show(app, actor, project_id)
    found = await pipelines.find(
        app, actor, project_id, ref=ref or None, status=status, before=before, limit=PAGE_ROWS + 1
    )
    return await in_project(
        app,
        actor,
        project,
        "pipelines.html",
        here="pipelines",
        place=Place(request.url.path, tuple(request.query_params.multi_items())),
        statuses=list(PipelineStatus),
        found=found[:PAGE_ROWS],
        more=len(found) > PAGE_ROWS,
        later=before is not None,
    )


@get("/projects/{project_id:int}/pipelines/new")
async def new_pipeline(app: TheApp, actor: Caller, project_id: RowId) -> Response[str]:
    """Asks of which branch."""
    return await _new(app, actor, project_id, Draft("pipeline"))


@post("/projects/{project_id:int}/pipelines")
async def start(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """Starts one of a branch's newest commit."""
    try:
        made = await pipelines.start(app, actor, project_id, form.text("ref") or None)
    except QuarterdeckError as error:
        return await _new(app, actor, project_id, came_back(form, "pipeline", error))
    return form.go(f"/pipelines/{made.id}")


@get("/pipelines/{pipeline_id:int}")
async def pipeline(app: TheApp, actor: Caller, pipeline_id: RowId) -> Response[str]:
    """A pipeline, its jobs by stages, and the sessions on it."""
    return await _page(app, actor, pipeline_id, Draft("fix"))


@get("/pipelines/{pipeline_id:int}/stream", media_type="text/event-stream")
async def follow(app: TheApp, actor: Caller, still: Still, closing: Closes, pipeline_id: RowId) -> Stream:
    """The same part of the page again whenever it changes, until the pipeline has ended."""
    await pipelines.show(app, actor, pipeline_id)
    return live(app, actor, closing, _parts(app, still, pipeline_id), check=still)


@post("/pipelines/{pipeline_id:int}/fix")
async def fix(app: TheApp, actor: Caller, pipeline_id: RowId, form: Form) -> Response[Any]:
    """Starts the session that repairs it; sent twice it is started once."""
    project_id = (await pipelines.show(app, actor, pipeline_id)).project_id
    try:
        given: dict[str, object] = {"project": project_id, "flow": FIX, "pipeline_id": pipeline_id, "origin": "web"}
        wish = checked(StartSession, given | {"model": form.text("model") or None})
        made = await sessions.start(app, actor, wish, form.text("key")[:255] or None)
    except QuarterdeckError as error:
        return await _page(app, actor, pipeline_id, came_back(form, "fix", error))
    return form.go(f"/sessions/{made.id}")


@post("/pipelines/{pipeline_id:int}/cancel")
async def cancel(app: TheApp, actor: Caller, pipeline_id: RowId, form: Form) -> Response[Any]:
    """Stops all its jobs."""
    await pipelines.cancel(app, actor, pipeline_id)
    return form.go(f"/pipelines/{pipeline_id}")


@post("/pipelines/{pipeline_id:int}/retry")
async def retry(app: TheApp, actor: Caller, pipeline_id: RowId, form: Form) -> Response[Any]:
    """Tries what failed again."""
    await pipelines.retry(app, actor, pipeline_id)
    return form.go(f"/pipelines/{pipeline_id}")


async def _new(app: App, actor: Actor, project_id: int, draft: Draft) -> Response[str]:
    project = await projects.show(app, actor, project_id)
    return await in_project(
        app,
        actor,
        project,
        "pipeline_form.html",
        here="pipelines",
        draft=draft,
        branches=[(one.name, one.name) for one in await repositories.branches(app, actor, project_id)],
    )


async def _page(app: App, actor: Actor, pipeline_id: int, draft: Draft) -> Response[str]:
    found = await pipelines.show(app, actor, pipeline_id)
    project = await projects.show(app, actor, found.project_id)
    return await in_project(
        app,
        actor,
        project,
        "pipeline.html",
        here="pipelines",
        draft=draft,
        pipeline=found,
        goes_on=found.status not in PIPELINE_ENDED,
        part=_part(found, project, draft),
        sessions=await about(app, actor, found.sessions),
    )


async def _parts(app: App, still: Still, pipeline_id: int) -> AsyncIterator[bytes]:
    """Who watches is let in again at each look."""
    told = ""
    async for _ in pipeline_watch.moments(app, pipeline_id):
        actor = await still()
        found = await pipelines.show(app, actor, pipeline_id)
        html = _part(found, await projects.show(app, actor, found.project_id), Draft("fix"))
        yield fresh({"pipeline-part": html}) if html != told else KEEPALIVE
        told = html
        if found.status in PIPELINE_ENDED:
            return


def _part(found: PipelineView, project: ProjectView, draft: Draft) -> Markup:
    stages: dict[str, list[JobView]] = {}
    for job in found.jobs:
        stages.setdefault(job.stage, []).append(job)
    return fragment(
        "parts/pipeline.html",
        pipeline=found,
        stages=stages,
        ended=found.status in PIPELINE_ENDED,
        may=offers(project),
        key=secrets.token_urlsafe(16),
        draft=draft,
    )


ROUTES = (pipeline_list, new_pipeline, start, pipeline, follow, fix, cancel, retry)
