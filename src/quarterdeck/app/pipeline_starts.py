"""How pipelines come to be: the file of a commit read, its jobs made, the first of them offered."""

import asyncio

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.access import Project, of_row
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.job_variables import source_name
from quarterdeck.app.occurrences import pipeline_came_to
from quarterdeck.app.pipeline_jobs import advance
from quarterdeck.core.errors import InvalidInputError, NotFoundError
from quarterdeck.core.pipeline import CiPipeline, JobStatus, PipelineStatus
from quarterdeck.core.text import cut, decode
from quarterdeck.store.doorbell import ring
from quarterdeck.store.tables import pipeline_jobs, pipelines, projects

CI_FILE = ".gitlab-ci.yml"


async def start_for(
    connection: AsyncConnection,
    app: App,
    project_id: int,
    ref: str,
    sha: str,
    *,
    source: str,
    session_id: int | None = None,
    by: Actor | None = None,
) -> int | None:
    """The pipeline of a commit that came to a branch: the branch's newest one if it is of that commit, or a new one.

    None when the commit has no pipeline file, or its rules let no job in. A faulty file gives a pipeline that has
    failed, with the faults as its error.
    """
    row = (
        await connection.execute(select(projects).where(projects.c.id == project_id).with_for_update(key_share=True))
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no project {project_id}.")
    latest = (
        await connection.execute(
            select(pipelines.c.id, pipelines.c.sha)
            .where(pipelines.c.project_id == project_id, pipelines.c.ref == ref)
            .order_by(pipelines.c.id.desc())
            .limit(1)
        )
    ).one_or_none()
    if latest is not None and latest.sha == sha:
        return latest.id
    return await create(connection, app, of_row(row, None), ref, sha, source=source, session_id=session_id, by=by)


async def create(
    connection: AsyncConnection,
    app: App,
    project: Project,
    ref: str,
    sha: str,
    *,
    source: str,
    session_id: int | None,
    by: Actor | None = None,
) -> int | None:
    """A new pipeline of a commit; None when there is nothing to run, as for `start_for`."""
    definition, error = await _definition(app, project, ref, sha, source)
    if definition is None or (not definition.jobs and not error):
        return None
    pipeline_id = (
        await connection.execute(
            insert(pipelines)
            .values(
                project_id=project.id,
                ref=ref,
                sha=sha,
                source=source,
                status=PipelineStatus.CREATED.value,
                definition=definition.model_dump(mode="json"),
                error=error,
                session_id=session_id,
                user_id=by.user_id if by else None,
            )
            .returning(pipelines.c.id)
        )
    ).scalar_one()
    if error:
        await _fail(app, connection, pipeline_id)
        return pipeline_id
    for one in definition.jobs:
        await connection.execute(
            insert(pipeline_jobs).values(
                pipeline_id=pipeline_id,
                name=one.name,
                stage=one.stage,
                status=JobStatus.CREATED.value,
                allow_failure=one.allow_failure,
            )
        )
    await advance(connection, app, pipeline_id)
    return pipeline_id


async def _definition(app: App, project: Project, ref: str, sha: str, source: str) -> tuple[CiPipeline | None, str]:
    """What the commit's file comes to, and what is wrong with it."""
    nothing = CiPipeline(stages=(), jobs=())
    try:
        data = await app.forge.read(project.id, sha, CI_FILE)
        if data is None:
            return None, ""
        made = await asyncio.to_thread(
            app.forge.read_ci,
            decode(data),
            ref=ref,
            sha=sha,
            default_branch=project.default_branch,
            source=source_name(source),
        )
    except InvalidInputError as error:
        return nothing, cut(error.message, 16_000)
    return made, ""


async def _fail(app: App, connection: AsyncConnection, pipeline_id: int) -> None:
    failed = await connection.execute(
        update(pipelines)
        .where(pipelines.c.id == pipeline_id)
        .values(status=PipelineStatus.FAILED.value, ended_at=pipelines.c.created_at)
        .returning(*pipelines.c)
    )
    await pipeline_came_to(app, connection, failed.one(), PipelineStatus.FAILED.value)
    await ring(connection, f"pipeline:{pipeline_id}")
