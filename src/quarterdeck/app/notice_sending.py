"""Notices on their way: one message to one person by one channel, unless what it says is over by then."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import notice_rules
from quarterdeck.app.application import App
from quarterdeck.core.errors import QuarterdeckError, UnavailableError
from quarterdeck.core.notice import Notice, NoticeKind
from quarterdeck.core.status import AWAITING, Status
from quarterdeck.core.text import clean
from quarterdeck.store.tables import notices, projects, sessions, webhooks

RETRY_SECONDS = (5, 30, 120, 600, 1_800, 3_600, 7_200)
"""After that a message is old news, which the to-do list has."""
LEASE = timedelta(seconds=60)
FAULT_CHARACTERS = 500


@dataclass(frozen=True)
class Outgoing:
    """One that this process sends now."""

    id: int
    user_id: int
    channel: str
    kind: NoticeKind
    session_id: int
    seq: int
    session_status: str
    webhook_id: int | None
    tries: int


async def take(connection: AsyncConnection, limit: int) -> list[Outgoing]:
    """Takes what is due; several may at the same time, none what another has."""
    due = (
        select(notices.c.id)
        .where(notices.c.status == "waiting", notices.c.next_at <= func.now())
        .order_by(notices.c.next_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    taken = await connection.execute(
        update(notices)
        .where(notices.c.id == due.c.id)
        .values(next_at=func.now() + LEASE, tries=notices.c.tries + 1)
        .returning(
            notices.c.id,
            notices.c.user_id,
            notices.c.channel,
            notices.c.kind,
            notices.c.session_id,
            notices.c.seq,
            notices.c.session_status,
            notices.c.webhook_id,
            notices.c.tries,
        )
    )
    found = [
        Outgoing(
            row.id,
            row.user_id,
            row.channel,
            NoticeKind(row.kind),
            row.session_id,
            row.seq,
            row.session_status,
            row.webhook_id,
            row.tries,
        )
        for row in taken
    ]
    return sorted(found, key=lambda one: one.id)


async def next_due(connection: AsyncConnection) -> datetime | None:
    """When the next one is due that is not due yet."""
    query = select(func.min(notices.c.next_at)).where(notices.c.status == "waiting", notices.c.next_at > func.now())
    return (await connection.execute(query)).scalar_one()


async def send(app: App, one: Outgoing) -> None:
    """Sends it, and notes what came of it."""
    async with app.database.reading() as connection:
        person = (await notice_rules.people(connection, [one.user_id])).get(one.user_id)
        notice = await _notice(app, connection, one)
    if person is None or notice is None or one.channel not in person.channels:
        await _note(app, one, status="dropped")
        return
    try:
        await notice_rules.deliver(app, person, one.channel, notice, f"notice-{one.id}")
    except UnavailableError as error:
        again = one.tries <= len(RETRY_SECONDS)
        await _note(app, one, status="waiting" if again else "failed", fault=error.message)
    except QuarterdeckError as error:
        await _note(app, one, status="failed", fault=error.message)
    else:
        await _note(app, one, status="sent")


async def _note(app: App, one: Outgoing, *, status: str, fault: str = "") -> None:
    values: dict[str, Any] = {"status": status, "fault": app.redactor.text(clean(fault))[:FAULT_CHARACTERS]}
    if status == "waiting":
        values["next_at"] = func.now() + timedelta(seconds=RETRY_SECONDS[one.tries - 1])
    mine = (notices.c.id == one.id) & (notices.c.tries == one.tries) & (notices.c.status == "waiting")
    async with app.database.transaction() as connection:
        await connection.execute(update(notices).where(mine).values(values))


async def _notice(app: App, connection: AsyncConnection, one: Outgoing) -> Notice | None:
    """What it says; None when that is gone or over."""
    if one.webhook_id is not None:
        return _of_webhook(app, one, await _row_of_webhook(connection, one.webhook_id))
    query = (
        select(sessions.c.title, sessions.c.status, sessions.c.reason, projects.c.path)
        .outerjoin(projects, projects.c.id == sessions.c.project_id)
        .where(sessions.c.id == one.session_id)
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None or (one.kind is NoticeKind.NEEDS_INPUT and Status(row.status) not in AWAITING):
        return None
    return Notice(
        kind=one.kind,
        what=row.title,
        where=row.path or "",
        detail=row.reason if row.status == one.session_status else "",
        url=f"{app.public_url}/sessions/{one.session_id}#e{one.seq}",
        number=one.session_id,
        status=Status(one.session_status),
    )


async def _row_of_webhook(connection: AsyncConnection, webhook_id: int) -> Row[*tuple[Any, ...]] | None:
    query = select(webhooks.c.url, webhooks.c.project_id, projects.c.path).join(
        projects, projects.c.id == webhooks.c.project_id
    )
    return (await connection.execute(query.where(webhooks.c.id == webhook_id))).one_or_none()


def _of_webhook(app: App, one: Outgoing, row: Row[*tuple[Any, ...]] | None) -> Notice | None:
    if row is None:
        return None
    url = f"{app.public_url}/projects/{row.project_id}/webhooks/{one.webhook_id}"
    return Notice(one.kind, row.url, row.path, "It has taken nothing for a day, and is told of nothing for now.", url)
