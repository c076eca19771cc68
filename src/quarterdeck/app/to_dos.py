"""A person's to-do list: what waits for them, done by itself when it is over, or by hand."""

from collections.abc import AsyncGenerator, Collection
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.notice import NoticeKind
from quarterdeck.core.status import Status
from quarterdeck.store.doorbell import ring
from quarterdeck.store.tables import projects, sessions, to_dos, webhooks

PAGE = 100
COUNTED = 100
"""Open ones are counted up to so many."""


class ToDoView(BaseModel):
    """One thing to do."""

    model_config = ConfigDict(frozen=True)
    id: int
    kind: NoticeKind
    title: str
    """The session's, or where the webhook sends to."""
    project: str | None
    session: int | None
    seq: int | None
    """The entry of the session's log that it is about."""
    status: Status | None
    """The session's, now."""
    path: str
    """Where it is, on this server."""
    url: str
    created_at: datetime
    done_at: datetime | None


class ToDosView(BaseModel):
    """A page of them, the newest first."""

    model_config = ConfigDict(frozen=True)
    open: int
    """How many are; 100 stands for more, too."""
    items: list[ToDoView]


async def find(
    app: App, actor: Actor, *, done: bool = False, before: int | None = None, limit: int = PAGE
) -> ToDosView:
    """Your own that are open, or that are done; `before` is the last id of the page before."""
    mine = to_dos.c.user_id == actor.user_id
    over = to_dos.c.done_at.is_not(None) if done else to_dos.c.done_at.is_(None)
    query = (
        select(
            to_dos,
            sessions.c.title,
            sessions.c.status,
            projects.c.path,
            projects.c.id.label("project_id"),
            webhooks.c.url.label("address"),
        )
        .outerjoin(sessions, sessions.c.id == to_dos.c.session_id)
        .outerjoin(webhooks, webhooks.c.id == to_dos.c.webhook_id)
        .outerjoin(projects, projects.c.id == func.coalesce(sessions.c.project_id, webhooks.c.project_id))
        .where(mine, over)
        .order_by(to_dos.c.id.desc())
        .limit(limit)
    )
    query = query if before is None else query.where(to_dos.c.id < before)
    async with app.database.reading() as connection:
        rows = (await connection.execute(query)).all()
        return ToDosView(open=await _count(connection, actor.user_id), items=[_view(app, row) for row in rows])


async def finish(app: App, actor: Actor, to_do: int | None) -> int:
    """Marks one as done, or all, and answers how many were open.

    Raises:
        NotFoundError: there is no such one of yours.
    """
    async with app.database.transaction() as connection:
        mine = to_dos.c.user_id == actor.user_id
        if to_do is not None:
            mine &= to_dos.c.id == to_do
            if (await connection.execute(select(to_dos.c.id).where(mine))).one_or_none() is None:
                raise NotFoundError(f"You have no to-do {to_do}.")
        done = await connection.execute(
            update(to_dos).where(mine, to_dos.c.done_at.is_(None)).values(done_at=func.now())
        )
        await changed(connection, {actor.user_id} if done.rowcount else ())
        return done.rowcount


async def count(app: App, actor: Actor) -> int:
    """How many are open, up to `COUNTED`."""
    async with app.database.reading() as connection:
        return await _count(connection, actor.user_id)


async def changes(app: App, actor: Actor) -> AsyncGenerator[int]:
    """How many are open, and again whenever something of the list changed; goes on until it is closed."""
    with app.doorbell.listener(_topic(actor.user_id)) as listener:
        while True:
            yield await count(app, actor)
            while not await listener.wait():
                pass


async def changed(connection: AsyncConnection, people: Collection[int]) -> None:
    """The lists of these people have changed: whoever looks at one is told."""
    for user_id in sorted(people):
        await ring(connection, _topic(user_id))


def _topic(user_id: int) -> str:
    return f"to_dos:{user_id}"


async def _count(connection: AsyncConnection, user_id: int) -> int:
    few = select(to_dos.c.id).where(to_dos.c.user_id == user_id, to_dos.c.done_at.is_(None)).limit(COUNTED)
    return (await connection.execute(select(func.count()).select_from(few.subquery()))).scalar_one()


def _view(app: App, row: Row[Any]) -> ToDoView:
    of_session = row.session_id != 0
    place = f"/sessions/{row.session_id}#e{row.seq}"
    if not of_session:
        place = f"/projects/{row.project_id}/webhooks/{row.webhook_id}"
    return ToDoView(
        id=row.id,
        kind=NoticeKind(row.kind),
        title=row.title if of_session else row.address,
        project=row.path,
        session=row.session_id if of_session else None,
        seq=row.seq if of_session else None,
        status=Status(row.status) if row.status else None,
        path=place,
        url=app.public_url + place,
        created_at=row.created_at,
        done_at=row.done_at,
    )
