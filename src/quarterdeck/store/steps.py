"""The steps of a session: a row for each snapshot, so that none has to be looked for in the log."""

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.core.events import SnapshotTaken
from quarterdeck.store.tables import session_steps


async def keep(connection: AsyncConnection, session_id: int, seq: int, taken: SnapshotTaken) -> None:
    """Keeps what the event says of its step."""
    values = taken.model_dump(mode="json", exclude={"kind"})
    await connection.execute(insert(session_steps).values(session_id=session_id, seq=seq, **values))
