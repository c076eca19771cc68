"""When a session's rows are merged: some time after it came to rest, by a job that its rest enqueues."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.application import App
from quarterdeck.core.state import SessionState
from quarterdeck.core.status import Status
from quarterdeck.store import clock, sealing

QUIET_SECONDS = 60
"""What follows the end, such as the teardown, is in the log by then."""
WORTH_EVENTS = 16
"""With fewer events than that there is nothing to gain."""


async def at_rest(app: App, connection: AsyncConnection, session_id: int, state: SessionState) -> None:
    """The session's status has changed: if it rests now, its rows are merged later."""
    if state.seq >= WORTH_EVENTS and (state.final or state.status is Status.IDLE):
        await app.dispatch.sealing(connection, session_id, clock.now() + timedelta(seconds=QUIET_SECONDS))


async def seal(app: App, session_id: int) -> int:
    """Merges the rows of the session, if it is there still, and answers how many rows that saved."""
    async with app.database.transaction() as connection:
        return await sealing.seal(connection, session_id)
