"""What is in a project's repository: branches, commits, files."""

from typing import Annotated

from litestar import Response, Router, get
from litestar.params import PathParameter, QueryParameter

from quarterdeck.app import contents, repositories
from quarterdeck.app.contents import CommitDetailsView, EntryView, MatchView
from quarterdeck.app.repositories import BranchView, CommitView
from quarterdeck.core import limits
from quarterdeck.doors.api.log import plain
from quarterdeck.doors.api.parameters import Caller, Limit, ProjectRef, TheApp

Ref = Annotated[
    str | None,
    QueryParameter(max_length=limits.REF_CHARACTERS, description="Branch, tag or commit; else the default branch."),
]

Folder = Annotated[str, QueryParameter(max_length=4_096, description="A folder; all of it when empty.")]


@get("/branches", summary="List branches")
async def branches(app: TheApp, actor: Caller, project_ref: ProjectRef) -> list[BranchView]:
    """The default one first."""
    return await repositories.branches(app, actor, project_ref)


@get("/commits", summary="List commits")
async def commits(
    app: TheApp,
    actor: Caller,
    project_ref: ProjectRef,
    ref: Ref = None,
    limit: Limit = limits.PAGE_ROWS,
    skip: Annotated[int, QueryParameter(ge=0, le=1_000_000, description="Leaves out so many of the newest.")] = 0,
) -> list[CommitView]:
    """The newest first."""
    return await repositories.commits(app, actor, project_ref, ref, limit, skip)


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


@get("/commits/{sha:str}", summary="Show a commit")
async def commit(
    app: TheApp,
    actor: Caller,
    project_ref: ProjectRef,
    sha: Annotated[str, PathParameter(max_length=limits.REF_CHARACTERS, description="Its id, or a branch or tag.")],
) -> CommitDetailsView:
    """With its message and the beginning of its diff."""
    return await contents.commit(app, actor, project_ref, sha.replace("%2F", "/"))


@get("/tree", summary="List a folder")
async def tree(
    app: TheApp,
    actor: Caller,
    project_ref: ProjectRef,
    path: Folder = "",
    ref: Ref = None,
    recursive: Annotated[bool, QueryParameter(description="With all that is below it.")] = False,
) -> list[EntryView]:
    """Files, folders and submodules, 500 at most."""
    return await contents.tree(app, actor, project_ref, path, ref, recursive=recursive)


@get("/search", summary="Search in files")
async def search(
    app: TheApp,
    actor: Caller,
    project_ref: ProjectRef,
    text: Annotated[str, QueryParameter(min_length=1, max_length=1_000, description="A part of a line, no pattern.")],
    path: Folder = "",
    ref: Ref = None,
) -> list[MatchView]:
    """Lines that hold the text in upper or lower case, 100 at most and 20 of each file."""
    return await contents.search(app, actor, project_ref, text, ref, path=path)


ROUTES = Router(
    "/projects/{project:str}",
    route_handlers=[branches, commits, commit, tree, search, file],
    tags=["repositories"],
)
