"""A list that stays true: its page, and then which of its rows changed, as bells tell it.

A bell says which session; what it looks like now is asked for all that rang together, with the filter and the
abilities in the same query. Of sessions that the watcher was never shown, and may not see, nothing is told.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from datetime import datetime

from quarterdeck.app import session_lists
from quarterdeck.app.access import project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_filter import SessionFilter
from quarterdeck.app.session_lists import Order, SessionPage, SessionRow, Sort
from quarterdeck.core import limits
from quarterdeck.core.access import Ability
from quarterdeck.store import clock
from quarterdeck.store.doorbell import PATIENCE_SECONDS

CALM_SECONDS = 0.1
"""Bells within it are looked into together."""
REST_SECONDS = 0.5
"""A list is not looked at again so soon: sessions at work ring many times a second, for everybody who watches."""
KNOWN = 1_000
"""Rows that a watcher is told to have gone; of more the oldest are forgotten."""
LOOKED = 20_000
"""Sessions of which is remembered up to where they were looked at."""


@dataclass(frozen=True)
class PageSignal:
    """The page as it stands: the first signal, and again whenever bells may have been missed."""

    page: SessionPage


@dataclass(frozen=True)
class ChangedSignal:
    """A row is new or has changed."""

    row: SessionRow


@dataclass(frozen=True)
class GoneSignal:
    """A row that was told does not belong to the list any more, or is deleted."""

    session_id: int


Signal = PageSignal | ChangedSignal | GoneSignal


def now() -> datetime:
    """The time that sessions are dated by: what is created behind it is new to a list that is looked at now."""
    return clock.now()


@dataclass
class _Told:
    """What one watcher knows."""

    known: dict[int, int] = field(default_factory=dict[int, int])
    """Rows that were told, and the `seq` of each."""
    looked: dict[int, int] = field(default_factory=dict[int, int])

    def rung(self, topics: dict[str, int]) -> list[int]:
        """Whose rows may be others now; a bell without `seq` is of what is printed or said beside the row."""
        bells = {int(topic.partition(":")[2]): seq for topic, seq in topics.items()}
        ids = [session_id for session_id, seq in bells.items() if seq > self.looked.get(session_id, 0)]
        for session_id in ids:
            self.look(session_id, bells[session_id])
        return ids

    def tell(self, row: SessionRow) -> None:
        self.known.pop(row.id, None)
        self.known[row.id] = row.seq
        self.look(row.id, row.seq)
        if len(self.known) > KNOWN:
            del self.known[next(iter(self.known))]

    def look(self, session_id: int, seq: int) -> None:
        self.looked.pop(session_id, None)
        self.looked[session_id] = seq
        if len(self.looked) > LOOKED:
            del self.looked[next(iter(self.looked))]


async def changes(
    app: App,
    actor: Actor,
    wanted: SessionFilter,
    *,
    sort: Sort | None = None,
    order: Order | None = None,
    cursor: str | None = None,
    limit: int = limits.PAGE_ROWS,
    shown: Collection[int] = (),
) -> AsyncIterator[list[Signal]]:
    """The page, then what changes; one list for all that waits, an empty one keeps alive. Goes on until it is closed.

    Of the sessions that are `shown` already it tells too, also when the page doesn't have them any more.

    Raises:
        NotFoundError, ForbiddenError: as `session_lists.find` does; also later, when a role is taken away.
    """
    told = _Told(dict.fromkeys(shown, 0))
    with app.doorbell.listener("session:*") as listener:
        here: set[int] | None = None
        rung: dict[str, int] = {}
        clock, paged, looked = asyncio.get_running_loop().time, 0.0, 0.0
        while True:
            if not rung or "session:*" in rung or clock() - paged > PATIENCE_SECONDS:  # bells may have been missed
                paged = clock()
                page = await session_lists.find(app, actor, wanted, sort=sort, order=order, cursor=cursor, limit=limit)
                unchanged = here is not None and all(told.known.get(row.id) == row.seq for row in page.items)
                before, here = here or set[int](), {row.id for row in page.items}
                for row in page.items:
                    told.tell(row)
                # What left the page may stand on another of the list, or not belong to it any more.
                away = (told.known.keys() & (before | set(shown))) - here
                yield ([] if unchanged else [PageSignal(page)]) + await _look(app, actor, wanted, told, sorted(away))
            else:
                if found := await _look(app, actor, wanted, told, told.rung(rung)):
                    yield found
                looked = clock()
            rung = await listener.wait()
            if rung:
                await asyncio.sleep(max(CALM_SECONDS, looked + REST_SECONDS - clock()))
                rung = {**rung, **await listener.wait(0)}


async def allowed(app: App, actor: Actor, wanted: SessionFilter) -> None:
    """Whether somebody may go on watching. Raises NotFoundError, ForbiddenError."""
    if wanted.project is not None:
        async with app.database.reading() as connection:
            await project_for(connection, actor, wanted.project, Ability.READ_SESSION)


async def _look(app: App, actor: Actor, wanted: SessionFilter, told: _Told, ids: list[int]) -> list[Signal]:
    """What these sessions look like now, in one query."""
    if not ids:
        return []
    async with app.database.transaction() as connection:
        found = await session_lists.matching(connection, actor, wanted, ids)
        rows = {row.id: row for row in await session_lists.views_of(app, actor, connection, found)}
    signals: list[Signal] = []
    for session_id in ids:
        row = rows.get(session_id)
        if row is None:
            if told.known.pop(session_id, None) is not None:
                signals.append(GoneSignal(session_id))
        elif told.known.get(session_id) != row.seq:
            told.tell(row)
            signals.append(ChangedSignal(row))
    return signals
