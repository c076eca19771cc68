"""Merge requests: found, read, made from a branch, written, talked about, closed and opened again."""

from typing import Any, Literal

from litestar import Request, Response, get, post
from litestar.params import FromQuery

from quarterdeck.app import merge_requests, projects, repositories
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.merge_request_views import MergeRequestView
from quarterdeck.app.merge_requests import CreateMergeRequest, UpdateMergeRequest
from quarterdeck.app.projects import ProjectView
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import ForbiddenError, InvalidInputError, QuarterdeckError
from quarterdeck.core.limits import PAGE_ROWS
from quarterdeck.doors.api.issues import Iid
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp
from quarterdeck.doors.web.drafts import Draft, came_back, checked
from quarterdeck.doors.web.fields import Fields, Form
from quarterdeck.doors.web.issue_pages import Before, Words
from quarterdeck.doors.web.list_pages import Place
from quarterdeck.doors.web.project_layout import about, in_project


@get("/projects/{project_id:int}/merge_requests")
async def merge_request_list(
    app: TheApp,
    actor: Caller,
    request: Request[Actor, None, Any],
    project_id: RowId,
    status: FromQuery[Literal["opened", "merged", "closed", "all"]] = "opened",
    before: Before = None,
) -> Response[str]:
    """The open ones, unless others are asked for; the newest first."""
    project = await projects.show(app, actor, project_id)
    wanted = None if status == "all" else status
    found = await merge_requests.find(app, actor, project_id, status=wanted, before=before, limit=PAGE_ROWS + 1)
    return await in_project(
        app,
        actor,
        project,
        "merge_requests.html",
        here="merge_requests",
        place=Place(request.url.path, tuple(request.query_params.multi_items())),
        status_wanted=status,
        found=found[:PAGE_ROWS],
        more=len(found) > PAGE_ROWS,
        later=before is not None,
    )


@get("/projects/{project_id:int}/merge_requests/new")
async def new_merge_request(
    app: TheApp, actor: Caller, project_id: RowId, source: Words = "", target: Words = ""
) -> Response[str]:
    """The form of one that isn't there yet; the URL may choose its branches."""
    project = await projects.show(app, actor, project_id)
    return await _form(app, actor, project, None, Draft("request"), source=source, target=target)


@post("/projects/{project_id:int}/merge_requests")
async def create(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """Makes it."""
    branches = {name: form.text(name) for name in ("source_branch", "target_branch")}
    try:
        wish = checked(CreateMergeRequest, _values(form) | branches)
        made = await merge_requests.create(app, actor, project_id, wish)
    except QuarterdeckError as error:
        project = await projects.show(app, actor, project_id)
        return await _form(app, actor, project, None, came_back(form, "request", error))
    return form.go(f"/projects/{project_id}/merge_requests/{made.iid}")


@get("/projects/{project_id:int}/merge_requests/{iid:int}")
async def merge_request(app: TheApp, actor: Caller, project_id: RowId, iid: Iid) -> Response[str]:
    """A merge request, what was said to it, and the sessions on it."""
    return await _page(app, actor, project_id, iid, Draft("comment"))


async def _page(app: App, actor: Actor, project_id: int, iid: int, draft: Draft) -> Response[str]:
    project = await projects.show(app, actor, project_id)
    found = await merge_requests.show(app, actor, project_id, iid)
    return await in_project(
        app,
        actor,
        project,
        "merge_request.html",
        here="merge_requests",
        draft=draft,
        tab="overview",
        request=found,
        sessions=await about(app, actor, found.sessions),
    )


@get("/projects/{project_id:int}/merge_requests/{iid:int}/edit")
async def edit_merge_request(app: TheApp, actor: Caller, project_id: RowId, iid: Iid) -> Response[str]:
    """Its form."""
    project = await projects.show(app, actor, project_id)
    found = await merge_requests.show(app, actor, project_id, iid)
    if not project.may(Ability.WRITE_MERGE_REQUEST):
        raise ForbiddenError(f"To change !{iid} you need the role Developer; yours is {project.role.capitalize()}.")
    return await _form(app, actor, project, found, Draft("request"))


@post("/projects/{project_id:int}/merge_requests/{iid:int}/edit")
async def change(app: TheApp, actor: Caller, project_id: RowId, iid: Iid, form: Form) -> Response[Any]:
    """Changes all that the form has."""
    try:
        await merge_requests.change(app, actor, project_id, iid, checked(UpdateMergeRequest, _values(form)))
    except QuarterdeckError as error:
        project = await projects.show(app, actor, project_id)
        found = await merge_requests.show(app, actor, project_id, iid)
        return await _form(app, actor, project, found, came_back(form, "request", error))
    return form.go(f"/projects/{project_id}/merge_requests/{iid}")


@post("/projects/{project_id:int}/merge_requests/{iid:int}/status")
async def set_status(app: TheApp, actor: Caller, project_id: RowId, iid: Iid, form: Form) -> Response[Any]:
    """Closed without merging, or opened again."""
    verbs = {"closed": merge_requests.close, "opened": merge_requests.reopen}
    if (verb := verbs.get(form.text("status"))) is None:
        raise InvalidInputError("Choose what becomes of it: closed or opened.")
    await verb(app, actor, project_id, iid)
    return form.go(f"/projects/{project_id}/merge_requests/{iid}")


@post("/projects/{project_id:int}/merge_requests/{iid:int}/comments")
async def comment(app: TheApp, actor: Caller, project_id: RowId, iid: Iid, form: Form) -> Response[Any]:
    """Says something."""
    try:
        found = await merge_requests.comment(app, actor, project_id, iid, form.text("text"))
    except QuarterdeckError as error:
        return await _page(app, actor, project_id, iid, came_back(form, "comment", error, "text"))
    return form.go(f"/projects/{project_id}/merge_requests/{iid}#comment-{found.comments[-1].id}")


def _values(form: Fields) -> dict[str, Any]:
    return {
        "title": form.text("title"),
        "description": form.text("description"),
        "assignees": form.texts("assignees"),
        "reviewers": form.texts("reviewers"),
    }


async def _form(
    app: App,
    actor: Actor,
    project: ProjectView,
    found: MergeRequestView | None,
    draft: Draft,
    *,
    source: str = "",
    target: str = "",
) -> Response[str]:
    branches = () if found else await repositories.branches(app, actor, project.id)
    return await in_project(
        app,
        actor,
        project,
        "merge_request_form.html",
        here="merge_requests",
        draft=draft,
        request=found,
        source=source,
        target=target or project.default_branch,
        sources=[("", ""), *((one.name, one.name) for one in branches if not one.default)],
        targets=[(one.name, one.name) for one in branches],
        members=await projects.list_members(app, actor, project.id),
    )


ROUTES = (
    merge_request_list, new_merge_request, create, merge_request, edit_merge_request, change, set_status, comment,
)  # fmt: skip
