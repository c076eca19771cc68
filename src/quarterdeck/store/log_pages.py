"""Pages of a log: the events of some levels and kinds, or with some words, from either end; only what a page needs."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import JsonValue
from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.core.events import Event, Level
from quarterdeck.store import log
from quarterdeck.store.tables import event_batches

LOOKED_AT = 128
"""Batch rows that one query looks at, of which it brings those that the page needs."""
SCANNED = 20_000
"""Events that one page looks through for kinds or words; the page ends there, and its `next` goes on."""

_HEAD = re.compile(rb'\{"seq":\d+,"at":"[^"]*","level":"(\w+)","v":\d+,"payload":\{"kind":"([\w.]+)"')


@dataclass(frozen=True)
class Wanted:
    """What a page is of. No kinds are all of them, an empty text is in every event."""

    level: Level = Level.FULL
    kinds: frozenset[str] = frozenset()
    text: str = ""


@dataclass(frozen=True)
class Page:
    """Events in the order that was asked for; `next` is where the following page goes on, None at the end."""

    events: list[Event]
    next: int | None


async def page(
    connection: AsyncConnection,
    session_id: int,
    wanted: Wanted,
    *,
    after: int = 0,
    before: int | None = None,
    newest_first: bool = False,
    limit: int = 100,
) -> Page:
    """At most `limit` events between `after` and `before`, both not included."""
    found: list[Event] = []
    low, high, scanned = after, before, 0
    most = SCANNED if wanted.kinds or wanted.text else limit
    while True:
        rows = (
            await connection.execute(query(session_id, wanted, low, high, newest_first=newest_first, limit=most))
        ).all()
        for row in rows:
            for event in _events(session_id, row, wanted, low, high, newest_first):
                if len(found) == limit:
                    return Page(found, found[-1].seq)
                found.append(event)
            scanned += row.n
            low, high = (low, row.first_seq) if newest_first else (row.first_seq + row.n - 1, high)
            if scanned >= SCANNED:
                return Page(found, high if newest_first else low)
        if not rows or (len(rows) == rows[0].there and rows[0].there < LOOKED_AT):
            return Page(found, None)


async def one(connection: AsyncConnection, session_id: int, seq: int) -> Event | None:
    """The event with this number."""
    found = await page(connection, session_id, Wanted(), after=seq - 1, before=seq + 1, limit=1)
    return found.events[0] if found.events else None


def query(
    session_id: int, wanted: Wanted, low: int, high: int | None, *, newest_first: bool, limit: int
) -> Select[int, int, bytes, int]:
    """The nearest rows that may have what is wanted, as many as fill the page if all that counts in them is wanted."""
    of = event_batches.c
    hits = {Level.RESULT: of.results, Level.CONCISE: of.results + of.concise, Level.FULL: of.n}[wanted.level]
    first = select(func.max(of.first_seq)).where(of.session_id == session_id, of.first_seq <= low + 1).scalar_subquery()
    near = select(of.first_seq, hits.label("hits")).where(
        of.session_id == session_id, of.first_seq >= func.coalesce(first, 0), hits > 0
    )
    if high is not None:
        near = near.where(of.first_seq < high)
    order = of.first_seq.desc() if newest_first else of.first_seq.asc()
    rows = near.order_by(order).limit(LOOKED_AT).subquery()
    place = rows.c.first_seq.desc() if newest_first else rows.c.first_seq.asc()
    summed = select(
        rows.c.first_seq,
        (func.sum(rows.c.hits).over(order_by=place) - rows.c.hits).label("before"),
        func.count().over().label("there"),
    ).subquery()
    return (
        select(of.first_seq, of.n, of.data, summed.c.there)
        .join(summed, (of.session_id == session_id) & (of.first_seq == summed.c.first_seq))
        .where(summed.c.before <= limit)
        .order_by(order)
    )


def _events(
    session_id: int, row: Row[int, int, bytes, int], wanted: Wanted, low: int, high: int | None, newest_first: bool
) -> Iterator[Event]:
    """What is wanted of a row, within the bounds; the other events are never read whole."""
    lines = log.lines(row.data)[max(0, low + 1 - row.first_seq) : None if high is None else high - row.first_seq]
    words = wanted.text.casefold()
    written = json.dumps(words, ensure_ascii=False)[1:-1]
    for line in reversed(lines) if newest_first else lines:
        if not _fits(line, wanted) or (words and written not in line.decode().casefold()):
            continue
        event = Event.model_validate_json(b'{"session":%d,%b' % (session_id, line[1:]))
        if not words or _says(event, words):
            yield event


def _fits(line: bytes, wanted: Wanted) -> bool:
    """Whether an event is of the level and the kinds, by the beginning of its line."""
    if wanted.level is Level.FULL and not wanted.kinds:
        return True
    level, kind = _head(line)
    return level.within(wanted.level) and (not wanted.kinds or kind in wanted.kinds)


def _head(line: bytes) -> tuple[Level, str]:
    told = _HEAD.match(line)
    if told is not None:
        return Level(told[1].decode()), told[2].decode()
    whole = json.loads(line)
    return Level(whole["level"]), str(whole["payload"]["kind"])


def _says(event: Event, words: str) -> bool:
    """Whether a value of the payload has the words; what only a provider reads is none."""
    return any(words in text.casefold() for text in _texts(event.payload.model_dump(mode="json", exclude={"opaque"})))


def _texts(value: JsonValue) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _texts(item)
        case dict():
            for key, item in value.items():
                if key != "kind":
                    yield from _texts(item)
        case _:
            pass
