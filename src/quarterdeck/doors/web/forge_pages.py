"""The pages of the local forge, to look at: projects, issues, merge requests and their diffs, pipelines and logs."""

from litestar import Response, get

from quarterdeck.app import issues, merge_requests, pipelines, projects
from quarterdeck.core.text import cut, decode
from quarterdeck.doors.api.issues import Iid
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp
from quarterdeck.doors.web.rendering import page

DIFF_CHARACTERS = 500_000
"""The API and git have the rest."""
LOG_BYTES = 16 * 1024
"""The end of each job's log."""


@get("/projects/{project_id:int}")
async def project(app: TheApp, actor: Caller, project_id: RowId) -> Response[str]:
    """A project with its newest issues, merge requests and pipelines."""
    return page(
        "project.html",
        actor=actor,
        project=await projects.show(app, actor, project_id),
        issues=await issues.find(app, actor, project_id),
        requests=await merge_requests.find(app, actor, project_id),
        pipelines=await pipelines.find(app, actor, project_id),
    )


@get("/projects/{project_id:int}/issues/{iid:int}")
async def issue(app: TheApp, actor: Caller, project_id: RowId, iid: Iid) -> Response[str]:
    """An issue and what was said to it."""
    return page("issue.html", actor=actor, issue=await issues.show(app, actor, project_id, iid))


@get("/projects/{project_id:int}/merge_requests/{iid:int}")
async def merge_request(app: TheApp, actor: Caller, project_id: RowId, iid: Iid) -> Response[str]:
    """A merge request and what it changes."""
    found = await merge_requests.show(app, actor, project_id, iid)
    diff = cut(decode(await merge_requests.diff(app, actor, project_id, iid)), DIFF_CHARACTERS)
    return page("merge_request.html", actor=actor, request=found, diff=diff)


@get("/pipelines/{pipeline_id:int}")
async def pipeline(app: TheApp, actor: Caller, pipeline_id: RowId) -> Response[str]:
    """A pipeline, and the end of the log of each of its jobs."""
    found = await pipelines.show(app, actor, pipeline_id)
    jobs = [(job, await pipelines.job_tail(app, actor, job.id, LOG_BYTES)) for job in found.jobs]
    return page("pipeline.html", actor=actor, pipeline=found, jobs=jobs)


ROUTES = (project, issue, merge_request, pipeline)
"""All for people who are signed in."""
