"""The ability check for everything about a session."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.access import too_low
from quarterdeck.app.actor import Actor
from quarterdeck.app.session_filter import PRIVATE
from quarterdeck.core.access import Ability, Role, Standing
from quarterdeck.core.errors import ConflictError, ForbiddenError, NotFoundError
from quarterdeck.core.events import SessionCreated
from quarterdeck.core.state import EXTERNAL
from quarterdeck.store.tables import users

_FACTS = (  # as the driver takes it: nearly every request asks this, and every watcher at each change
    "select place, initiator_id, sessions.project_id, origin, path, role"
    " from unnest(%s::bigint[], %s::bigint[]) with ordinality as asked (session_id, asker_id, place)"
    " join sessions on sessions.id = session_id"
    " left join projects on projects.id = sessions.project_id"
    " left join members on members.project_id = sessions.project_id and members.user_id = asker_id"
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What of a session decides who may do what, and how one person stands to it."""

    standing: Standing
    path: str
    """Of its project."""
    external: bool
    """Its work is done elsewhere."""


async def facts(connection: AsyncConnection, asking: Sequence[tuple[Actor, int]]) -> list[Facts | NotFoundError]:
    """Of each person and session, in one query; NotFoundError where there is none that the person may know of.

    Where a service account does it for a person, it is as the account stands to it, with the lesser of their roles.
    """
    answers = await _facts(connection, asking)
    accounts = {place: (actor.account, number) for place, (actor, number) in enumerate(asking) if actor.account}
    if accounts:
        theirs = await _facts(connection, list(accounts.values()))
        for place, other in zip(accounts, theirs, strict=True):
            mine = answers[place]
            answers[place] = mine if isinstance(mine, NotFoundError) else _lesser(mine, other)
    return answers


def _lesser(mine: Facts, other: Facts | NotFoundError) -> Facts | NotFoundError:
    if isinstance(other, NotFoundError):
        return other
    one, two = mine.standing.role, other.standing.role
    role = min(one, two) if one is not None and two is not None else None
    admin = mine.standing.admin and other.standing.admin
    return replace(other, standing=replace(other.standing, role=role, admin=admin))


async def _facts(connection: AsyncConnection, asking: Sequence[tuple[Actor, int]]) -> list[Facts | NotFoundError]:
    people, numbers = [actor.user_id for actor, _ in asking], [number for _, number in asking]
    found = {row.place: row for row in await connection.exec_driver_sql(_FACTS, (numbers, people))}
    answers: list[Facts | NotFoundError] = []
    for place, (actor, number) in enumerate(asking, 1):
        row = found.get(place)
        known = None if row is None else Facts(standing(actor, row), row.path or "", row.origin == EXTERNAL)
        unknown = NotFoundError(f"There is no session #{number} that you may see.")
        answers.append(known if known and known.standing.allows(Ability.READ_SESSION) else unknown)
    return answers


def standing(actor: Actor, row: Row[Any]) -> Standing:
    """How the actor stands to the session of a row that has the actor's role in its project, too."""
    role = Role.OWNER if actor.admin else Role(row.role) if row.role else None
    private, in_project = row.origin in PRIVATE, row.project_id is not None
    return Standing(row.initiator_id == actor.user_id, private, in_project, role, actor.admin)


async def may(connection: AsyncConnection, actor: Actor, session_id: int, ability: Ability) -> None:
    """The one check for everything about a session.

    Raises:
        NotFoundError: there is none that the actor may know of.
        ForbiddenError: the actor may see it, but not this.
    """
    known = await _known(connection, actor, session_id)
    if not known.standing.allows(ability):
        raise too_low(known.path, known.standing.role, ability)


async def steer_check(connection: AsyncConnection, actor: Actor, session_id: int, *, renames: bool = False) -> None:
    """Only the initiator answers, writes, pauses and resumes, as long as a role in the project allows sessions.

    Raises:
        NotFoundError, ForbiddenError: as `may` does.
        ConflictError: its work is done elsewhere; it can only be renamed from here.
    """
    known = await _known(connection, actor, session_id)
    if not known.standing.initiator:
        raise ForbiddenError(f"Only the initiator of session #{session_id} steers it; you may watch it.")
    if not known.standing.steers:
        raise too_low(known.path, known.standing.role, Ability.START_SESSION)
    if known.external and not renames:
        raise ConflictError(
            f"The work of session #{session_id} is done elsewhere: answer, pause and resume it there. From here it can "
            "be renamed, held, stopped and deleted."
        )


async def _known(connection: AsyncConnection, actor: Actor, session_id: int) -> Facts:
    answer = (await facts(connection, [(actor, session_id)]))[0]
    if isinstance(answer, NotFoundError):
        raise answer
    return answer


async def initiator(connection: AsyncConnection, created: SessionCreated) -> Actor:
    """The session's initiator, in whose name the server acts for it."""
    account_id = created.triggered.account_id if created.triggered else None
    query = select(users).where(users.c.id.in_((created.initiator_id, account_id)))
    rows = {row.id: row for row in await connection.execute(query)}
    # Without its account, were that ever gone, a session may nothing: not what the person alone may.
    account = None if account_id is None else _actor(rows[account_id], None)
    return _actor(rows[created.initiator_id], account)


async def person(connection: AsyncConnection, user_id: int) -> Actor:
    """Somebody by their number, in whose name the server does something."""
    return _actor((await connection.execute(select(users).where(users.c.id == user_id))).one(), None)


def _actor(row: Row[Any], account: Actor | None) -> Actor:
    return Actor(row.id, row.username, row.name, row.email, row.admin, "server", account)
