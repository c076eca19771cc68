"""Work that waits in rows and is done by one worker at a time, in its order, however many jobs ask for it."""

from collections.abc import Awaitable, Callable

from sqlalchemy import func, select

from quarterdeck.app.application import App


async def drain(
    app: App, lane: int, key: int, waits: Callable[[], Awaitable[bool]], step: Callable[[], Awaitable[bool]]
) -> None:
    """Takes steps until one finds nothing to do; returns at once when another does so already.

    Who comes while another is at work has stored what they want before, and the other looks once more behind its
    lock: nothing is left lying. The lock is a transaction's, which ends with its worker, however that dies.
    """
    while await waits():
        async with app.database.transaction() as held:
            free = select(func.pg_try_advisory_xact_lock(lane, key % 2**31))
            if not (await held.execute(free)).scalar_one():
                return
            while await step():
                pass
