"""A project's own flows: stored by its maintainers, listed beside those that ship and those of its repository."""

from asyncio import to_thread
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import flow_choice, repository_flows
from quarterdeck.app.access import Project, project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.flow_choice import FILE_VERSION, Origin, version_of
from quarterdeck.core import limits
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import ConflictError, InvalidInputError, NotFoundError
from quarterdeck.core.flow import NAME
from quarterdeck.core.text import clean, line
from quarterdeck.store.tables import project_flows as rows

FLOWS = 100
"""How many a project may store."""
VERSIONS = 50
"""How many of one are kept; the oldest go first."""


class StoreFlow(BaseModel):
    """A flow to store, or a new version of one."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    text: str = Field(max_length=limits.FLOW_BYTES, description="The YAML.")
    name: str | None = Field(default=None, max_length=100, description="The one in the file if absent.")


class FlowView(BaseModel):
    """A flow that a project's sessions can be started with."""

    model_config = ConfigDict(frozen=True)
    name: str
    start_as: str
    """What a start calls it; with `project:` or `repository:` where another flow of the name comes first."""
    version: str
    origin: Origin
    path: str = ""
    """Of a repository's file."""
    description: str
    scripted: bool = False
    environment: str = ""
    """`ambient` works by itself, `chat` and `chat-partial` talk with you; empty when it can't be started."""
    workspace: bool = False
    """Whether it works on files, in the workspace of a runner."""
    faults: tuple[str, ...] = ()
    """Why it can't be started."""
    stored_by: str = ""
    stored_at: datetime | None = None


class FlowText(BaseModel):
    """A flow's YAML, and where it comes from."""

    model_config = ConfigDict(frozen=True)
    name: str
    version: str
    origin: Origin
    path: str = ""
    text: str


class ProjectFlows(BaseModel):
    """All of a project's flows."""

    model_config = ConfigDict(frozen=True)
    flows: list[FlowView]
    left_out: int
    """Files of the repository that are more than are read."""


async def find(app: App, actor: Actor, project: int | str) -> ProjectFlows:
    """Those that ship, those that are stored in their newest version, and the files of the default branch."""
    async with app.database.transaction() as connection:
        at = await project_for(connection, actor, project, Ability.START_SESSION)
        stored = await _newest(connection, at)
    shipped = [_shipped(app, name) for name in app.flows.names()]
    names = {one.name for one in shipped}
    own = [_stored(app, row, names) for row in stored]
    read = await repository_flows.read(app, at)
    first, files = names | {one.name for one in own}, list[FlowView]()
    for file in read.files:
        same = [other.path for other in read.called(file.name) if other is not file]
        faults = file.faults + ((f"1:1 name: {', '.join(same)} has the same. Rename one.",) if same else ())
        files.append(
            FlowView(
                name=file.name,
                start_as=flow_choice.FILE * (file.name in first) + file.name,
                version=FILE_VERSION,
                origin="repository",
                path=file.path,
                description=file.description,
                environment=file.environment,
                workspace=file.workspace,
                faults=faults,
            )
        )
    return ProjectFlows(flows=[*shipped, *own, *files], left_out=read.left_out)


async def show(app: App, actor: Actor, project: int | str, name: str) -> FlowText:
    """The flow that a start by `name` would take. Raises InvalidInputError for one that can't be used."""
    async with app.database.transaction() as connection:
        at = await project_for(connection, actor, project, Ability.START_SESSION)
        chosen = await flow_choice.choose(app, connection, at, name)
    flow = chosen.flow
    return FlowText(name=flow.name, version=flow.version, origin=chosen.origin, path=chosen.path, text=chosen.text)


async def store(app: App, actor: Actor, project: int | str, request: StoreFlow) -> FlowView:
    """Stores a flow, or a new version of one; the same text again changes nothing. For maintainers.

    Raises:
        InvalidInputError: it has faults, each with its line; or no name.
        ConflictError: the name is one of a flow that ships, or there are too many.
    """
    text = clean(request.text)
    async with app.database.transaction() as connection:
        at = await project_for(connection, actor, project, Ability.MANAGE_FLOWS)
        await to_thread(app.flows.read, text)
        name = request.name or app.flows.examine(text).name
        if not NAME.fullmatch(name):
            raise InvalidInputError("A flow that is stored needs a name, of letters, digits, '_' and '-'.")
        if app.redactor.text(text) != text:
            raise InvalidInputError("The flow holds what looks like a secret; none is stored in a flow.")
        if name in {known.partition("/")[0] for known in app.flows.names()}:
            raise ConflictError(f"A flow called {name!r} ships with Quarterdeck. Take another name.")
        # One after the other, so that two versions never get one number.
        await connection.exec_driver_sql("select pg_advisory_xact_lock(hashtext(%s))", (f"flows:{at.id}",))
        stored = await _newest(connection, at)
        last = next((row for row in stored if row.name == name), None)
        if last is None and len(stored) >= FLOWS:
            raise ConflictError(f"{at.path} stores {FLOWS} flows already. Delete one first.")
        if last is None or last.text != text:
            version = last.version + 1 if last else 1
            await connection.execute(
                insert(rows).values(project_id=at.id, name=name, version=version, text=text, stored_by=actor.username)
            )
            old = (rows.c.project_id == at.id) & (rows.c.name == name) & (rows.c.version <= version - VERSIONS)
            await connection.execute(delete(rows).where(old))
            last = next(row for row in await _newest(connection, at) if row.name == name)
    return _stored(app, last, set())


async def remove(app: App, actor: Actor, project: int | str, name: str) -> None:
    """Deletes a stored flow with all its versions; sessions that were started with it go on. For maintainers."""
    async with app.database.transaction() as connection:
        at = await project_for(connection, actor, project, Ability.MANAGE_FLOWS)
        plain = name.removeprefix(flow_choice.OWN)
        gone = await connection.execute(delete(rows).where(rows.c.project_id == at.id, rows.c.name == plain))
        if gone.rowcount == 0:
            raise NotFoundError(f"{at.path} stores no flow {plain!r}.")


async def _newest(connection: AsyncConnection, project: Project) -> Sequence[Row[Any]]:
    newest = select(rows.c.name, func.max(rows.c.version).label("version")).where(rows.c.project_id == project.id)
    last = newest.group_by(rows.c.name).subquery()
    query = select(rows).join(last, (last.c.name == rows.c.name) & (last.c.version == rows.c.version))
    found = await connection.execute(query.where(rows.c.project_id == project.id).order_by(rows.c.name))
    return found.all()


def _shipped(app: App, name: str) -> FlowView:
    text, script = app.flows.shipped(name)
    flow = app.flows.read(text)
    return FlowView(
        name=flow.name,
        start_as=flow.id,
        version=flow.version,
        origin="shipped",
        description=flow.description,
        scripted=script is not None,
        environment=flow.environment,
        workspace=flow.workspace,
    )


def _stored(app: App, row: Row[Any], shipped: set[str]) -> FlowView:
    examined = app.flows.examine(row.text)
    return FlowView(
        name=row.name,
        start_as=flow_choice.OWN * (row.name in shipped) + row.name,
        version=version_of(row.version),
        origin="project",
        description=line(examined.description, repository_flows.DESCRIPTION_CHARACTERS),
        environment=examined.environment,
        workspace=examined.workspace,
        faults=examined.faults,
        stored_by=row.stored_by,
        stored_at=row.stored_at,
    )
