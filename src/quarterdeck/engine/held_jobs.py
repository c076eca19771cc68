"""Jobs as workers have them: ended, or given out again, only for the worker that they are with."""

from collections.abc import Collection
from datetime import datetime

from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager

AGAIN_SECONDS = 1
"""So much later a job that did not come to its end is given out again."""
UNKNOWN_SECONDS = 15.0
"""And one that no worker of this version knows: one of the next may have made it, and is there or soon will be."""
UNKNOWN_ATTEMPTS = 240
"""But not for good: after an hour it is one that no version makes any more."""
_END = (
    "delete from procrastinate_jobs"
    " where id = %(job)s and status = 'doing' and worker_id is not distinct from %(worker)s"
)
_AGAIN = (
    "update procrastinate_jobs set status = 'todo', attempts = attempts + 1,"
    " scheduled_at = now() + make_interval(secs => %(wait)s)"
    " where id = %(job)s and status = 'doing' and worker_id is not distinct from %(worker)s"
)
_HELD = (
    "select id, status, task_name, priority, lock, queueing_lock, args, scheduled_at, queue_name, attempts, worker_id"
    " from procrastinate_jobs where status = 'doing' and worker_id = %(worker)s and id <> all(%(known)s)"
)


class HeldJobs(JobManager):
    """A worker that stood still finds its jobs another's; what it then says of them takes nothing from that one."""

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """Takes the job away: what is not to be again is in the log. One that failed with no retry is unknown here."""
        del delete_job
        if status is Status.FAILED and job.attempts < UNKNOWN_ATTEMPTS:
            await self._again(job, UNKNOWN_SECONDS)
            return
        await self.connector.execute_query_async(_END, job=job.id, worker=job.worker_id)

    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """Gives it out again as it was: at once, or after `AGAIN_SECONDS` if a time is given.

        By the database's clock: the time is this machine's, which may be wrong.
        """
        del priority, queue, lock
        await self._again(job, 0.0 if retry_at is None else AGAIN_SECONDS)

    async def _again(self, job: Job, wait: float) -> None:
        await self.connector.execute_query_async(_AGAIN, job=job.id, worker=job.worker_id, wait=wait)

    async def held(self, worker: int, *, without: Collection[int | None]) -> list[Job]:
        """What is with the worker, by the database, but for the jobs of these numbers."""
        rows = await self.connector.execute_query_all_async(_HELD, worker=worker, known=list(without))
        return [Job.from_row(row) for row in rows]
