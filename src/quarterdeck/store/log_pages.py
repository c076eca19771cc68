"""Pages of a log: the events of some levels and kinds, or with some words, from either end; only what a page needs."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from pydantic import JsonValue, TypeAdapter
from sqlalchemy import BigInteger, ColumnElement, Row, Select, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.core.events import Event, Level
from quarterdeck.store import log
from quarterdeck.store.tables import event_batches

SCANNED = 20_000
"""Events that one page looks through for kinds or words; the page ends there, and its `next` goes on."""
AT_ONCE = 4 * 1024 * 1024
"""Bytes of rows that one query brings, or the first row."""
PAGE_BYTES = 8 * 1024 * 1024
"""What the events of a page may come to, unless it is one; a larger one ends there, and its `next` goes on."""
_END = 2**63 - 1

_HEAD = re.compile(rb'\{"seq":\d+,"at":"[^"]*","level":"(\w+)","v":\d+,"payload":\{"kind":"([\w.]+)"')
_ALL = TypeAdapter(list[Event])


@dataclass(frozen=True)
class Wanted:
    """What a page is of. No kinds are all of them, an empty text is in every event."""

    level: Level = Level.FULL
    kinds: frozenset[str] = frozenset()
    text: str = ""

    @property
    def all_that_counts(self) -> bool:
        """Whether a row's numbers say how many of its events are wanted."""
        return not self.kinds and not self.text


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
    """At most `limit` events between `after` and `before`, both not included; fewer where they are large."""
    statement = query(wanted.level, newest_first=newest_first)
    wanted = replace(wanted, text=wanted.text.casefold())
    found: list[tuple[int, bytes]] = []
    low, high = min(after, _END - 1), _END if before is None else min(before, _END)
    scanned, size, most = 0, 0, limit
    while True:
        asked = {"session": session_id, "low": low, "high": high, "most": most}
        rows = (await connection.execute(statement, asked)).all()
        for row in rows:
            for line in _lines(row, wanted, low, high, newest_first):
                size += len(line[1])
                if len(found) == limit or (found and size > PAGE_BYTES):
                    return Page(_events(session_id, found), found[-1][0])
                found.append(line)
            scanned += row.n
            low, high = (low, row.first_seq) if newest_first else (row.first_seq + row.n - 1, high)
            if scanned >= SCANNED:
                return Page(_events(session_id, found), high if newest_first else low)
        if not rows or (len(rows) == rows[0].there and rows[0].there < most + 2):
            return Page(_events(session_id, found), None)
        if not wanted.all_that_counts:  # what is rare needs more rows than a page has events
            most = min(4 * most, SCANNED)


async def one(connection: AsyncConnection, session_id: int, seq: int) -> Event | None:
    """The event with this number."""
    found = await page(connection, session_id, Wanted(), after=seq - 1, before=seq + 1, limit=1)
    return found.events[0] if found.events else None


@cache
def query(level: Level, *, newest_first: bool) -> Select[int, int, bytes, int]:
    """The nearest rows that may have what is wanted, as many as fill a page if all that counts in them is wanted.

    Of a session, between `low` and `high`, with `most` events; made once for each order, which costs more than to run
    it. `there` says how many rows were looked at, of which those come that are needed.
    """
    of = event_batches.c
    session, low, high, most = (bindparam(name, type_=BigInteger) for name in ("session", "low", "high", "most"))
    counts: dict[Level, ColumnElement[int]] = {
        Level.RESULT: of.results,
        Level.CONCISE: of.results + of.concise,
        Level.FULL: of.n,
    }
    hits = counts[level]
    # Events outside the bounds may be among a row's hits, or not: so many it has at least.
    outside = func.greatest(low + 1 - of.first_seq, 0) + func.greatest(of.first_seq + of.n - high, 0)
    sure = func.greatest(hits - outside, 0)
    first = select(func.max(of.first_seq)).where(of.session_id == session, of.first_seq <= low + 1).scalar_subquery()
    order = of.first_seq.desc() if newest_first else of.first_seq.asc()
    rows = (
        select(of.first_seq, sure.label("hits"), func.length(of.data).label("size"))
        .where(of.session_id == session, of.first_seq >= func.coalesce(first, 0), of.first_seq < high, hits > 0)
        .order_by(order)
        .limit(most + 2)
        .subquery()
    )
    place = rows.c.first_seq.desc() if newest_first else rows.c.first_seq.asc()
    summed = select(
        rows.c.first_seq,
        (func.sum(rows.c.hits).over(order_by=place) - rows.c.hits).label("before"),
        (func.sum(rows.c.size).over(order_by=place) - rows.c.size).label("bytes_before"),
        func.count().over().label("there"),
    ).subquery()
    return (
        select(of.first_seq, of.n, of.data, summed.c.there)
        .join(summed, (of.session_id == session) & (of.first_seq == summed.c.first_seq))
        .where(summed.c.before <= most, summed.c.bytes_before < AT_ONCE)
        .order_by(order)
    )


def _events(session_id: int, found: list[tuple[int, bytes]]) -> list[Event]:
    """The events of lines, read in one go."""
    return _ALL.validate_json(b"[%b]" % b",".join(b'{"session":%d,%b' % (session_id, line[1:]) for _, line in found))


def _lines(
    row: Row[int, int, bytes, int], wanted: Wanted, low: int, high: int, newest_first: bool
) -> Iterator[tuple[int, bytes]]:
    """What is wanted of a row, within the bounds, by number; the other events are never read whole."""
    whole = log.unpacked(row.data)
    if wanted.kinds and not any(b'"%b"' % kind.encode() in whole for kind in wanted.kinds):
        return
    said = _saying(whole, wanted.text) if wanted.text else range(row.n)
    if not said:
        return
    lines = whole.split(b"\n")
    places = range(max(0, low + 1 - row.first_seq), min(row.n, high - row.first_seq))
    for place in reversed(places) if newest_first else places:
        if place in said and _fits(lines[place], wanted):
            yield row.first_seq + place, lines[place]


def _saying(whole: bytes, words: str) -> set[int]:
    """The places of the lines that have the words, which are folded, in a value of the payload."""
    written = json.dumps(words, ensure_ascii=False)[1:-1]
    if whole.isascii():  # as nearly all are; it is folded several times faster
        folded, needle = whole.lower(), written.encode()
        likely = [n for n, line in enumerate(folded.split(b"\n")) if needle in line] if needle in folded else []
    else:
        likely = [n for n, line in enumerate(whole.decode().split("\n")) if written in line.casefold()]
    lines = whole.split(b"\n") if likely else []
    return {n for n in likely if _says(json.loads(lines[n])["payload"], words)}


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


def _says(payload: dict[str, JsonValue], words: str) -> bool:
    """Whether a value of the payload has the words; what only a provider reads is none."""
    return any(
        words in text.casefold() for name, one in payload.items() if name != "opaque" for text in _texts(one, name)
    )


def _texts(value: JsonValue, name: str = "") -> Iterator[str]:
    match value:
        case str() if name != "kind":
            yield value
        case list():
            for item in value:
                yield from _texts(item)
        case dict():
            for key, item in value.items():
                yield from _texts(item, key)
        case _:
            pass
