"""Telling others of sessions: what the outbox has becomes webhook deliveries, to-dos and notices, in one transaction.

What is sent goes out later and elsewhere (`app/outgoing.py`); here nothing waits for anybody.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import JsonValue
from sqlalchemy import Row, any_, func, insert, literal, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import outgoing, to_dos, webhook_deliveries
from quarterdeck.app.application import App
from quarterdeck.app.notice_rules import messages, people
from quarterdeck.app.session_filter import PRIVATE
from quarterdeck.core import events as e
from quarterdeck.core import webhook
from quarterdeck.core.budget import is_spent
from quarterdeck.core.errors import UnavailableError
from quarterdeck.core.notice import WAITING, NoticeKind, kind_of
from quarterdeck.core.status import GROUPS, Status
from quarterdeck.store import log, outbox
from quarterdeck.store.doorbell import ring
from quarterdeck.store.outbox import Entry
from quarterdeck.store.tables import artifacts, notices, projects, sessions, users, webhooks
from quarterdeck.store.tables import to_dos as to_do_rows
from quarterdeck.store.tables import webhook_deliveries as delivery_rows

AT_ONCE = 200
"""Entries of one transaction, each of another session."""
_log = structlog.get_logger(__name__)


async def follow(app: App) -> None:
    """Tells whatever happens for as long as the process lives; never returns."""
    with app.doorbell.listener(outbox.BELL) as listener:
        while True:
            try:
                while await tell(app):
                    pass
            except UnavailableError as error:
                _log.warning("the outbox could not be looked at", reason=error.message)
            except Exception:
                _log.exception("telling failed; it is tried again")
            await listener.wait()


async def tell(app: App) -> int:
    """Takes what is next of each session, and answers how much that was; several may do so at the same time."""
    async with app.database.transaction() as connection:
        entries = await outbox.take(connection, AT_ONCE)
        if entries:
            facts = await _facts(connection, entries)
            known = [entry for entry in entries if entry.session_id in facts]  # others are deleted by now
            for_webhooks = await _deliveries(app, connection, known, facts)
            for_people = await _notices(connection, known, facts)
            if for_webhooks or for_people:
                await ring(connection, outgoing.BELL)
        return len(entries)


async def _facts(connection: AsyncConnection, entries: Sequence[Entry]) -> dict[int, Row[*tuple[Any, ...]]]:
    """Of each session what is said of it."""
    ids = [entry.session_id for entry in entries]
    rows = await connection.execute(
        select(
            sessions.c.id,
            sessions.c.initiator_id,
            sessions.c.origin,
            sessions.c.parent_id,
            sessions.c.title,
            sessions.c.flow,
            sessions.c.status,
            sessions.c.reason,
            users.c.username,
            projects.c.path,
        )
        .join(users, users.c.id == sessions.c.initiator_id)
        .outerjoin(projects, projects.c.id == sessions.c.project_id)
        .where(sessions.c.id == any_(literal(ids)))
    )
    return {row.id: row for row in rows}


async def _deliveries(
    app: App, connection: AsyncConnection, entries: Sequence[Entry], facts: dict[int, Row[*tuple[Any, ...]]]
) -> bool:
    """One delivery of each entry to each webhook that wants it; what is somebody's alone is told to none."""
    public = [entry for entry in entries if entry.project_id and facts[entry.session_id].origin not in PRIVATE]
    if not public:
        return False
    listening = select(webhooks.c.id, webhooks.c.project_id, webhooks.c.events).where(
        webhooks.c.project_id.in_({entry.project_id for entry in public}),
        webhooks.c.enabled,
        webhooks.c.disabled_until.is_(None) | (webhooks.c.disabled_until <= func.now()),
    )
    by_project: dict[int, list[Row[*tuple[Any, ...]]]] = defaultdict(list)
    for row in await connection.execute(listening.order_by(webhooks.c.id)):
        by_project[row.project_id].append(row)
    pairs = [
        (entry, one)
        for entry in public
        for one in by_project[entry.project_id or 0]
        if webhook.event_of(entry.status) in one.events
    ]
    made = await _artifacts(connection, [entry for entry, _ in pairs if entry.status is None])
    rows: list[dict[str, Any]] = []
    for entry, one in pairs:
        data = said(app, entry, facts[entry.session_id], made)
        type_ = webhook.event_of(entry.status).value
        rows.append(webhook_deliveries.row(one.id, entry.session_id, type_, entry.at, data))
    if rows:
        await connection.execute(insert(delivery_rows), rows)
    return bool(rows)


Made = dict[tuple[int, int], Row[*tuple[Any, ...]]]


async def _artifacts(connection: AsyncConnection, entries: Sequence[Entry]) -> Made:
    """By session and event."""
    if not entries:
        return {}
    keys = [(entry.session_id, entry.seq) for entry in entries]
    rows = await connection.execute(select(artifacts).where(tuple_(artifacts.c.session_id, artifacts.c.seq).in_(keys)))
    return {(row.session_id, row.seq): row for row in rows}


def said(app: App, entry: Entry, row: Row[*tuple[Any, ...]], made: Made) -> dict[str, JsonValue]:
    """What a webhook is told."""
    status = entry.status or Status(row.status)
    link = f"{app.public_url}/sessions/{entry.session_id}"
    found: dict[str, JsonValue] = {
        "session": {
            "id": entry.session_id,
            "title": row.title,
            "status": status.value,
            "status_group": GROUPS[status].value,
            "reason": row.reason if status.value == row.status else "",
            "flow": row.flow,
            "project": row.path,
            "initiator": row.username,
            "parent_id": row.parent_id,
            "url": link,
        },
        "seq": entry.seq,
        "url": f"{link}#e{entry.seq}",
    }
    artifact = made.get((entry.session_id, entry.seq))
    if artifact is not None:
        found["artifact"] = {"kind": artifact.kind, "name": artifact.name, "url": artifact.url}
    return found


@dataclass(frozen=True)
class _News:
    """A status that somebody may want to know."""

    entry: Entry
    status: Status
    row: Row[*tuple[Any, ...]]


async def _notices(
    connection: AsyncConnection, entries: Sequence[Entry], facts: dict[int, Row[*tuple[Any, ...]]]
) -> bool:
    """What of it a person has to do, and is told; what they had to do before in these sessions is done by it."""
    news = [_News(entry, entry.status, facts[entry.session_id]) for entry in entries if entry.status is not None]
    if not news:
        return False
    over = await _over(connection, [one.entry.session_id for one in news])
    told = [(one, kind) for one in news if (kind := kind_of(one.status)) is not None]
    known = await people(connection, {one.row.initiator_id for one, _ in told})
    to_do: list[dict[str, Any]] = []
    sent: list[dict[str, Any]] = []
    for one, kind in told:
        person = known[one.row.initiator_id]
        exact = await _exact(connection, one, kind)
        private, child = one.row.origin in PRIVATE, one.row.parent_id is not None
        if exact is not None and person.rules.want(exact, private=private, child=child):
            item = {"user_id": person.user_id, "kind": exact.value, "session_id": one.entry.session_id}
            to_do.append(item | {"seq": one.entry.seq, "webhook_id": None})
            seen = {"seq": one.entry.seq, "session_status": one.status.value, "webhook_id": None}
            sent += messages(person, item | seen, exact)
    if to_do:
        await connection.execute(insert(to_do_rows), to_do)
    if sent:
        await connection.execute(insert(notices), sent)
    await to_dos.changed(connection, over | {item["user_id"] for item in to_do})
    return bool(sent)


async def _over(connection: AsyncConnection, ids: Sequence[int]) -> set[int]:
    """Sessions went on: what they wanted is done, and what was not sent of it isn't sent; whose that was."""
    mine = literal(list(ids))
    await connection.execute(
        update(notices)
        .where(notices.c.session_id == any_(mine), notices.c.status == "waiting", notices.c.kind.in_(WAITING))
        .values(status="dropped")
    )
    done = await connection.execute(
        update(to_do_rows)
        .where(to_do_rows.c.session_id == any_(mine), to_do_rows.c.done_at.is_(None))
        .values(done_at=func.now())
        .returning(to_do_rows.c.user_id)
    )
    return set(done.scalars())


async def _exact(connection: AsyncConnection, one: _News, kind: NoticeKind) -> NoticeKind | None:
    """A pause as what it is: none when a person made it."""
    if kind is not NoticeKind.PAUSED:
        return kind
    events = await log.read(connection, one.entry.session_id, after=one.entry.seq - 1, limit=1)
    payload = events[0].payload if events else None
    if not isinstance(payload, e.StatusChanged) or payload.by:
        return None
    return NoticeKind.OVER_BUDGET if is_spent(payload.reason) else NoticeKind.PAUSED
