"""A flow as it is looked at: its text with or without faults, its versions, and a text that nobody has stored yet."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import flow_choice
from quarterdeck.app.access import Project, project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.flow_choice import FILE, OWN, Found, Origin, version_of
from quarterdeck.core.access import LEAST_ROLE, Ability
from quarterdeck.core.text import clean
from quarterdeck.core.versions import version as numbers
from quarterdeck.flows.reader import Reading, examine
from quarterdeck.store.tables import members, projects
from quarterdeck.store.tables import project_flows as rows
from quarterdeck.tools.catalogue import CATALOGUE

NAMED = 20
"""So many flows are found by a word of their names."""


class VersionView(BaseModel):
    """One version of a flow."""

    model_config = ConfigDict(frozen=True)
    version: str
    stored_by: str = ""
    stored_at: datetime | None = None


class FlowSource(BaseModel):
    """A flow's text, which may have faults, and the versions that there are of it."""

    model_config = ConfigDict(frozen=True)
    name: str
    start_as: str
    """What a start calls the flow in its usual version."""
    version: str
    usual: str
    """The version that a start takes which names none."""
    origin: Origin
    path: str
    """Of a repository's file."""
    text: str
    scripted: bool
    faults: tuple[str, ...]
    """Of a file that is no text of a flow at all; others tell theirs when they are read."""
    versions: tuple[VersionView, ...]
    """The newest first."""

    @property
    def before(self) -> str:
        """The version before this one; empty when none is kept."""
        all_of_them = [one.version for one in self.versions]
        return (*all_of_them[all_of_them.index(self.version) + 1 :], "")[0] if self.version in all_of_them else ""

    @property
    def start_exactly_as(self) -> str:
        """What a start calls this version."""
        return self.start_as if self.version == self.usual else f"{self.start_as}/{self.version}"


class NamedFlow(BaseModel):
    """A flow that a project stores."""

    model_config = ConfigDict(frozen=True)
    project_id: int
    project_path: str
    name: str


async def show(app: App, actor: Actor, project: int | str, name: str) -> FlowSource:
    """The flow that a start by `name` would take, also when it can't be used. Raises NotFoundError."""
    async with app.database.transaction() as connection:
        at = await project_for(connection, actor, project, Ability.START_SESSION)
        found = await flow_choice.look_up(app, connection, at, name)
        versions = await _versions(app, connection, at, found)
    return FlowSource(
        name=found.name,
        start_as=next((prefix for prefix in (FILE, OWN) if name.startswith(prefix)), "") + found.name,
        version=found.version,
        usual=_usual(app, found, versions),
        origin=found.origin,
        path=found.path,
        text=found.text,
        scripted=found.script is not None,
        faults=found.faults,
        versions=tuple(versions),
    )


def _usual(app: App, found: Found, versions: Sequence[VersionView]) -> str:
    if found.origin == "shipped":
        return app.flows.read(app.flows.shipped(found.name)[0]).version
    return versions[0].version if versions else found.version


async def _versions(app: App, connection: AsyncConnection, project: Project, found: Found) -> Sequence[VersionView]:
    if found.origin == "shipped":
        known = [name.partition("/") for name in app.flows.names()]
        there = [version for name, _, version in known if name == found.name]
        return [VersionView(version=one) for one in sorted(there, key=numbers, reverse=True)]
    if found.origin == "repository":
        return []
    query = (
        select(rows.c.version, rows.c.stored_by, rows.c.stored_at)
        .where(rows.c.project_id == project.id, rows.c.name == found.name)
        .order_by(rows.c.version.desc())
    )
    return [
        VersionView(version=version_of(row.version), stored_by=row.stored_by, stored_at=row.stored_at)
        for row in await connection.execute(query)
    ]


async def look_at(app: App, actor: Actor, project: int | str, text: str) -> Reading:
    """What is in a text that somebody writes, with all its findings; nothing is stored. For who may store flows."""
    async with app.database.transaction() as connection:
        await project_for(connection, actor, project, Ability.MANAGE_FLOWS)
    return await asyncio.to_thread(examine, clean(text), CATALOGUE)


async def named(app: App, actor: Actor, word: str) -> list[NamedFlow]:
    """Flows that projects store, by a part of their names, where you may start them."""
    role = LEAST_ROLE[Ability.START_SESSION]
    mine = select(members.c.project_id).where(members.c.user_id == actor.user_id, members.c.role >= role)
    query = (
        select(rows.c.project_id, projects.c.path, rows.c.name)
        .join(projects, projects.c.id == rows.c.project_id)
        .where(rows.c.name.icontains(word, autoescape=True))
        .distinct()
        .order_by(rows.c.name, projects.c.path)
        .limit(NAMED)
    )
    if not actor.admin:
        query = query.where(rows.c.project_id.in_(mine))
    async with app.database.transaction() as connection:
        found = (await connection.execute(query)).all()
    return [NamedFlow(project_id=row.project_id, project_path=row.path, name=row.name) for row in found]
