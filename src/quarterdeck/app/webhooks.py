"""A project's webhooks: its maintainers say who is told of what, and see whether it was."""

import base64
import json
import secrets
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import to_dos
from quarterdeck.app.access import Project, project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.webhook_urls import URL_CHARACTERS, check_url
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import ConflictError, NotFoundError
from quarterdeck.core.text import clean
from quarterdeck.core.webhook import USUAL, WebhookEvent, ordered
from quarterdeck.store import clock
from quarterdeck.store.tables import to_dos as to_do_rows
from quarterdeck.store.tables import webhook_deliveries, webhooks

WEBHOOKS = 20
"""How many a project may have."""
KEY_BYTES = 32
OLD_KEY_HOURS = 24


class AddWebhook(BaseModel):
    """Where to send, and what."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    url: SecretStr = Field(
        max_length=URL_CHARACTERS, description="Stored encrypted; what stands behind its `?` is never shown again."
    )
    description: str = Field(default="", max_length=255)
    events: tuple[WebhookEvent, ...] = Field(
        default=USUAL, min_length=1, max_length=len(WebhookEvent), description="What it is told of."
    )
    enabled: bool = True


class EditWebhook(BaseModel):
    """What changes; what is absent stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    url: SecretStr | None = Field(default=None, max_length=URL_CHARACTERS)
    description: str | None = Field(default=None, max_length=255)
    events: tuple[WebhookEvent, ...] | None = Field(default=None, min_length=1, max_length=len(WebhookEvent))
    enabled: bool | None = Field(
        default=None, description="On also ends that it is disabled by itself; off gives up what still waits."
    )


class RotateKey(BaseModel):
    """How long both keys sign."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    hours: int = Field(default=OLD_KEY_HOURS, ge=0, le=24 * 30, description="0 ends the old key at once.")


class WebhookView(BaseModel):
    """A webhook as doors show it."""

    model_config = ConfigDict(frozen=True)
    id: int
    project: str
    url: str
    """Without what stands behind its `?`."""
    description: str
    events: tuple[WebhookEvent, ...]
    enabled: bool
    disabled_until: datetime | None
    """It has failed for a day, and is told of nothing until then."""
    failing_since: datetime | None
    old_key_until: datetime | None
    """Until then it signs with its last key, too."""
    added_by: str
    created_at: datetime


class NewWebhook(WebhookView):
    """The same with its secret, which is not shown again."""

    secret: str


async def add(app: App, actor: Actor, project: int | str, request: AddWebhook) -> NewWebhook:
    """Tells an address of what happens in a project from now on.

    Raises:
        InvalidInputError: the address is none that may be sent to.
        ConflictError: there are too many.
    """
    url, key = check_url(app, request.url.get_secret_value().strip()), new_key()
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.MANAGE_WEBHOOKS)
        # One after the other, so that the count holds.
        await connection.exec_driver_sql("select pg_advisory_xact_lock(hashtext(%s))", (f"webhooks:{found.id}",))
        count = select(func.count()).select_from(webhooks).where(webhooks.c.project_id == found.id)
        if (await connection.execute(count)).scalar_one() >= WEBHOOKS:
            raise ConflictError(f"There are {WEBHOOKS} webhooks already. Remove one first.")
        row = insert(webhooks).values(
            project_id=found.id,
            description=clean(request.description),
            url=url.partition("?")[0],
            secret=_sealed(app, url, [key]),
            events=ordered(request.events),
            enabled=request.enabled,
            added_by=actor.username,
        )
        made = (await connection.execute(row.returning(webhooks))).one()
        return NewWebhook(**_view(made, found).model_dump(), secret=key)


async def find(app: App, actor: Actor, project: int | str) -> list[WebhookView]:
    """All of a project."""
    async with app.database.reading() as connection:
        found = await project_for(connection, actor, project, Ability.MANAGE_WEBHOOKS)
        rows = await connection.execute(
            select(webhooks).where(webhooks.c.project_id == found.id).order_by(webhooks.c.id)
        )
        return [_view(row, found) for row in rows]


async def show(app: App, actor: Actor, project: int | str, webhook_id: int) -> WebhookView:
    """One of them."""
    async with app.database.reading() as connection:
        found, row = await of(connection, actor, project, webhook_id)
        return _view(row, found)


async def edit(app: App, actor: Actor, project: int | str, webhook_id: int, request: EditWebhook) -> WebhookView:
    """Changes one."""
    values: dict[str, Any] = {}
    if request.description is not None:
        values["description"] = clean(request.description)
    if request.events is not None:
        values["events"] = ordered(request.events)
    if request.enabled is not None:
        values |= {"enabled": request.enabled, "failing_since": None, "disabled_until": None}
    async with app.database.transaction() as connection:
        found, row = await of(connection, actor, project, webhook_id, lock=True)
        if request.url is not None:
            url = check_url(app, request.url.get_secret_value().strip())
            values |= {"url": url.partition("?")[0], "secret": _sealed(app, url, _opened(app, row)[1])}
            values |= {"failing_since": None, "disabled_until": None}
        if values:
            row = (
                await connection.execute(
                    update(webhooks).where(webhooks.c.id == row.id).values(values).returning(webhooks)
                )
            ).one()
        if request.enabled is False:
            await connection.execute(
                update(webhook_deliveries)
                .where(webhook_deliveries.c.webhook_id == row.id, webhook_deliveries.c.status == "waiting")
                .values(status="failed")
            )
        if row.disabled_until is None:
            await recovered(connection, row.id)
        return _view(row, found)


async def remove(app: App, actor: Actor, project: int | str, webhook_id: int) -> None:
    """Removes one with its deliveries."""
    async with app.database.transaction() as connection:
        _, row = await of(connection, actor, project, webhook_id)
        await recovered(connection, row.id)
        await connection.execute(delete(webhooks).where(webhooks.c.id == row.id))


async def rotate(app: App, actor: Actor, project: int | str, webhook_id: int, request: RotateKey) -> NewWebhook:
    """Makes a new key; for a time both sign, so that the receiver can be told at leisure."""
    key = new_key()
    async with app.database.transaction() as connection:
        found, row = await of(connection, actor, project, webhook_id, lock=True)
        url, keys = _opened(app, row)
        until = clock.now() + timedelta(hours=request.hours) if request.hours else None
        values = {"secret": _sealed(app, url, [key, keys[0]] if until else [key]), "old_key_until": until}
        row = (
            await connection.execute(update(webhooks).where(webhooks.c.id == row.id).values(values).returning(webhooks))
        ).one()
        return NewWebhook(**_view(row, found).model_dump(), secret=key)


async def of(
    connection: AsyncConnection, actor: Actor, project: int | str, webhook_id: int, *, lock: bool = False
) -> tuple[Project, Row[Any]]:
    """A project and one of its webhooks, for who may manage them. Raises NotFoundError, ForbiddenError."""
    found = await project_for(connection, actor, project, Ability.MANAGE_WEBHOOKS)
    query = select(webhooks).where(webhooks.c.project_id == found.id, webhooks.c.id == webhook_id)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no webhook {webhook_id} in {found.path}.")
    return found, row


async def recovered(connection: AsyncConnection, webhook_id: int) -> None:
    """It is not disabled any more: nobody has to see to it."""
    done = await connection.execute(
        update(to_do_rows)
        .where(to_do_rows.c.webhook_id == webhook_id, to_do_rows.c.done_at.is_(None))
        .values(done_at=func.now())
        .returning(to_do_rows.c.user_id)
    )
    await to_dos.changed(connection, set(done.scalars()))


def new_key() -> str:
    """A secret as Standard Webhooks writes it."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"


def opened(app: App, row: Row[Any]) -> tuple[str, list[str]]:
    """The whole address, and the keys that sign now."""
    url, keys = _opened(app, row)
    both = row.old_key_until is not None and row.old_key_until > clock.now()
    return url, keys if both else keys[:1]


def _opened(app: App, row: Row[Any]) -> tuple[str, list[str]]:
    stored = json.loads(app.vault.decrypt(row.secret))
    return stored["url"], stored["keys"]


def _sealed(app: App, url: str, keys: list[str]) -> bytes:
    return app.vault.encrypt(json.dumps({"url": url, "keys": keys}))


def _view(row: Row[Any], project: Project) -> WebhookView:
    return WebhookView(
        id=row.id,
        project=project.path,
        url=row.url,
        description=row.description,
        events=tuple(row.events),
        enabled=row.enabled,
        disabled_until=row.disabled_until if row.disabled_until and row.disabled_until > clock.now() else None,
        failing_since=row.failing_since,
        old_key_until=row.old_key_until if row.old_key_until and row.old_key_until > clock.now() else None,
        added_by=row.added_by,
        created_at=row.created_at,
    )
