"""What pipeline jobs leave in tables that know only their subjects, and its deletion."""

from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.store.tables import blobs, leases, offers, outputs


async def forget_jobs(connection: AsyncConnection, job_ids: Sequence[int]) -> None:
    """Deletes output, offers and artifacts; leases stay until their runners have torn down."""
    subjects = [f"job:{one}" for one in job_ids]
    calls = select(offers.c.call_id).where(offers.c.subject.in_(subjects))
    await connection.execute(delete(outputs).where(outputs.c.call_id.in_(calls)))
    await connection.execute(delete(offers).where(offers.c.subject.in_(subjects)))
    await connection.execute(delete(leases).where(leases.c.subject.in_(subjects), leases.c.runner_id.is_(None)))
    await connection.execute(delete(blobs).where(blobs.c.subject.in_(subjects)))
