"""Merge requests as doors show them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import comments, pipeline_views, session_subjects
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.assignees import ReviewerView, assigned, reviewing
from quarterdeck.app.comments import CommentView
from quarterdeck.app.pipeline_views import PipelineView
from quarterdeck.app.session_subjects import SessionRef
from quarterdeck.core.errors import NotFoundError
from quarterdeck.store.tables import merge_requests, projects, users
from quarterdeck.store.tables import pipelines as pipeline_rows

MergeRequestStatus = Literal["opened", "merged", "closed"]


class MergeRequestView(BaseModel):
    """A merge request; head, comments, sessions and pipeline are there when it was asked for alone."""

    model_config = ConfigDict(frozen=True)
    id: int
    iid: int
    project_id: int
    project_path: str
    title: str
    description: str
    source_branch: str
    target_branch: str
    status: MergeRequestStatus
    author: str
    assignees: tuple[str, ...]
    reviewers: tuple[ReviewerView, ...]
    session_id: int | None
    """The session that made it."""
    merge_commit: str | None
    created_at: datetime
    ended_at: datetime | None
    url: str
    external_url: str | None = None
    """Where it is at the forge that the project is connected to."""
    head: str | None = None
    """What the source branch comes to now, while it is open."""
    pipeline: PipelineView | None = None
    """The newest of the source branch."""
    comments: tuple[CommentView, ...] = ()
    comments_left_out: int = 0
    """Older ones that are too many to be shown with it."""
    sessions: tuple[SessionRef, ...] = ()
    """Those that were started on it and that you may see."""

    @property
    def name(self) -> str:
        """How people name it: `!3`."""
        return f"!{self.iid}"


def query(*, short: bool = False) -> Select[Any]:
    """Merge requests with their projects' paths and authors' names, newest first; `short` has not all of texts."""
    return (
        select(
            *comments.described(merge_requests, short=short),
            projects.c.path,
            users.c.username,
            assigned().label("assignees"),
            reviewing().label("reviewers"),
        )
        .join(projects, projects.c.id == merge_requests.c.project_id)
        .outerjoin(users, users.c.id == merge_requests.c.author_id)
        .order_by(merge_requests.c.iid.desc())
    )


async def load(app: App, connection: AsyncConnection, actor: Actor, merge_request_id: int) -> MergeRequestView:
    """One merge request with its comments, sessions and pipeline."""
    row = (await connection.execute(query().where(merge_requests.c.id == merge_request_id))).one()
    newest = (
        await connection.execute(
            select(pipeline_rows.c.id)
            .where(pipeline_rows.c.project_id == row.project_id, pipeline_rows.c.ref == row.source_branch)
            .order_by(pipeline_rows.c.id.desc())
            .limit(1)
        )
    ).scalar_one_or_none()
    pipeline = await pipeline_views.load(app, connection, newest) if newest is not None else None
    talk, older = await comments.load(connection, "merge_request", merge_request_id)
    sessions = await session_subjects.about(app, connection, actor, "merge_request", merge_request_id)
    more = {"head": await _head(app, row), "comments_left_out": older}
    return view(app, row, pipeline, talk, sessions).model_copy(update=more)


async def _head(app: App, row: Row[Any]) -> str | None:
    if row.status != "opened":
        return None
    try:
        return await app.forge.commit_of(row.project_id, row.source_branch)
    except NotFoundError:  # the branch was deleted
        return None


def view(
    app: App,
    row: Row[Any],
    pipeline: PipelineView | None = None,
    talk: Sequence[CommentView] = (),
    sessions: Sequence[SessionRef] = (),
) -> MergeRequestView:
    """A row of `query`."""
    return MergeRequestView(
        id=row.id,
        iid=row.iid,
        project_id=row.project_id,
        project_path=row.path,
        title=row.title,
        description=row.description,
        source_branch=row.source_branch,
        target_branch=row.target_branch,
        status=row.status,
        author=comments.author(row),
        assignees=tuple(row.assignees or ()),
        reviewers=tuple(ReviewerView.model_validate(one) for one in row.reviewers or ()),
        session_id=row.session_id,
        merge_commit=row.merge_commit,
        created_at=row.created_at,
        ended_at=row.ended_at,
        url=f"{app.public_url}/projects/{row.project_id}/merge_requests/{row.iid}",
        external_url=row.external_url,
        pipeline=pipeline,
        comments=tuple(talk),
        sessions=tuple(sessions),
    )
