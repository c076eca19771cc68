"""The ends of the logs that are watched: one reader for all watchers of a session in this process.

Its reader looks once when the bell rings, and what it finds is one `Moment` for all. The last moments are kept; a
watcher that is so far behind that its next one is gone is dropped, and goes on from the log when it comes again.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from quarterdeck.app.signals import Cursor, Signal, look
from quarterdeck.core.errors import UnavailableError
from quarterdeck.store.database import Database
from quarterdeck.store.doorbell import Doorbell

Told = TypeVar("Told")

KEPT_BYTES = 256 * 1024
"""How far a watcher may be behind before it is dropped; the last moment is kept whatever its size."""
MOMENT_BYTES = 512
"""What a moment counts as beside its content, so that silence is bounded too."""


class WatcherBehindError(UnavailableError):
    """The session goes on faster than this connection takes it. Connect again with `Last-Event-ID`."""

    code = "watcher_behind"


@dataclass
class Moment:
    """What came at once; empty when nothing did for a while."""

    signals: tuple[Signal, ...]
    through: int
    """The last event that the log had then."""
    _told: dict[object, Any] = field(default_factory=dict[object, Any])
    _made: dict[object, asyncio.Task[bytes]] = field(default_factory=dict[object, asyncio.Task[bytes]])

    @cached_property
    def size(self) -> int:
        """About how many bytes it is."""
        return sum(signal.size for signal in self.signals)

    def told(self, tell: Callable[[Sequence[Signal]], Told]) -> Told:
        """What `tell` makes of it: once, however many are told."""
        if tell not in self._told:
            self._told[tell] = tell(self.signals)
        return self._told[tell]

    async def once(self, key: object, make: Callable[[], Coroutine[None, None, bytes]]) -> bytes:
        """What else belongs to the moment and has to be looked up: once for all who ask with the same `key`."""
        if key not in self._made:
            self._made[key] = asyncio.create_task(make())
        made = self._made[key]
        return made.result() if made.done() else await asyncio.shield(made)


class Tail:
    """The moving end of one session's log."""

    def __init__(self, database: Database, doorbell: Doorbell, session_id: int) -> None:
        self._database, self._session_id = database, session_id
        self._resources = ExitStack()
        self._listener = self._resources.enter_context(doorbell.listener(f"session:{session_id}"))
        self._moments: deque[tuple[Moment, int]] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self._ended = False
        self.watchers = 0
        self.number = 0
        """Of the moment that comes next."""

    @property
    def over(self) -> bool:
        """Nothing comes any more."""
        return self._ended or self._error is not None

    @property
    def reads(self) -> bool:
        """Somebody began it."""
        return self._reader is not None

    def begin(self, cursor: Cursor) -> None:
        """Goes on reading behind `cursor`, unless it reads already."""
        if self._reader is None:
            self._reader = asyncio.create_task(self._read(cursor.copy()), name=f"tail of session {self._session_id}")

    def close(self) -> None:
        """Ends the reading."""
        if self._reader is not None:
            self._reader.cancel()
        self._resources.close()

    async def take(self, number: int) -> Moment | None:
        """The moment with this number, once it is there; None when the session has ended before.

        Raises:
            WatcherBehindError: it is not kept any more.
            UnavailableError: the log can't be read now.
        """
        while number >= self.number:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            await self._news.wait()
        first = self.number - len(self._moments)
        if number < first:
            raise WatcherBehindError
        return self._moments[number - first][0]

    async def _read(self, cursor: Cursor) -> None:
        try:
            while not cursor.ended:
                rung, more = await self._listener.wait(), True
                while more and not cursor.ended:
                    async with self._database.reading() as connection:
                        found = await look(connection, self._session_id, cursor)
                    more = cursor.behind
                    if found or not rung:
                        self._publish(Moment(tuple(found), cursor.seq))
            self._ended = True
        except Exception as error:
            self._error = error
        self._wake()

    def _publish(self, moment: Moment) -> None:
        size = MOMENT_BYTES + moment.size
        self._moments.append((moment, size))
        self._bytes += size
        self.number += 1
        while self._bytes > KEPT_BYTES and len(self._moments) > 1:
            self._bytes -= self._moments.popleft()[1]
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class Tails:
    """The tails of this process's watched sessions."""

    def __init__(self) -> None:
        self._tails: dict[int, Tail] = {}

    @contextmanager
    def of(self, database: Database, doorbell: Doorbell, session_id: int) -> Generator[Tail]:
        """The session's tail for one more watcher; it ends with the last."""
        tail = self._tails.get(session_id)
        if tail is None or tail.over:
            tail = self._tails[session_id] = Tail(database, doorbell, session_id)
        tail.watchers += 1
        try:
            yield tail
        finally:
            tail.watchers -= 1
            if not tail.watchers:
                tail.close()
                if self._tails.get(session_id) is tail:
                    del self._tails[session_id]
