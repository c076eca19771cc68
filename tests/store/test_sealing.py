"""Sealed rows hold the same events: fewer rows, nothing else changes."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from quarterdeck.app.application import App
from quarterdeck.app.change import change
from quarterdeck.app.sealing import seal
from quarterdeck.core import events as e
from quarterdeck.store import log
from quarterdeck.store.sealing import SEALED_BYTES, SEALED_EVENTS, SEALED_TEXT, Batch, groups
from quarterdeck.store.tables import event_batches as rows
from tests.app.chats import begin, events, stored
from tests.conftest import Start


@given(
    st.lists(
        st.tuples(st.integers(1, 1_200), st.integers(1, 80_000), st.integers(1, 2 * SEALED_TEXT // 3)), max_size=40
    )
)
def test_neighbours_are_joined_as_far_as_they_fit(sizes: list[tuple[int, int, int]]) -> None:
    batches, seq = list[Batch](), 1
    for n, size, text in sizes:
        batches.append(Batch(seq, n, size, text))
        seq += n
    joined = groups(batches)
    inside = [one for group in joined for one in group]
    assert inside == [one for one in batches if one in inside]
    for group in joined:
        assert len(group) > 1
        assert sum(one.n for one in group) <= SEALED_EVENTS
        assert sum(one.bytes for one in group) <= SEALED_BYTES
        assert sum(one.text for one in group) <= SEALED_TEXT
        assert [one.first_seq + one.n for one in group[:-1]] == [one.first_seq for one in group[1:]]
    ends = {one.first_seq: group[-1] for group in joined for one in group}
    for left, right in pairwise(batches):
        if left not in inside and right not in inside:
            too_many = left.n + right.n > SEALED_EVENTS
            too_large = left.bytes + right.bytes > SEALED_BYTES or left.text + right.text > SEALED_TEXT
            assert too_many or too_large
    assert len(ends) == len(inside)


async def test_a_sealed_log_reads_the_same_and_goes_on(app: App, start: Start) -> None:
    session_id = await begin(app, start.owner)

    async def write(count: int) -> None:
        for number in range(count):
            async with change(app, session_id) as it:
                it.append(*(e.CheckRecorded(name=f"{number}.{part}", passed=True) for part in range(1 + number % 5)))

    async def sums() -> tuple[int, int, int, int]:
        async with app.database.transaction() as connection:
            found = await connection.execute(
                select(func.count(), func.sum(rows.c.n), func.sum(rows.c.results), func.sum(rows.c.concise)).where(
                    rows.c.session_id == session_id
                )
            )
            return tuple(int(one) for one in found.one())  # pyright: ignore[reportReturnType]

    async def pages(size: int) -> list[e.Event]:
        found: list[e.Event] = []
        while True:
            async with app.database.transaction() as connection:
                after = found[-1].seq if found else 0
                page = await log.read(connection, session_id, after=after, limit=size)
            if not page:
                return found
            found += page

    await write(400)
    before, counted = await events(app, session_id), await sums()
    saved = await seal(app, session_id)
    after = await sums()
    assert after[0] == counted[0] - saved < 5
    assert after[1:] == counted[1:]
    assert await events(app, session_id) == before == await pages(7)
    async with app.database.transaction() as connection:
        assert await log.read(connection, session_id, after=500, before=511) == before[500:510]
    await write(3)
    await stored(app, session_id)
    assert (await events(app, session_id))[: len(before)] == before
    assert await seal(app, session_id) > 0
    assert await seal(app, session_id) == 0
    assert await seal(app, session_id + 1) == 0
