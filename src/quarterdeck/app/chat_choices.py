"""What somebody can begin a chat with: the projects that it may be about, and the agents that they may talk with."""

from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ScalarSelect, Subquery, Text, func, literal, or_, select
from sqlalchemy.dialects.postgresql import JSONB

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.access import LEAST_ROLE, Ability
from quarterdeck.store.tables import agents, members, projects

SHOWN = 200
"""Projects that are offered; a chat about another one begins on its page."""


class ProjectChoice(BaseModel):
    """A project in which the person may begin a chat."""

    model_config = ConfigDict(frozen=True)
    id: int
    path: str


class AgentChoice(BaseModel):
    """An agent beside the one that ships."""

    model_config = ConfigDict(frozen=True)
    name: str
    description: str
    mine: bool


class ChatChoices(BaseModel):
    """What doors offer; each use case checks again by itself."""

    model_config = ConfigDict(frozen=True)
    projects: tuple[ProjectChoice, ...]
    agents: tuple[AgentChoice, ...]


async def choices(app: App, actor: Actor, project_id: int | None = None) -> ChatChoices:
    """Of one project, if it is named and the actor may begin chats in it; else all projects and the actor's agents.

    One query, because every page asks.
    """
    role = LEAST_ROLE[Ability.START_SESSION]
    mine = select(members.c.project_id).where(members.c.user_id == actor.user_id, members.c.role >= role)
    allowed = select(projects.c.id, projects.c.path).order_by(projects.c.path).limit(SHOWN)
    if not actor.admin:
        allowed = allowed.where(projects.c.id.in_(mine))
    usable = agents.c.user_id == actor.user_id
    if project_id is not None:
        allowed = allowed.where(projects.c.id == project_id)
        usable = or_(usable, agents.c.project_id.in_(allowed.with_only_columns(projects.c.id)))
    of = agents.c
    named = select(of.name, of.description, of.user_id.is_not(None).label("mine")).where(usable)
    async with app.database.reading() as connection:
        told = (await connection.execute(select(_rows(allowed.subquery()), _rows(named.subquery())))).one()
    # A person's own before the project's of the same name, as `agents.named` takes them.
    found: dict[str, AgentChoice] = {}
    for one in sorted(map(AgentChoice.model_validate, told[1]), key=lambda one: (one.name, not one.mine)):
        found.setdefault(one.name, one)
    offered = sorted(map(ProjectChoice.model_validate, told[0]), key=lambda one: one.path)
    return ChatChoices(projects=tuple(offered), agents=tuple(found.values()))


def _rows(some: Subquery) -> ScalarSelect[Any]:
    """The rows of a query as one value."""
    fields = [part for column in some.c for part in (literal(column.name, Text), column)]
    listed = func.jsonb_agg(func.jsonb_build_object(*fields, type_=JSONB), type_=JSONB)
    return select(func.coalesce(listed, literal([], JSONB))).scalar_subquery()
