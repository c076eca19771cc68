"""The boards of a process, and the bells that they hear: which of the sessions that rang concern one of them.

That is one query for all boards, however many people look.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Hashable
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import BigInteger, ColumnElement, Select, any_, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY

from quarterdeck.app.boards import REST_SECONDS, Board, Lists, Reader
from quarterdeck.core.access import LEAST_ROLE, Ability
from quarterdeck.store import clock
from quarterdeck.store.database import Database, planned
from quarterdeck.store.doorbell import PATIENCE_SECONDS, Doorbell
from quarterdeck.store.tables import members, sessions

CALM_SECONDS = 0.1
"""Bells within it are looked into together."""
_log = structlog.get_logger(__name__)


class Boards:
    """The boards of this process that somebody looks at."""

    def __init__(self) -> None:
        self._boards: dict[Hashable, Board] = {}
        self._resources = ExitStack()
        self._reader: asyncio.Task[None] | None = None

    @contextmanager
    def of(
        self,
        database: Database,
        doorbell: Doorbell,
        key: Hashable,
        reader: Reader,
        look: Callable[[], Awaitable[Lists]],
    ) -> Generator[Board]:
        """The board with that key for one more watcher; `look` looks it up."""
        if self._reader is None:  # it listens before the first look, so that nothing is missed in between
            listener = self._resources.enter_context(doorbell.listener("session:*"))
            self._reader = asyncio.create_task(self._read(database, listener.wait), name="boards")
        board = self._boards.setdefault(key, Board(reader, look))
        board.watchers += 1
        try:
            yield board
        finally:
            board.watchers -= 1
            if not board.watchers and self._boards.get(key) is board:
                del self._boards[key]
            if not self._boards:
                self._end()

    def _end(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None
        self._resources.close()

    async def _read(self, database: Database, wait: Callable[[float], Awaitable[dict[str, int]]]) -> None:
        try:
            while True:
                resting = any(board.stale for board in self._boards.values())
                rung = await wait(REST_SECONDS if resting else PATIENCE_SECONDS)
                if rung:
                    await asyncio.sleep(CALM_SECONDS)
                    rung = {**rung, **await wait(0)}
                if rung or not resting:
                    await self._notice(database, rung)
                for board in tuple(self._boards.values()):
                    if board.due:
                        await _again(board)
        except Exception as error:  # all who look are told, and come again
            boards, self._boards, self._reader = self._boards, {}, None
            self._resources.close()
            for board in boards.values():
                board.error, board.now = error, None
                board.wake()

    async def _notice(self, database: Database, rung: dict[str, int]) -> None:
        """Looks at the sessions that rang; after a long silence at what may have changed without being heard."""
        boards = tuple(self._boards.values())
        if "session:*" in rung:  # bells were missed
            for board in boards:
                board.stale = True
            return
        people = sorted({board.reader.user_id for board in boards})
        query = _facts(people)
        if rung:
            # A bell without `seq` is of what is printed or said beside the row.
            ids = {int(topic.partition(":")[2]) for topic, seq in rung.items() if seq}
            query = query.where(_among(ids))
        else:
            ids = set[int]().union(*(board.shown for board in boards))
            query = query.where(or_(_among(ids), sessions.c.last_activity > clock.now() - 2 * _PATIENCE))
        if not ids and rung:
            return
        async with database.reading() as connection:
            rows = await planned(connection, query)
        gone = ids - {row.id for row in rows}
        for board in boards:
            board.notice(rows, gone)


async def _again(board: Board) -> None:
    """Looks a board up; where that fails it stands as it did, and is looked up again after a rest."""
    try:
        await board.again()
    except Exception:
        _log.warning("board_look_failed", user=board.reader.user_id, exc_info=True)
        board.stale = True


_PATIENCE = timedelta(seconds=PATIENCE_SECONDS)


def _among(ids: set[int]) -> ColumnElement[bool]:
    return sessions.c.id == any_(literal(sorted(ids), ARRAY(BigInteger)))


def _facts(people: list[int]) -> Select[Any, Any, Any, Any, Any, Any, Any]:
    """What of sessions decides whether a board changes, and who of these people may see each."""
    columns = sessions.c
    readers = (
        select(func.array_agg(members.c.user_id))
        .where(
            members.c.project_id == columns.project_id,
            members.c.role >= LEAST_ROLE[Ability.READ_SESSION],
            members.c.user_id == any_(literal(people, ARRAY(BigInteger))),
        )
        .scalar_subquery()
    )
    return select(
        columns.id,
        columns.initiator_id,
        columns.origin,
        columns.status,
        columns.title,
        columns.last_activity,
        readers.label("readers"),
    )
