"""The rules of which model is asked: of the instance, a project, a flow, or a flow in a project."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr
from sqlalchemy import Row, delete, or_, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.access import administrator, project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.model_keys import stored_keys
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.model_rules import ModelRules, joined
from quarterdeck.store.tables import members, projects
from quarterdeck.store.tables import model_rules as rows

Name = Annotated[str, Field(min_length=1, max_length=200)]
FEW = 100
"""How many patterns, tags or models one rule may have."""


class ChangeRules(BaseModel):
    """What to change of one scope's rules; what is left out stays. Without project and flow the instance's."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    project: StrictInt | StrictStr | None = None
    flow: str = Field(default="", max_length=200, description="A flow's name, without its version.")
    default: Name | None = Field(default=None, description="The model where none is named; null takes it away.")
    allowed: list[Name] | None = Field(
        default=None, max_length=FEW, description="Models, with `*` for any characters; null allows all."
    )
    tags: dict[Name, Name | None] = Field(
        default={}, max_length=FEW, description="Models by a component's tag; null takes one away."
    )
    fallbacks: dict[Name, list[Name]] = Field(
        default={}, max_length=FEW, description="By model, those that are asked when it can't answer; [] takes it away."
    )


class RulesView(BaseModel):
    """One scope's rules."""

    model_config = ConfigDict(frozen=True)
    project: str | None
    flow: str
    default: str | None
    allowed: list[str] | None
    tags: dict[str, str]
    fallbacks: dict[str, list[str]]


class ProviderView(BaseModel):
    """A provider of models, and what opens it."""

    model_config = ConfigDict(frozen=True)
    provider: str
    source: str
    """`environment` or `stored`; empty when it can't be asked."""


class ModelsView(BaseModel):
    """What models there are to ask."""

    model_config = ConfigDict(frozen=True)
    providers: list[ProviderView]
    default: str | None
    """What a session uses for which no rule says anything; None when nothing is configured."""
    rules: list[RulesView]
    """Those of the instance, and of the projects that you may see."""


async def show(app: App, actor: Actor) -> ModelsView:
    """Providers and rules, without any key."""
    async with app.database.transaction() as connection:
        stored = await stored_keys(app, connection)
        mine = select(members.c.project_id).where(members.c.user_id == actor.user_id)
        query = select(rows, projects.c.path).outerjoin(projects, projects.c.id == rows.c.project_id)
        if not actor.admin:
            query = query.where(or_(rows.c.project_id.is_(None), rows.c.project_id.in_(mine)))
        found = (await connection.execute(query.order_by(projects.c.path.nulls_first(), rows.c.flow))).all()
    return ModelsView(
        providers=[ProviderView(provider=one.provider, source=one.source) for one in app.models.reach(stored)],
        default=app.models.default(stored),
        rules=[_view(row, row.path) for row in found],
    )


async def usual(app: App, actor: Actor, project: int | str, flow: str) -> str | None:
    """The model of a session of the flow in the project that names none; None when nothing is configured."""
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.START_SESSION)
        rules = await rules_for(connection, found.id, flow)
        return rules.default or app.models.default(await stored_keys(app, connection))


async def change(app: App, actor: Actor, request: ChangeRules) -> RulesView:
    """Changes a project's rules, for its owners, or those of the instance and its flows, for administrators.

    Raises:
        InvalidInputError: a name is no model's, or a rule belongs elsewhere.
    """
    _check(app, request)
    async with app.database.transaction() as connection:
        project = None
        if request.project is None:
            administrator(actor, "change the rules of models")
        else:
            project = await project_for(connection, actor, request.project, Ability.MANAGE_PROJECT)
        scope = {"project_id": project.id if project else None, "flow": request.flow}
        await connection.execute(upsert(rows).values(**scope).on_conflict_do_nothing())
        ours = (rows.c.flow == request.flow) & (
            rows.c.project_id == project.id if project else rows.c.project_id.is_(None)
        )
        row = (await connection.execute(select(rows).where(ours).with_for_update())).one()
        merged = _merged(row, request)
        await connection.execute(rows.update().where(ours).values(**merged))
        nothing = rows.c.default_model.is_(None) & rows.c.allowed.is_(None)
        await connection.execute(delete(rows).where(ours, nothing, rows.c.tags == {}, rows.c.fallbacks == {}))
        return RulesView(
            project=project.path if project else None,
            flow=request.flow,
            default=merged["default_model"],
            allowed=merged["allowed"],
            tags=merged["tags"],
            fallbacks=merged["fallbacks"],
        )


async def rules_for(connection: AsyncConnection, project_id: int | None, flow: str) -> ModelRules:
    """The rules of a session of the flow in the project, all scopes together."""
    found = await connection.execute(
        select(rows)
        .where(or_(rows.c.project_id == project_id, rows.c.project_id.is_(None)))
        .where(rows.c.flow.in_(("", flow)))
    )
    # The narrowest first: of the flow in the project, of the flow, of the project, of the instance.
    narrow = sorted(found, key=lambda row: (bool(row.flow), row.project_id is not None), reverse=True)
    return joined(_rule(row) for row in narrow)


def _rule(row: Row[Any]) -> ModelRules:
    return ModelRules(
        defaults=(row.default_model,) if row.default_model else (),
        allow_lists=(tuple(row.allowed),) if row.allowed is not None else (),
        tags=row.tags,
        fallbacks={name: tuple(chain) for name, chain in row.fallbacks.items()},
    )


def _check(app: App, request: ChangeRules) -> None:
    if request.fallbacks and (request.project is not None or request.flow):
        raise InvalidInputError("Fallbacks are the instance's: name no project and no flow with them.")
    if request.allowed is not None and request.flow:
        raise InvalidInputError("What is allowed is the instance's or a project's: name no flow with it.")
    for name in _names(request):
        app.models.parse(name)
    for name, chain in request.fallbacks.items():
        if name in chain or len(set(chain)) < len(chain):
            raise InvalidInputError(f"The fallbacks of {name} name a model twice.")


def _names(request: ChangeRules) -> Iterable[str]:
    yield from (name for name in (request.default, *request.tags.values()) if name is not None)
    for name, chain in request.fallbacks.items():
        yield from (name, *chain)


def _merged(row: Row[Any], request: ChangeRules) -> dict[str, Any]:
    given = request.model_fields_set
    tags = {**row.tags, **request.tags}
    chains = {**row.fallbacks, **request.fallbacks}
    merged: dict[str, Any] = {
        "default_model": request.default if "default" in given else row.default_model,
        "allowed": request.allowed if "allowed" in given else row.allowed,
        "tags": {tag: model for tag, model in tags.items() if model is not None},
        "fallbacks": {name: chain for name, chain in chains.items() if chain},
    }
    if max(len(merged["tags"]), len(merged["fallbacks"])) > FEW:
        raise InvalidInputError(f"One scope may have {FEW} tags and {FEW} models with fallbacks.")
    return merged


def _view(row: Row[Any], path: str | None) -> RulesView:
    return RulesView(
        project=path,
        flow=row.flow,
        default=row.default_model,
        allowed=row.allowed,
        tags=row.tags,
        fallbacks=row.fallbacks,
    )
