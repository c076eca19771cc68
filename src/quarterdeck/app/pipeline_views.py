"""Pipelines and jobs as doors show them, and as models are told of them."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.application import App
from quarterdeck.app.runner_choice import explained_jobs
from quarterdeck.app.session_subjects import SessionRef
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.events import Outcome
from quarterdeck.core.limits import RESULT_CHARACTERS
from quarterdeck.core.pipeline import CiPipeline, JobStatus, PipelineStatus
from quarterdeck.core.state import Waiting
from quarterdeck.core.text import cut, decode
from quarterdeck.store import output
from quarterdeck.store.tables import pipeline_jobs, pipelines, projects

_TERMINAL_CODES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])|\r(?=\n)")
FAILED_JOBS_TOLD = 10


class JobView(BaseModel):
    """One attempt at a job."""

    model_config = ConfigDict(frozen=True)
    id: int
    pipeline_id: int
    name: str
    stage: str
    status: JobStatus
    allow_failure: bool
    attempt: int
    exit_code: int | None
    reason: str
    call_id: str | None
    artifacts_blob: int | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    external_url: str | None = None
    """Where it is at the forge that the project is connected to."""
    waiting_for: Waiting | None = None
    """The runner that it waits for, while none has it."""


class PipelineView(BaseModel):
    """A pipeline; its jobs are there when it was asked for alone."""

    model_config = ConfigDict(frozen=True)
    id: int
    project_id: int
    project_path: str
    ref: str
    sha: str
    source: str
    status: PipelineStatus
    error: str
    session_id: int | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    url: str
    external_url: str | None = None
    """Where it is at the forge that the project is connected to."""
    jobs: tuple[JobView, ...] = ()
    """The newest attempt at each job, in the order of the stages."""
    earlier: tuple[JobView, ...] = ()
    """Attempts that were tried again."""
    sessions: tuple[SessionRef, ...] = ()
    """Those that were started on it and that you may see."""


def query() -> Select[Any]:
    """Pipelines with their projects' paths, newest first."""
    joined = select(pipelines, projects.c.path).join(projects, projects.c.id == pipelines.c.project_id)
    return joined.order_by(pipelines.c.id.desc())


def view(app: App, row: Row[Any], jobs: Sequence[JobView] = (), earlier: Sequence[JobView] = ()) -> PipelineView:
    """A row of `query`."""
    return PipelineView(
        id=row.id,
        project_id=row.project_id,
        project_path=row.path,
        ref=row.ref,
        sha=row.sha,
        source=row.source,
        status=PipelineStatus(row.status),
        error=row.error,
        session_id=row.session_id,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        url=f"{app.public_url}/pipelines/{row.id}",
        external_url=row.external_url,
        jobs=tuple(jobs),
        earlier=tuple(earlier),
    )


async def load(app: App, connection: AsyncConnection, pipeline_id: int) -> PipelineView:
    """One pipeline with its jobs. Raises NotFoundError."""
    row = (await connection.execute(query().where(pipelines.c.id == pipeline_id))).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no pipeline #{pipeline_id} that you may see.")
    attempts = await with_waits(connection, await all_attempts(connection, pipeline_id))
    counted = {job.name: job for job in attempts}
    stages = CiPipeline.model_validate(row.definition).stages
    jobs = sorted(counted.values(), key=lambda job: (stages.index(job.stage), _numbered(job.name)))
    return view(app, row, jobs, [job for job in attempts if counted[job.name] is not job])


def _numbered(name: str) -> list[tuple[int, str]]:
    """For an order in which `unit 2/12` comes before `unit 10/12`."""
    parts = re.split(r"(\d{1,9})", name)
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]


async def all_attempts(connection: AsyncConnection, pipeline_id: int) -> list[JobView]:
    """Every attempt at every job, oldest first; the last of a name is the one that counts."""
    rows = await connection.execute(
        select(pipeline_jobs).where(pipeline_jobs.c.pipeline_id == pipeline_id).order_by(pipeline_jobs.c.id)
    )
    return [job_view(row) for row in rows]


async def with_waits(connection: AsyncConnection, jobs: Sequence[JobView]) -> list[JobView]:
    """The same, and of those that no runner has taken for which they wait."""
    waits = await explained_jobs(connection, [job.id for job in jobs if job.status is JobStatus.PENDING])
    return [job.model_copy(update={"waiting_for": waits.get(job.id)}) for job in jobs]


async def newest(connection: AsyncConnection, pipeline_id: int) -> dict[str, JobView]:
    """The attempts that count, by the names of their jobs."""
    return {job.name: job for job in await all_attempts(connection, pipeline_id)}


def job_view(row: Row[Any]) -> JobView:
    """A row of the jobs' table."""
    return JobView.model_validate(row, from_attributes=True)


async def told(connection: AsyncConnection, pipeline_id: int) -> tuple[Outcome, str]:
    """An ended pipeline as a tool call's outcome and text: ok only when it passed."""
    row = (
        await connection.execute(
            select(pipelines.c.status, pipelines.c.ref, pipelines.c.sha).where(pipelines.c.id == pipeline_id)
        )
    ).one_or_none()
    if row is None:
        return Outcome.ERROR, f"Pipeline #{pipeline_id} was deleted."
    passed = row.status == PipelineStatus.SUCCESS.value
    head = f"Pipeline #{pipeline_id} of {row.ref} at {row.sha[:12]}: {row.status}."
    if passed:
        return Outcome.OK, head
    return Outcome.ERROR, f"{head}\n\n{await failing_jobs_text(connection, pipeline_id)}"


async def failing_jobs_text(connection: AsyncConnection, pipeline_id: int) -> str:
    """The failed jobs of a pipeline with stage, exit code and the end of their logs, bounded; or its file's fault."""
    row = (await connection.execute(select(pipelines.c.error).where(pipelines.c.id == pipeline_id))).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no pipeline #{pipeline_id}.")
    if row.error:
        return row.error
    failed = [job for job in (await newest(connection, pipeline_id)).values() if job.status is JobStatus.FAILED]
    if not failed:
        return f"No job of pipeline #{pipeline_id} has failed."
    room = RESULT_CHARACTERS // (min(len(failed), FAILED_JOBS_TOLD) + 1)
    parts = [await _failed_job(connection, job, room) for job in failed[:FAILED_JOBS_TOLD]]
    if len(failed) > FAILED_JOBS_TOLD:
        names = cut(", ".join(job.name for job in failed[FAILED_JOBS_TOLD:]), 500)
        parts.append(f"And {len(failed) - FAILED_JOBS_TOLD} more: {names}")
    return "\n\n".join(parts)


async def _failed_job(connection: AsyncConnection, job: JobView, room: int) -> str:
    why = job.reason or f"exit code {job.exit_code}"
    may = ", allowed to fail" if job.allow_failure else ""
    data = await output.tail(connection, job.call_id, 2 * room) if job.call_id else b""
    log = readable(data)
    shown = log[-room:] if len(log) > room else log
    note = (
        f", its last {len(shown):,} characters (get_job_logs shows more)"
        if len(data) >= 2 * room or shown != log
        else ""
    )
    head = f"Job {job.name} (id {job.id}, stage {job.stage}) failed: {why}{may}."
    return f"{head} Its log{note}:\n{shown.strip() or '(empty)'}"


def readable(data: bytes) -> str:
    """A log without what only a terminal understands."""
    return _TERMINAL_CODES.sub("", decode(data))
