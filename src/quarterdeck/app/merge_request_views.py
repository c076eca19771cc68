"""Merge requests as doors show them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import pipeline_views
from quarterdeck.app.application import App
from quarterdeck.app.pipeline_views import PipelineView
from quarterdeck.store.tables import comments, merge_requests, projects, users
from quarterdeck.store.tables import pipelines as pipeline_rows

MergeRequestStatus = Literal["opened", "merged", "closed"]


class CommentView(BaseModel):
    """What somebody said."""

    model_config = ConfigDict(frozen=True)
    id: int
    author: str
    session_id: int | None
    text: str
    created_at: datetime


class MergeRequestView(BaseModel):
    """A merge request; comments and pipeline are there when it was asked for alone."""

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
    session_id: int | None
    merge_commit: str | None
    created_at: datetime
    ended_at: datetime | None
    url: str
    pipeline: PipelineView | None = None
    """The newest of the source branch."""
    comments: tuple[CommentView, ...] = ()

    @property
    def name(self) -> str:
        """How people name it: `!3`."""
        return f"!{self.iid}"


def query() -> Select[Any]:
    """Merge requests with their projects' paths and authors' names, newest first."""
    return (
        select(merge_requests, projects.c.path, users.c.username)
        .join(projects, projects.c.id == merge_requests.c.project_id)
        .join(users, users.c.id == merge_requests.c.author_id)
        .order_by(merge_requests.c.iid.desc())
    )


async def load(app: App, connection: AsyncConnection, merge_request_id: int) -> MergeRequestView:
    """One merge request with its comments and pipeline."""
    row = (await connection.execute(query().where(merge_requests.c.id == merge_request_id))).one()
    said = await connection.execute(
        select(comments, users.c.username)
        .join(users, users.c.id == comments.c.author_id)
        .where(comments.c.merge_request_id == merge_request_id)
        .order_by(comments.c.id)
    )
    newest = (
        await connection.execute(
            select(pipeline_rows.c.id)
            .where(pipeline_rows.c.project_id == row.project_id, pipeline_rows.c.ref == row.source_branch)
            .order_by(pipeline_rows.c.id.desc())
            .limit(1)
        )
    ).scalar_one_or_none()
    pipeline = await pipeline_views.load(app, connection, newest) if newest is not None else None
    return view(app, row, pipeline, [_comment(one) for one in said])


def _comment(row: Row[Any]) -> CommentView:
    return CommentView(
        id=row.id, author=row.username, session_id=row.session_id, text=row.text, created_at=row.created_at
    )


def view(
    app: App, row: Row[Any], pipeline: PipelineView | None = None, said: Sequence[CommentView] = ()
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
        author=row.username,
        session_id=row.session_id,
        merge_commit=row.merge_commit,
        created_at=row.created_at,
        ended_at=row.ended_at,
        url=f"{app.public_url}/projects/{row.project_id}/merge_requests/{row.iid}",
        pipeline=pipeline,
        comments=tuple(said),
    )
