"""The worker process: Procrastinate fetches jobs on a calm loop of its own thread, the brain works on the main one.

A worker is alive as long as its heartbeat is: a thread of its own with a connection of its own renews it every second
by the database's clock. A worker that can't renew it exits, because others take its jobs after `STALLED_SECONDS`.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

import procrastinate
import psycopg
import structlog
from procrastinate import BaseRetryStrategy, JobContext, RetryDecision
from procrastinate.exceptions import ProcrastinateException
from procrastinate.jobs import Job
from procrastinate.worker import Worker as JobWorker

from quarterdeck.app import (
    attachments,
    deliveries,
    forge_jobs,
    leases,
    leftovers,
    notifications,
    pipelines,
    retention,
    sealing,
    server_calls,
    thread_answers,
    triggers,
    turns,
)
from quarterdeck.app.application import App
from quarterdeck.core.errors import QuarterdeckError, UnavailableError
from quarterdeck.engine.brain import Brain
from quarterdeck.engine.desk import Desk
from quarterdeck.engine.held_jobs import AGAIN_SECONDS, HeldJobs
from quarterdeck.engine.jobs import (
    DELIVERIES,
    FORGE,
    NOTIFICATION,
    QUEUE,
    RETENTION,
    SCHEDULE,
    SEALING,
    SERVER_CALL,
    SWEEP,
    THREAD_ANSWER,
    TURN,
    connector,
)

HEARTBEAT_SECONDS = 1.0
STALLED_SECONDS = 3.0
POLL_SECONDS = 0.25
"""A net under the notification: jobs deferred back to back can be noticed late otherwise."""
NETS_SECONDS = 5.0
DRAIN_SECONDS = 5.0
"""What is done by then has not to be done again; a model's answer that takes longer is asked for anew elsewhere."""

_log = structlog.get_logger(__name__)


class WorkerLostError(QuarterdeckError):
    """The worker's place in the database was given up; its jobs are another's now."""

    code = "worker_lost"


NETS: tuple[Callable[[App], Awaitable[object]], ...] = (
    leases.expire,
    turns.revive,
    turns.forget_ended,
    server_calls.revive,
    notifications.revive,
    triggers.revive,
    deliveries.revive,
    attachments.sweep,
    pipelines.cancel_of_stopped,
    retention.due,
)


class Worker:
    """One worker process's parts."""

    def __init__(self, app: App, brain: Brain, desk: Desk, *, concurrency: int) -> None:
        self._app, self._brain, self._desk = app, brain, desk
        self._concurrency = concurrency

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then lets running jobs come to a good place.

        Raises:
            WorkerLostError: the heartbeat could not be renewed, or the job engine ended by itself.
        """
        loop, lost = asyncio.get_running_loop(), asyncio.Event()

        def lose() -> None:
            with suppress(RuntimeError):  # the loop has ended already
                loop.call_soon_threadsafe(lost.set)

        thread = _JobThread(self._jobs(loop), self._app.database.url, self._concurrency, lose)
        nets = asyncio.create_task(self._nets())
        stopping = asyncio.create_task(stop.wait())
        losing = asyncio.create_task(lost.wait())
        ended = asyncio.ensure_future(thread.start())
        try:
            await asyncio.wait((stopping, losing, ended), return_when=asyncio.FIRST_COMPLETED)
            if losing.done():  # the jobs are another's by now or soon: what runs here ends with the process, at once
                raise WorkerLostError("The worker ended: its heartbeat could not be renewed.")
            if ended.done():
                raise WorkerLostError(f"The worker ended: {'' if ended.cancelled() else ended.exception()}.")
            thread.stop()
            await asyncio.wait((ended,), timeout=DRAIN_SECONDS + 1)
        finally:
            for task in (nets, stopping, losing):
                task.cancel()

    def _jobs(self, main: asyncio.AbstractEventLoop) -> procrastinate.App:
        jobs = procrastinate.App(connector=connector(self._app.database.url))
        # Whatever ends a job before its end (a database away, a worker told to stop), it comes again: its work is in
        # the log, and a turn that can't go on drops its session by itself.
        retry = _Again()

        def on_main(body: Callable[..., Awaitable[object]]) -> Callable[..., Coroutine[Any, Any, None]]:
            async def run(*given: Any, **named: Any) -> None:
                async def work() -> None:
                    await body(*given, **named)

                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(), main))

            return run

        async def turn(context: JobContext, session_id: int, turn_no: int) -> None:
            await self._brain.take(session_id, turn_no, job=context.job.id or 0)

        jobs.task(name=TURN, queue=QUEUE, pass_context=True, retry=retry)(on_main(turn))
        bodies: dict[str, Callable[..., Awaitable[object]]] = {
            SERVER_CALL: self._desk.carry_out,
            NOTIFICATION: partial(notifications.send, self._app),
            DELIVERIES: partial(deliveries.deliver, self._app),
            SCHEDULE: partial(triggers.run_schedule, self._app),
            THREAD_ANSWER: partial(thread_answers.rested, self._app),
            SWEEP: partial(retention.sweep, self._app),
            RETENTION: partial(retention.apply, self._app),
            SEALING: partial(sealing.seal, self._app),
            FORGE: partial(forge_jobs.work, self._app),
        }
        for name, body in bodies.items():
            jobs.task(name=name, queue=QUEUE, retry=retry)(on_main(body))
        return jobs

    async def _nets(self) -> None:
        """Time is nobody's event: leases that ran out are ended, and turns that nobody has are given out again."""
        # What waits for git holds up nobody else.
        await asyncio.gather(self._look(*NETS), self._look(leftovers.clear))

    async def _look(self, *nets: Callable[[App], Awaitable[object]]) -> None:
        while True:
            await asyncio.sleep(NETS_SECONDS)
            for net in nets:
                try:
                    await net(self._app)
                except UnavailableError as error:
                    _log.warning("a net could not look", reason=error.message)
                except Exception:
                    _log.exception("a net failed; it looks again")


class _Again(BaseRetryStrategy):
    """Every job that did not come to its end is given out again after a moment."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision:
        """Always again."""
        del exception, job
        return RetryDecision(retry_in={"seconds": AGAIN_SECONDS})


class _JobThread:
    """Procrastinate's loop, heartbeat and reaper, away from the brain's loop: a busy brain is not a dead worker."""

    def __init__(self, jobs: procrastinate.App, url: str, concurrency: int, lose: Callable[[], None]) -> None:
        self._jobs, self._url, self._lose = jobs, url, lose
        self._manager = jobs.job_manager = HeldJobs(jobs.connector)
        self._at_work = set[int | None]()
        self._loop = asyncio.new_event_loop()
        self._worker = JobWorker(
            app=jobs,
            queues=[QUEUE],
            concurrency=concurrency,
            fetch_job_polling_interval=POLL_SECONDS,
            update_heartbeat_interval=3600,  # ours is in a thread of its own
            stalled_worker_timeout=3600,
            shutdown_graceful_timeout=DRAIN_SECONDS,
            install_signal_handlers=False,
            worker_middleware=[self._noted],
        )
        self._over = threading.Event()

    def start(self) -> asyncio.Future[None]:
        """Begins to fetch; the future ends when the worker does."""
        threading.Thread(target=self._loop.run_forever, name="jobs", daemon=True).start()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._run(), self._loop))

    def stop(self) -> None:
        """No new jobs; those that run have `DRAIN_SECONDS`, then they are handed over."""
        self._worker.stop()

    async def _run(self) -> None:
        try:
            async with self._jobs.open_async():
                reaper = asyncio.create_task(self._reap())
                try:
                    await self._worker.run()
                finally:
                    reaper.cancel()
        finally:
            self._over.set()

    async def _noted(self, go_on: Callable[[], Awaitable[object]], context: JobContext, worker: JobWorker) -> object:
        del worker
        self._at_work.add(context.job.id)
        try:
            return await go_on()
        finally:
            self._at_work.discard(context.job.id)

    async def _reap(self) -> None:
        """Gives the jobs of workers that stopped renewing their heartbeat to the living, and lost ones of our own."""
        manager, ended = self._manager, set[int | None]()
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            if self._worker.worker_id is None:
                continue
            try:
                for job in await manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_SECONDS):
                    _log.info("a dead worker's job is given out again", job=job.id, task=job.task_name)
                    await manager.retry_job(job)
                ended = await self._found_again(self._worker.worker_id, ended)
                await manager.prune_stalled_workers(STALLED_SECONDS * 10)
            except ProcrastinateException as error:
                _log.warning("stalled jobs could not be looked for", reason=str(error))

    async def _found_again(self, worker: int, ended: set[int | None]) -> set[int | None]:
        """Gives out again what is ours by the database alone, which failed when we took it or told it of an end.

        One that it calls ours for the first time, and not among the `ended` of the last look, may be on its way.
        """
        held = await self._manager.held(worker, without=self._at_work)
        for job in held:
            if job.id in ended:
                _log.warning("a job that nobody works on is given out again", job=job.id, task=job.task_name)
                await self._manager.retry_job(job)
        return {job.id for job in held}

    def _beat(self) -> None:
        try:
            with psycopg.connect(self._url, autocommit=True, application_name="quarterdeck heartbeat") as connection:
                while not self._over.wait(HEARTBEAT_SECONDS):
                    worker = self._worker.worker_id
                    if worker is None:
                        continue
                    renewed = connection.execute(
                        "update procrastinate_workers set last_heartbeat = now() where id = %s", (worker,)
                    )
                    if renewed.rowcount == 0 and self._worker.worker_id == worker:
                        break
        except psycopg.Error as error:
            _log.warning("the heartbeat lost its connection", reason=str(error).strip())
        if not self._over.is_set():
            self._lose()
