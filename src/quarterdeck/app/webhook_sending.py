"""Webhook deliveries on their way: taken by one worker at a time, signed, sent, and what came of each noted.

The first that waits of a webhook and session is sent, and the ones behind it wait for it: a receiver gets the events
of a session in their order. Others go on beside it, so that nothing waits for what a receiver refuses.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from pydantic import JsonValue
from sqlalchemy import Row, Update, cast, exists, func, insert, literal, select, true, update
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH
from sqlalchemy.ext.asyncio import AsyncConnection
from standardwebhooks import Webhook

from quarterdeck.app import notice_rules, to_dos, webhooks
from quarterdeck.app.application import App
from quarterdeck.core.access import LEAST_ROLE, Ability
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.notice import NoticeKind
from quarterdeck.core.text import clean
from quarterdeck.core.webhook import DISABLED, FAILING, retry_after
from quarterdeck.store import clock
from quarterdeck.store.tables import members, notices, webhook_deliveries
from quarterdeck.store.tables import to_dos as to_do_rows
from quarterdeck.store.tables import webhooks as webhook_rows

AT_ONCE = 8
"""On their way to one webhook from one process; a receiver that hangs holds up nobody else."""
LEASE = timedelta(seconds=60)
"""Who has not said by then what came of one is taken for dead, and it is sent again."""
ATTEMPTS_KEPT = 50
ANSWER_CHARACTERS = 1_000
GONE = 410
"""The answer of a receiver that wants no more."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Delivery:
    """One that this process sends now."""

    id: int
    webhook_id: int
    message_id: str
    body: str
    tries: int
    """The one that is made now; whoever comes late with another is not heard."""


async def take(connection: AsyncConnection, limit: int, *, full: Collection[int]) -> list[Delivery]:
    """Takes what is due, but of the webhooks that are `full`; several may at the same time, none what another has."""
    rows, earlier = webhook_deliveries, webhook_deliveries.alias("earlier")
    behind = exists().where(
        earlier.c.webhook_id == rows.c.webhook_id,
        earlier.c.session_id == rows.c.session_id,
        earlier.c.id < rows.c.id,
        earlier.c.status == "waiting",
    )
    due = (rows.c.status == "waiting") & (rows.c.next_at <= func.now())
    # By webhook, so that however much waits of one, the others' is found as fast.
    of_one = select(rows.c.id).where(rows.c.webhook_id == webhook_rows.c.id, due, ~behind)
    first = of_one.order_by(rows.c.next_at, rows.c.id).limit(AT_ONCE).lateral()
    found = select(first.c.id).select_from(webhook_rows.join(first, true())).where(webhook_rows.c.id.not_in(full))
    mine = (
        select(rows.c.id)
        .where(rows.c.id.in_(found), due)
        .order_by(rows.c.next_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("mine")
    )
    taken = await connection.execute(
        update(rows)
        .where(rows.c.id == mine.c.id)
        .values(next_at=func.now() + LEASE, tries=rows.c.tries + 1)
        .returning(rows.c.id, rows.c.webhook_id, rows.c.message_id, rows.c.body, rows.c.tries)
    )
    return sorted((Delivery(*row) for row in taken), key=lambda one: one.id)


async def next_due(connection: AsyncConnection) -> datetime | None:
    """When the next one is due that is not due yet."""
    rows = webhook_deliveries
    query = select(func.min(rows.c.next_at)).where(rows.c.status == "waiting", rows.c.next_at > func.now())
    return (await connection.execute(query)).scalar_one()


async def send(app: App, one: Delivery) -> None:
    """Sends it, and notes what came of it."""
    async with app.database.reading() as connection:
        query = select(webhook_rows).where(webhook_rows.c.id == one.webhook_id)
        row = (await connection.execute(query)).one_or_none()
    if row is None:
        return
    began, at = time.monotonic(), clock.now()
    status, said = 0, ""
    try:
        url, keys = webhooks.opened(app, row)
        answer = await app.courier.post(url, signed(keys, one.message_id, at, one.body), one.body)
        status, said = answer.status, answer.text
    except QuarterdeckError as error:
        said = error.message
    attempt: dict[str, JsonValue] = {
        "at": at.isoformat(),
        "status": status,
        "text": app.redactor.text(clean(said))[:ANSWER_CHARACTERS],
        "ms": round((time.monotonic() - began) * 1_000),
    }
    async with app.database.transaction() as connection:
        await _note(app, connection, one, attempt, status)


def signed(keys: list[str], message_id: str, at: datetime, body: str) -> dict[str, str]:
    """The headers of Standard Webhooks, with a signature by each key."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(key).sign(message_id, at, body) for key in keys),
    }


async def _note(
    app: App, connection: AsyncConnection, one: Delivery, attempt: dict[str, JsonValue], status: int
) -> None:
    taken = 200 <= status < 300
    again = None if taken or status == GONE else retry_after(one.tries)
    rows = webhook_deliveries
    log = rows.c.attempts.op("||")(cast(literal([attempt], JSONB), JSONB))
    # Of a long story what is last is kept.
    kept = func.jsonb_path_query_array(log, cast(f"$[last - {ATTEMPTS_KEPT - 1} to last]", JSONPATH))
    values: dict[str, Any] = {"attempts": kept, "status": "delivered" if taken else "failed"}
    if again is not None:
        values |= {"status": "waiting", "next_at": func.now() + again}
    mine = (rows.c.id == one.id) & (rows.c.tries == one.tries) & (rows.c.status == "waiting")
    if (await connection.execute(update(rows).where(mine).values(values))).rowcount == 0:
        return
    if taken:
        await _taken(connection, one.webhook_id)
    else:
        await _refused(app, connection, one.webhook_id, gone=status == GONE)


def _of(webhook_id: int) -> Update:
    return update(webhook_rows).where(webhook_rows.c.id == webhook_id)


async def _taken(connection: AsyncConnection, webhook_id: int) -> None:
    failed = webhook_rows.c.failing_since.is_not(None) | webhook_rows.c.disabled_until.is_not(None)
    change = _of(webhook_id).where(failed).values(failing_since=None, disabled_until=None)
    if (await connection.execute(change)).rowcount:
        await webhooks.recovered(connection, webhook_id)


async def _refused(app: App, connection: AsyncConnection, webhook_id: int, *, gone: bool) -> None:
    """Notes since when it fails; after a day, or when the receiver says that it is gone, it is disabled."""
    columns = webhook_rows.c
    changed = _of(webhook_id).values(failing_since=func.coalesce(columns.failing_since, func.now()))
    row = (await connection.execute(changed.returning(webhook_rows, func.now().label("now")))).one_or_none()
    if row is None or not row.enabled or (row.disabled_until and row.disabled_until > row.now):
        return
    if not gone and row.now - row.failing_since < FAILING:
        return
    await connection.execute(
        _of(webhook_id).values({"enabled": False} if gone else {"disabled_until": row.now + DISABLED})
    )
    _log.info("a webhook is disabled", webhook=webhook_id, gone=gone)
    await _tell_maintainers(connection, row)


async def _tell_maintainers(connection: AsyncConnection, webhook: Row[Any]) -> None:
    """Once, until it is seen to."""
    open_ = (to_do_rows.c.webhook_id == webhook.id) & to_do_rows.c.done_at.is_(None)
    if (await connection.execute(select(to_do_rows.c.id).where(open_).limit(1))).one_or_none():
        return
    theirs = select(members.c.user_id).where(
        members.c.project_id == webhook.project_id, members.c.role >= LEAST_ROLE[Ability.MANAGE_WEBHOOKS]
    )
    ids = set((await connection.execute(theirs)).scalars())
    known = await notice_rules.people(connection, ids)
    kind = NoticeKind.WEBHOOK_DISABLED
    about: dict[str, Any] = {"kind": kind.value, "session_id": 0, "seq": 0, "webhook_id": webhook.id}
    if not ids:
        return
    await connection.execute(insert(to_do_rows), [about | {"user_id": one} for one in sorted(ids)])
    told = [
        message
        for one in sorted(ids)
        for message in notice_rules.messages(known[one], about | {"user_id": one, "session_status": ""}, kind)
    ]
    if told:
        await connection.execute(insert(notices), told)
    await to_dos.changed(connection, ids)
