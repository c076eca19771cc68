"""Jobs as workers have them: ended, or given out again, only for the worker that they are with."""

from collections.abc import Collection
from datetime import UTC, datetime

from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager

_END = (
    "delete from procrastinate_jobs"
    " where id = %(job)s and status = 'doing' and worker_id is not distinct from %(worker)s"
)
_AGAIN = (
    "update procrastinate_jobs set status = 'todo', attempts = attempts + 1, scheduled_at = %(at)s"
    " where id = %(job)s and status = 'doing' and worker_id is not distinct from %(worker)s"
)
_HELD = (
    "select id, status, task_name, priority, lock, queueing_lock, args, scheduled_at, queue_name, attempts, worker_id"
    " from procrastinate_jobs where status = 'doing' and worker_id = %(worker)s and id <> all(%(known)s)"
)


class HeldJobs(JobManager):
    """A worker that stood still finds its jobs another's; what it then says of them takes nothing from that one."""

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """Takes the job away, whatever became of it: what is not to be again is in the log."""
        del status, delete_job
        await self.connector.execute_query_async(_END, job=job.id, worker=job.worker_id)

    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """Gives it out again, at once or at a time, as it was."""
        del priority, queue, lock
        at = retry_at or datetime.now(UTC)
        await self.connector.execute_query_async(_AGAIN, job=job.id, worker=job.worker_id, at=at)

    async def held(self, worker: int, *, without: Collection[int | None]) -> list[Job]:
        """What is with the worker, by the database, but for the jobs of these numbers."""
        rows = await self.connector.execute_query_all_async(_HELD, worker=worker, known=list(without))
        return [Job.from_row(row) for row in rows]
