"""What is in a project's repository: branches, commits, files."""

from typing import Annotated

from litestar import Response, Router, get
from litestar.params import QueryParameter

from quarterdeck.app import repositories
from quarterdeck.app.repositories import BranchView, CommitView
from quarterdeck.core import limits
from quarterdeck.doors.api.log import plain
from quarterdeck.doors.api.parameters import Caller, Limit, ProjectRef, TheApp

Ref = Annotated[
    str | None,
    QueryParameter(max_length=limits.REF_CHARACTERS, description="Branch, tag or commit; else the default branch."),
]


@get("/branches", summary="List branches")
async def branches(app: TheApp, actor: Caller, project_ref: ProjectRef) -> list[BranchView]:
    """The default one first."""
    return await repositories.branches(app, actor, project_ref)


@get("/commits", summary="List commits")
async def commits(
    app: TheApp, actor: Caller, project_ref: ProjectRef, ref: Ref = None, limit: Limit = limits.PAGE_ROWS
) -> list[CommitView]:
    """The newest first."""
    return await repositories.commits(app, actor, project_ref, ref, limit)


@get("/file", media_type="application/octet-stream", summary="Read a file")
async def file(
    app: TheApp,
    actor: Caller,
    project_ref: ProjectRef,
    path: Annotated[str, QueryParameter(min_length=1, max_length=4_096, description="Its path in the repository.")],
    ref: Ref = None,
) -> Response[bytes]:
    """Its bytes."""
    return plain(await repositories.file(app, actor, project_ref, path, ref))


ROUTES = Router("/projects/{project:str}", route_handlers=[branches, commits, file], tags=["repositories"])
