"""How many sessions there are, by status group: kept with every change, never counted by looking at sessions."""

from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Select, false, func, select, true, union_all

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
    async with app.database.reading() as connection:
        project_id = None
        if project is not None:
            project_id = (await project_for(connection, actor, project, Ability.READ_SESSION)).id
        found = (await connection.execute(_sums(actor, project_id))).all()
    everything, own = dict.fromkeys(StatusGroup, 0), dict.fromkeys(StatusGroup, 0)
    for row in found:
        group = StatusGroup(row.status_group)
        everything[group] += int(row.n) if row.seen else 0
        own[group] += int(row.n) if row.own else 0
    return SessionCounts(all=everything, mine=own, needs_me=own[StatusGroup.AWAITING_INPUT])


def _sums(actor: Actor, project_id: int | None) -> Select[Any, Any, Any, Any]:
    """The folded numbers and what has changed since, as one statement sees them.

    What others may see too is in the sums of projects; of one's own the rest is added.
    """
    role = LEAST_ROLE[Ability.READ_SESSION]
    mine = select(members.c.project_id).where(members.c.user_id == actor.user_id, members.c.role >= role)
    parts: list[Select[bool, bool, Any, Any]] = []
    for table, everybody in ((session_counts, session_counts.c.initiator_id == 0), (session_count_changes, true())):
        columns = table.c
        within = true() if project_id is None else columns.project_id == project_id
        public = ~columns.private & (true() if actor.admin else columns.project_id.in_(mine))
        number = (columns.status_group, columns.n)
        own = columns.initiator_id == actor.user_id
        parts.append(select(false().label("own"), true().label("seen"), *number).where(everybody, within, public))
        parts.append(select(true().label("own"), (~public).label("seen"), *number).where(own, within))
    kept = union_all(*parts).subquery()
    key = (kept.c.own, kept.c.seen, kept.c.status_group)
    return select(*key, func.sum(kept.c.n).label("n")).group_by(*key)
