"""What changed here, written at the forge by a job: the oldest first, again after what passes by itself, found again.

Whether a write that was cut off came there is seen by what it left: the branch, the two branches of a merge request,
the context of a status, our mark in a text.
"""

from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Row, case, func, select, update

from quarterdeck.app import connections
from quarterdeck.app.application import App
from quarterdeck.app.draining import drain
from quarterdeck.app.written import Parent, send
from quarterdeck.core.errors import QuarterdeckError, RateLimitedError, UnauthenticatedError, UnavailableError
from quarterdeck.core.text import clean, cut
from quarterdeck.store import clock
from quarterdeck.store.tables import connections as connection_rows
from quarterdeck.store.tables import forge_writes as rows

LANE = 7430
LONGEST_WAIT = timedelta(minutes=30)
GIVES_UP = timedelta(days=1)
_ORDER = {"branch": 0, "issue": 1, "merge_request": 1, "comment": 2, "status": 3}

_log = structlog.get_logger(__name__)


async def write(app: App, connection_id: int) -> None:
    """Writes what waits, what others need before it."""

    async def waits() -> bool:
        async with app.database.transaction() as connection:
            return (await connection.execute(_due(connection_id))).first() is not None

    async def step() -> bool:
        return await _write_next(app, connection_id)

    await drain(app, LANE, connection_id, waits, step)


def _due(connection_id: int):
    """The next one; none while the forge has asked for a pause."""
    of = rows.c
    place = case(_ORDER, value=of.kind, else_=9)
    free = connection_rows.c.waits_until.is_(None) | (connection_rows.c.waits_until <= func.now())
    return (
        select(rows)
        .join(connection_rows, connection_rows.c.id == of.connection_id)
        .where(of.connection_id == connection_id, free)
        .where(of.wanted > of.done, of.refused.is_(False), of.due_at <= func.now())
        .order_by(place, of.created_at, of.subject)
        .limit(1)
    )


async def _write_next(app: App, connection_id: int) -> bool:
    async with app.database.transaction() as connection:
        wish = (await connection.execute(_due(connection_id))).one_or_none()
        row = await connections.load(connection, connection_id)
    if wish is None or row is None:
        return False
    try:
        await send(app, row, wish.kind, wish.subject, again=wish.attempts > 0)
    except RateLimitedError as error:
        await _pause(app, connection_id, error)
        return False
    except (UnavailableError, UnauthenticatedError, Parent) as error:
        await _put_off(app, wish, error)
    except QuarterdeckError as error:
        await _end(app, wish, fault=error.message)
    except Exception:
        _log.exception("a change could not be written at a forge", kind=wish.kind, subject=wish.subject)
        await _end(app, wish, fault="It could not be written; the server's log has the reason.")
    else:
        await _end(app, wish)
    return True


async def _pause(app: App, connection_id: int, error: RateLimitedError) -> None:
    at = clock.now() + error.wait
    async with app.database.transaction() as connection:
        values = {"waits_until": at, "fault": error.message, "fault_at": func.now()}
        await connection.execute(update(connection_rows).where(connection_rows.c.id == connection_id).values(values))
        await app.dispatch.forge(connection, "write", connection_id, at)


async def _put_off(app: App, wish: Row[Any], error: QuarterdeckError) -> None:
    """Again after a while, for a day; after that only when it changes here, or a person asks."""
    at = clock.now() + min(timedelta(seconds=2 ** min(wish.attempts + 1, 12)), LONGEST_WAIT)
    over = at > wish.created_at + GIVES_UP
    async with app.database.transaction() as connection:
        fault = cut(clean(error.message), 1000)
        values = {"attempts": wish.attempts + 1, "due_at": at, "fault": fault, "refused": over}
        # One that changed meanwhile has begun anew, but what was tried has to be looked for.
        await connection.execute(update(rows).where(*_same(wish)).values(values))
        if not isinstance(error, Parent):
            await connections.note_fault(connection, wish.connection_id, fault)
        if not over:
            await app.dispatch.forge(connection, "write", wish.connection_id, at)


async def _end(app: App, wish: Row[Any], fault: str = "") -> None:
    async with app.database.transaction() as connection:
        if fault:
            values: dict[str, Any] = {"refused": rows.c.wanted == wish.wanted, "fault": cut(clean(fault), 1000)}
        else:
            values = {"done": wish.wanted, "attempts": 0, "fault": ""}
            await connections.note_fault(connection, wish.connection_id, "")
        await connection.execute(update(rows).where(*_same(wish)).values(values))


def _same(wish: Row[Any]):
    of = rows.c
    return of.connection_id == wish.connection_id, of.kind == wish.kind, of.subject == wish.subject


async def again(app: App, connection_id: int) -> None:
    """What was refused is tried once more, for a person who has seen to its reason."""
    async with app.database.transaction() as connection:
        refused = rows.c.connection_id == connection_id, rows.c.refused
        values = {"refused": False, "due_at": func.now(), "created_at": func.now()}
        await connection.execute(update(rows).where(*refused).values(values))
