"""The sessions that a session started: what ends it ends them."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.change import changing
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.status import FINAL, Transition
from quarterdeck.store.tables import sessions


async def stop_children(app: App, connection: AsyncConnection, session_id: int, actor: Actor) -> list[int]:
    """Stops all sessions below one that was stopped in this transaction, and answers their numbers.

    Locks go from parent to child only, so that two who do this never wait for each other.
    """
    stopped: list[int] = []
    living = select(sessions.c.id).where(sessions.c.parent_id == session_id, sessions.c.status.not_in(FINAL))
    for child in (await connection.execute(living.order_by(sessions.c.id))).scalars().all():
        try:
            async with changing(app, connection, child) as it:
                if not it.state.final:
                    reason = f"session #{session_id}, which started it, was stopped"
                    it.move(Transition.STOP, reason=reason, by=actor.username)
        except NotFoundError:
            continue
        stopped += [child, *await stop_children(app, connection, child, actor)]
    return stopped
