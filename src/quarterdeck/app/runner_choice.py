"""Which runners may be given which work, and what is said of sessions and jobs whose work none has."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, case, exists, false, func, null, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.core.protocol import DROP_SECONDS
from quarterdeck.core.state import Waiting
from quarterdeck.store.tables import leases, offers, pipeline_jobs, pipelines, projects, runners, sessions

_NONE = text("'[]'::jsonb")


def suits(
    runner: Any, project_id: ColumnElement[Any], session_tags: ColumnElement[Any], editor_id: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Whether an executor is one for the offer.

    A runner of the project or of the instance, with all the tags that are asked for, unless the session is an editor's:
    then that editor alone. Of a session's offer its project, the tags that the project wants and its editor; all are
    null of a job's.
    """
    of_job = (
        select(pipelines.c.project_id)
        .join(pipeline_jobs, pipeline_jobs.c.pipeline_id == pipelines.c.id)
        .where(pipeline_jobs.c.id == offers.c.job_id)
        .scalar_subquery()
    )
    of_project = or_(runner.project_id.is_(None), runner.project_id == func.coalesce(project_id, of_job))
    an_editors = or_(editor_id.is_not(None), runner.user_id.is_not(None))
    of_runners = (
        of_project & runner.tags.contains(offers.c.tags) & runner.tags.contains(func.coalesce(session_tags, _NONE))
    )
    return case((an_editors, func.coalesce(editor_id == runner.id, false())), else_=of_runners)


async def explained(connection: AsyncConnection, waiting: Mapping[int, Waiting | None]) -> dict[int, Waiting]:
    """What sessions wait for that no runner has taken: for which one, and whether there is any."""
    ids = [number for number, one in waiting.items() if one is not None and one.on == "runner"]
    asked = offers.c.session_id == sessions.c.id
    lone = (
        select(sessions.c.id, sessions.c.project_id, offers.c.tags, projects.c.runner_tags)
        .join(offers, asked & (offers.c.status == "waiting"))
        .outerjoin(projects, projects.c.id == sessions.c.project_id)
        .where(sessions.c.id.in_(ids), sessions.c.executor_id.is_(None), _unheld())
    )
    if not ids:
        return {}
    return await _explained(connection, lone) | await _of_editors(connection, ids)


async def _of_editors(connection: AsyncConnection, ids: Collection[int]) -> dict[int, Waiting]:
    """What those of the sessions wait for whose calls an editor carries out, as long as it has not taken them."""
    theirs = (
        select(sessions.c.id, runners.c.description, runners.c.folder, alive().label("alive"))
        .join(runners, (runners.c.id == sessions.c.executor_id) & (runners.c.state != "removed"), isouter=True)
        .join(offers, (offers.c.session_id == sessions.c.id) & (offers.c.status == "waiting"))
        .where(sessions.c.id.in_(ids), sessions.c.executor_id.is_not(None), _unheld())
    )
    return {
        row.id: Waiting(on="editor", detail=_which_editor(row.description, row.folder, open_now=row.alive))
        for row in await connection.execute(theirs)
    }


def _which_editor(name: str | None, folder: str | None, *, open_now: bool) -> str:
    if name is None:
        return "an editor that was forgotten; hand the session over to another, or to a runner"
    return f"{name} with {folder}" + ("" if open_now else ", which is not open")


async def explained_jobs(connection: AsyncConnection, ids: Collection[int]) -> dict[int, Waiting]:
    """The same for jobs."""
    lone = (
        select(offers.c.job_id, pipelines.c.project_id, offers.c.tags, null())
        .join(pipeline_jobs, pipeline_jobs.c.id == offers.c.job_id)
        .join(pipelines, pipelines.c.id == pipeline_jobs.c.pipeline_id)
        .where(offers.c.job_id.in_(ids), offers.c.status == "waiting", _unheld())
    )
    return await _explained(connection, lone) if ids else {}


def _unheld() -> ColumnElement[bool]:
    return ~exists().where(leases.c.subject == offers.c.subject, leases.c.runner_id.is_not(None))


async def _explained(connection: AsyncConnection, lone: Select[*tuple[Any, ...]]) -> dict[int, Waiting]:
    """`lone` has rows of a number, its project, and the tags that it and its project ask for."""
    needs = {
        number: (project, {*tags, *(more or ())}) for number, project, tags, more in await connection.execute(lone)
    }
    if not needs:
        return {}
    known = select(runners.c.project_id, runners.c.tags, runners.c.state, alive().label("alive"))
    there = (await connection.execute(known.where(runners.c.state != "removed", runners.c.user_id.is_(None)))).all()
    return {
        number: Waiting(on="runner", detail=_for_which(project, sorted(tags), there))
        for number, (project, tags) in needs.items()
    }


def alive() -> ColumnElement[bool]:
    """Whether an executor was heard of lately."""
    return func.coalesce(runners.c.last_contact > func.now() - timedelta(seconds=DROP_SECONDS), false())


async def owed(connection: AsyncConnection, session_id: int) -> Waiting | None:
    """The proof that nothing of an ended session runs any more, if a runner still has to bring it."""
    row = (
        await connection.execute(
            select(runners.c.name, runners.c.last_contact)
            .join(leases, leases.c.runner_id == runners.c.id)
            .where(leases.c.subject == f"session:{session_id}", leases.c.cancelled, leases.c.torn_down.is_(False))
        )
    ).one_or_none()
    if row is None:
        return None
    heard = f"{row.last_contact:%Y-%m-%d %H:%M:%S} UTC" if row.last_contact else "never"
    return Waiting(
        on="runner", detail=f"the proof of {row.name} that nothing of it runs any more; last heard of: {heard}"
    )


def _for_which(project_id: int | None, tags: list[str], there: Sequence[Row[*tuple[Any, ...]]]) -> str:
    fit = [one for one in there if one.project_id in (None, project_id) and {*tags} <= {*one.tags}]
    named = f" with tag{'s' if len(tags) > 1 else ''} {', '.join(tags)}" if tags else ""
    if not fit:
        why = "none is registered that fits"
    elif not any(one.alive for one in fit):
        why = "none that fits is alive"
    elif not any(one.alive and one.state == "active" for one in fit):
        why = "those that fit are paused"
    else:
        why = "those that fit are busy"
    return f"a runner{named}; {why}"
