"""Pipelines, their jobs and the logs of those."""

from typing import Annotated

from litestar import Response, Router, get, post
from litestar.params import JSONBody, QueryParameter
from pydantic import BaseModel, ConfigDict, Field

from quarterdeck.app import ci_lint, pipelines
from quarterdeck.app.ci_lint import LintView
from quarterdeck.app.pipeline_views import JobView, PipelineView
from quarterdeck.core import limits
from quarterdeck.core.pipeline import PipelineStatus
from quarterdeck.doors.api.log import OUTPUT_PAGE_BYTES, Bytes, plain
from quarterdeck.doors.api.parameters import Caller, Limit, Offset, ProjectRef, RowId, TheApp

FILE_CHARACTERS = 512 * 1024
"""The reader names its own bound for the file; this one is for the request."""


class StartPipeline(BaseModel):
    """Which branch; the default branch when there is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    ref: str | None = Field(default=None, min_length=1, max_length=limits.REF_CHARACTERS)


class PipelineFile(BaseModel):
    """A `.gitlab-ci.yml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    text: str = Field(max_length=FILE_CHARACTERS)
    ref: str | None = Field(default=None, min_length=1, max_length=limits.REF_CHARACTERS)
    """The branch that it would be pushed to, with the files that it includes; the default branch without it."""


@post("/projects/{project:str}/pipelines", summary="Start a pipeline")
async def start(app: TheApp, actor: Caller, project_ref: ProjectRef, data: JSONBody[StartPipeline]) -> PipelineView:
    """Runs the `.gitlab-ci.yml` of the branch's newest commit."""
    return await pipelines.start(app, actor, project_ref, data.ref)


@get("/projects/{project:str}/pipelines", summary="List pipelines")
async def find(
    app: TheApp,
    actor: Caller,
    project_ref: ProjectRef,
    ref: Annotated[str | None, QueryParameter(max_length=limits.REF_CHARACTERS, description="Only of it.")] = None,
    status: Annotated[PipelineStatus | None, QueryParameter(description="Only those that have come to it.")] = None,
    before: Annotated[int | None, QueryParameter(ge=1, le=2**63 - 1, description="Only older ones.")] = None,
    limit: Limit = limits.PAGE_ROWS,
) -> list[PipelineView]:
    """The newest first, without their jobs."""
    return await pipelines.find(app, actor, project_ref, ref=ref, status=status, before=before, limit=limit)


@post("/projects/{project:str}/ci/lint", status_code=200, summary="Check a pipeline file")
async def lint(app: TheApp, actor: Caller, project_ref: ProjectRef, data: JSONBody[PipelineFile]) -> LintView:
    """All that is wrong with it, each with its line; or the jobs that a push of it would run."""
    return await ci_lint.lint(app, actor, project_ref, data.text, data.ref)


@get("/pipelines/{pipeline_id:int}", summary="Show a pipeline")
async def show(app: TheApp, actor: Caller, pipeline_id: RowId) -> PipelineView:
    """With its jobs."""
    return await pipelines.show(app, actor, pipeline_id)


@post("/pipelines/{pipeline_id:int}/retry", status_code=200, summary="Try failed jobs again")
async def retry(app: TheApp, actor: Caller, pipeline_id: RowId) -> PipelineView:
    """Those that failed or were cancelled, and what waits for them."""
    return await pipelines.retry(app, actor, pipeline_id)


@post("/pipelines/{pipeline_id:int}/cancel", status_code=200, summary="Cancel a pipeline")
async def cancel(app: TheApp, actor: Caller, pipeline_id: RowId) -> PipelineView:
    """Stops all its jobs."""
    return await pipelines.cancel(app, actor, pipeline_id)


@get("/jobs/{job_id:int}", summary="Show a job")
async def show_job(app: TheApp, actor: Caller, job_id: RowId) -> JobView:
    """One attempt at it."""
    return await pipelines.job(app, actor, job_id)


@get("/jobs/{job_id:int}/log", media_type="application/octet-stream", summary="Read a job's log")
async def log(
    app: TheApp, actor: Caller, job_id: RowId, offset: Offset = 0, limit: Bytes = OUTPUT_PAGE_BYTES
) -> Response[bytes]:
    """Raw bytes from `offset`; none when there are no more yet."""
    return plain(await pipelines.job_log(app, actor, job_id, offset=offset, limit=limit))


@post("/jobs/{job_id:int}/retry", status_code=200, summary="Try a job again")
async def retry_job(app: TheApp, actor: Caller, job_id: RowId) -> PipelineView:
    """An ended one, or start a manual one; answers its pipeline."""
    return await pipelines.retry_job(app, actor, job_id)


ROUTES = Router(
    "/",
    route_handlers=[start, find, lint, show, retry, cancel, show_job, log, retry_job],
    tags=["pipelines"],
)
