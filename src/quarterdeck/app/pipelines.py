"""Pipelines: started, shown, tried again, cancelled. The life of their jobs is in `pipeline_jobs`."""

from contextlib import suppress
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import pipeline_jobs as jobs
from quarterdeck.app import pipeline_views as views
from quarterdeck.app import session_subjects
from quarterdeck.app.access import demand, project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.job_deletion import forget_jobs
from quarterdeck.app.pipeline_jobs import advance
from quarterdeck.app.pipeline_starts import create, read, start_for
from quarterdeck.app.pipeline_views import JobView, PipelineView, failing_jobs_text, told
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from quarterdeck.core.events import Outcome
from quarterdeck.core.limits import JOB_LOG_TAIL_BYTES, PAGE_ROWS
from quarterdeck.core.pipeline import ENDED, PIPELINE_ENDED, JobStatus, PipelineStatus
from quarterdeck.store import output
from quarterdeck.store.tables import pipeline_jobs, pipeline_waits, pipelines, sessions

__all__ = [
    "JobView", "PipelineView", "cancel", "cancel_all", "erase", "failing_jobs_text", "find", "job", "job_log",
    "job_tail", "retry", "retry_job", "show", "start", "start_for", "told", "wait_for",
]  # fmt: skip

LOG_PAGE_BYTES = 1 << 20


async def start(
    app: App, actor: Actor, project: int | str, ref: str | None = None, *, session_id: int | None = None
) -> PipelineView:
    """Starts a pipeline of a branch's newest commit; of the default branch without `ref`.

    `session_id` is the session that does it: then its end is that session's check, and starts no other.

    Raises:
        InvalidInputError: there is no such branch, or nothing to run at its commit.
    """
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.RUN_PIPELINE)
        branch = ref or found.default_branch
        sha = (await app.forge.branches(found.id)).get(branch)
        if sha is None:
            raise InvalidInputError(f"There is no branch {branch[:255]!r} in {found.path}.")
        plan = await read(app, found, branch, sha, "api")
        if plan.nothing:
            raise InvalidInputError(f"There is nothing to run at {sha[:12]} of {branch}: {plan.nothing}.")
        pipeline_id = await create(connection, app, found.id, plan, session_id=session_id, by=actor)
        return await views.load(app, connection, pipeline_id)


async def find(
    app: App,
    actor: Actor,
    project: int | str,
    *,
    ref: str | None = None,
    status: PipelineStatus | None = None,
    before: int | None = None,
    limit: int = PAGE_ROWS,
) -> list[PipelineView]:
    """A project's newest pipelines, without their jobs; `before` is the id of an earlier page's last."""
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.READ_PIPELINE)
        query = views.query().where(pipelines.c.project_id == found.id).limit(min(max(limit, 1), 100))
        if ref is not None:
            query = query.where(pipelines.c.ref == ref)
        if status is not None:
            query = query.where(pipelines.c.status == status.value)
        if before is not None:
            query = query.where(pipelines.c.id < before)
        return [views.view(app, row) for row in await connection.execute(query)]


async def show(app: App, actor: Actor, pipeline_id: int) -> PipelineView:
    """One pipeline with its jobs and the sessions on it."""
    async with app.database.transaction() as connection:
        await _allowed(connection, actor, pipeline_id, Ability.READ_PIPELINE)
        sessions = await session_subjects.about(app, connection, actor, "pipeline", pipeline_id)
        found = await views.load(app, connection, pipeline_id)
        return found.model_copy(update={"sessions": sessions})


async def _allowed(connection: AsyncConnection, actor: Actor, pipeline_id: int, ability: Ability) -> None:
    """The one check of everything about a pipeline.

    Raises:
        NotFoundError, ForbiddenError: who may not see it, or not do that.
        ConflictError: it is a forge's, and only looked at here.
    """
    unknown = NotFoundError(f"There is no pipeline #{pipeline_id} that you may see.")
    query = select(pipelines.c.project_id, pipelines.c.external_id, pipelines.c.external_url).where(
        pipelines.c.id == pipeline_id
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise unknown
    try:
        found = await project_for(connection, actor, row.project_id, Ability.READ_PIPELINE)
    except (NotFoundError, ForbiddenError):
        raise unknown from None
    demand(found, ability)
    if ability is not Ability.READ_PIPELINE and row.external_id is not None:
        raise ConflictError(
            f"Pipeline #{pipeline_id} runs at the forge: retry or cancel it there. {row.external_url or ''}"
        )


async def allowed_job(connection: AsyncConnection, actor: Actor, job_id: int, ability: Ability) -> Row[Any]:
    """The job's row, and the one check of everything about a job. Raises NotFoundError or ForbiddenError."""
    unknown = NotFoundError(f"There is no job {job_id} that you may see.")
    row = (await connection.execute(select(pipeline_jobs).where(pipeline_jobs.c.id == job_id))).one_or_none()
    if row is None:
        raise unknown
    try:
        await _allowed(connection, actor, row.pipeline_id, ability)
    except NotFoundError:
        raise unknown from None
    return row


async def job(app: App, actor: Actor, job_id: int) -> JobView:
    """One attempt at a job."""
    async with app.database.transaction() as connection:
        found = views.job_view(await allowed_job(connection, actor, job_id, Ability.READ_PIPELINE))
        return (await views.with_waits(connection, [found]))[0]


async def job_log(app: App, actor: Actor, job_id: int, *, offset: int = 0, limit: int = LOG_PAGE_BYTES) -> bytes:
    """At most `limit` bytes of a job's log from `offset`; empty when there is nothing behind it (yet)."""
    async with app.database.transaction() as connection:
        row = await allowed_job(connection, actor, job_id, Ability.READ_PIPELINE)
        if row.call_id is None:
            return b""
        return await output.read(connection, row.call_id, max(offset, 0), min(max(limit, 1), LOG_PAGE_BYTES))


async def job_tail(app: App, actor: Actor, job_id: int, size: int = JOB_LOG_TAIL_BYTES) -> str:
    """The end of a job's log as a model reads it: text without a terminal's codes."""
    async with app.database.transaction() as connection:
        row = await allowed_job(connection, actor, job_id, Ability.READ_PIPELINE)
        if row.call_id is None:
            return ""
        return views.readable(await output.tail(connection, row.call_id, min(max(size, 1), JOB_LOG_TAIL_BYTES)))


async def retry(app: App, actor: Actor, pipeline_id: int) -> PipelineView:
    """Tries the failed and cancelled jobs of an ended pipeline again, and lets those behind them run.

    Raises:
        ConflictError: the pipeline still runs, or nothing in it failed.
    """
    async with app.database.transaction() as connection:
        await _allowed(connection, actor, pipeline_id, Ability.RUN_PIPELINE)
        row = await jobs.lock(connection, pipeline_id)
        known = await views.newest(connection, pipeline_id)
        failed = [one for one in known.values() if one.status in (JobStatus.FAILED, JobStatus.CANCELED)]
        if PipelineStatus(row.status) not in PIPELINE_ENDED:
            raise ConflictError(f"Pipeline #{pipeline_id} still runs; what has failed in it can be tried again after.")
        if not failed:
            raise ConflictError(f"No job of pipeline #{pipeline_id} failed; there is nothing to try again.")
        for one in failed:
            await jobs.try_again(connection, one)
        await _resume(connection, app, pipeline_id)
        return await views.load(app, connection, pipeline_id)


async def retry_job(app: App, actor: Actor, job_id: int) -> PipelineView:
    """Tries one ended job again, or starts a manual one; answers its pipeline.

    Raises:
        ConflictError: it has not ended, or there is a newer attempt.
    """
    async with app.database.transaction() as connection:
        row = await allowed_job(connection, actor, job_id, Ability.RUN_PIPELINE)
        await jobs.lock(connection, row.pipeline_id)
        known = await views.newest(connection, row.pipeline_id)
        one = known[row.name]
        if one.id != job_id or one.status not in ENDED or one.status is JobStatus.SKIPPED:
            raise ConflictError(
                f"Job {job_id} is {one.status}; only the newest attempt, once it ended, is tried again."
            )
        attempt = one if one.status is JobStatus.MANUAL else await jobs.try_again(connection, one)
        await jobs.begin(connection, row.pipeline_id, attempt)
        await _resume(connection, app, row.pipeline_id)
        return await views.load(app, connection, row.pipeline_id)


async def _resume(connection: AsyncConnection, app: App, pipeline_id: int) -> None:
    """Decides anew about the jobs that were skipped, and lets the pipeline go on."""
    skipped = [
        one.id for one in (await views.newest(connection, pipeline_id)).values() if one.status is JobStatus.SKIPPED
    ]
    await connection.execute(
        update(pipeline_jobs)
        .where(pipeline_jobs.c.id.in_(skipped))
        .values(status=JobStatus.CREATED.value, ended_at=None)
    )
    await connection.execute(
        update(pipelines)
        .where(pipelines.c.id == pipeline_id)
        .values(status=PipelineStatus.RUNNING.value, ended_at=None)
    )
    await advance(connection, app, pipeline_id)


async def cancel(app: App, actor: Actor, pipeline_id: int) -> PipelineView:
    """Stops all jobs of a pipeline; one that has ended stays as it is."""
    async with app.database.transaction() as connection:
        await _allowed(connection, actor, pipeline_id, Ability.RUN_PIPELINE)
        await _cancel(connection, app, pipeline_id, f"cancelled by {actor.username}")
        return await views.load(app, connection, pipeline_id)


async def cancel_all(connection: AsyncConnection, app: App, project_id: int) -> None:
    """Stops every pipeline of a project that is to be deleted."""
    ended = [status.value for status in PIPELINE_ENDED]
    mine = pipelines.c.project_id == project_id, pipelines.c.external_id.is_(None)
    query = select(pipelines.c.id).where(*mine, pipelines.c.status.not_in(ended))
    for pipeline_id in (await connection.execute(query.order_by(pipelines.c.id))).scalars().all():
        await _cancel(connection, app, pipeline_id, "the project was deleted")


async def _cancel(connection: AsyncConnection, app: App, pipeline_id: int, reason: str) -> None:
    row = await jobs.lock(connection, pipeline_id)
    if row.external_id is not None:  # it runs elsewhere
        return
    for one in (await views.newest(connection, pipeline_id)).values():
        if one.status not in ENDED:
            await jobs.cancel_job(connection, one, reason)
    await advance(connection, app, pipeline_id)


async def erase(connection: AsyncConnection, app: App, pipeline_id: int, reason: str) -> None:
    """Stops a pipeline and deletes it with all that its jobs left."""
    await _cancel(connection, app, pipeline_id, reason)
    mine = select(pipeline_jobs.c.id).where(pipeline_jobs.c.pipeline_id == pipeline_id)
    await forget_jobs(connection, (await connection.execute(mine)).scalars().all())
    await connection.execute(delete(pipelines).where(pipelines.c.id == pipeline_id))


async def wait_for(app: App, pipeline_id: int, session_id: int, call_id: str) -> tuple[Outcome, str] | None:
    """How the pipeline ended; None when it still runs: then its end will end the session's call."""
    async with app.database.transaction() as connection:
        row = await jobs.lock(connection, pipeline_id)
        if PipelineStatus(row.status) in PIPELINE_ENDED:
            return await told(connection, pipeline_id)
        known = select(pipeline_waits.c.call_id).where(pipeline_waits.c.call_id == call_id)
        if (await connection.execute(known)).one_or_none() is None:
            await connection.execute(
                insert(pipeline_waits).values(call_id=call_id, session_id=session_id, pipeline_id=pipeline_id)
            )
        return None


async def failing_jobs(app: App, actor: Actor, project: int | str, pipeline_id: int) -> str:
    """The failed jobs of one of the project's pipelines, with the ends of their logs."""
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.READ_PIPELINE)
        mine = select(pipelines.c.id).where(pipelines.c.id == pipeline_id, pipelines.c.project_id == found.id)
        if (await connection.execute(mine)).one_or_none() is None:
            raise NotFoundError(f"There is no pipeline #{pipeline_id} in {found.path}.")
        return await views.failing_jobs_text(connection, pipeline_id)


async def head(app: App, actor: Actor, project: int | str, branch: str) -> str:
    """The newest commit of a branch. Raises NotFoundError when there is no such branch."""
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.READ_PIPELINE)
    sha = (await app.forge.branches(found.id)).get(branch)
    if sha is None:
        raise NotFoundError(f"There is no branch {branch!r} yet. Push by create_commit first.")
    return sha


async def cancel_of_session(app: App, session_id: int) -> None:
    """Cancels the pipelines that a stopped session's work started and that still run."""
    mine = (
        pipelines.c.session_id == session_id,
        pipelines.c.status.in_(("created", "running")),
        pipelines.c.external_id.is_(None),  # a forge's is nobody's to cancel here
    )
    async with app.database.transaction() as connection:
        found = (await connection.execute(select(pipelines.c.id).where(*mine).order_by(pipelines.c.id))).scalars().all()
    for pipeline_id in found:
        with suppress(NotFoundError):  # deleted meanwhile
            async with app.database.transaction() as connection:
                await _cancel(connection, app, pipeline_id, f"session #{session_id} was stopped")


async def cancel_of_stopped(app: App) -> None:
    """Cancels what still runs for sessions that were stopped or deleted: a net under the stop's own step."""
    async with app.database.transaction() as connection:
        rows = await connection.execute(
            select(pipelines.c.session_id)
            .outerjoin(sessions, sessions.c.id == pipelines.c.session_id)
            .where(pipelines.c.session_id.is_not(None), pipelines.c.status.in_(("created", "running")))
            .where(pipelines.c.external_id.is_(None))
            .where(sessions.c.id.is_(None) | (sessions.c.status == "stopped"))
        )
        stopped = set(rows.scalars())
    for session_id in stopped:
        await cancel_of_session(app, session_id)
