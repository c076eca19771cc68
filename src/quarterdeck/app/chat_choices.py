"""What somebody can begin a chat with: the projects that it may be about, and the agents that they may talk with."""

from pydantic import BaseModel, ConfigDict
from sqlalchemy import or_, select

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
    """Of one project, if it is named and the actor may begin chats in it; else all projects and the actor's agents."""
    role = LEAST_ROLE[Ability.START_SESSION]
    mine = select(members.c.project_id).where(members.c.user_id == actor.user_id, members.c.role >= role)
    allowed = select(projects.c.id, projects.c.path).order_by(projects.c.path).limit(SHOWN)
    if not actor.admin:
        allowed = allowed.where(projects.c.id.in_(mine))
    if project_id is not None:
        allowed = allowed.where(projects.c.id == project_id)
    async with app.database.reading() as connection:
        found = [ProjectChoice(id=row.id, path=row.path) for row in await connection.execute(allowed)]
        usable = agents.c.user_id == actor.user_id
        if project_id is not None and found:
            usable = or_(usable, agents.c.project_id == project_id)
        # A person's own before the project's of the same name, as `agents.named` takes them.
        query = select(agents.c.name, agents.c.description, agents.c.user_id).where(usable)
        rows = await connection.execute(query.order_by(agents.c.name, agents.c.user_id.is_(None)))
        named: dict[str, AgentChoice] = {}
        for row in rows:
            one = AgentChoice(name=row.name, description=row.description, mine=row.user_id is not None)
            named.setdefault(row.name, one)
    return ChatChoices(projects=tuple(found), agents=tuple(named.values()))
