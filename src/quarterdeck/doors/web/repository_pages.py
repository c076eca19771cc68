"""A project's repository: folders, files, commits."""

from typing import Annotated, Any

from litestar import MediaType, Response, get
from litestar.params import FromQuery, PathParameter, QueryParameter

from quarterdeck.app import contents, projects, repositories
from quarterdeck.core.limits import PAGE_ROWS, REF_CHARACTERS
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp
from quarterdeck.doors.web.diffs import by_file
from quarterdeck.doors.web.project_layout import in_project
from quarterdeck.doors.web.raw import PLAIN
from quarterdeck.doors.web.texts import LINE_CHARACTERS

LINES = 1_000
"""Of a file on one page."""
MOST_SKIPPED = 100_000

Ref = Annotated[FromQuery[str], QueryParameter(max_length=REF_CHARACTERS)]
Path = Annotated[FromQuery[str], QueryParameter(max_length=4_096)]


@get("/projects/{project_id:int}/files")
async def files(app: TheApp, actor: Caller, project_id: RowId, ref: Ref = "", path: Path = "") -> Response[str]:
    """A folder with its README."""
    project = await projects.show(app, actor, project_id)
    branches = await repositories.branches(app, actor, project_id)
    name = ref or project.default_branch
    return await in_project(
        app,
        actor,
        project,
        "files.html",
        here="files",
        ref=name,
        branches=branches,
        folder=await contents.folder(app, actor, project_id, path, name) if branches else None,
        parts=_parts(path),
    )


@get("/projects/{project_id:int}/file")
async def file(
    app: TheApp,
    actor: Caller,
    project_id: RowId,
    path: Path,
    ref: Ref = "",
    line: Annotated[FromQuery[int], QueryParameter(ge=1, le=2**31 - 1)] = 1,
) -> Response[str]:
    """A file with its lines numbered; of a long one those around `line`."""
    project = await projects.show(app, actor, project_id)
    name = ref or project.default_branch
    found = await contents.file(app, actor, project_id, path, name)
    rows = [] if not found.text else found.text.removesuffix("\n").split("\n")
    first = min(line - 1, max(0, len(rows) - 1)) // LINES * LINES
    return await in_project(
        app,
        actor,
        project,
        "file.html",
        here="files",
        ref=name,
        file=found,
        parts=_parts(path),
        first=first,
        step=LINES,
        lines=[_shown(row) for row in rows[first : first + LINES]],
        total=len(rows),
    )


@get("/projects/{project_id:int}/raw")
async def raw(app: TheApp, actor: Caller, project_id: RowId, path: Path, ref: Ref = "") -> Response[bytes]:
    """A file's bytes as plain text, of which a browser makes nothing."""
    data = await repositories.file(app, actor, project_id, path, ref or None)
    return Response(data, media_type=MediaType.TEXT, headers=PLAIN)


@get("/projects/{project_id:int}/commits")
async def commits(
    app: TheApp,
    actor: Caller,
    project_id: RowId,
    ref: Ref = "",
    at: Ref = "",
    skip: Annotated[FromQuery[int], QueryParameter(ge=0, le=MOST_SKIPPED)] = 0,
) -> Response[str]:
    """The newest first; later pages go on from the commit that the first one began with."""
    project = await projects.show(app, actor, project_id)
    branches = await repositories.branches(app, actor, project_id)
    name = ref or project.default_branch
    listed = await repositories.commits(app, actor, project_id, at or name, PAGE_ROWS + 1, skip) if branches else []
    return await in_project(
        app,
        actor,
        project,
        "commits.html",
        here="commits",
        ref=name,
        branches=branches,
        commits=listed[:PAGE_ROWS],
        at=at or (listed[0].sha if listed else ""),
        skip=skip,
        step=PAGE_ROWS,
        more=len(listed) > PAGE_ROWS and skip + PAGE_ROWS <= MOST_SKIPPED,
    )


@get("/projects/{project_id:int}/commits/{sha:str}")
async def commit(
    app: TheApp, actor: Caller, project_id: RowId, sha: Annotated[str, PathParameter(max_length=REF_CHARACTERS)]
) -> Response[str]:
    """What a commit changed."""
    project = await projects.show(app, actor, project_id)
    found = await contents.commit(app, actor, project_id, sha)
    return await in_project(app, actor, project, "commit.html", here="commits", commit=found, files=by_file(found.diff))


def _parts(path: str) -> list[tuple[str, str]]:
    """The folders above a path and itself: name and path of each."""
    names = [name for name in path.split("/") if name]
    return [(name, "/".join(names[: n + 1])) for n, name in enumerate(names)]


def _shown(row: str) -> str:
    row = row.removesuffix("\r")
    left = len(row) - LINE_CHARACTERS
    return f"{row[:LINE_CHARACTERS]} [… {left:,}]" if left > 0 else row


ROUTES: tuple[Any, ...] = (files, file, raw, commits, commit)
