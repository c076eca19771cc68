"""Issues: made, looked at, changed, closed, talked about."""

from typing import Annotated

from litestar import Router, get, patch, post
from litestar.params import JSONBody, PathParameter, QueryParameter
from pydantic import BaseModel, ConfigDict, Field

from quarterdeck.app import issues
from quarterdeck.app.comments import TEXT_CHARACTERS
from quarterdeck.app.issue_views import IssueStatus, IssueView
from quarterdeck.app.issues import LABEL_CHARACTERS, CreateIssue, UpdateIssue
from quarterdeck.core import limits
from quarterdeck.doors.api.parameters import Caller, Limit, ProjectRef, TheApp

Iid = Annotated[int, PathParameter(ge=1, le=2**31 - 1, description="The number in its project, without `#`.")]
ONE = "/{iid:int}"


class Words(BaseModel):
    """What somebody says."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    text: str = Field(min_length=1, max_length=TEXT_CHARACTERS)


@post("/", summary="Create an issue")
async def create(app: TheApp, actor: Caller, project_ref: ProjectRef, data: JSONBody[CreateIssue]) -> IssueView:
    """With labels and assignees."""
    return await issues.create(app, actor, project_ref, data)


@get("/", summary="List issues")
async def find(
    app: TheApp,
    actor: Caller,
    project_ref: ProjectRef,
    status: Annotated[IssueStatus | None, QueryParameter()] = None,
    label: Annotated[str | None, QueryParameter(max_length=LABEL_CHARACTERS, description="Only with it.")] = None,
    assignee: Annotated[str | None, QueryParameter(max_length=255, description="Only of this user.")] = None,
    search: Annotated[str | None, QueryParameter(max_length=1_000, description="In title or description.")] = None,
    before: Annotated[int | None, QueryParameter(ge=1, le=2**31 - 1, description="Only older ones.")] = None,
    limit: Limit = limits.PAGE_ROWS,
) -> list[IssueView]:
    """The newest first."""
    return await issues.find(
        app, actor, project_ref, status=status, label=label, assignee=assignee, search=search, before=before,
        limit=limit,
    )  # fmt: skip


@get(ONE, summary="Show an issue")
async def show(app: TheApp, actor: Caller, project_ref: ProjectRef, iid: Iid) -> IssueView:
    """With its comments, and the sessions on it that you may see."""
    return await issues.show(app, actor, project_ref, iid)


@patch(ONE, summary="Change an issue")
async def change(
    app: TheApp, actor: Caller, project_ref: ProjectRef, iid: Iid, data: JSONBody[UpdateIssue]
) -> IssueView:
    """What is absent stays as it is."""
    return await issues.change(app, actor, project_ref, iid, data)


@post(f"{ONE}/close", status_code=200, summary="Close an issue")
async def close(app: TheApp, actor: Caller, project_ref: ProjectRef, iid: Iid) -> IssueView:
    """Its author may, and whoever may change it."""
    return await issues.close(app, actor, project_ref, iid)


@post(f"{ONE}/reopen", status_code=200, summary="Open an issue again")
async def reopen(app: TheApp, actor: Caller, project_ref: ProjectRef, iid: Iid) -> IssueView:
    """A closed one."""
    return await issues.reopen(app, actor, project_ref, iid)


@post(f"{ONE}/comments", summary="Comment on an issue")
async def comment(app: TheApp, actor: Caller, project_ref: ProjectRef, iid: Iid, data: JSONBody[Words]) -> IssueView:
    """Answers the issue with all that was said."""
    return await issues.comment(app, actor, project_ref, iid, data.text)


ROUTES = Router(
    "/projects/{project:str}/issues",
    route_handlers=[create, find, show, change, close, reopen, comment],
    tags=["issues"],
)
