"""Watching a pipeline or a job: when to look again, and what of a log is new."""

import asyncio
from collections.abc import AsyncIterator

from pydantic import BaseModel, ConfigDict

from quarterdeck.app import pipeline_views as views
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.pipeline_views import JobView
from quarterdeck.app.pipelines import allowed_job
from quarterdeck.core.access import Ability
from quarterdeck.store import output

CALM_SECONDS = 0.1
"""What rings within it is looked at together."""


class JobProgress(BaseModel):
    """A job, and a piece of its log."""

    model_config = ConfigDict(frozen=True)
    job: JobView
    offset: int
    data: bytes
    size: int
    """Of the whole log by now."""


async def moments(app: App, pipeline_id: int, job_id: int | None = None) -> AsyncIterator[None]:
    """When to look: at once, whenever the pipeline changes or the job prints, and every 15 seconds anyway."""
    topics = [f"pipeline:{pipeline_id}", *([f"job:{job_id}"] if job_id is not None else [])]
    with app.doorbell.listener(*topics) as listener:
        while True:
            yield
            if await listener.wait():
                await asyncio.sleep(CALM_SECONDS)


async def look(app: App, actor: Actor, job_id: int, *, after: int | None, most: int) -> JobProgress:
    """The job, and at most `most` bytes of its log from `after`; without it the log's end."""
    async with app.database.reading() as connection:
        row = await allowed_job(connection, actor, job_id, Ability.READ_PIPELINE)
        (job,) = await views.with_waits(connection, [views.job_view(row)])
        if job.call_id is None:
            return JobProgress(job=job, offset=0, data=b"", size=0)
        size = await output.size(connection, job.call_id)
        offset = max(0, size - most) if after is None else after
        data = await output.read(connection, job.call_id, offset, most)
        return JobProgress(job=job, offset=offset, data=data, size=max(size, offset + len(data)))
