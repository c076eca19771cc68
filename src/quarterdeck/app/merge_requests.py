"""Merge requests: made, shown, talked about, merged and closed."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import comments, issues, occurrences, pipelines, steering
from quarterdeck.app import merge_request_views as views
from quarterdeck.app.access import Project, project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.assignees import ASSIGNEES, Username, assign
from quarterdeck.app.comments import TEXT_CHARACTERS, CommentView
from quarterdeck.app.forge_wants import want
from quarterdeck.app.merge_request_views import MergeRequestStatus, MergeRequestView
from quarterdeck.app.occurrences import Place
from quarterdeck.app.outside import Author
from quarterdeck.app.repositories import demand_target
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import ConflictError, InvalidInputError, NotFoundError
from quarterdeck.core.limits import PAGE_ROWS, REF_CHARACTERS
from quarterdeck.core.references import closing_issues
from quarterdeck.core.text import clean, line
from quarterdeck.core.trigger import EventType
from quarterdeck.store.tables import connections, merge_requests, projects

__all__ = [
    "CommentView", "CreateMergeRequest", "MergeRequestStatus", "MergeRequestView", "UpdateMergeRequest", "change",
    "close", "comment", "create", "diff", "find", "merge", "reopen", "show",
]  # fmt: skip

TITLE_CHARACTERS = 255


class CreateMergeRequest(BaseModel):
    """What a merge request is made of."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    source_branch: str = Field(max_length=REF_CHARACTERS)
    target_branch: str | None = Field(
        default=None, max_length=REF_CHARACTERS, description="The default branch if absent."
    )
    title: str = Field(max_length=TITLE_CHARACTERS)
    description: str = Field(default="", max_length=TEXT_CHARACTERS)
    assignees: tuple[Username, ...] = Field(default=(), max_length=ASSIGNEES, description="Members of the project.")
    reviewers: tuple[Username, ...] = Field(default=(), max_length=ASSIGNEES, description="Members of the project.")


class UpdateMergeRequest(BaseModel):
    """What changes; what is absent stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    title: str | None = Field(default=None, max_length=TITLE_CHARACTERS)
    description: str | None = Field(default=None, max_length=TEXT_CHARACTERS)
    assignees: tuple[Username, ...] | None = Field(default=None, max_length=ASSIGNEES, description="All, anew.")
    reviewers: tuple[Username, ...] | None = Field(default=None, max_length=ASSIGNEES, description="All, anew.")


async def create(
    app: App,
    actor: Actor,
    project: int | str,
    request: CreateMergeRequest,
    *,
    session_id: int | None = None,
    call_id: str | None = None,
) -> MergeRequestView:
    """Makes a merge request; the same call, or an open one of the same branches, gives the one that is there.

    Raises:
        InvalidInputError: a branch is not there, or brings nothing; who is named is no member.
    """
    title = line(clean(request.title), TITLE_CHARACTERS)
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.WRITE_MERGE_REQUEST)
        target = request.target_branch or found.default_branch
        # One at a time in a project: the number is the counter's, and a second one of the branch sees the first.
        counter = select(projects.c.merge_request_counter).where(projects.c.id == found.id)
        number = (await connection.execute(counter.with_for_update(key_share=True))).scalar_one() + 1
        known = await _known(connection, found.id, request.source_branch, target, call_id)
        if known is not None:
            return await views.load(app, connection, actor, known)
        await _check(app, found, request.source_branch, target, title)
        await connection.execute(update(projects).where(projects.c.id == found.id).values(merge_request_counter=number))
        made = (
            await connection.execute(
                insert(merge_requests)
                .values(
                    project_id=found.id,
                    iid=number,
                    title=title,
                    description=clean(request.description),
                    source_branch=request.source_branch,
                    target_branch=target,
                    status="opened",
                    author_id=actor.user_id,
                    session_id=session_id,
                    call_id=call_id,
                )
                .returning(merge_requests.c.id)
            )
        ).scalar_one()
        place = Place(found, actor, "merge_request", await row_of(connection, found, number), session_id)
        await occurrences.moved(app, connection, place, "ready")
        await occurrences.said(app, connection, place, f"{title}\n\n{place.row.description}", "description")
        await _name(app, connection, place, request)
        await want(connection, app.dispatch, found.id, "merge_request", made)
        return await views.load(app, connection, actor, made)


async def _name(
    app: App, connection: AsyncConnection, place: Place, request: CreateMergeRequest | UpdateMergeRequest
) -> None:
    if request.assignees is not None:
        fresh = await assign(connection, place.project, place.row.id, "assignee", request.assignees)
        await occurrences.assigned(app, connection, place, EventType.ASSIGN, fresh)
    if request.reviewers is not None:
        fresh = await assign(connection, place.project, place.row.id, "reviewer", request.reviewers)
        await occurrences.assigned(app, connection, place, EventType.ASSIGN_REVIEWER, fresh)


async def _known(
    connection: AsyncConnection, project_id: int, source: str, target: str, call_id: str | None
) -> int | None:
    mine = merge_requests.c.project_id == project_id
    if call_id is not None:
        query = select(merge_requests.c.id).where(mine, merge_requests.c.call_id == call_id)
        if (found := (await connection.execute(query)).scalar_one_or_none()) is not None:
            return found
    query = select(merge_requests.c.id).where(
        mine,
        merge_requests.c.source_branch == source,
        merge_requests.c.target_branch == target,
        merge_requests.c.status == "opened",
    )
    return (await connection.execute(query)).scalar_one_or_none()


async def _check(app: App, project: Project, source: str, target: str, title: str) -> None:
    if not title:
        raise InvalidInputError("A merge request needs a title.")
    if source == target:
        raise InvalidInputError(f"Source and target are both {source!r}; work on a branch of its own.")
    known = await app.forge.branches(project.id)
    for name in (source, target):
        if name not in known:
            raise InvalidInputError(f"There is no branch {name!r} in {project.path}. Push it first.")
    if known[source] == known[target]:
        raise InvalidInputError(f"{source} has no commits that {target} doesn't have; there is nothing to merge.")


async def find(
    app: App,
    actor: Actor,
    project: int | str,
    *,
    status: MergeRequestStatus | None = None,
    before: int | None = None,
    limit: int = PAGE_ROWS,
) -> list[MergeRequestView]:
    """A project's merge requests, newest first; `before` is the iid of an earlier page's last."""
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.READ_MERGE_REQUEST)
        query = views.query(short=True).where(merge_requests.c.project_id == found.id).limit(min(max(limit, 1), 100))
        if status is not None:
            query = query.where(merge_requests.c.status == status)
        if before is not None:
            query = query.where(merge_requests.c.iid < before)
        return [views.view(app, row) for row in await connection.execute(query)]


async def show(app: App, actor: Actor, project: int | str, iid: int) -> MergeRequestView:
    """One merge request with its comments and its source branch's newest pipeline."""
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.READ_MERGE_REQUEST)
        row = await row_of(connection, found, iid)
        return await views.load(app, connection, actor, row.id)


async def diff(app: App, actor: Actor, project: int | str, iid: int) -> bytes:
    """What it changes, or changed: of a merged one, what its merge brought into the target."""
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.READ_REPOSITORY)
        row = await row_of(connection, found, iid)
    return (await changes(app, found, row))[1]


async def demand_head(app: App, row: Row[Any], head: str) -> None:
    """Raises ConflictError when the source branch has moved on from the commit that somebody looked at."""
    if head and await app.forge.commit_of(row.project_id, row.source_branch) != head:
        raise ConflictError(
            f"{row.source_branch} has moved on since you looked at !{row.iid}. Look at its changes again."
        )


async def changes(app: App, project: Project, row: Row[Any]) -> tuple[str, bytes]:
    """The commit that a merge request comes to, and its diff; who may see it was asked before."""
    if row.merge_commit is not None:
        return row.merge_commit, await app.forge.diff(project.id, f"{row.merge_commit}^1", row.merge_commit)
    head = await app.forge.commit_of(project.id, row.source_branch)
    return head, await app.forge.diff(project.id, row.target_branch, head)


async def change(
    app: App, actor: Actor, project: int | str, iid: int, request: UpdateMergeRequest, *, session_id: int | None = None
) -> MergeRequestView:
    """Changes what is given. Raises InvalidInputError for an empty title, or for who is no member."""
    values: dict[str, Any] = {}
    if request.title is not None:
        values["title"] = line(clean(request.title), TITLE_CHARACTERS)
        if not values["title"]:
            raise InvalidInputError("A merge request needs a title.")
    if request.description is not None:
        values["description"] = clean(request.description)
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.WRITE_MERGE_REQUEST)
        row = await row_of(connection, found, iid, lock=True)
        if values:
            await connection.execute(update(merge_requests).where(merge_requests.c.id == row.id).values(values))
        await _name(app, connection, Place(found, actor, "merge_request", row, session_id), request)
        await want(connection, app.dispatch, found.id, "merge_request", row.id)
        return await views.load(app, connection, actor, row.id)


async def merge(app: App, actor: Actor, project: int | str, iid: int, *, head: str = "") -> MergeRequestView:
    """Merges it, which finishes the session that made it, and starts the target's pipeline.

    What its description says it closes is closed, if the target is the default branch.

    Raises:
        ConflictError: it has ended already, its branch is no longer at `head`, or both branches changed the same.
        ForbiddenError: the target is protected and the role too low.
    """
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.WRITE_MERGE_REQUEST)
        row = await _opened(connection, found, iid)
        await demand_here(connection, found, row)
        demand_target(found, row.target_branch)
        await demand_head(app, row, head)
        before = await app.forge.commit_of(found.id, row.target_branch)
        commit = await app.forge.merge(
            found.id,
            source=head or row.source_branch,
            target=row.target_branch,
            message=f"Merge branch '{row.source_branch}' into '{row.target_branch}'\n\n{row.title}\n\nSee !{iid}\n",
            author=Author(actor.name or actor.username, actor.email or f"{actor.username}@localhost"),
        )
        await end(connection, app, row, "merged", commit)
        await occurrences.moved(app, connection, Place(found, actor, "merge_request", row, None), "merged")
        closing = closing_issues(row.description) if row.target_branch == found.default_branch else ()
        if closing:
            await issues.closed_by_merge(app, connection, actor, found, closing, f"!{iid}")
        await pipelines.start_for(connection, app, found.id, row.target_branch, commit, source="push", by=actor)
        if row.target_branch == found.default_branch:
            await occurrences.pushed(app, connection, found, actor, commit, before)
        return await views.load(app, connection, actor, row.id)


async def close(app: App, actor: Actor, project: int | str, iid: int) -> MergeRequestView:
    """Closes it without merging, which finishes the session that made it. Raises ConflictError when it has ended."""
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.WRITE_MERGE_REQUEST)
        row = await _opened(connection, found, iid)
        await end(connection, app, row, "closed", None)
        await want(connection, app.dispatch, found.id, "merge_request", row.id)
        return await views.load(app, connection, actor, row.id)


async def reopen(app: App, actor: Actor, project: int | str, iid: int) -> MergeRequestView:
    """Opens a closed one again; the session that made it has finished with its closing, and stays so.

    Raises:
        ConflictError: it is open or merged, or there is another open one of its branches.
        InvalidInputError: a branch is gone, or brings nothing any more.
    """
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.WRITE_MERGE_REQUEST)
        # As in `create`: one at a time in a project, so that no second one of the branches is opened meanwhile.
        await connection.execute(select(projects.c.id).where(projects.c.id == found.id).with_for_update(key_share=True))
        row = await row_of(connection, found, iid, lock=True)
        if row.status != "closed":
            raise ConflictError(f"Merge request !{iid} is {row.status}; only a closed one is opened again.")
        if await _known(connection, found.id, row.source_branch, row.target_branch, None) is not None:
            raise ConflictError(f"There is another open merge request from {row.source_branch} to {row.target_branch}.")
        await _check(app, found, row.source_branch, row.target_branch, row.title)
        opened = update(merge_requests).where(merge_requests.c.id == row.id).values(status="opened", ended_at=None)
        await connection.execute(opened)
        await want(connection, app.dispatch, found.id, "merge_request", row.id)
        return await views.load(app, connection, actor, row.id)


async def _opened(connection: AsyncConnection, project: Project, iid: int) -> Row[Any]:
    row = await row_of(connection, project, iid, lock=True)
    demand_opened(row)
    return row


async def demand_here(connection: AsyncConnection, project: Project, row: Row[Any]) -> None:
    """Raises ConflictError when a forge has the say of what is merged."""
    query = select(connections.c.forge, connections.c.repository).where(connections.c.project_id == project.id)
    if (there := (await connection.execute(query)).one_or_none()) is not None:
        where = row.external_url or f"{there.repository} at {there.forge}"
        raise ConflictError(f"!{row.iid} is merged where its project is connected to: {where}")


def demand_opened(row: Row[Any]) -> None:
    """Raises ConflictError when the merge request is merged or closed."""
    if row.status != "opened":
        raise ConflictError(f"Merge request !{row.iid} is {row.status} already.")


async def end(
    connection: AsyncConnection, app: App, row: Row[Any], status: Literal["merged", "closed"], commit: str | None
) -> None:
    """Notes that an open one, whose row is locked, was merged or closed, which finishes the session that made it."""
    await connection.execute(
        update(merge_requests)
        .where(merge_requests.c.id == row.id)
        .values(status=status, merge_commit=commit, ended_at=datetime.now(UTC))
    )
    if row.session_id is not None:
        await steering.merge_request_ended(connection, app, row.session_id, f"!{row.iid}", status)


async def comment(
    app: App,
    actor: Actor,
    project: int | str,
    iid: int,
    text: str,
    *,
    session_id: int | None = None,
    call_id: str | None = None,
) -> MergeRequestView:
    """Says something; the same call says it once."""
    text = comments.said(text)
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.COMMENT)
        row = await row_of(connection, found, iid, lock=True)
        if not await comments.known(connection, call_id):
            made = await comments.add(
                connection, actor, "merge_request", row.id, text, session_id=session_id, call_id=call_id
            )
            place = Place(found, actor, "merge_request", row, session_id)
            await occurrences.said(app, connection, place, text, f"comment:{made}")
            await want(connection, app.dispatch, found.id, "comment", made)
        return await views.load(app, connection, actor, row.id)


async def row_of(connection: AsyncConnection, project: Project, iid: int, *, lock: bool = False) -> Row[Any]:
    """The merge request's row; who may see it was asked before. Raises NotFoundError."""
    query = select(merge_requests).where(merge_requests.c.project_id == project.id, merge_requests.c.iid == iid)
    row = (await connection.execute(query.with_for_update(key_share=True) if lock else query)).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no merge request !{iid} in {project.path}.")
    return row
