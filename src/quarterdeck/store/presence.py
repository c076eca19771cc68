"""Whether a session is still there, for whoever writes of it without its lock: nothing may come behind its deletion."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.core.errors import SessionGoneError
from quarterdeck.store.tables import sessions


async def present(connection: AsyncConnection, session_id: int) -> None:
    """Lets nobody delete the session until this transaction ends; called last in it, because changes wait for that.

    Raises:
        SessionGoneError: it was deleted; the transaction must not be committed.
    """
    row = select(sessions.c.id).where(sessions.c.id == session_id).with_for_update(read=True, key_share=True)
    if (await connection.execute(row)).one_or_none() is None:
        raise SessionGoneError(f"Session #{session_id} was deleted.")
