"""What changes here and is to be written at a forge: a row for each thing, made with the change itself."""

from typing import Literal

from sqlalchemy import func, literal, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.outside import Dispatch
from quarterdeck.store.tables import connections, forge_writes

Wanted = Literal["branch", "issue", "merge_request", "comment", "status"]


async def want(
    connection: AsyncConnection, dispatch: Dispatch, project_id: int, kind: Wanted, subject: int | str
) -> None:
    """The thing is to be at the forge what it is here, if its project is connected to one; a job sees to it.

    The row says that it changed, and not how: the job looks, so that a thing that changes often is written once.
    """
    rows = select(connections.c.id, literal(kind), literal(str(subject))).where(connections.c.project_id == project_id)
    asked = upsert(forge_writes).from_select(["connection_id", "kind", "subject"], rows)
    fresh = {"attempts": 0, "refused": False, "fault": "", "due_at": func.now(), "created_at": func.now()}
    told = await connection.execute(
        asked.on_conflict_do_update(
            index_elements=["connection_id", "kind", "subject"], set_={"wanted": forge_writes.c.wanted + 1, **fresh}
        ).returning(forge_writes.c.connection_id)
    )
    if (connection_id := told.scalar_one_or_none()) is not None:
        await dispatch.forge(connection, "write", connection_id, None)
