"""Triggers of a project: what starts sessions by itself, made and kept by its maintainers."""

import base64
import hmac
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from sqlalchemy import Row, Select, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import flow_choice, project_accounts, schedule_times
from quarterdeck.app.access import Project, project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.occurrences import keep, row_of
from quarterdeck.core import limits
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import ConflictError, InvalidInputError, NotFoundError, UnauthenticatedError
from quarterdeck.core.text import clean, line
from quarterdeck.core.trigger import ACTIONS, DESCRIPTION_CHARACTERS, EventType, Occurrence
from quarterdeck.core.trigger_filter import FILTER_BYTES, holds, read, written
from quarterdeck.store import clock
from quarterdeck.store.tables import triggers, users

MOST = 100
"""Of a project."""
LATE_SECONDS = 15
"""How late a schedule may be before the net looks whether its job is still there."""


class WriteTrigger(BaseModel):
    """A trigger as a whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    description: str = Field(default="", max_length=DESCRIPTION_CHARACTERS)
    account: str = Field(max_length=63, description="The service account that acts, by its username.")
    flow: str = Field(max_length=200, description="The flow that is started, by name or by its file's name.")
    model: str | None = Field(default=None, max_length=200, description="The flow's or the server's own if absent.")
    goal: str = Field(
        default="", max_length=limits.GOAL_CHARACTERS, description="What it is told; what the event tells if absent."
    )
    events: dict[EventType, tuple[str, ...]] = Field(
        min_length=1, description="What it waits for; to each the actions or statuses, all of them if none is named."
    )
    filter: str = Field(default="", max_length=FILTER_BYTES, description="JSON: conditions on the event's payload.")
    cron: str = Field(default="", max_length=200, description="Of `schedule`: `30 6 * * 1-5`.")
    timezone: str = Field(default="UTC", max_length=100, description="In which the schedule is meant.")
    enabled: bool = True


class TriggerView(BaseModel):
    """A trigger as doors show it."""

    model_config = ConfigDict(frozen=True)
    id: int
    project_id: int
    description: str
    account: str
    flow: str
    model: str | None
    goal: str
    events: dict[EventType, tuple[str, ...]]
    filter: str
    cron: str
    timezone: str
    enabled: bool
    owner: str
    """In whose name it starts what nobody did: schedules, webhooks."""
    next_runs: tuple[datetime, ...]
    """The next five of its schedule, in its time zone."""
    hook_url: str
    """Where its inbound webhook is sent; empty when it has none."""
    created_at: datetime


class MadeTrigger(BaseModel):
    """A trigger, and the secret of its webhook, which is shown here alone."""

    model_config = ConfigDict(frozen=True)
    trigger: TriggerView
    secret: str


async def find(app: App, actor: Actor, project: int | str) -> list[TriggerView]:
    """A project's, oldest first."""
    async with app.database.reading() as connection:
        found = await project_for(connection, actor, project, Ability.MANAGE_TRIGGERS)
        rows = await connection.execute(_query().where(triggers.c.project_id == found.id))
        return [_view(app, row) for row in rows]


async def show(app: App, actor: Actor, project: int | str, trigger_id: int) -> TriggerView:
    """One of them."""
    async with app.database.reading() as connection:
        found = await project_for(connection, actor, project, Ability.MANAGE_TRIGGERS)
        return _view(app, await of_project(connection, found, trigger_id))


async def add(app: App, actor: Actor, project: int | str, request: WriteTrigger) -> MadeTrigger:
    """Makes one; what comes of nobody's doing comes in the name of whoever makes or changes it.

    Raises:
        InvalidInputError: the account, flow, filter or schedule can't be used; says why.
        ConflictError: the project has as many as it may.
    """
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.MANAGE_TRIGGERS)
        count = select(func.count()).where(triggers.c.project_id == found.id)
        if (await connection.execute(count)).scalar_one() >= MOST:
            raise ConflictError(f"{found.path} has {MOST} triggers, which is as many as it may.")
        secret = new_secret() if EventType.WEBHOOK in request.events else ""
        values = await _values(app, connection, actor, found, request)
        values |= {"project_id": found.id, "secret": app.vault.encrypt(secret) if secret else None}
        made = insert(triggers).values(values).returning(triggers.c.id)
        trigger_id = (await connection.execute(made)).scalar_one()
        await _plan(app, connection, trigger_id, values["next_at"])
        return MadeTrigger(trigger=_view(app, await of_project(connection, found, trigger_id)), secret=secret)


async def change(app: App, actor: Actor, project: int | str, trigger_id: int, request: WriteTrigger) -> MadeTrigger:
    """Puts another in its place; its deliveries stay. Raises what `add` does."""
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.MANAGE_TRIGGERS)
        row = await of_project(connection, found, trigger_id)
        secret = new_secret() if EventType.WEBHOOK in request.events and row.secret is None else ""
        values = await _values(app, connection, actor, found, request)
        if secret:
            values["secret"] = app.vault.encrypt(secret)
        changed = update(triggers).where(triggers.c.id == row.id).values(updated_at=func.now(), **values)
        await connection.execute(changed)
        await _plan(app, connection, row.id, values["next_at"])
        return MadeTrigger(trigger=_view(app, await of_project(connection, found, row.id)), secret=secret)


async def renew_secret(app: App, actor: Actor, project: int | str, trigger_id: int) -> MadeTrigger:
    """Another secret for its webhook; the one of before opens nothing any more.

    Raises:
        ConflictError: it waits for no webhook.
    """
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.MANAGE_TRIGGERS)
        row = await of_project(connection, found, trigger_id)
        if EventType.WEBHOOK not in row.events:
            raise ConflictError("This trigger waits for no webhook, so it has no secret.")
        secret = new_secret()
        stored = update(triggers).where(triggers.c.id == row.id).values(secret=app.vault.encrypt(secret))
        await connection.execute(stored)
        return MadeTrigger(trigger=_view(app, row), secret=secret)


async def switch(app: App, actor: Actor, project: int | str, trigger_id: int, *, enabled: bool) -> TriggerView:
    """Disables it, or lets it work again; a schedule goes on with its next run from now."""
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.MANAGE_TRIGGERS)
        row = await of_project(connection, found, trigger_id)
        at = schedule_times.following(row.cron, row.timezone, clock.now()) if enabled and row.cron else None
        await connection.execute(
            update(triggers).where(triggers.c.id == row.id).values(enabled=enabled, next_at=at, updated_at=func.now())
        )
        await _plan(app, connection, row.id, at)
        return _view(app, await of_project(connection, found, row.id))


async def remove(app: App, actor: Actor, project: int | str, trigger_id: int) -> None:
    """With its deliveries; the sessions that it started stay."""
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.MANAGE_TRIGGERS)
        row = await of_project(connection, found, trigger_id)
        await connection.execute(delete(triggers).where(triggers.c.id == row.id))


async def run_schedule(app: App, trigger_id: int) -> None:
    """Its run that is due, once, however late, and the next one planned; several that were missed are one."""
    async with app.database.transaction() as connection:
        query = select(triggers).where(triggers.c.id == trigger_id).with_for_update()
        row = (await connection.execute(query)).one_or_none()
        now = clock.now()
        if row is None or row.next_at is None or row.next_at > now:
            return
        due = row.next_at
        at = schedule_times.following(row.cron, row.timezone, max(due, now))
        await connection.execute(update(triggers).where(triggers.c.id == row.id).values(next_at=at))
        payload: dict[str, JsonValue] = {"object_kind": "schedule", "cron": row.cron, "due_at": due.isoformat()}
        occurrence = Occurrence(row.project_id, EventType.SCHEDULE, f"schedule:{due.isoformat()}", payload=payload)
        await keep(app, connection, row.project_id, [row_of(occurrence, row)])
        await _plan(app, connection, row.id, at)


async def revive(app: App) -> None:
    """Runs schedules that are late: a net under their jobs."""
    late = triggers.c.next_at < clock.now() - timedelta(seconds=LATE_SECONDS)
    async with app.database.reading() as connection:
        found = list((await connection.execute(select(triggers.c.id).where(late).limit(100))).scalars())
    for trigger_id in found:
        await run_schedule(app, trigger_id)


async def hooked(
    app: App,
    trigger_id: int,
    headers: Mapping[str, str],
    body: bytes,
    reading: Callable[[], Mapping[str, JsonValue]],
) -> None:
    """Takes in what was sent to a trigger's webhook, signed as Standard Webhooks has it or with its secret as token.

    `reading` reads the body, which is done for nobody who doesn't have the secret.

    Raises:
        NotFoundError: there is no such webhook; the same for one that is disabled.
        UnauthenticatedError: neither signature nor token is right, or the signature is too old.
    """
    async with app.database.transaction() as connection:
        query = select(triggers).where(triggers.c.id == trigger_id, triggers.c.enabled, triggers.c.secret.is_not(None))
        row = (await connection.execute(query)).one_or_none()
        if row is None or EventType.WEBHOOK not in row.events:
            raise NotFoundError("There is no such webhook.")
        known = _verified(app.vault.decrypt(row.secret), headers, body)
        payload = reading()
        if not holds(read(row.filter), payload):
            return
        occurrence = Occurrence(row.project_id, EventType.WEBHOOK, f"webhook:{known}", payload=payload)
        await keep(app, connection, row.project_id, [row_of(occurrence, row)])


def _verified(secret: str, headers: Mapping[str, str], body: bytes) -> str:
    """What makes this message another one than those of before: its id, which a sender repeats with a retry."""
    given = {name.lower(): value for name, value in headers.items()}
    if "webhook-signature" in given:
        from standardwebhooks import Webhook, WebhookVerificationError

        try:
            Webhook(secret).verify(body, given)
        except (WebhookVerificationError, ValueError, UnicodeDecodeError):
            raise UnauthenticatedError("The signature is not of this webhook's secret, or too old.") from None
        return given["webhook-id"][:200]
    token = given.get("x-gitlab-token") or given.get("authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(token.encode("utf-8", "replace"), secret.encode()):
        raise UnauthenticatedError("Sign the webhook with its secret, or send the secret as bearer token.")
    return (given.get("idempotency-key") or given.get("webhook-id") or secrets.token_hex(16))[:200]


def new_secret() -> str:
    """A key in the form that Standard Webhooks has."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


async def of_project(connection: AsyncConnection, project: Project, trigger_id: int) -> Row[Any]:
    """The trigger's row; who may see it was asked before. Raises NotFoundError."""
    query = _query().where(triggers.c.project_id == project.id, triggers.c.id == trigger_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no trigger {trigger_id} in {project.path}.")
    return row


def _query() -> Select[*tuple[Any, ...]]:
    account, owner = users.alias("account"), users.alias("owner")
    return (
        select(triggers, account.c.username.label("account"), owner.c.username.label("owner"))
        .join(account, account.c.id == triggers.c.account_id)
        .join(owner, owner.c.id == triggers.c.owner_id)
        .order_by(triggers.c.id)
    )


async def _values(
    app: App, connection: AsyncConnection, actor: Actor, project: Project, request: WriteTrigger
) -> dict[str, Any]:
    for type_, actions in request.events.items():
        if unknown := [one for one in actions if one not in ACTIONS.get(type_, ())]:
            known = ", ".join(ACTIONS.get(type_, ())) or "none"
            raise InvalidInputError(f"{type_} has no action {unknown[0][:50]!r}; it has {known}.")
    scheduled = EventType.SCHEDULE in request.events
    if scheduled:
        schedule_times.check(request.cron, request.timezone)
    elif request.cron:
        raise InvalidInputError("Only the event `schedule` has a cron expression.")
    if scheduled and len(request.events) > 1:
        raise InvalidInputError("A schedule is a trigger of its own: it has no other events beside it.")
    flow = await flow_choice.look_up(app, connection, project, request.flow)
    if flow.origin == "shipped" and app.flows.read(flow.text).chats:
        raise InvalidInputError(f"{flow.name} talks with a person, so no trigger can start it. Choose another flow.")
    at = (
        schedule_times.following(request.cron, request.timezone, clock.now()) if scheduled and request.enabled else None
    )
    return {
        "description": line(clean(request.description), DESCRIPTION_CHARACTERS),
        "account_id": await project_accounts.of_project(connection, project.id, request.account),
        "flow": clean(request.flow),
        "model": request.model or None,
        "goal": clean(request.goal),
        "events": {type_.value: list(actions) for type_, actions in request.events.items()},
        "filter": written(read(clean(request.filter))),
        "cron": request.cron if scheduled else "",
        "timezone": request.timezone if scheduled else "",
        "next_at": at,
        "enabled": request.enabled,
        "owner_id": actor.user_id,
    }


async def _plan(app: App, connection: AsyncConnection, trigger_id: int, at: datetime | None) -> None:
    if at is not None:
        await app.dispatch.schedule(connection, trigger_id, at)


def _view(app: App, row: Row[Any]) -> TriggerView:
    times = schedule_times.upcoming(row.cron, row.timezone, clock.now()) if row.cron and row.enabled else []
    same = (
        "id", "project_id", "description", "account", "flow", "model", "goal", "events", "filter", "cron", "timezone",
        "enabled", "owner", "created_at",
    )  # fmt: skip
    return TriggerView(
        **{name: getattr(row, name) for name in same},
        next_runs=tuple(at.astimezone(ZoneInfo(row.timezone)) for at in times),
        hook_url=f"{app.public_url}/hooks/triggers/{row.id}" if EventType.WEBHOOK in row.events else "",
    )
