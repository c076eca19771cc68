"""What a merge request changes, what is said of that, and its merge."""

from typing import Any

from litestar import Response, get, post

from quarterdeck.app import merge_requests, projects, reviews
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.reviews import LineComment, Review
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.references import closing_issues
from quarterdeck.doors.api.issues import Iid
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp
from quarterdeck.doors.web.diffs import by_file
from quarterdeck.doors.web.drafts import Draft, WrongFieldsError, came_back, checked
from quarterdeck.doors.web.fields import Fields, Form
from quarterdeck.doors.web.project_layout import in_project


@get("/projects/{project_id:int}/merge_requests/{iid:int}/changes")
async def changes(app: TheApp, actor: Caller, project_id: RowId, iid: Iid) -> Response[str]:
    """The diff by file, and the form of a review."""
    return await _changes(app, actor, project_id, iid, Draft("review"))


@post("/projects/{project_id:int}/merge_requests/{iid:int}/reviews")
async def review(app: TheApp, actor: Caller, project_id: RowId, iid: Iid, form: Form) -> Response[Any]:
    """A comment on a line, a summary, a verdict: all that the form has, or nothing."""
    try:
        await reviews.submit(app, actor, project_id, iid, _review(form))
    except QuarterdeckError as error:
        return await _changes(app, actor, project_id, iid, came_back(form, "review", error))
    return form.go(f"/projects/{project_id}/merge_requests/{iid}#talk-title")


@get("/projects/{project_id:int}/merge_requests/{iid:int}/merge")
async def ask_to_merge(app: TheApp, actor: Caller, project_id: RowId, iid: Iid) -> Response[str]:
    """The confirmation: what it brings about, and what speaks against it."""
    return await _ask(app, actor, project_id, iid, Draft("merge"))


@post("/projects/{project_id:int}/merge_requests/{iid:int}/merge")
async def merge(app: TheApp, actor: Caller, project_id: RowId, iid: Iid, form: Form) -> Response[Any]:
    """Merges it; a refusal is told where it was asked for."""
    try:
        await merge_requests.merge(app, actor, project_id, iid, head=form.text("head"))
    except QuarterdeckError as error:
        return await _ask(app, actor, project_id, iid, came_back(form, "merge", error))
    return form.go(f"/projects/{project_id}/merge_requests/{iid}")


def _review(form: Fields) -> Review:
    remarks: list[LineComment] = []
    if form.text("remark"):
        if not form.text("line").isdecimal():
            raise WrongFieldsError({"line": "Say which line of the file you mean, by its number after the change."})
        at = {"path": form.text("path"), "new_line": int(form.text("line")[:10])}
        try:
            remarks.append(checked(LineComment, {**at, "text": form.text("remark")}))
        except WrongFieldsError as error:
            raise WrongFieldsError({_PLACES.get(name, name): why for name, why in error.faults.items()}) from None
    verdict = form.text("verdict") or None
    said = {"summary": form.text("summary"), "comments": tuple(remarks), "verdict": verdict, "head": form.text("head")}
    return checked(Review, said)


_PLACES = {"new_line": "line", "text": "remark"}
"""Where the form has what the review names so."""


async def _changes(app: App, actor: Actor, project_id: int, iid: int, draft: Draft) -> Response[str]:
    project = await projects.show(app, actor, project_id)
    found = await merge_requests.show(app, actor, project_id, iid)
    diff, refusal = b"", ""
    try:
        diff = await merge_requests.diff(app, actor, project_id, iid)
    except QuarterdeckError as error:  # a branch is gone, or the diff too large: the page says so
        refusal = error.message
    return await in_project(
        app,
        actor,
        project,
        "merge_request_changes.html",
        here="merge_requests",
        draft=draft,
        tab="changes",
        request=found,
        mine=found.author == actor.username,
        files=by_file(diff),
        refusal=refusal,
    )


async def _ask(app: App, actor: Actor, project_id: int, iid: int, draft: Draft) -> Response[str]:
    project = await projects.show(app, actor, project_id)
    found = await merge_requests.show(app, actor, project_id, iid)
    return await in_project(
        app,
        actor,
        project,
        "merge_request_merge.html",
        here="merge_requests",
        draft=draft,
        tab="overview",
        request=found,
        closing=closing_issues(found.description) if found.target_branch == project.default_branch else (),
    )


ROUTES = (changes, review, ask_to_merge, merge)
