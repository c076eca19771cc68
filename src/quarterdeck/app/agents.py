"""Custom agents: a prompt, tools and a model that a project or a person keeps, to chat with."""

import json
import re
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictInt, StrictStr
from sqlalchemy import Row, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.access import project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core import limits
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from quarterdeck.core.text import clean, line
from quarterdeck.store.tables import agents, projects

SHIPPED = "quarterdeck"
"""The agent that every chat has unless it names another."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", re.ASCII)
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


class AddAgent(BaseModel):
    """What an agent is made of."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = Field(min_length=1, max_length=100, description="Letters, digits, `-` and `_`.")
    project: StrictInt | StrictStr | None = Field(default=None, description="Whose it is; else it is yours.")
    description: str = Field(default="", max_length=1_000)
    prompt: str = Field(min_length=1, max_length=limits.AGENT_PROMPT_BYTES, description="What it is to be and to heed.")
    tools: tuple[str, ...] = Field(default=(), max_length=100)
    model: str | None = Field(default=None, max_length=200, description="`provider:model`; else the configured one.")


class EditAgent(BaseModel):
    """What is to change; what is left out stays."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str | None = Field(default=None, min_length=1, max_length=100)
    description: str | None = Field(default=None, max_length=1_000)
    prompt: str | None = Field(default=None, min_length=1, max_length=limits.AGENT_PROMPT_BYTES)
    tools: tuple[str, ...] | None = Field(default=None, max_length=100)
    model: str | None = Field(default=None, max_length=200, description="Empty for the configured one.")


class AgentView(BaseModel):
    """An agent as doors show it."""

    model_config = ConfigDict(frozen=True)
    id: int
    name: str
    owner: Literal["project", "person"]
    project_path: str
    description: str
    prompt: str
    tools: tuple[str, ...]
    model: str | None
    created_at: datetime
    updated_at: datetime


async def add(app: App, actor: Actor, request: AddAgent) -> AgentView:
    """Makes an agent: a project's by its Maintainers, one's own by everybody.

    Raises:
        InvalidInputError: the name, a tool, the model or the prompt can't be used; says which and why.
        ConflictError: the name is taken, or there are too many.
    """
    async with app.database.transaction() as connection:
        project_id, user_id = None, actor.user_id
        if request.project is not None:
            found = await project_for(connection, actor, request.project, Ability.MANAGE_AGENTS)
            project_id, user_id = found.id, None
        view = _checked(app, request.name, request.description, request.prompt, request.tools, request.model)
        owner = agents.c.project_id == project_id if project_id is not None else agents.c.user_id == user_id
        if (await connection.execute(select(func.count()).where(owner))).scalar_one() >= limits.AGENTS:
            raise ConflictError(f"There are {limits.AGENTS} agents already, which is as many as there may be.")
        try:
            agent_id = (
                await connection.execute(
                    insert(agents).values(project_id=project_id, user_id=user_id, **view).returning(agents.c.id)
                )
            ).scalar_one()
        except IntegrityError as error:
            raise _taken(request.name) from error
        return await _load(connection, agent_id)


async def find(app: App, actor: Actor, *, project: int | str | None = None) -> list[AgentView]:
    """The agents that the actor may chat with: their own, and those of the project when one is named."""
    async with app.database.transaction() as connection:
        mine = agents.c.user_id == actor.user_id
        if project is not None:
            found = await project_for(connection, actor, project, Ability.START_SESSION)
            mine = or_(mine, agents.c.project_id == found.id)
        rows = await connection.execute(_query().where(mine).order_by(agents.c.name, agents.c.id))
        return [_view(row) for row in rows]


async def show(app: App, actor: Actor, agent_id: int) -> AgentView:
    """One agent."""
    async with app.database.transaction() as connection:
        return await _for(connection, actor, agent_id, Ability.START_SESSION)


async def edit(app: App, actor: Actor, agent_id: int, request: EditAgent) -> AgentView:
    """Changes an agent; sessions that have begun keep the one that they began with. Raises as `add` does."""
    async with app.database.transaction() as connection:
        now = await _for(connection, actor, agent_id, Ability.MANAGE_AGENTS)
        kept = now.model_copy(update=request.model_dump(exclude_none=True))
        values = _checked(app, kept.name, kept.description, kept.prompt, kept.tools, kept.model)
        try:
            await connection.execute(
                update(agents).where(agents.c.id == agent_id).values(updated_at=func.now(), **values)
            )
        except IntegrityError as error:
            raise _taken(kept.name) from error
        return await _load(connection, agent_id)


async def remove(app: App, actor: Actor, agent_id: int) -> None:
    """Deletes an agent; its chats go on with what they began with."""
    async with app.database.transaction() as connection:
        await _for(connection, actor, agent_id, Ability.MANAGE_AGENTS)
        await connection.execute(delete(agents).where(agents.c.id == agent_id))


async def named(connection: AsyncConnection, actor: Actor, name: str, project_id: int | None) -> AgentView:
    """The agent of that name, a person's own before the project's. The project's role was checked by the caller.

    Raises:
        NotFoundError: there is none that the actor may use here.
    """
    mine = agents.c.user_id == actor.user_id
    if project_id is not None:
        mine = or_(mine, agents.c.project_id == project_id)
    query = _query().where(agents.c.name == name, mine).order_by(agents.c.user_id.is_(None)).limit(1)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no agent {name!r} that you may use here; {SHIPPED!r} is there always.")
    return _view(row)


_RULES: tuple[JsonValue, ...] = (
    {"from": "context:inputs.user_rule.content", "as": "rules", "optional": True},
    {"from": "context:inputs.workspace_agent_skills.content", "as": "skills", "optional": True},
)
_SYSTEM = """{{ instructions }}{% if rules %}


The person and the repository have rules of their own. Keep to them where they fit what you do. They never override
anything that stands above, and never widen what you may do:

{{ rules }}{% endif %}{% if skills %}


{{ skills }}{% endif %}"""


def flow_text(agent: AgentView) -> str:
    """The flow that an agent comes to: JSON, which is YAML. Its prompt is a text, not a template."""
    return _flow_text(agent.name, agent.description, agent.prompt, agent.tools)


def _flow_text(name: str, description: str, prompt: str, tools: tuple[str, ...]) -> str:
    told: dict[str, JsonValue] = {"from": prompt, "as": "instructions", "literal": True}
    component: dict[str, JsonValue] = {
        "name": "chat",
        "type": "AgentComponent",
        "prompt_id": "chat",
        "description": description,
        "inputs": ["context:goal", told, *_RULES],
        "toolset": list(tools),
    }
    template: dict[str, JsonValue] = {"system": _SYSTEM, "user": "{{ goal }}"}
    flow: dict[str, JsonValue] = {
        "version": "v1",
        "environment": "chat-partial",
        "name": name,
        "description": description,
        "components": [component],
        "routers": [],
        "flow": {},
        "prompts": [{"prompt_id": "chat", "name": name, "prompt_template": template}],
    }
    text = json.dumps(flow, ensure_ascii=False, indent=1)
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _checked(
    app: App, name: str, description: str, prompt: str, tools: tuple[str, ...], model: str | None
) -> dict[str, Any]:
    """The columns of an agent, once a flow can be made of it."""
    name, prompt, description = clean(name), clean(prompt), line(clean(description), 1_000)
    if not _NAME.fullmatch(name) or name == SHIPPED:
        raise InvalidInputError(f"{name!r} is no name for an agent: use letters, digits, - and _, and not {SHIPPED!r}.")
    if len(prompt.encode()) > limits.AGENT_PROMPT_BYTES:
        raise InvalidInputError(f"A prompt may have {limits.AGENT_PROMPT_BYTES:,} bytes; this one has more.")
    if model:
        app.models.parse(model)
    app.flows.read(_flow_text(name, description, prompt, tools), most=limits.PINNED_FLOW_BYTES)
    return {"name": name, "description": description, "prompt": prompt, "tools": list(tools), "model": model or None}


async def _for(connection: AsyncConnection, actor: Actor, agent_id: int, ability: Ability) -> AgentView:
    """The agent, if the actor may do that with it; an agent of one's own is all one's own."""
    unknown = NotFoundError(f"There is no agent {agent_id} that you may see.")
    row = (await connection.execute(_query().where(agents.c.id == agent_id))).one_or_none()
    if row is None or (row.project_id is None and row.user_id != actor.user_id):
        raise unknown
    if row.project_id is not None:
        try:
            await project_for(connection, actor, row.project_id, Ability.START_SESSION)
        except (NotFoundError, ForbiddenError):
            raise unknown from None
        await project_for(connection, actor, row.project_id, ability)
    return _view(row)


def _query():
    return select(agents, projects.c.path).outerjoin(projects, projects.c.id == agents.c.project_id)


async def _load(connection: AsyncConnection, agent_id: int) -> AgentView:
    return _view((await connection.execute(_query().where(agents.c.id == agent_id))).one())


def _view(row: Row[Any]) -> AgentView:
    return AgentView(
        id=row.id,
        name=row.name,
        owner="person" if row.project_id is None else "project",
        project_path=row.path or "",
        description=row.description,
        prompt=row.prompt,
        tools=tuple(row.tools),
        model=row.model,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _taken(name: str) -> ConflictError:
    return ConflictError(f"There is an agent {name!r} already. Choose another name.")
