"""The order in which rows are locked, which nobody leaves, so that no two transactions wait for each other.

1. A pipeline, alone: another one is locked in another transaction. All of a project, when it has no sessions any more.
2. Sessions, by ascending number. Who needs several locks all of them first, here, and only then changes any; a
   session that another started has the larger number. A sweep takes what is free and waits for nobody.
3. A project that gets a pipeline, and then what belongs to sessions or tells of them: offers, leases, waits, wishes.

Rows that are made in the same transaction are nobody else's yet and have no place in it.
"""

from collections.abc import Iterable

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.store.tables import sessions


async def lock_sessions(connection: AsyncConnection, session_ids: Iterable[int]) -> list[int]:
    """Locks those of them that are there, and answers them."""
    rows = select(sessions.c.id).where(sessions.c.id.in_(set(session_ids))).order_by(sessions.c.id)
    return list((await connection.execute(rows.with_for_update())).scalars())


async def lock_below(connection: AsyncConnection, session_id: int) -> list[int]:
    """Locks the sessions that a session, which is locked, started, and those that these started; answers them."""
    while found := list((await connection.execute(below(session_id))).scalars()):
        async with connection.begin_nested() as attempt:
            locked = await lock_sessions(connection, found)
            # Whoever was starting one held the lock of its parent: after it is ours, no further one can come.
            if set((await connection.execute(below(session_id))).scalars()) <= set(found):
                return locked
            await attempt.rollback()  # one that came meanwhile has its place among these
    return []


def below(session_id: int) -> Select[int]:
    """The numbers of the sessions that a session started, of those that these started, and so on."""
    tree = select(sessions.c.id).where(sessions.c.parent_id == session_id).cte("below", recursive=True)
    return select(tree.union(select(sessions.c.id).where(sessions.c.parent_id == tree.c.id)).c.id)
