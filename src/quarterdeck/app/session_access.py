"""The ability check for everything about a session."""

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.access import demand, project_for
from quarterdeck.app.actor import Actor
from quarterdeck.core.access import INITIATOR_ABILITIES, Ability
from quarterdeck.core.errors import ConflictError, ForbiddenError, NotFoundError
from quarterdeck.core.events import SessionCreated
from quarterdeck.core.state import EXTERNAL
from quarterdeck.store.tables import sessions, users

_WHOSE = select(sessions.c.project_id, sessions.c.initiator_id, sessions.c.origin).where(
    sessions.c.id == bindparam("id")
)


async def may(connection: AsyncConnection, actor: Actor, session_id: int, ability: Ability) -> None:
    """The one check for everything about a session.

    Raises:
        NotFoundError: there is none that the actor may know of.
        ForbiddenError: the actor may see it, but not this.
    """
    row = (await connection.execute(_WHOSE, {"id": session_id})).one_or_none()
    unknown = NotFoundError(f"There is no session #{session_id} that you may see.")
    if row is None:
        raise unknown
    if row.initiator_id == actor.user_id and ability in INITIATOR_ABILITIES:
        return
    if row.origin in ("chat", "ide") or (row.project_id is None and not actor.admin):
        raise unknown
    if row.project_id is None:
        return
    try:
        project = await project_for(connection, actor, row.project_id, Ability.READ_SESSION)
    except (NotFoundError, ForbiddenError):
        raise unknown from None
    demand(project, ability)


async def steer_check(connection: AsyncConnection, actor: Actor, session_id: int, *, renames: bool = False) -> None:
    """Only the initiator answers, writes, pauses and resumes, as long as a role in the project allows sessions.

    Raises:
        NotFoundError, ForbiddenError: as `may` does.
        ConflictError: its work is done elsewhere; it can only be renamed from here.
    """
    await may(connection, actor, session_id, Ability.READ_SESSION)
    row = (
        await connection.execute(
            select(sessions.c.initiator_id, sessions.c.project_id, sessions.c.origin).where(sessions.c.id == session_id)
        )
    ).one()
    if row.initiator_id != actor.user_id:
        raise ForbiddenError(f"Only the initiator of session #{session_id} steers it; you may watch it.")
    if row.project_id is not None:
        await project_for(connection, actor, row.project_id, Ability.START_SESSION)
    if row.origin == EXTERNAL and not renames:
        raise ConflictError(
            f"The work of session #{session_id} is done elsewhere: answer, pause and resume it there. From here it can "
            "be renamed, held, stopped and deleted."
        )


async def initiator(connection: AsyncConnection, created: SessionCreated) -> Actor:
    """The session's initiator, in whose name the server acts for it."""
    row = (await connection.execute(select(users).where(users.c.id == created.initiator_id))).one()
    return Actor(row.id, row.username, row.name, row.email, row.admin, "server")
