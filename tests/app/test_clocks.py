"""A clock that is wrong or jumps: nobody loses a lease, nothing is deleted too early, and no token dies of it."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest
from sqlalchemy import func, select, update

from quarterdeck.app import (
    executors,
    hellos,
    leases,
    notifications,
    offers,
    people,
    pipeline_jobs,
    retention,
    runners,
    turns,
)
from quarterdeck.app.application import App
from quarterdeck.app.notifications import Wish
from quarterdeck.app.retention import Swept
from quarterdeck.core import events as e
from quarterdeck.core import protocol as p
from quarterdeck.core.errors import FencedError, UnauthenticatedError
from quarterdeck.core.limits import RETENTION_DAYS
from quarterdeck.store import clock, log
from quarterdeck.store.tables import leases as lease_rows
from quarterdeck.store.tables import pipeline_jobs as job_rows
from quarterdeck.store.tables import sessions as session_rows
from tests.app.test_reports import HELLO, asked, began, calls, payloads
from tests.app.test_retention import ended, left
from tests.conftest import Start

REAL = datetime
YEAR = timedelta(days=400)


class _Anytime(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, REAL)


@contextmanager
def machine(monkeypatch: pytest.MonkeyPatch, ahead: timedelta) -> Generator[None]:
    """Within, every module of ours runs on a machine whose clock is so much ahead."""

    class Wrong(datetime, metaclass=_Anytime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return REAL.now(tz) + ahead

    with monkeypatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith("quarterdeck.") and getattr(module, "datetime", None) is REAL:
                patch.setattr(module, "datetime", Wrong)
        yield


class Elapsed:
    """The clocks that nobody sets, put back so that the database's seems to have jumped ahead by as much."""

    def __init__(self) -> None:
        self.put, self.slept = timedelta(), timedelta()
        self._true = clock.elapsed

    def __call__(self) -> float:
        return self._true() + self.put.total_seconds()

    def awake(self) -> float:
        return self() - self.slept.total_seconds()

    def sleep(self, time: timedelta) -> None:
        """So much passes while the machine is asleep, for the database's clock too."""
        self.slept += time
        self.wait(time)

    def jump(self, ahead: timedelta) -> None:
        self.put -= ahead

    def wait(self, time: timedelta) -> None:
        """So much passes, for the database's clock too."""
        self.put += time
        told = clock._clock.told  # pyright: ignore[reportPrivateUsage]
        assert told is not None
        told.elapsed += time.total_seconds()


@pytest.fixture
def elapsed(monkeypatch: pytest.MonkeyPatch) -> Elapsed:
    made = Elapsed()
    monkeypatch.setattr(clock, "elapsed", made)
    monkeypatch.setattr(clock, "awake", made.awake)
    monkeypatch.setattr(clock, "_clock", clock._Clock())  # pyright: ignore[reportPrivateUsage]
    return made


@pytest.mark.parametrize("ahead", [YEAR, -YEAR], ids=["ahead", "behind"])
async def test_a_machine_whose_clock_is_a_year_off_writes_what_the_others_write(
    app: App, start: Start, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    async with app.database.transaction() as connection:
        before = await people.issue(connection, "workspace", subject="session:999", lasts=timedelta(hours=1))
        over = await people.issue(connection, "workspace", subject="session:999", lasts=timedelta(seconds=-1))
    gone = await ended(app, start)
    with machine(monkeypatch, ahead):
        session_id = await asked(app, start, 1)
        hands = await executors.authenticate(app, start.runner_token)
        runner = (await hellos.hello(app, hands, HELLO)).runner
        orders = offers.stream(app, hands, runner)
        (offer,) = calls(await anext(orders))
        await orders.aclose()
        assert (await runners.show(app, start.owner, runner)).alive
        assert await leases.expire(app) == 0
        assert (await people.authenticate_workspace(app, before)).subject == "session:999"
        with pytest.raises(UnauthenticatedError):
            await people.authenticate_workspace(app, over)
        assert await retention.sweep(app) == Swept(0, 0)
        waits = await began(app, start)
        turn = await turns.claim(app, waits, 1, job=2)
        assert turn is not None
        await turns.advance(app, turn)
        woken = await notifications.want(app, start.owner, waits, "c_w", Wish("time", at=timedelta(seconds=1)))
        async with app.database.transaction() as connection:
            job = (
                await connection.execute(select(job_rows.c.id).where(job_rows.c.status == "pending").limit(1))
            ).scalar_one()
            await pipeline_jobs.job_started(connection, app, job)
    async with app.database.transaction() as connection:
        begun = (await connection.execute(select(job_rows.c.started_at).where(job_rows.c.id == job))).scalar_one()
        now = (await connection.execute(select(func.now()))).scalar_one()
        events = [*await log.read(connection, session_id), *await log.read(connection, waits)]
        days = (await connection.execute(select(session_rows.c.expires_on))).scalars().all()
    assert woken is not None
    assert all(abs(now - at) < timedelta(minutes=2) for at in (woken, begun, *(event.at for event in events)))
    assert {abs((day - now.date()).days - RETENTION_DAYS) for day in days} <= {0, 1}
    assert (await people.authenticate_workspace(app, offer.workspace.token)).subject == f"session:{session_id}"
    await turns.failed_to_answer(app, turn, "first", "away", None)
    assert isinstance((await payloads(app, waits))[-2], e.ModelRetried), "and it is not paused at once"
    assert await retention.sweep(app) == Swept(0, 0)
    assert {gone, session_id, waits} <= await left(app)


@pytest.mark.parametrize(
    ("ahead", "what"),
    [(timedelta(hours=1), Elapsed.jump), (timedelta(hours=-1), Elapsed.jump), (timedelta(hours=1), Elapsed.sleep)],
    ids=["ahead", "back", "asleep"],
)
async def test_a_jump_of_the_clock_costs_no_lease_and_keeps_none(
    app: App, start: Start, elapsed: Elapsed, ahead: timedelta, what: Callable[[Elapsed, timedelta], None]
) -> None:
    """As when a clock is set, or after a laptop's sleep: whoever lives has the time to be heard of."""
    hands = await executors.authenticate(app, start.runner_token)
    runner = (await hellos.hello(app, hands, HELLO)).runner
    lives, dies = await asked(app, start, 1), await asked(app, start, 1)
    orders = offers.stream(app, hands, runner)
    given = {offer.subject: offer for offer in calls(await anext(orders))}
    await orders.aclose()
    assert await leases.expire(app) == 0
    async with app.database.transaction() as connection:  # by the clock as it is after the jump
        await connection.execute(update(lease_rows).values(expires_at=lease_rows.c.expires_at - ahead))
    what(elapsed, ahead)
    assert await leases.expire(app) == 0, "all look as if they had run out, or never would"
    await executors.heartbeat(app, hands, p.Heartbeat(runner=runner))
    async with app.database.transaction() as connection:  # as if another runner had it, which is dead
        dead = update(lease_rows).where(lease_rows.c.subject == f"session:{dies}")
        await connection.execute(dead.values(expires_at=func.now() - ahead))
    elapsed.wait(timedelta(seconds=p.DROP_SECONDS - 1))
    assert await leases.expire(app) == 0
    elapsed.wait(timedelta(seconds=2))
    assert await leases.expire(app) == 1
    said = {name: p.Started(turn_no=one.turn_no, lease_epoch=one.lease_epoch) for name, one in given.items()}
    mine, other = (given[f"session:{one}"] for one in (lives, dies))
    await executors.started(app, hands, mine.call_id, said[mine.subject])
    with pytest.raises(FencedError):
        await executors.started(app, hands, other.call_id, said[other.subject])


async def test_a_jump_ahead_deletes_nothing_until_it_has_stood_for_a_day(
    app: App, start: Start, elapsed: Elapsed
) -> None:
    over = await ended(app, start)
    assert await retention.sweep(app) == Swept(0, 0)
    elapsed.jump(timedelta(days=100))
    async with app.database.transaction() as connection:
        days = timedelta(days=100)
        past = {"last_activity": session_rows.c.last_activity - days, "expires_on": session_rows.c.expires_on - days}
        await connection.execute(update(session_rows).where(session_rows.c.id == over).values(past))
    for _ in range(2):
        assert await retention.sweep(app) == Swept(0, 0)
        elapsed.wait(timedelta(hours=12))
    elapsed.wait(timedelta(seconds=1))
    assert await retention.sweep(app) == Swept(0, 1)


def test_the_time_before_anybody_was_asked_is_this_machine_s(elapsed: Elapsed) -> None:
    assert abs(clock.now() - REAL.now(UTC)) < timedelta(minutes=1)
    assert clock.steady(0)
    assert clock.due()
