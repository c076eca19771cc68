"""Waking a session: the message that it wanted at a time, or when something ends. It survives every restart."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import pipelines, wanted
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.change import changing
from quarterdeck.app.session_access import may
from quarterdeck.core import events as e
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import ConflictError, InvalidInputError, NotFoundError
from quarterdeck.core.pipeline import PIPELINE_ENDED, PipelineStatus
from quarterdeck.core.status import FINAL, Status, Transition, human
from quarterdeck.core.text import clean
from quarterdeck.store import clock
from quarterdeck.store.presence import present
from quarterdeck.store.tables import notifications_wanted as rows
from quarterdeck.store.tables import pipelines as pipeline_rows
from quarterdeck.store.tables import sessions
from quarterdeck.tools.notify_me_when import LONGEST

MOST = 100
"""Of one session in its life: what wakes itself without end would cost without end."""
REVIVE_SECONDS = 15
"""How late a notification may be before the net looks whether its job is still there."""
SENDER = "quarterdeck"


@dataclass(frozen=True)
class Wish:
    """What a session wants to hear of."""

    target: wanted.Target
    target_id: int | None = None
    at: datetime | timedelta | None = None
    """When, or how long from now by the database's clock."""
    note: str = ""


async def want(app: App, actor: Actor, session_id: int, call_id: str, wish: Wish) -> datetime | None:
    """Notes the wish, and answers when it comes true, if that is known; a repeated call finds it.

    What has ended already is told at once.

    Raises:
        InvalidInputError: it can't be waited for, or not for so long.
        NotFoundError: there is no such session or pipeline that the actor may see.
        ConflictError: the session has had as many as it may.
    """
    if (wish.target, wish.target_id) == ("session", session_id):
        raise InvalidInputError("A session can't wait for its own end.")
    if wish.target == "pipeline" and wish.target_id is not None:
        await pipelines.show(app, actor, wish.target_id)
    async with app.database.transaction() as connection:
        if wish.target == "session" and wish.target_id is not None:
            await may(connection, actor, wish.target_id, Ability.READ_SESSION)
        # Before the look whether it has ended: an end in between finds the row, or is seen.
        await _lock(connection, session_id, wish)
        known = select(rows.c.due_at).where(rows.c.call_id == call_id)
        if (found := (await connection.execute(known)).one_or_none()) is not None:
            return found.due_at
        count = select(func.count()).where(rows.c.session_id == session_id)
        if (await connection.execute(count)).scalar_one() >= MOST:
            raise ConflictError(f"This session has asked to be woken {MOST} times, which is as often as it may.")
        ended = await _ended(connection, wish.target, wish.target_id)
        at = _due(wish) or (clock.now() if ended else None)
        notification_id = (
            await connection.execute(
                insert(rows)
                .values(
                    session_id=session_id,
                    call_id=call_id,
                    target=wish.target,
                    target_id=wish.target_id,
                    note=clean(wish.note),
                    due_at=at,
                )
                .returning(rows.c.id)
            )
        ).scalar_one()
        if at is not None:
            await app.dispatch.notification(connection, notification_id, at)
        await present(connection, session_id)
        return at


def _due(wish: Wish) -> datetime | None:
    now = clock.now()
    at = now + wish.at if isinstance(wish.at, timedelta) else wish.at
    if at is not None and at > now + LONGEST:
        raise InvalidInputError(f"That is more than {LONGEST.days} days from now, by when this session may be deleted.")
    return at and max(at, now)


async def _lock(connection: AsyncConnection, session_id: int, wish: Wish) -> None:
    """The target, and with a session the one that wants to hear of it: nobody ends or deletes either meanwhile."""
    if wish.target == "pipeline":
        mine = select(pipeline_rows.c.id).where(pipeline_rows.c.id == wish.target_id)
        await connection.execute(mine.with_for_update(read=True))
    elif wish.target == "session":
        both = select(sessions.c.id).where(sessions.c.id.in_((session_id, wish.target_id))).order_by(sessions.c.id)
        await connection.execute(both.with_for_update(read=True))


async def _ended(connection: AsyncConnection, target: str, target_id: int | None) -> str:
    """How it ended, in words; empty while it hasn't, and for a time."""
    match target:
        case "session":
            row = (
                await connection.execute(select(sessions.c.status).where(sessions.c.id == target_id))
            ).scalar_one_or_none()
            if row is None:
                return f"Session #{target_id} was deleted."
            status = Status(row)
            over = status in FINAL or status is Status.IDLE
            return f"Session #{target_id} is {human(status)}." if over else ""
        case "pipeline":
            row = (
                await connection.execute(select(pipeline_rows.c.status).where(pipeline_rows.c.id == target_id))
            ).scalar_one_or_none()
            if row is None:
                return f"Pipeline #{target_id} is gone."
            over = PipelineStatus(row) in PIPELINE_ENDED
            return f"Pipeline #{target_id} has ended: {row}." if over else ""
        case _:
            return ""


async def send(app: App, notification_id: int) -> None:
    """Says to the session what it wanted to hear, once, and wakes it if it rests."""
    async with app.database.transaction() as connection:
        session_id = (
            await connection.execute(select(rows.c.session_id).where(rows.c.id == notification_id))
        ).scalar_one_or_none()
        if session_id is None:
            return
        try:
            async with changing(app, connection, session_id) as it:
                row = (
                    await connection.execute(
                        update(rows)
                        .where(rows.c.id == notification_id, rows.c.sent_at.is_(None), rows.c.due_at.is_not(None))
                        .values(sent_at=func.now())
                        .returning(rows.c.target, rows.c.target_id, rows.c.due_at, rows.c.note)
                    )
                ).one_or_none()
                if row is None or it.state.final:
                    return
                ended = await _ended(connection, row.target, row.target_id)
                what = ended or (
                    f"It is {row.due_at:%Y-%m-%d %H:%M:%S} UTC."
                    if row.target == "time"
                    else f"The {row.target} #{row.target_id} had come to its end, and goes on."
                )
                text = f"You asked to be told: {what}" + (f" Your note: {row.note}" if row.note else "")
                component = it.state.agent if it.state.component == it.state.agent else ""
                it.append(e.MessageAdded(text=text, by=SENDER, component=component))
                if it.state.status is Status.IDLE:
                    it.move(Transition.RESUME, reason="woken by notify_me_when")
        except NotFoundError:
            return


async def revive(app: App) -> int:
    """Sends what is late, and answers how much: a net that should catch nothing."""
    async with app.database.transaction() as connection:
        late = await connection.execute(
            select(rows.c.id)
            .where(rows.c.sent_at.is_(None), rows.c.due_at < func.now() - timedelta(seconds=REVIVE_SECONDS))
            .limit(100)
        )
        found = list(late.scalars())
    for notification_id in found:
        await send(app, notification_id)
    return len(found)
