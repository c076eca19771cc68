"""Runners as people see and manage them: of the instance by administrators, of a project by its maintainers."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue
from sqlalchemy import Row, Select, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import leases as lease
from quarterdeck.app.access import administrator, project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_views import visible
from quarterdeck.core.access import LEAST_ROLE, Ability
from quarterdeck.core.errors import ConflictError, NotFoundError
from quarterdeck.core.protocol import DROP_SECONDS
from quarterdeck.store import clock
from quarterdeck.store.doorbell import ring
from quarterdeck.store.tables import (
    leases,
    members,
    offers,
    pipeline_jobs,
    pipelines,
    projects,
    runners,
    sessions,
    tokens,
)

State = Literal["active", "paused", "draining"]


class RunnerView(BaseModel):
    """A runner, and whether it was heard of lately."""

    model_config = ConfigDict(frozen=True)
    id: int
    name: str
    description: str
    project: str
    """The only project that it works for; empty when it works for all."""
    tags: tuple[str, ...]
    state: State
    registered: bool
    """It has a token of its own, by a registration; its name, tags and project are what that said."""
    version: str
    isolation: str
    capacity: int
    subjects: int
    """How many sessions and jobs it holds now."""
    alive: bool
    last_contact: datetime | None
    sandbox: str
    """What the runner says of its own sandbox; with the remedy where it is not whole."""
    capabilities: dict[str, JsonValue]


class RunnerWorkView(BaseModel):
    """A session or job that a runner holds, and the tools that it carries out for it just now."""

    model_config = ConfigDict(frozen=True)
    session_id: int | None
    job_id: int | None
    title: str
    tools: tuple[str, ...]
    ending: bool
    """It has ended, and the runner owes the proof that nothing of it runs."""


class RunnerDetailView(RunnerView):
    """A runner with what it does now, as far as the reader may see it."""

    work: tuple[RunnerWorkView, ...]
    hidden: int
    """How many more subjects it holds that the reader may not see."""


Shown = Select[*tuple[Any, ...]]


def shown() -> Shown:
    """All runners, and no editors, with their projects and the number of what they hold, by name."""
    held = select(func.count()).select_from(leases).where(leases.c.runner_id == runners.c.id).scalar_subquery()
    return (
        select(runners, projects.c.path, held.label("held"))
        .outerjoin(projects, projects.c.id == runners.c.project_id)
        .where(runners.c.state != "removed", runners.c.user_id.is_(None))
        .order_by(runners.c.name)
    )


def views_of(rows: Sequence[Row[*tuple[Any, ...]]]) -> tuple[RunnerView, ...]:
    """The views of the rows of such a query."""
    return tuple(RunnerView(**_fields(row)) for row in rows)


def _fields(row: Row[*tuple[Any, ...]]) -> dict[str, Any]:
    heard = clock.now() - timedelta(seconds=DROP_SECONDS)
    same = ("id", "name", "description", "tags", "state", "registered", "version", "isolation", "capacity")
    return {
        **{name: getattr(row, name) for name in same},
        "project": row.path or "",
        "subjects": row.held,
        "alive": row.last_contact is not None and row.last_contact > heard,
        "last_contact": row.last_contact,
        "sandbox": str(row.capabilities.get("sandbox", "")),
        "capabilities": row.capabilities,
    }


def _seen(actor: Actor) -> Shown:
    """Those of the instance, and of the projects whose sessions the actor may see."""
    if actor.admin:
        return shown()
    ours = runners.c.project_id.in_(_of_role(actor, Ability.READ_SESSION))
    return shown().where(or_(runners.c.project_id.is_(None), ours))


async def find(app: App, actor: Actor) -> tuple[RunnerView, ...]:
    """The runners that work for the actor's sessions, or could."""
    async with app.database.transaction() as connection:
        return views_of((await connection.execute(_seen(actor))).all())


async def show(app: App, actor: Actor, runner_id: int) -> RunnerDetailView:
    """One runner, and what it does now."""
    async with app.database.transaction() as connection:
        row = await _one(connection, actor, runner_id)
        work = await _work(connection, actor, runner_id)
    return RunnerDetailView(**_fields(row), work=work, hidden=max(0, row.held - len(work)))


async def _one(connection: AsyncConnection, actor: Actor, runner_id: int) -> Row[*tuple[Any, ...]]:
    row = (await connection.execute(_seen(actor).where(runners.c.id == runner_id))).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no runner {runner_id} that you may see.")
    return row


async def _work(connection: AsyncConnection, actor: Actor, runner_id: int) -> tuple[RunnerWorkView, ...]:
    busy = (
        select(func.array_agg(offers.c.tool))
        .where(offers.c.subject == leases.c.subject, offers.c.status.in_(("offered", "running")))
        .scalar_subquery()
    )
    held = select(leases.c.subject, leases.c.cancelled, busy.label("tools")).where(leases.c.runner_id == runner_id)
    rows = (await connection.execute(held.order_by(leases.c.subject))).all()
    found = [(lease.subject_of(row.subject), row) for row in rows]
    numbers = {kind: [subject.id for subject, _ in found if subject.kind == kind] for kind in ("session", "job")}
    titles = visible(actor).where(sessions.c.id.in_(numbers["session"])).add_columns(sessions.c.title)
    named = {("session", row.id): row.title for row in await connection.execute(titles)}
    named |= {("job", row.id): row.name for row in await connection.execute(_jobs(actor, numbers["job"]))}
    return tuple(
        RunnerWorkView(
            session_id=subject.id if subject.kind == "session" else None,
            job_id=subject.id if subject.kind == "job" else None,
            title=named[subject.kind, subject.id],
            tools=tuple(row.tools or ()),
            ending=row.cancelled,
        )
        for subject, row in found
        if (subject.kind, subject.id) in named
    )


def _jobs(actor: Actor, numbers: list[int]) -> Select[int, str]:
    """Those of the pipeline jobs that the actor may see."""
    query = (
        select(pipeline_jobs.c.id, pipeline_jobs.c.name)
        .join(pipelines, pipelines.c.id == pipeline_jobs.c.pipeline_id)
        .where(pipeline_jobs.c.id.in_(numbers))
    )
    return query if actor.admin else query.where(pipelines.c.project_id.in_(_of_role(actor, Ability.READ_PIPELINE)))


def _of_role(actor: Actor, ability: Ability) -> Select[int]:
    return select(members.c.project_id).where(members.c.user_id == actor.user_id, members.c.role >= LEAST_ROLE[ability])


async def change(app: App, actor: Actor, runner_id: int, state: State) -> RunnerView:
    """Pauses, resumes or drains.

    A paused runner gets no subject that it has not; a draining one gives up what it does nothing for, and ends when
    nothing is left, paused then.
    """
    async with app.database.transaction() as connection:
        await _managed(connection, actor, runner_id)
        await connection.execute(update(runners).where(runners.c.id == runner_id).values(state=state))
        await ring(connection, lease.state_bell(runner_id))
        await ring(connection, "runners:all")
        return views_of([await _one(connection, actor, runner_id)])[0]


async def remove(app: App, actor: Actor, runner_id: int) -> None:
    """The runner's tokens die, and its leases end as if it had not been heard of in time.

    Raises:
        ConflictError: it lives by a token that the server keeps in its home, and would come again.
    """
    async with app.database.transaction() as connection:
        one = await _managed(connection, actor, runner_id)
        if not one.registered and one.alive:
            raise ConflictError(f"{one.name} runs with the server's own token. End it first: `qd serve --no-runner`.")
        theirs = tokens.c.runner_id == runner_id
        await connection.execute(update(tokens).where(theirs, literal(not one.registered)).values(runner_id=None))
        await lease.remove(connection, runner_id)
    await lease.expire(app)  # else the next sweep does it


async def _managed(connection: AsyncConnection, actor: Actor, runner_id: int) -> RunnerView:
    """The runner, if the actor may manage it. Raises NotFoundError, ForbiddenError."""
    row = await _one(connection, actor, runner_id)
    if row.project_id is None:
        administrator(actor, "manage runners of the whole instance")
    else:
        await project_for(connection, actor, row.project_id, Ability.MANAGE_RUNNER)
    return views_of([row])[0]
