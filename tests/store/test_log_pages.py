"""Pages of a log: whatever is asked for, all pages together are what a filter of the whole log is, each is full."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.core import events as e
from quarterdeck.store import log, log_pages
from quarterdeck.store.database import Database
from quarterdeck.store.log_pages import Wanted, page
from quarterdeck.store.tables import event_batches

WORDS = ("Straße", 'a "quoted" word', "ROT\nand blau", "plain")


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[AsyncConnection]:
    database = Database(database_url)
    async with database.transaction() as opened:
        yield opened
    await database.close()


async def written(connection: AsyncConnection, chance: random.Random, session_id: int, size: int) -> list[e.Event]:
    """A log of rows of any length, made by chance."""
    events: list[e.Event] = []
    while len(events) < size:
        row: list[e.Event] = []
        levels = chance.choice([list(e.Level), [e.Level.FULL]])
        for _ in range(chance.choice([1, 2, 7, 40])):
            payload: e.AnyPayload = (
                e.MessageAdded(text=chance.choice(WORDS), by="ada") if chance.random() < 0.5 else e.TurnEnded(turn_no=1)
            )
            seq = len(events) + len(row) + 1
            row.append(
                e.Event(session=session_id, seq=seq, at=datetime.now(UTC), level=chance.choice(levels), payload=payload)
            )
        await log._write(connection, session_id, row)  # pyright: ignore[reportPrivateUsage]
        events += row
    return events


async def everything(
    connection: AsyncConnection, session_id: int, wanted: Wanted, *, after: int, before: int, newest: bool, limit: int
) -> list[e.Event]:
    found: list[e.Event] = []
    low, high = after, before
    while True:
        got = await page(connection, session_id, wanted, after=low, before=high, newest_first=newest, limit=limit)
        found += got.events
        assert len(got.events) <= limit
        if got.next is None:
            return found
        assert len(got.events) == limit, "a page that goes on is full"
        low, high = (low, got.next) if newest else (got.next, high)


@pytest.mark.parametrize("seed", range(4))
async def test_all_pages_are_the_filtered_log(connection: AsyncConnection, seed: int) -> None:
    chance = random.Random(seed)
    await written(connection, chance, 2, 50)
    events = await written(connection, chance, 1, 1_500)
    for _ in range(40):
        level = chance.choice(list(e.Level))
        kinds = frozenset(chance.choice([(), ("turn.ended",), ("message.added",), ("turn.ended", "no.such")]))
        text = chance.choice(["", "", "STRASSE", 'A "Quoted', "rot\nAND", "nowhere", "turn.ended", "ada"])
        after, before = sorted(chance.sample(range(len(events) + 50), 2))
        newest, limit = chance.random() < 0.5, chance.choice([1, 3, 20, 100, 1_000])
        got = await everything(
            connection, 1, Wanted(level, kinds, text), after=after, before=before, newest=newest, limit=limit
        )
        expected = [
            one
            for one in events
            if after < one.seq < before
            and one.level.within(level)
            and (not kinds or one.kind in kinds)
            and (not text or (isinstance(one.payload, e.MessageAdded) and says(one.payload, text)))
        ]
        assert got == (expected[::-1] if newest else expected), (level, kinds, text, after, before, newest, limit)
    for seq in (1, 700, len(events)):
        assert await log_pages.one(connection, 1, seq) == events[seq - 1]
    assert await log_pages.one(connection, 1, len(events) + 1) is None


def says(message: e.MessageAdded, text: str) -> bool:
    return text.casefold() in message.text.casefold() or text.casefold() in message.by


async def test_a_page_of_words_ends_after_so_many_events_and_goes_on(
    connection: AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_pages, "SCANNED", 100)
    events = await written(connection, random.Random(1), 1, 900)
    for newest in (False, True):
        low, high, pages = 0, None, 0
        following: int | None = 0
        while following is not None:
            got = await page(connection, 1, Wanted(text="no such words"), after=low, before=high, newest_first=newest)
            assert got.events == []
            following, pages = got.next, pages + 1
            low, high = (low, following) if newest else (following or 0, high)
        assert len(events) // 140 <= pages <= len(events) // 100 + 1


async def test_a_line_of_another_order_is_read_all_the_same(connection: AsyncConnection) -> None:
    import zstandard

    at = datetime.now(UTC).isoformat()
    line = f'{{"at": "{at}", "seq": 1, "payload": {{"turn_no": 3, "kind": "turn.ended"}}, "v": 1, "level": "full"}}'
    data = zstandard.ZstdCompressor().compress(line.encode())
    await connection.execute(
        insert(event_batches).values(session_id=1, first_seq=1, n=1, results=0, concise=0, data=data)
    )
    found = await page(connection, 1, Wanted(kinds=frozenset({"turn.ended"})))
    assert [one.seq for one in found.events] == [1]
