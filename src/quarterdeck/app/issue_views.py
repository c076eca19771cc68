"""Issues as doors show them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, Select, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import comments, session_subjects
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.comments import CommentView
from quarterdeck.app.session_subjects import SessionRef
from quarterdeck.store.tables import issue_assignees, issues, projects, users

IssueStatus = Literal["opened", "closed"]


class IssueView(BaseModel):
    """An issue; comments and sessions are there when it was asked for alone."""

    model_config = ConfigDict(frozen=True)
    id: int
    iid: int
    project_id: int
    project_path: str
    title: str
    description: str
    status: IssueStatus
    labels: tuple[str, ...]
    assignees: tuple[str, ...]
    author: str
    session_id: int | None
    """The session that made it."""
    closed_by: str | None
    closed_reason: str
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None
    url: str
    external_url: str | None = None
    """Where it is at the forge that the project is connected to."""
    comments: tuple[CommentView, ...] = ()
    comments_left_out: int = 0
    """Older ones that are too many to be shown with it."""
    sessions: tuple[SessionRef, ...] = ()
    """Those that were started on it and that you may see."""

    @property
    def name(self) -> str:
        """How people name it: `#3`."""
        return f"#{self.iid}"


def query(*, short: bool = False) -> Select[Any]:
    """Issues with their projects' paths and people's names, newest first; `short` has not all of texts."""
    closer, assignee = users.alias(), users.alias()
    assigned = (
        select(func.jsonb_agg(aggregate_order_by(assignee.c.username, assignee.c.username)))
        .join(issue_assignees, issue_assignees.c.user_id == assignee.c.id)
        .where(issue_assignees.c.issue_id == issues.c.id)
        .scalar_subquery()
    )
    return (
        select(
            *comments.described(issues, short=short),
            projects.c.path,
            users.c.username,
            closer.c.username.label("closer"),
            assigned.label("assignees"),
        )
        .join(projects, projects.c.id == issues.c.project_id)
        .outerjoin(users, users.c.id == issues.c.author_id)
        .outerjoin(closer, closer.c.id == issues.c.closed_by_id)
        .order_by(issues.c.iid.desc())
    )


async def load(app: App, connection: AsyncConnection, actor: Actor, issue_id: int) -> IssueView:
    """One issue with its comments and sessions."""
    row = (await connection.execute(query().where(issues.c.id == issue_id))).one()
    talk, older = await comments.load(connection, "issue", issue_id)
    sessions = await session_subjects.about(app, connection, actor, "issue", issue_id)
    return view(app, row, talk, sessions).model_copy(update={"comments_left_out": older})


def view(app: App, row: Row[Any], talk: Sequence[CommentView] = (), sessions: Sequence[SessionRef] = ()) -> IssueView:
    """A row of `query`."""
    return IssueView(
        id=row.id,
        iid=row.iid,
        project_id=row.project_id,
        project_path=row.path,
        title=row.title,
        description=row.description,
        status=row.status,
        labels=tuple(row.labels),
        assignees=tuple(row.assignees or ()),
        author=comments.author(row),
        session_id=row.session_id,
        closed_by=row.closer,
        closed_reason=row.closed_reason,
        created_at=row.created_at,
        updated_at=row.updated_at,
        closed_at=row.closed_at,
        url=f"{app.public_url}/projects/{row.project_id}/issues/{row.iid}",
        external_url=row.external_url,
        comments=tuple(talk),
        sessions=tuple(sessions),
    )
