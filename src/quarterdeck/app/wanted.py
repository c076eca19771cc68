"""The notifications that sessions want: what happens to their rows when something ends."""

from typing import Literal

from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.outside import Dispatch
from quarterdeck.store.tables import notifications_wanted as wanted

Target = Literal["time", "session", "pipeline"]


async def happened(connection: AsyncConnection, dispatch: Dispatch, target: Target, *target_ids: int) -> None:
    """They have ended: whoever wants to hear of one is told by a job, so that no other session is locked here."""
    rows = await connection.execute(
        update(wanted)
        .where(wanted.c.target == target, wanted.c.target_id.in_(target_ids), wanted.c.due_at.is_(None))
        .values(due_at=func.now())
        .returning(wanted.c.id)
    )
    for notification_id in rows.scalars().all():
        await dispatch.notification(connection, notification_id, None)
