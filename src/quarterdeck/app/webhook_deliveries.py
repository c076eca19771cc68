"""The deliveries of a webhook: what was sent, what came of each try, and sending one again by hand."""

import json
import secrets
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue
from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import outgoing, webhooks
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core import webhook
from quarterdeck.core.errors import ConflictError, NotFoundError
from quarterdeck.store import clock
from quarterdeck.store.doorbell import ring
from quarterdeck.store.tables import notices, to_dos, webhook_deliveries

PAGE = 50
KEPT = timedelta(days=30)
"""Deliveries, messages and what is done go after that."""

WebhookDeliveryStatus = Literal["waiting", "delivered", "failed"]


class Attempt(BaseModel):
    """One try to send it."""

    model_config = ConfigDict(frozen=True)
    at: datetime
    status: int
    """Of the answer; 0 when there was none."""
    text: str
    """How the answer begins, or why there was none."""
    ms: int


class WebhookDeliveryRow(BaseModel):
    """A delivery as lists show it."""

    model_config = ConfigDict(frozen=True)
    id: int
    message_id: str
    """The `webhook-id` of every try."""
    type: str
    session: int | None
    status: WebhookDeliveryStatus
    attempts: list[Attempt]
    next_at: datetime | None
    """When it is tried next."""
    created_at: datetime


class WebhookDelivery(WebhookDeliveryRow):
    """The same with what is sent."""

    body: str


def row(webhook_id: int, session_id: int, type_: str, at: datetime, data: dict[str, JsonValue]) -> dict[str, Any]:
    """The row of one that waits to be sent, with the id that it keeps."""
    body = json.dumps(webhook.body(type_, at.isoformat(), data), ensure_ascii=False, separators=(",", ":"))
    message = f"msg_{secrets.token_hex(12)}"
    return {"webhook_id": webhook_id, "message_id": message, "session_id": session_id, "type": type_, "body": body}


async def find(
    app: App, actor: Actor, project: int | str, webhook_id: int, *, before: int | None = None
) -> list[WebhookDeliveryRow]:
    """The newest first; `before` is the last id of the page before."""
    rows = webhook_deliveries
    query = select(rows).where(rows.c.webhook_id == webhook_id).order_by(rows.c.id.desc()).limit(PAGE)
    query = query if before is None else query.where(rows.c.id < before)
    async with app.database.reading() as connection:
        await webhooks.of(connection, actor, project, webhook_id)
        return [WebhookDeliveryRow(**_fields(one)) for one in await connection.execute(query)]


async def show(app: App, actor: Actor, project: int | str, webhook_id: int, delivery_id: int) -> WebhookDelivery:
    """One of them, with what is sent."""
    async with app.database.reading() as connection:
        await webhooks.of(connection, actor, project, webhook_id)
        return _view(await _of(connection, webhook_id, delivery_id))


async def redeliver(app: App, actor: Actor, project: int | str, webhook_id: int, delivery_id: int) -> WebhookDelivery:
    """Sends it again, under the same id; one that waits is tried at once.

    Raises:
        ConflictError: the webhook is off.
    """
    async with app.database.transaction() as connection:
        _, hook = await webhooks.of(connection, actor, project, webhook_id)
        one = await _of(connection, webhook_id, delivery_id)
        if not hook.enabled:
            raise _off()
        again = {"status": "waiting", "next_at": func.now(), "tries": 0}
        rows = webhook_deliveries
        change = update(rows).where(rows.c.id == one.id).values(again).returning(rows)
        made = (await connection.execute(change)).one()
        await ring(connection, outgoing.BELL)
        return _view(made)


async def attempt(app: App, actor: Actor, project: int | str, webhook_id: int) -> WebhookDelivery:
    """Sends a webhook something to try it: of the type `webhook.test`, about nothing that has happened.

    Raises:
        ConflictError: the webhook is off.
    """
    async with app.database.transaction() as connection:
        found, hook = await webhooks.of(connection, actor, project, webhook_id)
        if not hook.enabled:
            raise _off()
        data: dict[str, JsonValue] = {"project": found.path, "by": actor.username}
        values = row(webhook_id, 0, webhook.TEST, clock.now(), data)
        made = await connection.execute(insert(webhook_deliveries).values(values).returning(webhook_deliveries))
        await ring(connection, outgoing.BELL)
        return _view(made.one())


async def prune(connection: AsyncConnection, at: datetime) -> None:
    """Deletes what is old and over: deliveries, messages, and what is done."""
    rows = webhook_deliveries
    await connection.execute(delete(rows).where(rows.c.created_at < at - KEPT, rows.c.status != "waiting"))
    await connection.execute(delete(notices).where(notices.c.created_at < at - KEPT, notices.c.status != "waiting"))
    await connection.execute(delete(to_dos).where(to_dos.c.done_at < at - KEPT))


async def _of(connection: AsyncConnection, webhook_id: int, delivery_id: int) -> Row[Any]:
    rows = webhook_deliveries
    query = select(rows).where(rows.c.webhook_id == webhook_id, rows.c.id == delivery_id)
    one = (await connection.execute(query)).one_or_none()
    if one is None:
        raise NotFoundError(f"Webhook {webhook_id} has no delivery {delivery_id}.")
    return one


def _off() -> ConflictError:
    return ConflictError("The webhook is off. Turn it on first.")


def _fields(one: Row[Any]) -> dict[str, Any]:
    return {
        "id": one.id,
        "message_id": one.message_id,
        "type": one.type,
        "session": one.session_id or None,
        "status": one.status,
        "attempts": [Attempt.model_validate(said) for said in one.attempts],
        "next_at": one.next_at if one.status == "waiting" else None,
        "created_at": one.created_at,
    }


def _view(one: Row[Any]) -> WebhookDelivery:
    return WebhookDelivery(**_fields(one), body=one.body)
