"""Boards: short lists of sessions that stand beside other things and stay true, for all of a person's pages at once.

A board is looked up again only when a session that it shows, or that may belong there, has another status or title, or
has been at work for a while.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row

from quarterdeck.app.session_filter import PRIVATE
from quarterdeck.store import clock

if TYPE_CHECKING:
    from quarterdeck.app.session_lists import SessionRow

REST_SECONDS = 1.0
"""A board is not looked up again so soon, whatever happens."""
FRESH = timedelta(seconds=30)
"""A session that goes on without a change is shown with its last activity by so much."""
SETTLED = timedelta(seconds=2)
"""Longer than a session's last activity may lag behind its changes, which is a second."""
KNOWN = 1_000
"""Sessions of which a board remembers how they were, beside those that it shows."""

Lists = tuple[tuple["SessionRow", ...], ...]


@dataclass(frozen=True, eq=False)
class Overview:
    """The lists of a board as they stood; the same object until something of them changes."""

    lists: Lists

    def looks(self) -> list[list[tuple[int, str, str, datetime]]]:
        """What tells two of them apart."""
        return [[(one.id, one.status, one.title, one.last_activity) for one in rows] for rows in self.lists]


@dataclass(frozen=True)
class Reader:
    """Whose board it is."""

    user_id: int
    admin: bool
    own: bool
    """Only their own sessions come to it."""

    def may_have(self, row: Row[Any]) -> bool:
        """Whether the session may belong on the board."""
        if row.initiator_id == self.user_id:
            return True
        return not self.own and row.origin not in PRIVATE and (self.admin or self.user_id in (row.readers or ()))


@dataclass(eq=False)
class Board:
    """One person's board, with all who look at it."""

    reader: Reader
    look: Callable[[], Awaitable[Lists]]
    watchers: int = 0
    stale: bool = False
    looked: float = 0.0
    now: Overview | None = None
    error: Exception | None = None
    _seen: dict[int, tuple[str, str, datetime]] = field(default_factory=dict[int, tuple[str, str, datetime]])
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def shown(self) -> set[int]:
        """The sessions on it."""
        return {one.id for rows in self.now.lists for one in rows} if self.now else set()

    @property
    def due(self) -> bool:
        """Whether it is to be looked up now."""
        return self.stale and monotonic() - self.looked >= REST_SECONDS

    async def after(self, before: Overview | None) -> Overview:
        """How it stands, once that is another than `before`."""
        async with self._turn:
            if self.now is None and self.error is None:
                await self._again()
        while self.error is None:
            if self.now is not None and self.now is not before:
                return self.now
            await self._news.wait()
        raise self.error

    async def again(self) -> None:
        """Looks it up."""
        async with self._turn:
            await self._again()

    async def _again(self) -> None:
        self.stale, self.looked, began = False, monotonic(), clock.now()
        fresh = Overview(await self.look())
        if len(self._seen) > KNOWN:
            self._seen.clear()
        # What changed while it was looked up may stand in a list that it has left: its bell is still to be heeded.
        quiet = [one for rows in fresh.lists for one in rows if one.last_activity < began - SETTLED]
        self._seen |= {one.id: (one.status, one.title, one.last_activity) for one in quiet}
        if self.now is None or fresh.looks() != self.now.looks():
            self.now = fresh
            self.wake()

    def wake(self) -> None:
        """Lets all who wait look."""
        self._news.set()
        self._news = asyncio.Event()

    def notice(self, rows: Sequence[Row[Any]], gone: set[int]) -> None:
        """Of sessions that rang, or that are gone: whether it has to be looked up again."""
        self.stale = self.stale or bool(gone & self.shown)
        for row in rows:
            if not self.reader.may_have(row):
                continue
            status, title, active = self._seen.get(row.id, ("", "", None))
            if (status, title) != (row.status, row.title) or active is None or row.last_activity - active > FRESH:
                self._seen[row.id] = (row.status, row.title, row.last_activity)
                self.stale = True
