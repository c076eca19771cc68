"""A person's own sessions as an editor lists them, each by the id under which the editor began it."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Select, select, tuple_

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_filter import PRIVATE
from quarterdeck.core.errors import NotFoundError
from quarterdeck.store.tables import runners, sessions


class EditorSession(BaseModel):
    """One of them."""

    model_config = ConfigDict(frozen=True)
    id: int
    key: str | None
    """What its start was made once by, where it was given one."""
    title: str
    folder: str | None
    """Of the editor that carries its calls out."""
    last_activity: datetime


Place = tuple[datetime, int]
"""Behind which a page begins: the last activity and the number of the session before."""


def _mine(actor: Actor) -> Select[int, str | None, str, str | None, datetime]:
    return (
        select(
            sessions.c.id,
            sessions.c.idempotency_key.label("key"),
            sessions.c.title,
            runners.c.folder,
            sessions.c.last_activity,
        )
        .outerjoin(runners, runners.c.id == sessions.c.executor_id)
        .where(sessions.c.initiator_id == actor.user_id, sessions.c.origin.in_(PRIVATE))
    )


async def page(app: App, actor: Actor, *, folder: str | None, behind: Place | None, limit: int) -> list[EditorSession]:
    """Chats and editors' sessions, the last active first; those of one folder if it is named."""
    query = _mine(actor).order_by(sessions.c.last_activity.desc(), sessions.c.id.desc()).limit(limit)
    if folder is not None:
        query = query.where(runners.c.folder == folder)
    if behind is not None:
        query = query.where(tuple_(sessions.c.last_activity, sessions.c.id) < behind)
    async with app.database.reading() as connection:
        rows = (await connection.execute(query)).all()
    return [EditorSession.model_validate(row, from_attributes=True) for row in rows]


async def find(app: App, actor: Actor, *, number: int | None = None, key: str | None = None) -> EditorSession:
    """The one of that number or key. Raises NotFoundError."""
    query = _mine(actor).where(sessions.c.id == number if key is None else sessions.c.idempotency_key == key)
    async with app.database.reading() as connection:
        row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFoundError("There is no such session of yours.")
    return EditorSession.model_validate(row, from_attributes=True)
