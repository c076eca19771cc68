"""Reading a session's log: its events, what its calls printed, what it changed."""

from sqlalchemy import select

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_access import may
from quarterdeck.core import events as e
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.events import Event, Level
from quarterdeck.core.state import SessionState
from quarterdeck.store import blobs, log
from quarterdeck.store import output as outputs
from quarterdeck.store.tables import offers, sessions


async def events(
    app: App, actor: Actor, session_id: int, *, after: int = 0, limit: int = 1_000, level: Level = Level.FULL
) -> list[Event]:
    """The events behind `after`, those that a view of `level` shows."""
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        found = await log.read(connection, session_id, after=after, limit=min(max(limit, 1), 10_000))
    return [event for event in found if shown(event.level, level)]


def shown(level: Level, view: Level) -> bool:
    """Whether a view of level `view` shows an event of `level`."""
    order = list(Level)
    return order.index(level) <= order.index(view)


async def output(
    app: App, actor: Actor, session_id: int, call_id: str, *, offset: int = 0, limit: int = 1 << 20
) -> bytes:
    """A range of what a call of the session printed."""
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        owner = select(offers.c.session_id).where(offers.c.call_id == call_id)
        if (await connection.execute(owner)).scalar_one_or_none() != session_id:
            raise NotFoundError(f"There is no call {call_id} in session #{session_id}.")
        return await outputs.read(connection, call_id, offset, min(max(limit, 1), 1 << 22))


async def diff(app: App, actor: Actor, session_id: int, *, step: int | None = None) -> bytes:
    """What the session changed, as a unified diff: all of it, or one step's."""
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        if step is None:
            state = SessionState.model_validate(
                (await connection.execute(select(sessions.c.state).where(sessions.c.id == session_id))).scalar_one()
            )
            return await blobs.whole(connection, state.whole_diff_blob) if state.whole_diff_blob is not None else b""
        taken = [
            event.payload
            for event in await log.read(connection, session_id, limit=1_000_000)
            if isinstance(event.payload, e.SnapshotTaken)
        ]
        for snapshot in taken:
            if snapshot.step == step:
                return await blobs.whole(connection, snapshot.step_diff_blob)
    raise NotFoundError(f"Session #{session_id} has no step {step}; it has {len(taken)}.")
