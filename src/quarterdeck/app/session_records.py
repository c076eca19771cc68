"""What is known beside a session's log: what each model call used, what it made, who decided what, what it started."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue
from sqlalchemy import Text, case, cast, func, literal, or_, select

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_access import may
from quarterdeck.core.access import Ability
from quarterdeck.core.status import Status
from quarterdeck.core.usage import Usage
from quarterdeck.store.tables import approvals, artifacts, sessions, usage

ROWS = 1_000
"""Of one page, at most."""


class CallUsage(BaseModel):
    """What one model call used; `cost` is None where the price is not known."""

    model_config = ConfigDict(frozen=True)
    seq: int
    at: datetime
    component: str
    model: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost: Decimal | None
    estimated: bool
    """The answer broke off before its provider had told all."""


class UsageView(BaseModel):
    """The sum, the sums by model, and one page of calls; `next` is what `after` of the following page is."""

    model_config = ConfigDict(frozen=True)
    total: Usage
    models: dict[str, Usage]
    calls: tuple[CallUsage, ...]
    next: int | None


class ArtifactView(BaseModel):
    """Something that a session made, and the event that says so."""

    model_config = ConfigDict(frozen=True)
    seq: int
    artifact: str
    name: str
    url: str


class Artifacts(BaseModel):
    """A page of them; `next` is what `after` of the following page is."""

    model_config = ConfigDict(frozen=True)
    items: tuple[ArtifactView, ...]
    next: int | None


class DecisionView(BaseModel):
    """A question to a person and what became of it; without a decision it waits, or nobody decided."""

    model_config = ConfigDict(frozen=True)
    id: str
    ask: str
    question: str
    decision: Literal["granted", "denied", "answered"] | None
    decided_by: str | None
    requested_at: datetime
    decided_at: datetime | None


class ChildView(BaseModel):
    """A session that another one started."""

    model_config = ConfigDict(frozen=True)
    id: int
    title: str
    flow: str
    status: Status
    created_at: datetime
    url: str


class ContextView(BaseModel):
    """What a session was started with beside its goal: for good, it never changes."""

    model_config = ConfigDict(frozen=True)
    inputs: dict[str, JsonValue]
    facts: dict[str, JsonValue]
    pre_approved_patterns: dict[str, tuple[str, ...]]
    always_ask: tuple[str, ...] = ()
    """Privileges whose tools ask a person whatever else is said: the project's, as of the start."""
    context_tokens: int
    retention_days: int


async def context(app: App, actor: Actor, session_id: int) -> ContextView:
    """What its flow may read."""
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        query = select(sessions.c.state["created"]).where(sessions.c.id == session_id)
        return ContextView.model_validate((await connection.execute(query)).scalar_one())


async def used(app: App, actor: Actor, session_id: int, *, after: int = 0, limit: int = 100) -> UsageView:
    """What its model calls used, those behind event `after` one by one."""
    limit = min(max(limit, 1), ROWS)
    of = usage.c
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        sums = select(
            of.model,
            func.sum(of.requests).label("requests"),
            func.sum(of.input_tokens).label("input_tokens"),
            func.sum(of.output_tokens).label("output_tokens"),
            func.sum(of.cache_read_tokens).label("cache_read_tokens"),
            func.sum(of.cache_write_tokens).label("cache_write_tokens"),
            case((func.bool_and(of.cost.is_not(None)), func.sum(of.cost))).label("cost"),
            func.bool_or(of.estimated).label("estimated"),
        )
        by_model = (
            await connection.execute(sums.where(of.session_id == session_id).group_by(of.model).order_by(of.model))
        ).all()
        query = select(usage).where(of.session_id == session_id, of.seq > after).order_by(of.seq).limit(limit + 1)
        calls = (await connection.execute(query)).all()
    models = {str(row.model): Usage(**{name: getattr(row, name) for name in Usage.model_fields}) for row in by_model}
    return UsageView(
        total=sum(models.values(), Usage()),
        models=models,
        calls=tuple(CallUsage.model_validate(row, from_attributes=True) for row in calls[:limit]),
        next=calls[limit - 1].seq if len(calls) > limit else None,
    )


async def made(app: App, actor: Actor, session_id: int, *, after: int = 0, limit: int = 100) -> Artifacts:
    """What it made outside of its workspace, in the order of their events."""
    limit = min(max(limit, 1), ROWS)
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        query = select(artifacts).where(artifacts.c.session_id == session_id, artifacts.c.seq > after)
        rows = (await connection.execute(query.order_by(artifacts.c.seq).limit(limit + 1))).all()
    return Artifacts(
        items=tuple(ArtifactView(seq=row.seq, artifact=row.kind, name=row.name, url=row.url) for row in rows[:limit]),
        next=rows[limit - 1].seq if len(rows) > limit else None,
    )


async def decisions(app: App, actor: Actor, session_id: int) -> tuple[DecisionView, ...]:
    """Its last questions to people, newest first, with who decided what."""
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        query = select(approvals).where(approvals.c.session_id == session_id)
        rows = await connection.execute(query.order_by(approvals.c.requested_at.desc(), approvals.c.id).limit(ROWS))
        return tuple(DecisionView.model_validate(row, from_attributes=True) for row in rows)


async def children(app: App, actor: Actor, session_id: int) -> tuple[ChildView, ...]:
    """The sessions that it started, as far as the actor may know of them."""
    of = sessions.c
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        url = literal(f"{app.public_url}/sessions/").concat(cast(of.id, Text)).label("url")
        query = select(of.id, of.title, of.flow, of.status, of.created_at, url).where(
            of.parent_id == session_id, or_(of.initiator_id == actor.user_id, of.origin.not_in(("chat", "ide")))
        )
        rows = await connection.execute(query.order_by(of.id))
        return tuple(ChildView.model_validate(row, from_attributes=True) for row in rows)
