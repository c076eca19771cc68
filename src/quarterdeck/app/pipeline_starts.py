"""How pipelines come to be: the file of a commit read, its jobs made, the first of them offered."""

from dataclasses import dataclass, replace

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
from quarterdeck.store.tables import connections, pipeline_jobs, pipelines, projects

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

    None when the commit has no pipeline file, or its rules let no job in, or a connected forge runs the pipelines. A
    faulty file gives a pipeline that has failed, with the faults as its error.
    """
    query = select(projects, connections.c.run_pipelines).outerjoin(
        connections, connections.c.project_id == projects.c.id
    )
    locked = query.where(projects.c.id == project_id).with_for_update(key_share=True, of=projects)
    row = (await connection.execute(locked)).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no project {project_id}.")
    if row.run_pipelines is False:  # the forge that it is connected to runs them
        return None
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
    plan = await read(app, of_row(row, None), ref, sha, source)
    return None if plan.nothing else await create(connection, app, project_id, plan, session_id=session_id, by=by)


_NOTHING = CiPipeline(stages=(), jobs=())


@dataclass(frozen=True)
class Plan:
    """What a commit's pipeline file comes to."""

    ref: str
    sha: str
    source: str
    definition: CiPipeline = _NOTHING
    error: str = ""
    """What is wrong with the file."""
    nothing: str = ""
    """Why there is nothing to run, when there is not."""


async def read(app: App, project: Project, ref: str, sha: str, source: str) -> Plan:
    """The plan of a pipeline of that commit."""
    plan = Plan(ref, sha, source)
    try:
        data = await app.forge.read(project.id, sha, CI_FILE)
        if data is None:
            return replace(plan, nothing=f"it has no {CI_FILE}")
        branch, named = project.default_branch, source_name(source)
        made = await app.forge.read_ci(project.id, decode(data), ref=ref, sha=sha, default_branch=branch, source=named)
    except InvalidInputError as error:
        return replace(plan, error=cut(error.message, 16_000))
    return replace(plan, definition=made, nothing=made.left_out)


async def create(
    connection: AsyncConnection,
    app: App,
    project_id: int,
    plan: Plan,
    *,
    session_id: int | None,
    by: Actor | None = None,
) -> int:
    """The pipeline of a plan that has something to run, or a fault."""
    pipeline_id = (
        await connection.execute(
            insert(pipelines)
            .values(
                project_id=project_id,
                ref=plan.ref,
                sha=plan.sha,
                source=plan.source,
                status=PipelineStatus.CREATED.value,
                # Without what is as usual: so an older server, while an upgrade is under way, reads what it can run.
                definition=plan.definition.model_dump(mode="json", exclude_defaults=True),
                error=plan.error,
                session_id=session_id,
                user_id=by.user_id if by else None,
            )
            .returning(pipelines.c.id)
        )
    ).scalar_one()
    if plan.error:
        await _fail(app, connection, pipeline_id)
        return pipeline_id
    for one in plan.definition.jobs:
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


async def _fail(app: App, connection: AsyncConnection, pipeline_id: int) -> None:
    failed = await connection.execute(
        update(pipelines)
        .where(pipelines.c.id == pipeline_id)
        .values(status=PipelineStatus.FAILED.value, ended_at=pipelines.c.created_at)
        .returning(*pipelines.c)
    )
    await pipeline_came_to(app, connection, failed.one(), PipelineStatus.FAILED.value)
    await ring(connection, f"pipeline:{pipeline_id}")
