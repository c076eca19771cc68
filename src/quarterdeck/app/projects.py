"""Projects: a repository, its members and what they may do."""

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row, delete, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import pipelines
from quarterdeck.app.access import project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.job_deletion import forget_jobs
from quarterdeck.core.access import Ability, Role, allows
from quarterdeck.core.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from quarterdeck.core.session_limits import ProjectLimits
from quarterdeck.core.text import clean
from quarterdeck.store.tables import members, pipeline_jobs, projects, sessions, users
from quarterdeck.store.tables import pipelines as pipeline_rows
from quarterdeck.tools.tool import Privilege

_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")

_SAMPLE = "sample:"


class AddProject(BaseModel):
    """What a project is made of: empty, from a repository elsewhere, or the sample."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    path: str = Field(max_length=255, description="Letters, digits, `-`, `_`, dots, and slashes between names.")
    name: str | None = Field(default=None, max_length=255)
    description: str = Field(default="", max_length=2000)
    source: str | None = Field(default=None, max_length=2000, description="A path or URL to copy the repository from.")
    sample: bool = Field(default=False, description="The sample project, whose pipeline fails.")


class ProjectView(BaseModel):
    """A project as doors show it."""

    model_config = ConfigDict(frozen=True)
    id: int
    path: str
    name: str
    description: str
    default_branch: str
    retention_days: int
    runner_tags: tuple[str, ...]
    """Its sessions go only to runners that have all of these."""
    limits: ProjectLimits
    """What its sessions and jobs may use of a runner, where that is less than the runner's own limits."""
    always_ask: tuple[Privilege, ...]
    """Privileges whose tools ask a person in each of its sessions, whatever their flow and their start say."""
    role: str
    """The actor's own role."""
    clone_url: str
    url: str

    def may(self, ability: Ability) -> bool:
        """Whether the actor's role has it, for what pages offer."""
        return allows(Role[self.role.upper()], ability)


class MemberView(BaseModel):
    """A member of a project."""

    model_config = ConfigDict(frozen=True)
    username: str
    name: str
    role: str


async def add(app: App, actor: Actor, request: AddProject) -> ProjectView:
    """Makes a project, of which the actor becomes the owner, and starts the pipeline of what came with it.

    Raises:
        InvalidInputError: the path is no path, or the source can't be cloned, with git's reason.
        ConflictError: the path is taken.
        ForbiddenError: sources on the server or in its private network are for administrators: it could be any there.
    """
    _check(actor, request)
    source = _SAMPLE if request.sample else request.source
    async with app.database.transaction() as connection:
        if (await connection.execute(select(projects.c.id).where(projects.c.path == request.path))).one_or_none():
            raise _taken(request.path)
        project_id = await _number(connection)
    # A clone can take minutes: no transaction is held open for it.
    branch = await app.forge.create(project_id, source=source, private=actor.admin)
    try:
        return await _keep(app, actor, request, project_id, branch)
    except BaseException:
        await app.forge.delete(project_id)
        raise


def _check(actor: Actor, request: AddProject) -> None:
    path, source = request.path, request.source or ""
    if not _PATH.fullmatch(path) or path.isdigit() or path.endswith((".git", ".lock")) or ".." in path:
        raise InvalidInputError(
            f"{path!r} can't be a project's path: use letters, digits, -, _ and dots, with slashes between names; "
            "not digits alone, and nothing that ends in .git."
        )
    if request.sample and source:
        raise InvalidInputError("A project is the sample or has a source, not both.")


async def _keep(app: App, actor: Actor, request: AddProject, project_id: int, branch: str) -> ProjectView:
    try:
        async with app.database.transaction() as connection:
            return await _insert(app, actor, connection, request, project_id, branch)
    except IntegrityError as error:
        raise _taken(request.path) from error


async def add_sample(app: App, connection: AsyncConnection, actor: Actor, path: str) -> None:
    """The sample project, with what else the transaction makes or not at all; nothing where its path is taken."""
    if (await connection.execute(select(projects.c.id).where(projects.c.path == path))).one_or_none():
        return
    project_id = await _number(connection)
    branch = await app.forge.create(project_id, source=_SAMPLE, private=actor.admin)
    try:
        await _insert(app, actor, connection, AddProject(path=path, sample=True), project_id, branch)
    except BaseException:
        await app.forge.delete(project_id)
        raise


async def _number(connection: AsyncConnection) -> int:
    sequence = select(func.nextval(func.pg_get_serial_sequence("projects", "id")))
    return (await connection.execute(sequence)).scalar_one()


async def _insert(
    app: App, actor: Actor, connection: AsyncConnection, request: AddProject, project_id: int, branch: str
) -> ProjectView:
    await connection.execute(
        insert(projects).values(
            id=project_id,
            path=request.path,
            name=clean(request.name or request.path),
            description=clean(request.description),
            default_branch=branch,
        )
    )
    owner = {"project_id": project_id, "user_id": actor.user_id, "role": int(Role.OWNER)}
    await connection.execute(insert(members).values(owner))
    sha = (await app.forge.branches(project_id)).get(branch)
    if sha is not None:
        await pipelines.start_for(connection, app, project_id, branch, sha, source="push")
    return await _load(app, actor, connection, project_id)


def _taken(path: str) -> ConflictError:
    return ConflictError(f"There is a project {path!r} already. Choose another path.")


async def find(app: App, actor: Actor) -> list[ProjectView]:
    """The projects that the actor may see, by path."""
    async with app.database.transaction() as connection:
        query = _query(actor).order_by(projects.c.path)
        if not actor.admin:
            query = query.where(members.c.role.is_not(None))
        return [_view(app, actor, row) for row in await connection.execute(query)]


async def show(app: App, actor: Actor, project: int | str) -> ProjectView:
    """One project."""
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.READ_PROJECT)
        return await _load(app, actor, connection, found.id)


async def delete_project(app: App, actor: Actor, project: int | str) -> None:
    """Deletes a project with its repository, pipelines and merge requests.

    Raises:
        ConflictError: it still has sessions; those are deleted by themselves, each with its own proof.
    """
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.MANAGE_PROJECT)
        await connection.execute(select(projects.c.id).where(projects.c.id == found.id).with_for_update())
        count = select(func.count()).select_from(sessions).where(sessions.c.project_id == found.id)
        left = (await connection.execute(count)).scalar_one()
        if left:
            raise ConflictError(f"{found.path} has {left} sessions. Delete them first, then the project.")
        await pipelines.cancel_all(connection, app, found.id)
        await _forget_jobs(connection, found.id)
        await connection.execute(delete(projects).where(projects.c.id == found.id))
        await connection.execute(delete(users).where(users.c.service_project_id == found.id))
    await app.forge.delete(found.id)


async def _forget_jobs(connection: AsyncConnection, project_id: int) -> None:
    """What jobs leave in tables that know only their subjects."""
    rows = await connection.execute(
        select(pipeline_jobs.c.id)
        .join(pipeline_rows, pipeline_rows.c.id == pipeline_jobs.c.pipeline_id)
        .where(pipeline_rows.c.project_id == project_id)
    )
    await forget_jobs(connection, rows.scalars().all())


async def list_members(app: App, actor: Actor, project: int | str) -> list[MemberView]:
    """The members of a project, the highest roles first."""
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.READ_PROJECT)
        return await _members(connection, found.id)


async def set_member(app: App, actor: Actor, project: int | str, username: str, role: Role) -> list[MemberView]:
    """Makes somebody a member, or gives a member another role; nobody gives or changes a role above their own.

    Raises:
        NotFoundError: there is no such user.
        ConflictError: it would leave the project without an owner.
    """
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.MANAGE_MEMBERS)
        user_id = await _changeable(connection, found.id, username, found.role or Role.GUEST, role)
        row = upsert(members).values(project_id=found.id, user_id=user_id, role=int(role))
        await connection.execute(
            row.on_conflict_do_update(index_elements=["project_id", "user_id"], set_={"role": int(role)})
        )
        await _keep_an_owner(connection, found.id)
        return await _members(connection, found.id)


async def remove_member(app: App, actor: Actor, project: int | str, username: str) -> list[MemberView]:
    """Ends a membership; everybody may end their own.

    Raises:
        NotFoundError, ConflictError: as in `set_member`.
    """
    async with app.database.transaction() as connection:
        own = username == actor.username
        found = await project_for(connection, actor, project, Ability.READ_PROJECT if own else Ability.MANAGE_MEMBERS)
        user_id = await _changeable(connection, found.id, username, found.role or Role.GUEST, Role.GUEST)
        await connection.execute(delete(members).where(members.c.project_id == found.id, members.c.user_id == user_id))
        await _keep_an_owner(connection, found.id)
        return await _members(connection, found.id)


async def _changeable(connection: AsyncConnection, project_id: int, username: str, mine: Role, role: Role) -> int:
    # One change of members at a time, so that two owners can't remove each other.
    await connection.execute(select(projects.c.id).where(projects.c.id == project_id).with_for_update(key_share=True))
    row = (
        await connection.execute(
            select(users.c.id, members.c.role)
            .outerjoin(members, (members.c.user_id == users.c.id) & (members.c.project_id == project_id))
            .where(users.c.username == username)
            # A service account belongs to its project alone.
            .where(users.c.service_project_id.is_(None) | (users.c.service_project_id == project_id))
        )
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no user {username!r}.")
    if role > mine or (row.role or 0) > mine:
        raise ForbiddenError("Nobody gives or changes a role above their own.")
    return row.id


async def _keep_an_owner(connection: AsyncConnection, project_id: int) -> None:
    query = select(members.c.user_id).where(members.c.project_id == project_id, members.c.role == int(Role.OWNER))
    # A service account owns nothing by itself: nobody signs in as one.
    query = query.join(users, users.c.id == members.c.user_id).where(users.c.service_project_id.is_(None))
    if (await connection.execute(query.limit(1))).one_or_none() is None:
        raise ConflictError("A project keeps at least one owner. Make somebody else an owner first.")


async def _members(connection: AsyncConnection, project_id: int) -> list[MemberView]:
    rows = await connection.execute(
        select(users.c.username, users.c.name, members.c.role)
        .join(members, members.c.user_id == users.c.id)
        .where(members.c.project_id == project_id)
        .order_by(members.c.role.desc(), users.c.username)
    )
    return [MemberView(username=r.username, name=r.name, role=Role(r.role).name.lower()) for r in rows]


def _query(actor: Actor):
    mine = (members.c.project_id == projects.c.id) & (members.c.user_id == actor.user_id)
    return select(projects, members.c.role).outerjoin(members, mine)


async def _load(app: App, actor: Actor, connection: AsyncConnection, project_id: int) -> ProjectView:
    row = (await connection.execute(_query(actor).where(projects.c.id == project_id))).one()
    return _view(app, actor, row)


def _view(app: App, actor: Actor, row: Row[Any]) -> ProjectView:
    role = Role.OWNER if actor.admin else Role(row.role)
    return ProjectView(
        id=row.id,
        path=row.path,
        name=row.name,
        description=row.description,
        default_branch=row.default_branch,
        retention_days=row.retention_days,
        runner_tags=tuple(row.runner_tags),
        limits=ProjectLimits.model_validate(row.limits),
        always_ask=tuple(row.always_ask),
        role=role.name.lower(),
        clone_url=f"{app.public_url}/git/{row.path}.git",
        url=f"{app.public_url}/projects/{row.id}",
    )
