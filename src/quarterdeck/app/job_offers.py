"""What an executor needs of a pipeline job."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.application import App
from quarterdeck.app.job_variables import expanded, predefined
from quarterdeck.app.pipeline_views import newest
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.pipeline import CiPipeline, prerequisites
from quarterdeck.core.protocol import JobSpec
from quarterdeck.core.session_limits import ProjectLimits
from quarterdeck.store.tables import pipeline_jobs, pipelines, projects


@dataclass(frozen=True)
class JobOffer:
    """What an executor needs of a job."""

    project_id: int
    ref: str
    sha: str
    limits: ProjectLimits
    spec: JobSpec


async def job_offer(connection: AsyncConnection, app: App, job_id: int) -> JobOffer:
    """What an executor is given of a job. Raises NotFoundError."""
    del app
    row = (
        await connection.execute(
            select(pipelines, projects.c.path, projects.c.default_branch, projects.c.limits, pipeline_jobs.c.name)
            .join(pipeline_jobs, pipeline_jobs.c.pipeline_id == pipelines.c.id)
            .join(projects, projects.c.id == pipelines.c.project_id)
            .where(pipeline_jobs.c.id == job_id)
        )
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no job {job_id}.")
    definition = CiPipeline.model_validate(row.definition)
    job = next(one for one in definition.jobs if one.name == row.name)
    known = predefined(
        sha=row.sha,
        ref=row.ref,
        default_branch=row.default_branch,
        source=row.source,
        pipeline_id=row.id,
        project_id=row.project_id,
        project_path=row.path,
        job_id=job_id,
        name=job.name,
        stage=job.stage,
    )
    attempts = await newest(connection, row.id)
    before = [attempts[one.name] for one in prerequisites(job, definition) if _brings(job.artifacts_from, one.name)]
    return JobOffer(
        project_id=row.project_id,
        ref=row.ref,
        sha=row.sha,
        limits=ProjectLimits.model_validate(row.limits),
        spec=JobSpec(
            name=job.name,
            before_script=job.before_script,
            script=job.script,
            after_script=job.after_script,
            variables=expanded({**known, **job.variables}),
            timeout_seconds=job.timeout_seconds,
            artifact_paths=job.artifact_paths,
            artifacts_when=job.artifacts_when,
            needs_artifacts=tuple(one.artifacts_blob for one in before if one.artifacts_blob is not None),
        ),
    )


def _brings(artifacts_from: tuple[str, ...] | None, name: str) -> bool:
    return artifacts_from is None or name in artifacts_from
