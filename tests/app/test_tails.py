"""Whoever watches a session, from whenever on, is told everything once and in order, by one reader for all."""

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import cast

import pytest
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import insert

from quarterdeck.app import signals, tails, watch
from quarterdeck.app.application import App
from quarterdeck.app.change import change
from quarterdeck.core import events as e
from quarterdeck.store.doorbell import ring
from quarterdeck.store.output import write
from quarterdeck.store.tables import offers, outputs
from tests.app.chats import begin
from tests.conftest import Start


async def append(app: App, session_id: int, *payloads: e.AnyPayload) -> int:
    async with change(app, session_id) as it:
        it.append(*payloads)
    return it.state.seq


async def printed(app: App, session_id: int, call_id: str, offset: int, data: bytes) -> None:
    async with app.database.transaction() as connection:
        await connection.execute(insert(outputs).values(call_id=call_id, offset=offset, data=data))
        await ring(connection, f"session:{session_id}")


def check(name: str) -> e.CheckRecorded:
    return e.CheckRecorded(name=name, passed=True)


async def moments(app: App, start: Start, session_id: int, after: int) -> AsyncGenerator[tails.Moment]:
    return cast("AsyncGenerator[tails.Moment]", await watch.session(app, start.owner, session_id, after=after))


async def told(app: App, start: Start, session_id: int, after: int, last: str) -> tuple[list[int], bytes]:
    """The numbers of the events and the output of a watcher, up to the check of the name `last`."""
    seqs, output = list[int](), b""
    async with aclosing(await moments(app, start, session_id, after)) as source:
        async for moment in source:
            for signal in moment.signals:
                match signal:
                    case signals.EventSignal():
                        seqs.append(signal.event.seq)
                        if isinstance(signal.event.payload, e.CheckRecorded) and signal.event.payload.name == last:
                            return seqs, output
                    case signals.OutputSignal():
                        assert signal.offset == len(output)
                        output += signal.data
                    case _:
                        pass
    raise AssertionError("it ended early")


@pytest.mark.parametrize("seed", range(4))
async def test_watchers_who_come_at_any_time_are_told_the_same(app: App, start: Start, seed: int) -> None:
    chance = random.Random(seed)
    session_id = await begin(app, start.owner)
    watchers = list[tuple[int, asyncio.Task[tuple[list[int], bytes]]]]()
    written, seq = b"", await append(app, session_id, check("first"))

    def come(after: int) -> None:
        watchers.append((after, asyncio.create_task(told(app, start, session_id, after, "last"))))

    come(0)
    await append(
        app,
        session_id,
        e.ToolCallRequested(call_id="c_1", component="chat", tool="run_command", args={}, side="executor", asks=False),
        e.ToolCallsOffered(call_ids=("c_1",)),
        e.ToolCallStarted(call_id="c_1", executor="local"),
    )
    for number in range(40):
        if chance.random() < 0.3:
            come(0)
        if chance.random() < 0.2:
            come(seq + 3)  # behind the call's start: it is sent what was printed from the beginning
        if chance.random() < 0.5:
            data = bytes(f"line {number}\n", "ascii") * chance.randint(1, 3)
            await printed(app, session_id, "c_1", len(written), data)
            written += data
        await append(app, session_id, check(str(number)), *([check("more")] if number % 7 == 0 else []))
        if chance.random() < 0.3:
            await asyncio.sleep(0.01)
    await append(app, session_id, e.ToolCallFinished(call_id="c_1", tool="run_command", outcome=e.Outcome.OK, text=""))
    end = await append(app, session_id, check("last"))
    async with asyncio.timeout(60):
        for after, watcher in watchers:
            seqs, output = await watcher
            assert seqs == list(range(after + 1, end + 1))
            assert output == written
    assert not app.tails._tails  # pyright: ignore[reportPrivateUsage]


async def test_one_look_serves_all_watchers(app: App, start: Start) -> None:
    session_id = await begin(app, start.owner)
    seq = await append(app, session_id, check("first"))
    sources = [await moments(app, start, session_id, 0) for _ in range(30)]
    for source in sources:
        assert [one.event.seq for one in _events(await anext(source))] == list(range(1, seq + 1))
    waiting = [asyncio.ensure_future(anext(source)) for source in sources]
    await asyncio.sleep(0.1)
    asked = list[str]()
    sqlalchemy_event.listen(
        app.database.engine.sync_engine, "before_cursor_execute", lambda *call: asked.append(str(call[2]))
    )
    await append(app, session_id, check("for all"))
    async with asyncio.timeout(60):
        found = await asyncio.gather(*waiting)
    assert len(set(map(id, found))) == 1
    written = list[int]()

    def tell(of: Sequence[signals.Signal]) -> bytes:
        written.append(len(of))
        return b"told"

    assert {one.told(tell) for one in found} == {b"told"}
    assert written == [1]
    assert len([one for one in asked if "event_batches.data" in one and one.startswith("SELECT")]) == 1
    for source in sources:
        await source.aclose()


async def test_a_watcher_misses_nothing_when_another_one_begins_the_tail_farther_on(app: App, start: Start) -> None:
    session_id = await begin(app, start.owner)
    seq = await append(app, session_id, check("first"))
    early = await moments(app, start, session_id, 0)
    seen = [one.event.seq for one in _events(await anext(early))]
    await append(app, session_id, check("between"))
    late = await moments(app, start, session_id, 0)
    await anext(late)
    waiting = asyncio.ensure_future(anext(late))
    await asyncio.sleep(0.1)
    end = await append(app, session_id, check("last"))
    async with asyncio.timeout(60):
        await waiting
        while seen[-1] < end:
            seen += [one.event.seq for one in _events(await anext(early))]
    assert seq + 2 == end
    assert seen == list(range(1, end + 1))
    await early.aclose()
    await late.aclose()


def _events(moment: tails.Moment) -> list[signals.EventSignal]:
    return [one for one in moment.signals if isinstance(one, signals.EventSignal)]


async def test_a_watcher_that_stalls_is_dropped_and_goes_on_where_it_was(app: App, start: Start) -> None:
    session_id = await begin(app, start.owner)
    await append(app, session_id, check("first"))
    slow, quick = await moments(app, start, session_id, 0), await moments(app, start, session_id, 0)
    seen = _events(await anext(slow))[-1].event.seq
    seen = max(seen, _events(await anext(quick))[-1].event.seq)
    ahead = asyncio.ensure_future(anext(slow))
    await append(app, session_id, check("both"))
    async with asyncio.timeout(60):
        last = end = _events(await ahead)[-1].event.seq
        for number in range(8):
            end = await append(app, session_id, check(f"{number} " + "x" * 60_000))
            while not (found := _events(await anext(quick))) or found[-1].event.seq < end:
                pass  # a moment of which this one knew all is empty
        with pytest.raises(tails.WatcherBehindError):
            await anext(slow)
        seqs, _ = await asyncio.wait_for(_resumed(app, start, session_id, last), 60)
    assert seqs == list(range(last + 1, end + 2))
    await quick.aclose()


async def _resumed(app: App, start: Start, session_id: int, after: int) -> tuple[list[int], bytes]:
    watching = asyncio.create_task(told(app, start, session_id, after, "last"))
    await append(app, session_id, check("last"))
    return await watching


async def test_who_comes_to_a_page_is_told_the_end_of_what_was_printed(app: App, start: Start) -> None:
    session_id = await begin(app, start.owner)
    before = await append(app, session_id, check("first"))
    about: dict[str, object] = {
        "component": "chat",
        "tool": "run_command",
        "args": {},
        "side": "executor",
        "asks": False,
    }
    calls = [f"c_{session_id}_{n}" for n in range(2)]
    for call_id in calls:
        await append(
            app,
            session_id,
            e.ToolCallRequested.model_validate({"call_id": call_id, **about}),
            e.ToolCallsOffered(call_ids=(call_id,)),
            e.ToolCallStarted(call_id=call_id, executor="local"),
        )
        row = {"call_id": call_id, "subject": f"session:{session_id}", "session_id": session_id, "status": "running"}
        async with app.database.transaction() as connection:
            await connection.execute(insert(offers).values(**row, side="executor", tool="run_command", args={}))
            await write(connection, f"session:{session_id}", call_id, 0, bytes(range(100)))
    await append(
        app, session_id, e.ToolCallFinished(call_id=calls[1], tool="run_command", outcome=e.Outcome.OK, text="")
    )
    source = cast(
        "AsyncGenerator[tails.Moment]",
        await watch.session(app, start.owner, session_id, after=before, most_output=10),
    )
    found = list[signals.OutputSignal]()
    async with aclosing(source), asyncio.timeout(60):
        async for moment in source:
            found += [one for one in moment.signals if isinstance(one, signals.OutputSignal)]
            if len(found) == 2:
                async with app.database.transaction() as connection:
                    await write(connection, f"session:{session_id}", calls[0], 100, bytes(50))
            if len(found) > 2:
                break
    told = {(one.call_id, one.offset): (one.data, one.skipped) for one in found}
    assert told == {
        (calls[1], 90): (bytes(range(90, 100)), True),
        (calls[0], 90): (bytes(range(90, 100)), True),
        (calls[0], 100): (bytes(50), False),
    }, "the end of what is there, and whatever comes"
