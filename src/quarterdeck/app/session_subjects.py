"""Which sessions were started on an issue, a merge request or a pipeline."""

from typing import Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Column, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_views import visible
from quarterdeck.core.status import Status
from quarterdeck.store.tables import session_subjects, sessions

SHOWN = 100
Kind = Literal["issue", "merge_request", "pipeline"]
_KINDS: dict[Kind, Column[int]] = {
    "issue": session_subjects.c.issue_id,
    "merge_request": session_subjects.c.merge_request_id,
    "pipeline": session_subjects.c.pipeline_id,
}


class SessionRef(BaseModel):
    """A session in a few words."""

    model_config = ConfigDict(frozen=True)
    id: int
    title: str
    status: Status
    url: str


async def keep(
    connection: AsyncConnection,
    session_id: int,
    *,
    issue_id: int | None,
    merge_request_id: int | None,
    pipeline_id: int | None,
) -> None:
    """Notes what a session is about; nothing when it is about none of them."""
    about = {"issue_id": issue_id, "merge_request_id": merge_request_id, "pipeline_id": pipeline_id}
    if any(one is not None for one in about.values()):
        await connection.execute(insert(session_subjects).values(session_id=session_id, **about))


async def keep_same(connection: AsyncConnection, session_id: int, *, source_id: int) -> None:
    """Notes that a session is about what another is about."""
    of = session_subjects.c
    same = select(literal(session_id), *_KINDS.values()).where(of.session_id == source_id)
    columns = ["session_id", *(column.name for column in _KINDS.values())]
    await connection.execute(insert(session_subjects).from_select(columns, same))


async def about(
    app: App, connection: AsyncConnection, actor: Actor, kind: Kind, subject_id: int
) -> tuple[SessionRef, ...]:
    """The newest sessions on that thing that the actor may see."""
    mine = visible(actor).with_only_columns(sessions.c.id, sessions.c.title, sessions.c.status)
    query = mine.join(session_subjects, session_subjects.c.session_id == sessions.c.id).where(
        _KINDS[kind] == subject_id
    )
    rows = await connection.execute(query.order_by(sessions.c.id.desc()).limit(SHOWN))
    return tuple(
        SessionRef(id=row.id, title=row.title, status=Status(row.status), url=f"{app.public_url}/sessions/{row.id}")
        for row in rows
    )
