"""A project's pages: what it is, and lists of what it has; issues, merge requests and pipelines to look at."""

from dataclasses import dataclass

from litestar import Response, get

from quarterdeck.app import issues, merge_requests, pipelines, projects, session_lists
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_filter import SessionFilter
from quarterdeck.core.access import Ability, Role, allows
from quarterdeck.core.text import cut, decode
from quarterdeck.doors.api.issues import Iid
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp
from quarterdeck.doors.web.languages import gettext as _
from quarterdeck.doors.web.layout import framed
from quarterdeck.doors.web.session_pages import by_file

DIFF_CHARACTERS = 500_000
"""The API and git have the rest."""
LOG_BYTES = 16 * 1024
"""The end of each job's log."""
ROWS = 5


@dataclass(frozen=True)
class Row:
    """A line of a plain list."""

    name: str
    title: str
    note: str = ""
    path: str = ""
    state: str = ""


@get("/projects/{project_id:int}")
async def project(app: TheApp, actor: Caller, project_id: RowId) -> Response[str]:
    """A project with its newest sessions."""
    found = await projects.show(app, actor, project_id)
    developer = allows(Role[found.role.upper()], Ability.READ_SESSION)
    wanted = SessionFilter(project=project_id, kind="flow")
    sessions = (await session_lists.find(app, actor, wanted, limit=ROWS)).items if developer else ()
    return await framed(
        app,
        actor,
        "project.html",
        project_id=found.id,
        project_path=found.path,
        here="project",
        project=found,
        sessions=sessions,
        developer=developer,
    )


@get("/projects/{project_id:int}/issues")
async def issue_list(app: TheApp, actor: Caller, project_id: RowId) -> Response[str]:
    """The newest issues."""
    found = await issues.find(app, actor, project_id)
    rows = [Row(f"#{x.iid}", x.title, x.author, f"/projects/{project_id}/issues/{x.iid}", x.status) for x in found]
    return await _list(app, actor, project_id, "issues", _("Issues"), rows, "qd issue create TITLE --project")


@get("/projects/{project_id:int}/merge_requests")
async def merge_request_list(app: TheApp, actor: Caller, project_id: RowId) -> Response[str]:
    """The newest merge requests."""
    found = await merge_requests.find(app, actor, project_id)
    path = f"/projects/{project_id}/merge_requests"
    rows = [Row(x.name, x.title, f"{x.source_branch} → {x.target_branch}", f"{path}/{x.iid}", x.status) for x in found]
    return await _list(app, actor, project_id, "merge_requests", _("Merge requests"), rows, "qd mr create --project")


@get("/projects/{project_id:int}/pipelines")
async def pipeline_list(app: TheApp, actor: Caller, project_id: RowId) -> Response[str]:
    """The newest pipelines."""
    found = await pipelines.find(app, actor, project_id)
    rows = [Row(f"#{x.id}", x.ref, x.sha[:12], f"/pipelines/{x.id}", x.status.value) for x in found]
    return await _list(app, actor, project_id, "pipelines", _("Pipelines"), rows, "qd pipeline start --project")


async def _list(
    app: App, actor: Actor, project_id: int, here: str, heading: str, rows: list[Row], command: str
) -> Response[str]:
    path = (await projects.show(app, actor, project_id)).path
    return await framed(
        app,
        actor,
        "rows.html",
        project_id=project_id,
        project_path=path,
        here=here,
        heading=heading,
        rows=rows,
        command=f"{command} {path}",
    )


@get("/projects/{project_id:int}/issues/{iid:int}")
async def issue(app: TheApp, actor: Caller, project_id: RowId, iid: Iid) -> Response[str]:
    """An issue and what was said to it."""
    found = await issues.show(app, actor, project_id, iid)
    return await framed(
        app, actor, "issue.html", project_id=project_id, project_path=found.project_path, here="issues", issue=found
    )


@get("/projects/{project_id:int}/merge_requests/{iid:int}")
async def merge_request(app: TheApp, actor: Caller, project_id: RowId, iid: Iid) -> Response[str]:
    """A merge request and what it changes."""
    found = await merge_requests.show(app, actor, project_id, iid)
    diff = cut(decode(await merge_requests.diff(app, actor, project_id, iid)), DIFF_CHARACTERS)
    return await framed(
        app,
        actor,
        "merge_request.html",
        project_id=project_id,
        project_path=found.project_path,
        here="merge_requests",
        request=found,
        files=by_file(diff),
    )


@get("/pipelines/{pipeline_id:int}")
async def pipeline(app: TheApp, actor: Caller, pipeline_id: RowId) -> Response[str]:
    """A pipeline, and the end of the log of each of its jobs."""
    found = await pipelines.show(app, actor, pipeline_id)
    jobs = [(job, await pipelines.job_tail(app, actor, job.id, LOG_BYTES)) for job in found.jobs]
    return await framed(
        app,
        actor,
        "pipeline.html",
        project_id=found.project_id,
        project_path=found.project_path,
        here="pipelines",
        pipeline=found,
        jobs=jobs,
    )


ROUTES = (
    project, issue_list, merge_request_list, pipeline_list, issue, merge_request, pipeline,
)  # fmt: skip
"""All for people who are signed in."""
