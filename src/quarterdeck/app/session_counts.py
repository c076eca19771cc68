"""How many sessions there are, by status group: kept with every change, never counted by looking at sessions."""

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Select, and_, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.access import project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.access import LEAST_ROLE, Ability
from quarterdeck.core.status import StatusGroup
from quarterdeck.store.tables import members, session_count_changes, session_counts


class SessionCounts(BaseModel):
    """Numbers of sessions, by status group; a group without any is 0."""

    model_config = ConfigDict(frozen=True)
    all: dict[StatusGroup, int]
    """Those that you may see."""
    mine: dict[StatusGroup, int]
    """Those that you started."""
    needs_me: int
    """Those that wait for an answer of yours."""


async def counts(app: App, actor: Actor, project: int | str | None = None) -> SessionCounts:
    """The sessions of a project, or all that the actor may see.

    Raises:
        NotFoundError, ForbiddenError: the project is none whose sessions the actor may see.
    """
    async with app.database.transaction() as connection:
        project_id = None
        if project is not None:
            project_id = (await project_for(connection, actor, project, Ability.READ_SESSION)).id
        own, others = await _sums(connection, actor, project_id)
    return SessionCounts(
        all={group: own[group] + others[group] for group in StatusGroup},
        mine=own,
        needs_me=own[StatusGroup.AWAITING_INPUT],
    )


async def _sums(
    connection: AsyncConnection, actor: Actor, project_id: int | None
) -> tuple[dict[StatusGroup, int], dict[StatusGroup, int]]:
    """What the actor started, and what others started that the actor may see."""
    kept = _both(actor, project_id).subquery()
    query = select(kept.c.own, kept.c.status_group, func.sum(kept.c.n).label("n")).group_by(
        kept.c.own, kept.c.status_group
    )
    own, others = dict.fromkeys(StatusGroup, 0), dict.fromkeys(StatusGroup, 0)
    for row in await connection.execute(query):
        (own if row.own else others)[StatusGroup(row.status_group)] = int(row.n)
    return own, others


def _both(actor: Actor, project_id: int | None) -> Select[bool, str, int]:
    """The folded numbers and what has changed since, as one statement sees them."""
    role = LEAST_ROLE[Ability.READ_SESSION]
    mine = select(members.c.project_id).where(members.c.user_id == actor.user_id, members.c.role >= role)
    parts = [
        select((table.c.initiator_id == actor.user_id).label("own"), table.c.status_group, table.c.n).where(
            true() if project_id is None else table.c.project_id == project_id,
            or_(
                table.c.initiator_id == actor.user_id,
                and_(~table.c.private, true() if actor.admin else table.c.project_id.in_(mine)),
            ),
        )
        for table in (session_counts, session_count_changes)
    ]
    return select(parts[0].union_all(parts[1]).subquery())
