"""Giving back the room of what was deleted, where autovacuum would come later."""

from sqlalchemy import text

from quarterdeck.store.database import Database
from quarterdeck.store.tables import blob_chunks, blobs, event_batches, offers, outputs, sessions

LARGE = (event_batches, outputs, blob_chunks, blobs, offers, sessions)


async def vacuum(database: Database) -> None:
    """Vacuums the tables that a sweep empties, one after the other, outside of any transaction.

    A table that another vacuum is at is left to that one. Nobody who reads or writes waits.
    """
    async with database.engine.connect() as connection:
        alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
        for table in LARGE:
            await alone.execute(text(f"vacuum (skip_locked) {table.name}"))
