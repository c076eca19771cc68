"""The life of a pipeline's jobs: offered to runners, reported by them, tried again, until the pipeline has ended.

Every change locks the pipeline's row first, and what its end brings to sessions locks theirs after it (`lock_order`).
"""

from contextlib import suppress
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import pipeline_views as views
from quarterdeck.app.acts import new_call_id
from quarterdeck.app.application import App
from quarterdeck.app.change import changing
from quarterdeck.app.forge_wants import want
from quarterdeck.app.lock_order import lock_sessions
from quarterdeck.app.occurrences import pipeline_came_to
from quarterdeck.app.pipeline_views import JobView
from quarterdeck.app.server_calls import finish_call
from quarterdeck.app.wanted import happened
from quarterdeck.core.errors import NotFoundError, SessionEndedError
from quarterdeck.core.events import CheckRecorded, Outcome
from quarterdeck.core.pipeline import (
    ENDED,
    PIPELINE_ENDED,
    CiPipeline,
    JobFailure,
    JobStatus,
    PipelineStatus,
    decide,
    outcome,
    tries_again,
)
from quarterdeck.core.protocol import Result
from quarterdeck.core.text import clean, line
from quarterdeck.store import clock
from quarterdeck.store.doorbell import ring
from quarterdeck.store.tables import leases, offers, pipeline_jobs, pipeline_waits, pipelines

RUNNER_LOST = "the runner was not heard of any more"
"""The reason of an attempt that ended with its runner; the job gets one more, through no fault of its own."""
_OPEN = ("waiting", "offered", "running")


async def lock(connection: AsyncConnection, pipeline_id: int) -> Row[Any]:
    """Takes the pipeline's row for this transaction. Raises NotFoundError."""
    query = select(pipelines).where(pipelines.c.id == pipeline_id).with_for_update(key_share=True)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no pipeline #{pipeline_id}.")
    return row


async def advance(connection: AsyncConnection, app: App, pipeline_id: int) -> PipelineStatus:
    """Lets jobs begin that may now, and ends the pipeline when nothing is left; can be called at any time."""
    row = await lock(connection, pipeline_id)
    definition = CiPipeline.model_validate(row.definition)
    jobs = await views.newest(connection, pipeline_id)
    statuses = {name: job.status for name, job in jobs.items()}
    while changes := decide(definition, statuses):
        statuses |= changes
        for name, status in changes.items():
            await _enter(connection, definition, jobs[name], status)
    status = outcome(definition, statuses)
    await come_to(connection, app, row, status)
    return status


async def come_to(connection: AsyncConnection, app: App, row: Row[Any], status: PipelineStatus) -> None:
    """Notes what a pipeline, whose row is locked, has come to, and tells those who wait for its end."""
    before = PipelineStatus(row.status)
    if status is not before:
        ended = clock.now() if status in PIPELINE_ENDED else None
        await connection.execute(
            update(pipelines).where(pipelines.c.id == row.id).values(status=status.value, ended_at=ended)
        )
        await pipeline_came_to(app, connection, row, status.value)
        if row.external_id is None:
            await want(connection, app.dispatch, row.project_id, "status", row.id)
    if status in PIPELINE_ENDED and before not in PIPELINE_ENDED:
        await _tell_waiting(connection, app, row.id)
    await ring(connection, f"pipeline:{row.id}")


async def _enter(connection: AsyncConnection, definition: CiPipeline, job: JobView, status: JobStatus) -> None:
    values: dict[str, object] = {"status": status.value}
    match status:
        case JobStatus.PENDING:
            values["call_id"] = call_id = new_call_id()
            tags = next(one.tags for one in definition.jobs if one.name == job.name)
            await connection.execute(
                insert(offers).values(
                    call_id=call_id,
                    subject=f"job:{job.id}",
                    job_id=job.id,
                    side="executor",
                    tool="pipeline_job",
                    args={},
                    tags=list(tags),
                    status="waiting",
                )
            )
            await ring(connection, "runners:all")
        case JobStatus.SKIPPED:
            values["ended_at"] = clock.now()
        case _:
            pass
    await connection.execute(update(pipeline_jobs).where(pipeline_jobs.c.id == job.id).values(values))


async def _tell_waiting(connection: AsyncConnection, app: App, pipeline_id: int) -> None:
    """Ends the tool calls of sessions that waited for this pipeline."""
    mine = pipeline_waits.c.pipeline_id == pipeline_id  # no further one comes while the pipeline is locked
    waits = select(pipeline_waits.c.session_id, pipeline_waits.c.call_id).where(mine)
    waiting = (await connection.execute(waits.order_by(pipeline_waits.c.session_id, pipeline_waits.c.call_id))).all()
    made_by = select(pipelines.c.session_id).where(pipelines.c.id == pipeline_id)
    checked: int | None = (await connection.execute(made_by)).scalar_one()
    await lock_sessions(connection, {*(row.session_id for row in waiting), *([checked] if checked else [])})
    await connection.execute(delete(pipeline_waits).where(mine))
    await happened(connection, app.dispatch, "pipeline", pipeline_id)
    result, text = await views.told(connection, pipeline_id)
    if checked is not None:
        await _record_check(connection, app, checked, pipeline_id, passed=result is Outcome.OK)
    for row in waiting:
        await finish_waiting(app, connection, row.session_id, row.call_id, result, text)


async def _record_check(
    connection: AsyncConnection, app: App, session_id: int, pipeline_id: int, *, passed: bool
) -> None:
    """Notes in the session whose work the pipeline checked how it came out."""
    with suppress(NotFoundError):
        async with changing(app, connection, session_id) as it:
            url = f"{app.public_url}/pipelines/{pipeline_id}"
            it.append(CheckRecorded(name=f"pipeline #{pipeline_id}", passed=passed, url=url))


async def finish_waiting(
    app: App, connection: AsyncConnection, session_id: int, call_id: str, result: Outcome, text: str
) -> None:
    """Ends one call; a session that is gone or has ended needs no answer any more, and spoils nothing here."""
    try:
        async with connection.begin_nested():
            await finish_call(app, connection, session_id, call_id, outcome=result, text=text)
    except (NotFoundError, SessionEndedError):
        return


async def _job(connection: AsyncConnection, job_id: int) -> tuple[Row[Any], JobView]:
    """The job's pipeline, locked, and the job. Raises NotFoundError."""
    missing = NotFoundError(f"There is no job {job_id}.")
    query = select(pipeline_jobs).where(pipeline_jobs.c.id == job_id)
    found = (await connection.execute(query)).one_or_none()
    if found is None:
        raise missing
    pipeline = await lock(connection, found.pipeline_id)
    again = (await connection.execute(query)).one_or_none()
    if again is None:
        raise missing
    return pipeline, views.job_view(again)


async def lock_of(connection: AsyncConnection, job_id: int) -> None:
    """Locks the job's pipeline, which is to be locked before the job's lease; nothing when the job is gone."""
    with suppress(NotFoundError):
        await _job(connection, job_id)


async def job_started(connection: AsyncConnection, app: App, job_id: int) -> None:
    """A runner has begun with the job; said again, or too late, it changes nothing."""
    del app
    pipeline, job = await _job(connection, job_id)
    if job.status is not JobStatus.PENDING:
        return
    now = clock.now()
    await connection.execute(
        update(pipeline_jobs).where(pipeline_jobs.c.id == job_id).values(status=JobStatus.RUNNING.value, started_at=now)
    )
    if pipeline.started_at is None:
        await connection.execute(update(pipelines).where(pipelines.c.id == pipeline.id).values(started_at=now))
    await ring(connection, f"pipeline:{pipeline.id}")


async def job_finished(connection: AsyncConnection, app: App, job_id: int, result: Result) -> bool:
    """A job's end as its runner reports it, which also ends its offer; False when it had ended already."""
    pipeline, job = await _job(connection, job_id)
    if job.status in ENDED:
        return False
    if result.outcome is Outcome.INTERRUPTED:
        await _interrupted(connection, app, pipeline, job)
        return True
    passed = result.outcome is Outcome.OK and result.exit_code in (None, 0)
    status = JobStatus.SUCCESS if passed else JobStatus.FAILED
    if result.outcome is Outcome.CANCELLED:
        status = JobStatus.CANCELED
    await end_job(
        connection,
        job,
        status,
        reason="" if passed else _reason(result),
        exit_code=result.exit_code,
        artifacts_blob=result.artifacts_blob,
    )
    if status is JobStatus.FAILED:
        await _retry(connection, pipeline, job, _failure(result), result.exit_code)
    await advance(connection, app, pipeline.id)
    return True


def _failure(result: Result) -> JobFailure:
    if result.outcome is Outcome.TIMED_OUT:
        return "job_execution_timeout"
    return "runner_system_failure" if result.exit_code is None else "script_failure"


async def _retry(
    connection: AsyncConnection, pipeline: Row[Any], job: JobView, why: JobFailure, exit_code: int | None
) -> None:
    """Tries a job that failed again if its `retry` says so; attempts that their runner took along don't count."""
    definition = CiPipeline.model_validate(pipeline.definition)
    wanted = next(one.retry for one in definition.jobs if one.name == job.name)
    if wanted is None:
        return
    attempts = await views.all_attempts(connection, pipeline.id)
    lost = sum(one.name == job.name and one.reason == RUNNER_LOST and one.id != job.id for one in attempts)
    if tries_again(wanted, job.attempt - lost, why, exit_code):
        await begin(connection, pipeline.id, await try_again(connection, job))


def _reason(result: Result) -> str:
    """Why it failed, when the exit code alone doesn't tell."""
    if result.outcome is Outcome.TIMED_OUT or result.exit_code is None:
        return line(clean(result.text), 500) or result.outcome.value.replace("_", " ")
    return ""


async def job_interrupted(connection: AsyncConnection, app: App, job_id: int) -> None:
    """The job's runner was lost: it is tried once more from its beginning."""
    pipeline, job = await _job(connection, job_id)
    if job.status not in ENDED:
        await _interrupted(connection, app, pipeline, job)


async def _interrupted(connection: AsyncConnection, app: App, pipeline: Row[Any], job: JobView) -> None:
    attempts = await views.all_attempts(connection, pipeline.id)
    lost_before = any(one.name == job.name and one.reason == RUNNER_LOST for one in attempts)
    await end_job(connection, job, JobStatus.FAILED, reason=RUNNER_LOST)
    if not lost_before:
        await begin(connection, pipeline.id, await try_again(connection, job))
    else:
        await _retry(connection, pipeline, job, "runner_system_failure", None)
    await advance(connection, app, pipeline.id)


async def end_job(
    connection: AsyncConnection,
    job: JobView,
    status: JobStatus,
    *,
    reason: str = "",
    exit_code: int | None = None,
    artifacts_blob: int | None = None,
) -> None:
    """Ends an attempt, and with it what is offered of it."""
    await connection.execute(
        update(pipeline_jobs)
        .where(pipeline_jobs.c.id == job.id)
        .values(
            status=status.value,
            reason=reason,
            exit_code=exit_code,
            artifacts_blob=artifacts_blob,
            ended_at=clock.now(),
        )
    )
    await connection.execute(
        update(offers)
        .where(offers.c.job_id == job.id, offers.c.status.in_(_OPEN))
        .values(status="cancelled" if status is JobStatus.CANCELED else "finished")
    )


async def cancel_job(connection: AsyncConnection, job: JobView, reason: str) -> None:
    """Ends an attempt and has its runner kill what runs of it."""
    await end_job(connection, job, JobStatus.CANCELED, reason=reason)
    runner = (
        await connection.execute(
            update(leases)
            .where(leases.c.subject == f"job:{job.id}")
            .values(cancelled=True)
            .returning(leases.c.runner_id)
        )
    ).scalar_one_or_none()
    if runner is not None:
        await ring(connection, f"runner:{runner}")


async def begin(connection: AsyncConnection, pipeline_id: int, job: JobView) -> None:
    """Offers an attempt to the runners whatever its `when` is; the caller has the pipeline's lock."""
    query = select(pipelines.c.definition).where(pipelines.c.id == pipeline_id)
    definition = CiPipeline.model_validate((await connection.execute(query)).scalar_one())
    await _enter(connection, definition, job, JobStatus.PENDING)


async def try_again(connection: AsyncConnection, job: JobView) -> JobView:
    """A new attempt at a job, decided on by the next `advance`; the earlier ones stay with their logs."""
    made = (
        await connection.execute(
            insert(pipeline_jobs)
            .values(
                pipeline_id=job.pipeline_id,
                name=job.name,
                stage=job.stage,
                status=JobStatus.CREATED.value,
                allow_failure=job.allow_failure,
                attempt=job.attempt + 1,
            )
            .returning(*pipeline_jobs.c)
        )
    ).one()
    return views.job_view(made)
