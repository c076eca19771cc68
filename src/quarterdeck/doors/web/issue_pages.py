"""Issues: found, read, written, talked about, closed and opened again."""

from typing import Annotated, Any, Literal

from litestar import Request, Response, get, post
from litestar.params import FromQuery, QueryParameter

from quarterdeck.app import issues, projects
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.issue_views import IssueView
from quarterdeck.app.issues import CreateIssue, UpdateIssue
from quarterdeck.app.projects import ProjectView
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import ForbiddenError, QuarterdeckError
from quarterdeck.core.limits import PAGE_ROWS
from quarterdeck.doors.api.issues import Iid
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp
from quarterdeck.doors.web.drafts import Draft, came_back, checked
from quarterdeck.doors.web.fields import Fields, Form
from quarterdeck.doors.web.list_pages import Place
from quarterdeck.doors.web.project_layout import about, in_project

Before = Annotated[int | None, QueryParameter(ge=1, le=2**31 - 1)]
Words = Annotated[FromQuery[str], QueryParameter(max_length=200)]


@get("/projects/{project_id:int}/issues")
async def issue_list(
    app: TheApp,
    actor: Caller,
    request: Request[Actor, None, Any],
    project_id: RowId,
    status: FromQuery[Literal["opened", "closed", "all"]] = "opened",
    q: Words = "",
    label: Words = "",
    assignee: Words = "",
    before: Before = None,
) -> Response[str]:
    """The open ones, unless others are asked for; the newest first."""
    project = await projects.show(app, actor, project_id)
    found = await issues.find(
        app,
        actor,
        project_id,
        status=None if status == "all" else status,
        search=q or None,
        label=label or None,
        assignee=assignee or None,
        before=before,
        limit=PAGE_ROWS + 1,
    )
    return await in_project(
        app,
        actor,
        project,
        "issues.html",
        here="issues",
        place=Place(request.url.path, tuple(request.query_params.multi_items())),
        status_wanted=status,
        found=found[:PAGE_ROWS],
        more=len(found) > PAGE_ROWS,
        later=before is not None,
    )


@get("/projects/{project_id:int}/issues/new")
async def new_issue(app: TheApp, actor: Caller, project_id: RowId) -> Response[str]:
    """The form of one that isn't there yet."""
    project = await projects.show(app, actor, project_id)
    return await _form(app, actor, project, None, Draft("issue"))


@post("/projects/{project_id:int}/issues")
async def create(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """Makes it."""
    try:
        made = await issues.create(app, actor, project_id, checked(CreateIssue, _values(form)))
    except QuarterdeckError as error:
        project = await projects.show(app, actor, project_id)
        return await _form(app, actor, project, None, came_back(form, "issue", error))
    return form.go(f"/projects/{project_id}/issues/{made.iid}")


@get("/projects/{project_id:int}/issues/{iid:int}")
async def issue(app: TheApp, actor: Caller, project_id: RowId, iid: Iid) -> Response[str]:
    """An issue, what was said to it, and the sessions on it."""
    return await _page(app, actor, project_id, iid, Draft("comment"))


async def _page(app: App, actor: Actor, project_id: int, iid: int, draft: Draft) -> Response[str]:
    project = await projects.show(app, actor, project_id)
    found = await issues.show(app, actor, project_id, iid)
    return await in_project(
        app,
        actor,
        project,
        "issue.html",
        here="issues",
        draft=draft,
        issue=found,
        writable=_writable(project, actor, found),
        sessions=await about(app, actor, found.sessions),
    )


@get("/projects/{project_id:int}/issues/{iid:int}/edit")
async def edit_issue(app: TheApp, actor: Caller, project_id: RowId, iid: Iid) -> Response[str]:
    """Its form."""
    project = await projects.show(app, actor, project_id)
    found = await issues.show(app, actor, project_id, iid)
    if not _writable(project, actor, found):
        raise ForbiddenError(f"Only {found.author} and who is at least a Reporter change issue #{iid}.")
    return await _form(app, actor, project, found, Draft("issue"))


@post("/projects/{project_id:int}/issues/{iid:int}/edit")
async def change(app: TheApp, actor: Caller, project_id: RowId, iid: Iid, form: Form) -> Response[Any]:
    """Changes all that the form has."""
    try:
        await issues.change(app, actor, project_id, iid, checked(UpdateIssue, _values(form)))
    except QuarterdeckError as error:
        project = await projects.show(app, actor, project_id)
        found = await issues.show(app, actor, project_id, iid)
        return await _form(app, actor, project, found, came_back(form, "issue", error))
    return form.go(f"/projects/{project_id}/issues/{iid}")


@post("/projects/{project_id:int}/issues/{iid:int}/status")
async def set_status(app: TheApp, actor: Caller, project_id: RowId, iid: Iid, form: Form) -> Response[Any]:
    """Closed, or opened again."""
    await issues.change(app, actor, project_id, iid, checked(UpdateIssue, {"status": form.text("status")}))
    return form.go(f"/projects/{project_id}/issues/{iid}")


@post("/projects/{project_id:int}/issues/{iid:int}/comments")
async def comment(app: TheApp, actor: Caller, project_id: RowId, iid: Iid, form: Form) -> Response[Any]:
    """Says something, and closes it if that is wanted."""
    try:
        found = await issues.comment(app, actor, project_id, iid, form.text("text"))
    except QuarterdeckError as error:
        return await _page(app, actor, project_id, iid, came_back(form, "comment", error, "text"))
    if form.text("then") == "close":
        await issues.change(app, actor, project_id, iid, UpdateIssue(status="closed"))
    return form.go(f"/projects/{project_id}/issues/{iid}#comment-{found.comments[-1].id}")


def _writable(project: ProjectView, actor: Actor, found: IssueView) -> bool:
    return found.author == actor.username or project.may(Ability.WRITE_ISSUE)


def _values(form: Fields) -> dict[str, Any]:
    return {
        "title": form.text("title"),
        "description": form.text("description"),
        "labels": form.lines("labels"),
        "assignees": form.texts("assignees"),
    }


async def _form(app: App, actor: Actor, project: ProjectView, found: IssueView | None, draft: Draft) -> Response[str]:
    return await in_project(
        app,
        actor,
        project,
        "issue_form.html",
        here="issues",
        draft=draft,
        issue=found,
        members=await projects.list_members(app, actor, project.id),
    )


ROUTES = (issue_list, new_issue, create, issue, edit_issue, change, set_status, comment)
