"""Pipelines, workflows and checks of a forge as pipelines here, with the logs of the jobs that failed."""

from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import connections
from quarterdeck.app.acts import new_call_id
from quarterdeck.app.mirroring import NAME_CHARACTERS, Mirror, address
from quarterdeck.app.pipeline_jobs import come_to, lock
from quarterdeck.core.limits import JOB_LOG_TAIL_BYTES, REF_CHARACTERS
from quarterdeck.core.pipeline import ENDED, PIPELINE_ENDED, CiPipeline, JobStatus, PipelineStatus
from quarterdeck.core.remote import RemoteJob, RemotePipeline
from quarterdeck.core.text import clean, decode, line
from quarterdeck.store import output
from quarterdeck.store.tables import merge_requests, pipeline_jobs, pipelines, sessions

SESSION_BRANCHES = "quarterdeck/"
"""What the names of sessions' branches begin with."""


async def bring(mirror: Mirror, fact: RemotePipeline) -> None:
    """A pipeline and those of its jobs that are told of; the logs come first, so that whoever hears can read them."""
    logs = {one.id: await _log(mirror, fact, one) for one in fact.jobs}
    async with mirror.app.database.transaction() as connection:
        row = await _row(mirror, connection, fact)
        if row is None:
            return
        await _stages(connection, row, fact.jobs)
        for one in fact.jobs:
            await _job(connection, row.id, one, logs[one.id])
        status = fact.status or (PipelineStatus.RUNNING if row.external_updated_at is None else None)
        if status is None or not _news(row, fact, status):
            return
        times = {"external_updated_at": fact.updated_at} if fact.status is not None else {}
        if status is not PipelineStatus.CREATED and row.started_at is None:
            times["started_at"] = fact.created_at
        if times:
            await connection.execute(update(pipelines).where(pipelines.c.id == row.id).values(times))
        await come_to(connection, mirror.app, row, status)


def _news(row: Row[Any], fact: RemotePipeline, status: PipelineStatus) -> bool:
    """Whether it is newer than what is known; of the same second an end is."""
    known = row.external_updated_at
    if known is None or fact.updated_at > known:
        return True
    return fact.updated_at == known and (status in PIPELINE_ENDED or PipelineStatus(row.status) not in PIPELINE_ENDED)


async def _row(mirror: Mirror, connection: AsyncConnection, fact: RemotePipeline) -> Row[Any] | None:
    """The pipeline's row, locked; made when it is heard of first, if that tells enough of it."""
    query = select(pipelines.c.id).where(
        pipelines.c.project_id == mirror.project_id, pipelines.c.external_id == fact.id
    )
    known = (await connection.execute(query)).scalar_one_or_none()
    if known is None and fact.known_only:
        return None
    if known is None:
        made = await connection.execute(
            upsert(pipelines)
            .values(
                project_id=mirror.project_id,
                ref=clean(fact.branch)[:REF_CHARACTERS],
                sha=fact.sha,
                source=mirror.row.forge,
                status=PipelineStatus.CREATED.value,
                definition=CiPipeline(stages=(), jobs=()).model_dump(mode="json"),
                session_id=await _session(mirror, connection, fact.branch),
                created_at=fact.created_at,
                external_id=fact.id,
                external_url=address(fact.url),
            )
            .on_conflict_do_nothing()
            .returning(pipelines.c.id)
        )
        known = made.scalar_one_or_none() or (await connection.execute(query)).scalar_one()
    return await lock(connection, known)


async def _session(mirror: Mirror, connection: AsyncConnection, branch: str) -> int | None:
    """The session whose work is checked: it opened the branch's merge request, or will, for the branch is its own."""
    of = merge_requests.c
    mine = of.project_id == mirror.project_id, of.source_branch == branch, of.session_id.is_not(None)
    query = select(of.session_id).where(*mine, of.status == "opened").order_by(of.id.desc()).limit(1)
    found = (await connection.execute(query)).scalar_one_or_none()
    if found is not None or not branch.startswith(SESSION_BRANCHES):
        return found
    # Checks begin with the push, before there is a merge request: they would start another session, and that one more.
    own = sessions.c.state["created"]["branch"].as_string() == branch
    named = select(sessions.c.id).where(sessions.c.project_id == mirror.project_id, own)
    return (await connection.execute(named.order_by(sessions.c.id.desc()).limit(1))).scalar_one_or_none()


async def _stages(connection: AsyncConnection, row: Row[Any], jobs: tuple[RemoteJob, ...]) -> None:
    known = CiPipeline.model_validate(row.definition)
    stages = tuple(dict.fromkeys((*known.stages, *(_stage(one) for one in jobs))))
    if stages != known.stages:
        definition = known.model_copy(update={"stages": stages}).model_dump(mode="json")
        await connection.execute(update(pipelines).where(pipelines.c.id == row.id).values(definition=definition))


def _stage(job: RemoteJob) -> str:
    return line(clean(job.stage), NAME_CHARACTERS) or "checks"


async def _job(connection: AsyncConnection, pipeline_id: int, job: RemoteJob, log: bytes) -> None:
    of = pipeline_jobs.c
    known = (
        await connection.execute(
            select(of.id, of.status, of.external_updated_at, of.call_id).where(
                of.pipeline_id == pipeline_id, of.external_id == job.id
            )
        )
    ).one_or_none()
    if known is not None and (
        job.updated_at < known.external_updated_at
        or (job.updated_at == known.external_updated_at and JobStatus(known.status) in ENDED)
    ):
        return
    values: dict[str, Any] = {
        "status": job.status.value,
        "started_at": job.started_at,
        "ended_at": job.ended_at if job.status in ENDED else None,
        "external_url": address(job.url),
        "external_updated_at": job.updated_at,
        "reason": "see its log at the forge" if job.status is JobStatus.FAILED else "",
    }
    if log and (known is None or known.call_id is None):
        values["call_id"] = call_id = new_call_id()
        await output.keep(connection, call_id, log)
    if known is not None:
        await connection.execute(update(pipeline_jobs).where(of.id == known.id).values(values))
        return
    name = line(clean(job.name), NAME_CHARACTERS) or job.id
    values |= {"name": name, "stage": _stage(job), "allow_failure": job.allow_failure, "external_id": job.id}
    await connection.execute(insert(pipeline_jobs).values(pipeline_id=pipeline_id, **values))


async def _log(mirror: Mirror, pipeline: RemotePipeline, job: RemoteJob) -> bytes:
    """The end of a failed job's log, without secrets; of others people look at the forge."""
    if job.log is None or job.status is not JobStatus.FAILED:
        return b""
    async with mirror.app.database.transaction() as connection:
        of = pipeline_jobs.c
        query = (
            select(of.id)
            .join(pipelines, pipelines.c.id == of.pipeline_id)
            .where(pipelines.c.project_id == mirror.project_id, pipelines.c.external_id == pipeline.id)
            .where(of.external_id == job.id, of.call_id.is_not(None))
        )
        if (await connection.execute(query)).first() is not None:
            return b""
    app, row = mirror.app, mirror.row
    data = await app.remotes[row.forge].job_log(connections.remote_of(app, row), job.log, limit=JOB_LOG_TAIL_BYTES)
    return app.redactor.text(decode(data)).encode()
