"""The ability check of a use case: who may not know of a thing gets 404, who may know but not do gets 403."""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.actor import Actor
from quarterdeck.core.access import LEAST_ROLE, Ability, Role, allows
from quarterdeck.core.errors import ForbiddenError, NotFoundError
from quarterdeck.store.tables import members, projects


@dataclass(frozen=True)
class Project:
    """A project as use cases need it, with the actor's role in it."""

    id: int
    path: str
    name: str
    description: str
    default_branch: str
    retention_days: int
    network_hosts: tuple[str, ...]
    """What of the server's allowance its sessions may ask for."""
    always_ask: tuple[str, ...]
    """Privileges whose tools ask a person in each of its sessions."""
    role: Role | None


_WITH_ROLE = select(projects, members.c.role).outerjoin(
    members, (members.c.project_id == projects.c.id) & (members.c.user_id == bindparam("user"))
)
_BY_ID = _WITH_ROLE.where(projects.c.id == bindparam("key"))
_BY_PATH = _WITH_ROLE.where(projects.c.path == bindparam("key"))


async def project_for(connection: AsyncConnection, actor: Actor, ref: int | str, ability: Ability) -> Project:
    """The project with that id or path, if `actor` has `ability` in it; an administrator has all.

    Raises:
        NotFoundError: there is none that the actor may know of.
        ForbiddenError: the role is too low; the message names the role that would do.
    """
    by_id = isinstance(ref, int) or (ref.isascii() and ref.isdigit())
    query, key = (_BY_ID, int(ref)) if by_id else (_BY_PATH, ref)
    row = (await connection.execute(query, {"user": actor.user_id, "key": key})).one_or_none()
    role = Role.OWNER if row is not None and actor.admin else Role(row.role) if row is not None and row.role else None
    if row is None or not allows(role, Ability.READ_PROJECT):
        raise NotFoundError(f"There is no project {ref!r} that you may see.")
    project = of_row(row, role)
    demand(project, ability)
    if actor.account is not None:
        other = await project_for(connection, actor.account, row.id, ability)
        project = replace(project, role=min(role, other.role)) if role and other.role else project
    return project


def of_row(row: Row[Any], role: Role | None) -> Project:
    """A row of the table of projects as use cases need it."""
    return Project(
        row.id,
        row.path,
        row.name,
        row.description,
        row.default_branch,
        row.retention_days,
        tuple(row.network_hosts),
        tuple(row.always_ask),
        role,
    )


def demand(project: Project, ability: Ability) -> None:
    """Raises ForbiddenError unless the actor's role in `project` has `ability`."""
    if not allows(project.role, ability):
        raise too_low(project.path, project.role, ability)


def too_low(path: str, role: Role | None, ability: Ability) -> ForbiddenError:
    """Says which role in the project at `path` would do."""
    least = LEAST_ROLE[ability].name.capitalize()
    mine = role.name.capitalize() if role else "none"
    return ForbiddenError(f"To {ability.value.replace('_', ' ')} in {path} you need the role {least}; yours is {mine}.")


def administrator(actor: Actor, what: str) -> None:
    """Raises ForbiddenError unless `actor` is an administrator; `what` says what only they may."""
    if not actor.admin or (actor.account is not None and not actor.account.admin):
        raise ForbiddenError(f"Only administrators may {what}.")
