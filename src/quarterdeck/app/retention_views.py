"""What the next sweep will delete, told before it does."""

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, func, select

from quarterdeck.app.access import administrator, project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.retention import EVERY, ended, expired
from quarterdeck.app.session_views import SessionView, views_of, visible
from quarterdeck.core.access import Ability
from quarterdeck.core.limits import PAGE_ROWS
from quarterdeck.store.tables import sessions, sweeps


class RetentionView(BaseModel):
    """What the next sweep finds, and when."""

    model_config = ConfigDict(frozen=True)
    project_id: int | None
    retention_days: int | None
    """None for the whole instance, where each project has its own."""
    next_sweep: datetime
    last_sweep: datetime | None
    last_deleted: int
    sessions: int
    """How many are past their time by then; those that you may not see are counted, too."""
    waiting: int
    """Of these, how many wait for somebody and are stopped first; one that works by then is left."""
    events: int
    held: int
    """How many are kept whatever their age."""
    items: tuple[SessionView, ...]
    """The first of them that you may see, the longest unused first."""


async def preview_project(app: App, actor: Actor, project: int | str, *, days: int | None = None) -> RetentionView:
    """For a project; with `days` as if its sessions were kept for so long."""
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.READ_SESSION)
    mine = sessions.c.project_id == found.id
    return await _preview(app, actor, mine, project_id=found.id, kept=days or found.retention_days, days=days)


async def preview(app: App, actor: Actor) -> RetentionView:
    """For the whole instance; administrators only."""
    administrator(actor, "see what is deleted everywhere")
    return await _preview(app, actor, sessions.c.id.is_not(None), project_id=None, kept=None, days=None)


async def _preview(
    app: App, actor: Actor, mine: ColumnElement[bool], *, project_id: int | None, kept: int | None, days: int | None
) -> RetentionView:
    async with app.database.transaction() as connection:
        last = (await connection.execute(select(sweeps))).one_or_none()
        at = max(last.due_at, datetime.now(UTC)) if last else datetime.now(UTC) + EVERY
        over = mine & expired(at, days)
        sums = select(func.count(), func.count().filter(~ended()), func.coalesce(func.sum(sessions.c.seq), 0))
        count, waiting, events = (await connection.execute(sums.select_from(sessions).where(over))).one()
        held = select(func.count()).select_from(sessions).where(mine, sessions.c.expires_on.is_(None))
        listed = visible(actor).where(over).order_by(sessions.c.last_activity, sessions.c.id).limit(PAGE_ROWS)
        return RetentionView(
            project_id=project_id,
            retention_days=kept,
            next_sweep=at,
            last_sweep=last.ended_at if last else None,
            last_deleted=last.deleted if last else 0,
            sessions=count,
            waiting=waiting,
            events=events,
            held=(await connection.execute(held)).scalar_one(),
            items=views_of(app, (await connection.execute(listed)).all()),
        )
