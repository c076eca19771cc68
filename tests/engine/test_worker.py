"""The worker on Procrastinate: what was measured before it was chosen, as contracts."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast

import procrastinate
import pytest
from procrastinate.jobs import Job
from procrastinate.jobs import Status as JobStatus
from typing_extensions import override

from quarterdeck.app import session_log, sessions, steering
from quarterdeck.app.application import App
from quarterdeck.core.answer import Reply
from quarterdeck.core.errors import UnavailableError
from quarterdeck.core.events import ModelAnswered, TurnStarted
from quarterdeck.core.status import Status
from quarterdeck.core.usage import Usage
from quarterdeck.engine.brain import Brain
from quarterdeck.engine.desk import Desk
from quarterdeck.engine.held_jobs import AGAIN_SECONDS, UNKNOWN_ATTEMPTS, UNKNOWN_SECONDS, HeldJobs
from quarterdeck.engine.jobs import connector
from quarterdeck.engine.models.model import Model, OnText, Request
from quarterdeck.engine.worker import Worker
from tests.conftest import Start

FLOW = """
version: v1
environment: ambient
name: talk
components:
  - {name: talk, type: AgentComponent, prompt_id: talk, inputs: ["context:goal"], toolset: [todo_write]}
routers:
  - {from: talk, to: end}
flow: {entry_point: talk}
prompts:
  - {prompt_id: talk, name: talk, prompt_template: {system: Be brief., user: "{{ goal }}"}}
"""
SCRIPT = "components: {talk: [{say: unused}]}"


def reply(text: str) -> Reply:
    return Reply(text, "", (), "", "test", Usage(requests=1), 1)


@dataclass
class Slow(Model):
    """A model that does what a test says before it answers."""

    before: Callable[[OnText], Awaitable[None]]
    asked: int = 0
    cancelled: list[int] = field(default_factory=list[int])

    @override
    async def answer(self, request: Request, on_text: OnText) -> Reply:
        self.asked += 1
        try:
            await self.before(on_text)
        except asyncio.CancelledError:
            self.cancelled.append(request.session)
            raise
        return reply(f"answer {self.asked}")


@asynccontextmanager
async def working(app: App, model: Model, *, concurrency: int = 16) -> AsyncGenerator[asyncio.Task[None]]:
    stop = asyncio.Event()
    task = asyncio.create_task(
        Worker(app, Brain(app, lambda _name, _script: model), Desk(app), concurrency=concurrency).run(stop)
    )
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait((task,), timeout=60)


async def until(check: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await check():
            await asyncio.sleep(0.05)


async def begin(app: App, start: Start) -> int:
    request = sessions.StartSession(
        project="sample", flow_yaml=FLOW, goal="Say hello.", model="scripted", script=SCRIPT
    )
    return (await sessions.start(app, start.owner, request)).id


async def stands(app: App, start: Start, session_id: int, status: Status) -> bool:
    return (await sessions.show(app, start.owner, session_id)).status is status


class Counting(Brain):
    """Takes a turn by noting it: what the worker gives out is all that is looked at."""

    def __init__(self) -> None:
        self.taken = set[int]()

    @override
    async def take(self, session_id: int, turn_no: int, *, job: int) -> None:
        self.taken.add(session_id)


@pytest.mark.timeout(400)
async def test_ten_thousand_turns_enqueued_back_to_back_are_all_taken(app: App) -> None:
    brain, stop = Counting(), asyncio.Event()
    work = asyncio.create_task(Worker(app, brain, Desk(app), concurrency=32).run(stop))
    for first in range(0, 10_000, 500):
        async with app.database.transaction() as connection:
            for number in range(first, first + 500):
                await app.dispatch.turn(connection, number, 1, None)

    async def done() -> bool:
        async with app.database.transaction() as connection:
            rows = await connection.exec_driver_sql("select exists (select from procrastinate_jobs)")
            return not rows.scalar_one()

    await until(done, 350)
    stop.set()
    await asyncio.wait((work,), timeout=60)
    assert brain.taken == set(range(10_000))


async def test_jobs_come_again_by_the_databases_clock_and_unknown_ones_wait_for_a_worker_that_knows(app: App) -> None:
    async def look(what: str) -> list[tuple[object, ...]]:
        async with app.database.transaction() as connection:
            return [tuple(row) for row in await connection.exec_driver_sql(what)]

    async def waits() -> bool:
        return bool(await look("select from procrastinate_jobs where attempts = 1 and status = 'todo'"))

    make = (
        "insert into procrastinate_jobs (task_name, queue_name, priority, args, status)"
        " values ('of_the_next_version', 'sessions', 0, '{}', 'todo') returning id"
    )
    left = "select extract(epoch from scheduled_at - now())::float from procrastinate_jobs"
    ((number,),) = await look(make)
    async with working(app, Slow(lambda _: asyncio.sleep(0))):
        await until(waits)
    ((seconds,),) = await look(left)
    assert isinstance(seconds, float)
    assert 0 < seconds <= UNKNOWN_SECONDS, "an upgrade is under way"

    jobs = procrastinate.App(connector=connector(app.database.url))
    async with jobs.open_async():
        manager = HeldJobs(jobs.connector)
        job = Job(
            id=cast(int, number), lock=None, queueing_lock=None, task_name="of_the_next_version", queue="sessions"
        )
        for wrong in (timedelta(hours=1), timedelta(hours=-1)):
            await look("update procrastinate_jobs set status = 'doing', worker_id = null returning id")
            await manager.retry_job(job, retry_at=datetime.now(UTC) + wrong)
            ((seconds,),) = await look(left)
            assert isinstance(seconds, float)
            assert -60 < seconds <= AGAIN_SECONDS, "whatever this machine's clock says"
        await look("update procrastinate_jobs set status = 'doing' returning id")
        await manager.finish_job(job.evolve(attempts=UNKNOWN_ATTEMPTS), JobStatus.FAILED, False)
    assert not await look("select id from procrastinate_jobs"), "but not for good"


async def test_a_blocked_brain_is_not_a_dead_worker(app: App, start: Start) -> None:
    async def block(_: OnText) -> None:
        time.sleep(7)

    blocked, other = Slow(block), Slow(block)
    session_id = await begin(app, start)
    loop = asyncio.get_running_loop()
    async with working(app, blocked):
        await until(lambda: _is(blocked.asked == 1))
        # A second worker with a loop of its own looks for dead workers' jobs meanwhile.
        await asyncio.gather(loop.run_in_executor(None, lambda: None))
        async with working(app, other):
            await until(lambda: stands(app, start, session_id, Status.FINISHED))
    events = await session_log.events(app, start.owner, session_id)
    assert sum(isinstance(event.payload, TurnStarted) for event in events) == 1
    assert other.asked == 0


async def _is(value: bool) -> bool:
    return value


async def test_a_stop_aborts_the_turn_and_throws_its_answer_away(app: App, start: Start) -> None:
    async def stream(on_text: OnText) -> None:
        await on_text("Half an ans")
        await asyncio.sleep(600)

    model = Slow(stream)
    session_id = await begin(app, start)
    async with working(app, model):
        await until(lambda: _is(model.asked == 1))
        view = await steering.cancel(app, start.owner, session_id)
        assert view.status is Status.STOPPED
        await until(lambda: _is(model.cancelled == [session_id]))
    events = await session_log.events(app, start.owner, session_id)
    assert not any(isinstance(event.payload, ModelAnswered) for event in events)
    assert events[-1].kind == "status.changed"


async def test_a_worker_that_is_told_to_stop_hands_its_turn_over(app: App, start: Start) -> None:
    async def forever(_: OnText) -> None:
        await asyncio.sleep(600)

    async def nothing(_: OnText) -> None:
        return

    slow = Slow(forever)
    session_id = await begin(app, start)
    async with working(app, slow) as task:
        await until(lambda: _is(slow.asked == 1))
    assert task.done()
    assert task.exception() is None
    assert slow.cancelled == [session_id]
    async with app.database.transaction() as connection:
        jobs = await connection.exec_driver_sql("select status::text from procrastinate_jobs where task_name = 'turn'")
        assert jobs.scalars().all() == ["todo"], "nobody has to find out that its worker is gone"
    async with working(app, Slow(nothing)):
        await until(lambda: stands(app, start, session_id, Status.FINISHED))
    events = await session_log.events(app, start.owner, session_id)
    assert sum(isinstance(event.payload, ModelAnswered) for event in events) == 1


async def test_a_worker_whose_place_was_given_up_ends(app: App) -> None:
    async def nothing(_: OnText) -> None:
        return

    async with working(app, Slow(nothing)) as task:

        async def registered() -> bool:
            async with app.database.transaction() as connection:
                return await app.dispatch.workers(connection) == 1

        await until(registered)
        async with app.database.transaction() as connection:
            await connection.exec_driver_sql("delete from procrastinate_workers")
        await asyncio.wait((task,), timeout=60)
        with pytest.raises(Exception, match="ended"):
            task.result()


async def test_a_worker_that_stood_still_takes_no_job_from_the_one_that_has_it_now(app: App, start: Start) -> None:
    goes_on = asyncio.Event()

    async def stand_still(_: OnText) -> None:
        await goes_on.wait()

    model = Slow(stand_still)
    session_id = await begin(app, start)
    async with working(app, model):
        await until(lambda: _is(model.asked == 1))
        async with app.database.transaction() as connection:
            made = await connection.exec_driver_sql(
                "insert into procrastinate_workers (last_heartbeat) values (now() + interval '1 hour') returning id"
            )
            other = made.scalar_one()
            await connection.exec_driver_sql("update procrastinate_jobs set worker_id = %s", (other,))
        goes_on.set()
        await until(lambda: stands(app, start, session_id, Status.FINISHED))
    async with app.database.transaction() as connection:
        jobs = await connection.exec_driver_sql("select status, worker_id from procrastinate_jobs")
        assert ("doing", other) in [tuple(job) for job in jobs], "if that one dies, somebody has to find it"


REFUSE_ONCE = """
create sequence refusals;
create function refuse() returns trigger language plpgsql as $$ begin
  if nextval('refusals') = 1 then raise 'no room' using errcode = '53100'; end if;
  return new;
end $$;
create trigger refuse before update on procrastinate_jobs for each row
  when (old.status = 'doing' and new.status = 'todo') execute function refuse()
"""


async def test_a_job_that_could_not_be_given_out_again_is_not_lost(app: App, start: Start) -> None:
    """A disk that is full fails a turn, and then the word that it failed; its worker lives."""

    async def away_at_first(_: OnText) -> None:
        if model.asked == 1:
            raise UnavailableError

    model = Slow(away_at_first)
    async with app.database.transaction() as connection:
        await connection.exec_driver_sql(REFUSE_ONCE)
    session_id = await begin(app, start)
    async with working(app, model):
        await until(lambda: stands(app, start, session_id, Status.FINISHED))
    assert model.asked == 2
