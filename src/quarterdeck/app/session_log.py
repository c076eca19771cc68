"""Reading a session's log: its events, and what its calls printed."""

from collections import deque
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_access import may
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.events import Event
from quarterdeck.core.state import CallStatus, SessionState
from quarterdeck.core.text import decode
from quarterdeck.store import log, log_pages
from quarterdeck.store import output as outputs
from quarterdeck.store.log_pages import Page, Wanted
from quarterdeck.store.tables import offers, sessions

READ_BYTES = 16 * 1024 * 1024
"""Behind so much a read ends, however few events it has."""
PIECE_BYTES = 1024 * 1024
"""Of output that is read at once to find its lines."""


async def events(app: App, actor: Actor, session_id: int, *, after: int = 0, limit: int = 1_000) -> list[Event]:
    """The events behind `after`; fewer than `limit` where they are large."""
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        return await log.read(
            connection, session_id, after=after, limit=min(max(limit, 1), log.PAGE_EVENTS), most_bytes=READ_BYTES
        )


async def page(
    app: App,
    actor: Actor,
    session_id: int,
    wanted: Wanted,
    *,
    after: int = 0,
    before: int | None = None,
    newest_first: bool = False,
    limit: int = 100,
) -> Page:
    """The events between `after` and `before` that are wanted, oldest or newest first."""
    async with app.database.reading() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        return await log_pages.page(
            connection,
            session_id,
            wanted,
            after=after,
            before=before,
            newest_first=newest_first,
            limit=min(max(limit, 1), 1_000),
        )


async def event(app: App, actor: Actor, session_id: int, seq: int) -> Event:
    """The event with this number. Raises NotFoundError."""
    async with app.database.reading() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        found = await log_pages.one(connection, session_id, seq)
    if found is None:
        raise NotFoundError(f"Session #{session_id} has no event {seq}.")
    return found


async def running(app: App, actor: Actor, session_id: int) -> frozenset[str]:
    """The calls that run now, those of agents that wait for a subagent too."""
    async with app.database.reading() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        stored = (await connection.execute(select(sessions.c.state).where(sessions.c.id == session_id))).scalar_one()
    state = SessionState.model_validate(stored)
    calls = [state.calls, *(frame.calls for frame in state.stack)]
    return frozenset(i for some in calls for i, call in some.items() if call.status is CallStatus.RUNNING)


async def output(
    app: App, actor: Actor, session_id: int, call_id: str, *, offset: int = 0, limit: int = 1 << 20
) -> bytes:
    """A range of what a call of the session printed."""
    async with app.database.reading() as connection:
        await _printed(connection, actor, session_id, call_id)
        return await outputs.read(connection, call_id, offset, min(max(limit, 1), 1 << 22))


class Lines(NamedTuple):
    """Some lines of what a call printed."""

    first: int
    lines: list[str]
    more: bool
    """Whether there are lines behind them."""


async def output_lines(app: App, actor: Actor, session_id: int, call_id: str, *, first: int, count: int) -> Lines:
    """At most `count` lines from number `first` on; where there are not so many, the last ones."""
    kept, number, rest, offset = deque[bytes](maxlen=count), 0, b"", 0
    more = False
    async with app.database.reading() as connection:
        size = await _printed(connection, actor, session_id, call_id)
        while not more and offset < size:
            piece = await outputs.read(connection, call_id, offset, min(PIECE_BYTES, size - offset))
            if not piece:
                break
            offset += len(piece)
            *whole, rest = (rest + piece).split(b"\n")
            wanted = whole[: first + count - 1 - number]
            kept.extend(wanted)
            number += len(wanted)
            more = len(wanted) < len(whole) or (number == first + count - 1 and bool(rest or offset < size))
    if rest and not more:
        kept.append(rest)
        number += 1
    return Lines(number - len(kept) + 1, [decode(one) for one in kept], more)


async def output_size(app: App, actor: Actor, session_id: int, call_id: str) -> int:
    """How many bytes a call of the session has printed so far."""
    async with app.database.reading() as connection:
        return await _printed(connection, actor, session_id, call_id)


async def _printed(connection: AsyncConnection, actor: Actor, session_id: int, call_id: str) -> int:
    await may(connection, actor, session_id, Ability.READ_SESSION)
    query = select(offers.c.output_bytes).where(offers.c.call_id == call_id, offers.c.session_id == session_id)
    size = (await connection.execute(query)).scalar_one_or_none()
    if size is None:
        raise NotFoundError(f"There is no call {call_id} in session #{session_id}.")
    return size
