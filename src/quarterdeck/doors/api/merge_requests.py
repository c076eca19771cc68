"""Merge requests: made, looked at, merged, closed, talked about."""

from typing import Annotated

from litestar import Response, Router, get, patch, post
from litestar.params import JSONBody, PathParameter, QueryParameter
from pydantic import BaseModel, ConfigDict, Field

from quarterdeck.app import merge_requests, reviews
from quarterdeck.app.comments import TEXT_CHARACTERS
from quarterdeck.app.merge_requests import CreateMergeRequest, MergeRequestStatus, MergeRequestView, UpdateMergeRequest
from quarterdeck.app.reviews import Line, LineComment, Review
from quarterdeck.core import limits
from quarterdeck.doors.api.log import plain
from quarterdeck.doors.api.parameters import Caller, Limit, ProjectRef, TheApp

Iid = Annotated[int, PathParameter(ge=1, le=2**31 - 1, description="The number in its project, without `!`.")]
Head = Annotated[
    str, QueryParameter(max_length=64, description="The commit that you looked at; refused when the branch moved on.")
]
ONE = "/{iid:int}"


class Remark(BaseModel):
    """What somebody says, on a line of the diff if there is a position."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    text: str = Field(min_length=1, max_length=TEXT_CHARACTERS)
    position: Line | None = None


@post("/", summary="Create a merge request")
async def create(
    app: TheApp, actor: Caller, project_ref: ProjectRef, data: JSONBody[CreateMergeRequest]
) -> MergeRequestView:
    """From a branch into another."""
    return await merge_requests.create(app, actor, project_ref, data)


@get("/", summary="List merge requests")
async def find(
    app: TheApp,
    actor: Caller,
    project_ref: ProjectRef,
    status: Annotated[MergeRequestStatus | None, QueryParameter()] = None,
    before: Annotated[int | None, QueryParameter(ge=1, le=2**31 - 1, description="Only older ones.")] = None,
    limit: Limit = limits.PAGE_ROWS,
) -> list[MergeRequestView]:
    """The newest first."""
    return await merge_requests.find(app, actor, project_ref, status=status, before=before, limit=limit)


@get(ONE, summary="Show a merge request")
async def show(app: TheApp, actor: Caller, project_ref: ProjectRef, iid: Iid) -> MergeRequestView:
    """With its comments and the newest pipeline of its branch."""
    return await merge_requests.show(app, actor, project_ref, iid)


@get(f"{ONE}/diff", media_type="text/x-diff", summary="Show what it changes")
async def diff(app: TheApp, actor: Caller, project_ref: ProjectRef, iid: Iid) -> Response[bytes]:
    """As git prints it."""
    return plain(await merge_requests.diff(app, actor, project_ref, iid), "text/x-diff")


@patch(ONE, summary="Change a merge request")
async def change(
    app: TheApp, actor: Caller, project_ref: ProjectRef, iid: Iid, data: JSONBody[UpdateMergeRequest]
) -> MergeRequestView:
    """Title, description, assignees, reviewers; what is absent stays."""
    return await merge_requests.change(app, actor, project_ref, iid, data)


@post(f"{ONE}/merge", status_code=200, summary="Merge it")
async def merge(app: TheApp, actor: Caller, project_ref: ProjectRef, iid: Iid, head: Head = "") -> MergeRequestView:
    """Finishes the session that made it."""
    return await merge_requests.merge(app, actor, project_ref, iid, head=head)


@post(f"{ONE}/close", status_code=200, summary="Close it")
async def close(app: TheApp, actor: Caller, project_ref: ProjectRef, iid: Iid) -> MergeRequestView:
    """Without merging."""
    return await merge_requests.close(app, actor, project_ref, iid)


@post(f"{ONE}/reopen", status_code=200, summary="Open it again")
async def reopen(app: TheApp, actor: Caller, project_ref: ProjectRef, iid: Iid) -> MergeRequestView:
    """A closed one, if its branches still bring something."""
    return await merge_requests.reopen(app, actor, project_ref, iid)


@post(f"{ONE}/comments", summary="Say something")
async def comment(
    app: TheApp, actor: Caller, project_ref: ProjectRef, iid: Iid, data: JSONBody[Remark]
) -> MergeRequestView:
    """Answers the merge request with all that was said; a line that isn't in its diff is refused."""
    if data.position is None:
        return await merge_requests.comment(app, actor, project_ref, iid, data.text)
    said = LineComment(text=data.text, **data.position.model_dump())
    return await reviews.submit(app, actor, project_ref, iid, Review(comments=(said,)))


@post(f"{ONE}/reviews", summary="Submit a review")
async def review(
    app: TheApp, actor: Caller, project_ref: ProjectRef, iid: Iid, data: JSONBody[Review]
) -> MergeRequestView:
    """Comments on lines, a summary and a verdict, all of it or nothing."""
    return await reviews.submit(app, actor, project_ref, iid, data)


ROUTES = Router(
    "/projects/{project:str}/merge_requests",
    route_handlers=[create, find, show, change, diff, merge, close, reopen, comment, review],
    tags=["merge requests"],
)
