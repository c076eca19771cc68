"""Which sessions were started on an issue or a merge request."""

from typing import Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import insert, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_views import visible
from quarterdeck.core.status import Status
from quarterdeck.store.tables import session_subjects, sessions

SHOWN = 100


class SessionRef(BaseModel):
    """A session in a few words."""

    model_config = ConfigDict(frozen=True)
    id: int
    title: str
    status: Status
    url: str


async def keep(
    connection: AsyncConnection, session_id: int, *, issue_id: int | None, merge_request_id: int | None
) -> None:
    """Notes what a session is about; nothing when it is about neither."""
    if issue_id is not None or merge_request_id is not None:
        await connection.execute(
            insert(session_subjects).values(session_id=session_id, issue_id=issue_id, merge_request_id=merge_request_id)
        )


async def keep_same(connection: AsyncConnection, session_id: int, *, source_id: int) -> None:
    """Notes that a session is about what another is about."""
    of = session_subjects.c
    same = select(literal(session_id), of.issue_id, of.merge_request_id).where(of.session_id == source_id)
    await connection.execute(insert(session_subjects).from_select(["session_id", "issue_id", "merge_request_id"], same))


async def about(
    app: App, connection: AsyncConnection, actor: Actor, kind: Literal["issue", "merge_request"], subject_id: int
) -> tuple[SessionRef, ...]:
    """The newest sessions on that issue or merge request that the actor may see."""
    column = session_subjects.c.issue_id if kind == "issue" else session_subjects.c.merge_request_id
    mine = visible(actor).with_only_columns(sessions.c.id, sessions.c.title, sessions.c.status)
    query = mine.join(session_subjects, session_subjects.c.session_id == sessions.c.id).where(column == subject_id)
    rows = await connection.execute(query.order_by(sessions.c.id.desc()).limit(SHOWN))
    return tuple(
        SessionRef(id=row.id, title=row.title, status=Status(row.status), url=f"{app.public_url}/sessions/{row.id}")
        for row in rows
    )
