"""Deliveries of a forge's webhooks: checked and stored at once, applied by a job in the order in which they came."""

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Row, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from quarterdeck.app import connections, mirror
from quarterdeck.app.application import App
from quarterdeck.app.draining import drain
from quarterdeck.core.errors import NotFoundError, QuarterdeckError, RateLimitedError, UnavailableError
from quarterdeck.core.text import clean, cut
from quarterdeck.store import clock
from quarterdeck.store.tables import connections as connection_rows
from quarterdeck.store.tables import forge_deliveries as rows

BODY_BYTES = 8 * 1024 * 1024
KEPT = timedelta(days=30)
"""So long the same delivery is known again; what an older one says is older than what is known."""
ATTEMPTS = 10
LONGEST_WAIT = timedelta(minutes=10)
LANE = 7431

_log = structlog.get_logger(__name__)


async def receive(app: App, connection_id: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Stores a delivery whose signature fits; False when it, or the same under another id, was stored before.

    Raises:
        NotFoundError: there is no such connection.
        UnauthenticatedError: the signature doesn't fit, or is too old.
    """
    async with app.database.transaction() as connection:
        query = select(connection_rows).where(connection_rows.c.id == connection_id)
        row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFoundError("There is no such connection. Take the webhook's address from the project's settings.")
        forge = app.remotes[row.forge]
        key, event = forge.verify(headers, body, connections.hook_secret(app, row), clock.now())
        made = await connection.execute(
            upsert(rows)
            .values(
                connection_id=connection_id,
                key=clean(key),
                digest=hashlib.sha256(body).digest(),  # no forge signs the event's name
                event=clean(event),
                body=body,
            )
            .on_conflict_do_nothing()
            .returning(rows.c.id)
        )
        if made.one_or_none() is None:
            return False
        heard = connection_rows.c.heard_at
        quiet = heard.is_(None) | (heard < func.now() - timedelta(seconds=10))
        await connection.execute(
            update(connection_rows).where(connection_rows.c.id == connection_id, quiet).values(heard_at=func.now())
        )
        await app.dispatch.forge(connection, "apply", connection_id, None)
        return True


async def apply(app: App, connection_id: int) -> None:
    """Applies what waits, the oldest first; what has to wait longer lets the others go before it."""

    async def waits() -> bool:
        async with app.database.transaction() as connection:
            return (await connection.execute(_due(connection_id))).first() is not None

    async def step() -> bool:
        return await _apply_next(app, connection_id)

    await drain(app, LANE, connection_id, waits, step)
    async with app.database.transaction() as connection:
        old = rows.c.connection_id == connection_id, rows.c.received_at < func.now() - KEPT
        await connection.execute(delete(rows).where(*old, rows.c.applied_at.is_not(None)))


def _due(connection_id: int):
    mine = rows.c.connection_id == connection_id, rows.c.applied_at.is_(None), rows.c.due_at <= func.now()
    return select(rows).where(*mine).order_by(rows.c.id).limit(1)


async def _apply_next(app: App, connection_id: int) -> bool:
    async with app.database.transaction() as connection:
        delivery = (await connection.execute(_due(connection_id))).one_or_none()
        row = await connections.load(connection, connection_id)
    if delivery is None or row is None:
        return False
    fault = ""
    try:
        read = app.remotes[row.forge].read(delivery.event, delivery.body)
        await mirror.apply(app, row, read)
    except UnavailableError as error:
        if delivery.attempts + 1 < ATTEMPTS:
            await _put_off(app, delivery, error)
            return True
        fault = error.message
    except QuarterdeckError as error:
        fault = error.message
    except Exception:
        _log.exception("a delivery could not be applied", delivery=delivery.id, event_name=delivery.event)
        fault = "It could not be applied; the server's log has the reason."
    await _end(app, delivery, fault)
    return True


async def _put_off(app: App, delivery: Row[Any], error: UnavailableError) -> None:
    wait = error.wait if isinstance(error, RateLimitedError) else timedelta(seconds=2 ** (delivery.attempts + 1))
    at = clock.now() + min(wait, LONGEST_WAIT)
    async with app.database.transaction() as connection:
        values = {"attempts": delivery.attempts + 1, "due_at": at, "fault": cut(clean(error.message), 1000)}
        await connection.execute(update(rows).where(rows.c.id == delivery.id).values(values))
        await app.dispatch.forge(connection, "apply", delivery.connection_id, at)


async def _end(app: App, delivery: Row[Any], fault: str) -> None:
    """What it said is nobody's to keep any more; that it came is known for some time."""
    async with app.database.transaction() as connection:
        values = {"applied_at": func.now(), "body": None, "fault": cut(clean(fault), 1000)}
        await connection.execute(update(rows).where(rows.c.id == delivery.id).values(values))
