"""The outbox: one entry for each status, in order, and none lost or told twice, whoever dies."""

import asyncio
import json
import random
import signal
import sys
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from quarterdeck.app import deletion, executors, forks, hellos, sessions, steering, turns
from quarterdeck.app.application import App
from quarterdeck.app.change import change
from quarterdeck.app.forks import ForkSession
from quarterdeck.app.sessions import StartSession
from quarterdeck.core import events as e
from quarterdeck.core import protocol as p
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.status import Transition
from quarterdeck.store import log, outbox
from quarterdeck.store.tables import outbox as rows
from tests.app.test_sessions import FLOW, SCRIPT, World
from tests.conftest import Start

TAKER = """
import asyncio, json, sys
from quarterdeck.store import outbox
from quarterdeck.store.database import Database

async def main(url):
    database = Database(url)
    async with database.transaction() as connection:
        taken = await outbox.take(connection, 100)
        print(json.dumps([entry.id for entry in taken]), flush=True)
        await asyncio.sleep(600)

asyncio.run(main(sys.argv[1]))
"""


async def begin(app: App, start: Start) -> int:
    request = StartSession(project="sample", flow_yaml=FLOW, goal="g", model="scripted", script=SCRIPT)
    return (await sessions.start(app, start.owner, request)).id


async def statuses(app: App, session_id: int) -> list[tuple[int, str]]:
    """What the log says."""
    async with app.database.transaction() as connection:
        events = await log.read(connection, session_id, limit=100_000)
    return [(1, "created")] + [
        (one.seq, one.payload.to_status.value) for one in events if isinstance(one.payload, e.StatusChanged)
    ]


async def entries(app: App, session_id: int) -> list[tuple[int, str]]:
    async with app.database.transaction() as connection:
        query = select(rows.c.seq, rows.c.status).where(rows.c.session_id == session_id).order_by(rows.c.id)
        return [(row.seq, row.status) for row in await connection.execute(query)]


@pytest.mark.parametrize("seed", range(3))
async def test_each_status_of_the_log_has_one_entry_in_its_order(app: App, start: Start, seed: int) -> None:
    hands = await executors.authenticate(app, start.runner_token)
    said = p.Hello(protocol=1, version="0", name="r", capacity=4, isolation="full")
    world = World(app, start, hands, (await hellos.hello(app, hands, said)).runner, random.Random(seed))
    world.session_id = await begin(app, start)
    actions = [world.claim, world.advance, world.answer, world.take_offers, world.end_call, world.person, world.person]
    told = list[tuple[int, str]]()
    for step in range(1_000):
        try:
            await world.chance.choice(actions)()
        except QuarterdeckError:
            world.question = None
        if step >= 80 and len(told := await statuses(app, world.session_id)) > 3:
            break
    assert len(told) > 3
    assert await entries(app, world.session_id) == told
    async with app.database.transaction() as connection:
        row = (await connection.execute(select(rows).limit(1))).one()
    assert (row.project_id, row.delivered_at) == (1, None)


async def test_taken_in_order_by_several_and_given_back_by_one_that_is_killed(app: App, start: Start) -> None:
    first, second = await begin(app, start), await begin(app, start)
    await steering.cancel(app, start.owner, first)
    taker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", TAKER, app.database.url, stdout=asyncio.subprocess.PIPE
    )
    assert taker.stdout is not None
    held = json.loads(await taker.stdout.readline())
    assert len(held) == 2, "the first of each session"
    async with app.database.transaction() as connection:
        assert await outbox.take(connection, 100) == [], "nothing past what another has"
    taker.send_signal(signal.SIGKILL)
    await taker.wait()
    seen: list[tuple[int, str]] = []

    async def consume() -> None:
        while True:
            async with app.database.transaction() as connection:
                taken = await outbox.take(connection, 1)
                seen.extend((entry.session_id, str(entry.status)) for entry in taken)
                left = select(func.count()).where(rows.c.delivered_at.is_(None))
                if not (await connection.execute(left)).scalar_one():
                    return
                await asyncio.sleep(0)

    async with asyncio.timeout(60):
        while not seen:  # the server notices the death of the killed one within a moment
            async with app.database.transaction() as connection:
                seen += [(entry.session_id, str(entry.status)) for entry in await outbox.take(connection, 1)]
        await asyncio.gather(consume(), consume(), consume())
    assert sorted(seen) == [(first, "created"), (first, "stopped"), (second, "created")]
    assert seen.index((first, "created")) < seen.index((first, "stopped"))


async def test_a_fork_tells_of_itself_and_not_of_its_history(app: App, start: Start) -> None:
    source = await begin(app, start)
    await turns.claim(app, source, 1, job=1)
    async with change(app, source) as it:
        it.move(Transition.START)
        it.move(Transition.PAUSE)
        it.move(Transition.RESUME)
    number = (await forks.fork(app, start.owner, source, ForkSession(message="Go on."))).id
    copied = {seq for seq, _ in await statuses(app, number)}
    told = await entries(app, number)
    assert told[0] == (1, "created")
    assert len(copied) > len(told)
    await steering.cancel(app, start.owner, number)
    assert (await entries(app, number))[-1][1] == "stopped"


async def test_old_entries_go_and_those_of_a_deleted_session_at_once(app: App, start: Start) -> None:
    first, second = await begin(app, start), await begin(app, start)
    await deletion.delete_session(app, start.owner, first)
    assert await entries(app, first) == []
    now = datetime.now(UTC)
    async with app.database.transaction() as connection:
        assert await outbox.prune(connection, now) == 0
        assert await outbox.prune(connection, now + timedelta(days=8)) == 1
    assert await entries(app, second) == []
