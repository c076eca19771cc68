"""A job of a pipeline: its log as it is printed, raw, and another attempt at it."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.params import FromQuery, QueryParameter
from litestar.response import Stream
from markupsafe import Markup

from quarterdeck.app import pipeline_watch, pipelines, projects
from quarterdeck.app.application import App
from quarterdeck.app.pipeline_views import JobView, PipelineView
from quarterdeck.core.access import Ability
from quarterdeck.core.pipeline import ENDED, JobStatus
from quarterdeck.doors.api.parameters import Caller, RowId, Still, TheApp
from quarterdeck.doors.sse import KEEPALIVE, Closes, chunk, message
from quarterdeck.doors.web.fields import Form
from quarterdeck.doors.web.layout import fresh, live
from quarterdeck.doors.web.printing import Printing
from quarterdeck.doors.web.project_layout import in_project
from quarterdeck.doors.web.raw import PIECE_BYTES, raw
from quarterdeck.doors.web.rendering import fragment

SHOWN_BYTES = 128 * 1024
"""The end of a log that its page has; what is raw has all of it."""


@get("/jobs/{job_id:int}")
async def job(app: TheApp, actor: Caller, job_id: RowId) -> Response[str]:
    """The end of its log, which goes on while it runs."""
    found = await pipeline_watch.look(app, actor, job_id, after=None, most=SHOWN_BYTES)
    pipeline = await pipelines.show(app, actor, found.job.pipeline_id)
    project = await projects.show(app, actor, pipeline.project_id)
    goes_on = found.job.status not in ENDED
    data, offset = found.data, found.offset
    if offset:  # not from the middle of a line
        data = data[data.find(b"\n") + 1 :]
        offset = found.offset + len(found.data) - len(data)
    if goes_on:  # nor to the middle of one: the stream has all of it
        data = data[: data.rfind(b"\n") + 1]
    return await in_project(
        app,
        actor,
        project,
        "job.html",
        here="pipelines",
        pipeline=pipeline,
        job=found.job,
        part=_part(found.job, pipeline, retry=project.may(Ability.RUN_PIPELINE)),
        log=Printing().html("", 0, data),
        before=offset,
        after=offset + len(data),
        goes_on=goes_on,
    )


@get("/jobs/{job_id:int}/stream", media_type="text/event-stream")
async def follow(
    app: TheApp,
    actor: Caller,
    still: Still,
    closing: Closes,
    job_id: RowId,
    after: Annotated[FromQuery[int], QueryParameter(ge=0, le=2**63 - 1)] = 0,
) -> Stream:
    """What is printed behind `after`, and the job's own part of the page when it changes, until it has ended."""
    pipeline = await pipelines.show(app, actor, (await pipelines.job(app, actor, job_id)).pipeline_id)
    return live(app, actor, closing, _chunks(app, still, pipeline, job_id, after), check=still)


@get("/jobs/{job_id:int}/log")
async def log(app: TheApp, actor: Caller, job_id: RowId, download: FromQuery[bool] = False) -> Stream:
    """All that it has printed by now, as plain text."""
    size = (await pipeline_watch.look(app, actor, job_id, after=0, most=1)).size
    kept = {"Content-Disposition": f'attachment; filename="job-{job_id}.log"'} if download else {}

    async def read(offset: int, limit: int) -> bytes:
        return await pipelines.job_log(app, actor, job_id, offset=offset, limit=limit)

    return raw(size, read, **kept)


@post("/jobs/{job_id:int}/retry")
async def retry(app: TheApp, actor: Caller, job_id: RowId, form: Form) -> Response[Any]:
    """Tries it again, or starts a manual one."""
    name = (await pipelines.job(app, actor, job_id)).name
    found = await pipelines.retry_job(app, actor, job_id)
    newest = next(one.id for one in found.jobs if one.name == name)
    return form.go(f"/jobs/{newest}")


async def _chunks(app: App, still: Still, pipeline: PipelineView, job_id: int, after: int) -> AsyncIterator[bytes]:
    printing, told = Printing(), ""
    async for _ in pipeline_watch.moments(app, pipeline.id, job_id):
        actor = await still()  # who has signed out is told no more
        while True:  # what has come to more than a piece comes at once
            found = await pipeline_watch.look(app, actor, job_id, after=after, most=PIECE_BYTES)
            after += len(found.data)
            yield chunk(_printed(printing, found))
            if not found.data or after >= found.size:
                break
        ended = found.job.status in ENDED
        retry = ended and (await projects.show(app, actor, pipeline.project_id)).may(Ability.RUN_PIPELINE)
        html = _part(found.job, pipeline, retry=retry)
        yield fresh({"job-part": html}) if html != told else KEEPALIVE
        told = html
        if ended:
            return


def _printed(printing: Printing, found: pipeline_watch.JobProgress) -> list[bytes]:
    if not found.data:
        return []
    html = printing.html("", found.offset, found.data)
    return [message("printed", json.dumps({"end": found.offset + len(found.data), "html": html}))]


def _part(found: JobView, pipeline: PipelineView, *, retry: bool) -> Markup:
    newest = next((one.id for one in pipeline.jobs if one.name == found.name), found.id)
    again = retry and found.status in ENDED and found.status is not JobStatus.SKIPPED and newest == found.id
    return fragment("parts/job.html", job=found, again=again, newest=newest)


ROUTES = (job, follow, log, retry)
