"""Deliveries: the firings of triggers, each started at most once, some a minute, and none lost."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import structlog
from pydantic import BaseModel, ConfigDict, JsonValue
from sqlalchemy import Row, Select, delete, func, select, update
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import steering, thread_answers, triggers
from quarterdeck.app.access import project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.network import UntoldError, with_tools_told
from quarterdeck.app.occurrences import FOLLOW_UP, bounded, keep
from quarterdeck.app.session_access import person
from quarterdeck.app.sessions import StartSession, start_within
from quarterdeck.core import limits
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import NotFoundError, QuarterdeckError, UnavailableError
from quarterdeck.core.status import FINAL, Status
from quarterdeck.core.text import cut, line
from quarterdeck.core.trigger import EventType, Subject, Triggered, goal, source
from quarterdeck.store import clock
from quarterdeck.store.tables import deliveries, session_subjects, sessions, users
from quarterdeck.store.tables import triggers as trigger_rows

A_MINUTE = 30
"""So many sessions are started for one project; the others wait their turn."""
AT_ONCE = 20
"""So many of a project's triggered sessions may be at work; more begin as those come to rest."""
AGAIN = timedelta(seconds=20)
"""When those that have to wait are looked at again."""
LOOKED_AT = 20
"""So many of those that wait are looked at for one that starts nothing, while there is no room for more."""
LATE_SECONDS = 15
REASON_CHARACTERS = 2_000
KEPT = timedelta(days=90)
"""How long a delivery is kept after its end."""
FORGOTTEN_AT_ONCE = 1_000

_log = structlog.get_logger(__name__)

DeliveryStatus = Literal["waiting", "started", "told", "refused"]


class DeliveryView(BaseModel):
    """A firing of a trigger, and what came of it."""

    model_config = ConfigDict(frozen=True)
    id: int
    trigger_id: int
    event: EventType
    action: str
    by: str
    """In whose name."""
    subject: Subject | None
    status: DeliveryStatus
    """`told` is a message to a session that was there already."""
    reason: str
    """Why nothing was started."""
    session_id: int | None
    again_of: int | None
    created_at: datetime
    ended_at: datetime | None


class DeliveryDetails(DeliveryView):
    """The same with what it was told."""

    text: str
    payload: dict[str, JsonValue]


async def find(
    app: App, actor: Actor, project: int | str, *, trigger_id: int | None = None, before: int | None = None,
    limit: int = limits.PAGE_ROWS,
) -> list[DeliveryView]:  # fmt: skip
    """A project's, newest first; `before` is the number of an earlier page's last."""
    async with app.database.reading() as connection:
        found = await project_for(connection, actor, project, Ability.MANAGE_TRIGGERS)
        query = _query(details=False).where(deliveries.c.project_id == found.id).limit(min(max(limit, 1), 100))
        if trigger_id is not None:
            query = query.where(deliveries.c.trigger_id == trigger_id)
        if before is not None:
            query = query.where(deliveries.c.id < before)
        return [DeliveryView.model_validate(row, from_attributes=True) for row in await connection.execute(query)]


async def show(app: App, actor: Actor, project: int | str, delivery_id: int) -> DeliveryDetails:
    """One of them, with its payload."""
    async with app.database.reading() as connection:
        found = await project_for(connection, actor, project, Ability.MANAGE_TRIGGERS)
        return DeliveryDetails.model_validate(await _one(connection, found.id, delivery_id), from_attributes=True)


async def again(app: App, actor: Actor, project: int | str, delivery_id: int) -> DeliveryView:
    """Fires it once more, in the name of the person who asks, with the trigger as it is now."""
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.MANAGE_TRIGGERS)
        row = await _one(connection, found.id, delivery_id)
        values = {
            name: getattr(row, name) for name in ("trigger_id", "project_id", "event", "action", "payload", "text")
        }
        values |= {"user_id": actor.user_id, "again_of": row.id, "key": _key(actor, row.id)}
        values["about"] = row.subject
        (made,) = await keep(app, connection, found.id, [values])
        return DeliveryView.model_validate(await _one(connection, found.id, made), from_attributes=True)


async def fire(
    app: App, actor: Actor, project: int | str, trigger_id: int, payload: dict[str, JsonValue] | None = None
) -> DeliveryView:
    """Fires a trigger by hand, to see what comes of it: with that payload, whatever its filter says, as a webhook."""
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.MANAGE_TRIGGERS)
        row = await triggers.of_project(connection, found, trigger_id)
        scheduled = EventType.SCHEDULE in row.events
        values = {
            "trigger_id": row.id, "project_id": found.id, "user_id": actor.user_id, "key": _key(actor, 0),
            "event": EventType.SCHEDULE.value if scheduled else EventType.WEBHOOK.value, "action": "",
            "payload": bounded(payload or {}), "text": "", "about": None, "again_of": None,
        }  # fmt: skip
        (made,) = await keep(app, connection, found.id, [values])
        return DeliveryView.model_validate(await _one(connection, found.id, made), from_attributes=True)


def _key(actor: Actor, of: int) -> str:
    return f"again:{of}:{actor.user_id}:{secrets.token_hex(8)}"


async def _one(connection: AsyncConnection, project_id: int, delivery_id: int) -> Row[Any]:
    query = _query().where(deliveries.c.project_id == project_id, deliveries.c.id == delivery_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no delivery {delivery_id} in this project.")
    return row


def _query(*, details: bool = True) -> Select[*tuple[Any, ...]]:
    """A list goes without what a delivery was told, which may be large."""
    columns = [one for one in deliveries.c if details or one.name not in ("payload", "text")]
    named = deliveries.c.about.label("subject"), users.c.username.label("by")
    query = select(*columns, *named).join(users, users.c.id == deliveries.c.user_id)
    return query.order_by(deliveries.c.id.desc())


async def deliver(app: App, project_id: int) -> None:
    """Starts what waits in a project, oldest first, as much as may be started now; the rest later."""
    while await _next(app, project_id):
        pass


@with_tools_told
async def _next(app: App, project_id: int) -> bool:
    """One of them; False when none waits, or those that do have to wait longer."""
    async with app.database.transaction() as connection:
        # One at a time in a project: so each is counted, and a message finds the session that another one starts.
        await connection.exec_driver_sql("select pg_advisory_xact_lock(hashtext(%s))", (f"deliveries:{project_id}",))
        waiting = select(deliveries).where(deliveries.c.project_id == project_id, deliveries.c.status == "waiting")
        waiting = waiting.order_by(deliveries.c.id)
        oldest = (await connection.execute(waiting.limit(1))).first()
        if oldest is None:
            return False
        turn = await _turn(connection, oldest)
        if turn.starts and not await _room(connection, project_id):
            # What is said to sessions that are there doesn't wait for others to come to rest.
            said = await connection.execute(waiting.where(deliveries.c.event == EventType.MENTION).limit(LOOKED_AT))
            turns = [await _turn(connection, row) for row in said.all()]
            turn = next((one for one in turns if not one.starts), None)
        if turn is None:
            await app.dispatch.deliveries(connection, project_id, clock.now() + AGAIN)
            return False
        outcome = await _deliver(app, connection, turn)
        ended = update(deliveries).where(deliveries.c.id == turn.row.id)
        await connection.execute(ended.values(ended_at=clock.now(), **outcome))
        return True


@dataclass(frozen=True)
class _Turn:
    """A delivery that waits, its trigger, and the session that it is a message to."""

    row: Row[Any]
    trigger: Row[Any]
    told: int | None

    @property
    def starts(self) -> bool:
        """Whether it wants a session of its own."""
        return self.told is None and self.row.action != FOLLOW_UP


async def _turn(connection: AsyncConnection, row: Row[Any]) -> _Turn:
    trigger = (await connection.execute(select(trigger_rows).where(trigger_rows.c.id == row.trigger_id))).one()
    return _Turn(row, trigger, await _going_on(connection, row, trigger))


async def _room(connection: AsyncConnection, project_id: int) -> bool:
    mine = deliveries.c.project_id == project_id, deliveries.c.status == "started"
    lately = select(func.count()).where(*mine, deliveries.c.ended_at > clock.now() - timedelta(minutes=1))
    at_work = select(func.count()).select_from(
        select(sessions.c.id)
        .join(deliveries, deliveries.c.session_id == sessions.c.id)
        .where(*mine, sessions.c.status.in_((Status.CREATED.value, Status.RUNNING.value)))
        .limit(AT_ONCE)
        .subquery()
    )
    query = select(lately.scalar_subquery() < A_MINUTE, at_work.scalar_subquery() < AT_ONCE)
    return all((await connection.execute(query)).one())


async def _going_on(connection: AsyncConnection, row: Row[Any], trigger: Row[Any]) -> int | None:
    """The session that a comment goes to: the newest of the same account on the same thing that has not ended."""
    if row.event != EventType.MENTION or row.about is None:
        return None
    if row.again_of is not None and row.action != FOLLOW_UP:  # that is asked for to start another one
        return None
    subject = Subject.model_validate(row.about)
    on = session_subjects.c.issue_id if subject.kind == "issue" else session_subjects.c.merge_request_id
    about = select(session_subjects.c.session_id).where(on == subject.id)
    known = (
        select(sessions.c.id)
        .join(deliveries, deliveries.c.session_id == sessions.c.id)
        .join(trigger_rows, trigger_rows.c.id == deliveries.c.trigger_id)
        .where(trigger_rows.c.account_id == trigger.account_id, deliveries.c.project_id == row.project_id)
        .where(sessions.c.status.not_in([status.value for status in FINAL]))
        .where(sessions.c.id.in_(about) | (sessions.c.id == thread_answers.made(subject)))
        .order_by(sessions.c.id.desc())
        .limit(1)
    )
    return (await connection.execute(known)).scalar_one_or_none()


async def _deliver(app: App, connection: AsyncConnection, turn: _Turn) -> dict[str, Any]:
    """What became of it, as the delivery's columns. What can't be started is refused, with the reason."""
    row, trigger, told = turn.row, turn.trigger, turn.told
    actor = await person(connection, row.user_id)
    try:
        async with connection.begin_nested():
            if told is not None:
                await steering.told_by_comment(app, connection, actor, told, row.text)
                return {"status": "told", "session_id": told}
            if row.action == FOLLOW_UP:
                return {"status": "refused", "reason": "The session that made the merge request has ended."}
            if not trigger.enabled and row.again_of is None:
                return {"status": "refused", "reason": "The trigger was disabled before its turn came."}
            session_id = await _start(app, connection, actor, row, trigger)
            return {"status": "started", "session_id": session_id}
    except (UnavailableError, UntoldError, OperationalError, InterfaceError):  # not its fault: it waits
        raise
    except QuarterdeckError as error:
        return {"status": "refused", "reason": line(cut(error.message, REASON_CHARACTERS), REASON_CHARACTERS)}
    except Exception:  # a fault of ours: those behind it are not to wait for its repair
        _log.exception("a delivery could not be started", delivery=row.id)
        return {"status": "refused", "reason": "The server failed over it; its log says why. Fire it again."}


async def _start(app: App, connection: AsyncConnection, actor: Actor, row: Row[Any], trigger: Row[Any]) -> int:
    account = await person(connection, trigger.account_id)
    subject = Subject.model_validate(row.about) if row.about else None
    type_ = EventType(row.event)
    ships = trigger.flow.partition("/")[0] in {name.partition("/")[0] for name in app.flows.names()}
    told: str = trigger.goal
    # The flows that ship make their own of what they are about.
    if not told and not (ships and subject is not None and type_ is not EventType.MENTION):
        told = goal(type_, text=row.text, subject=subject, payload=row.payload)
    number = {subject.kind: subject.number} if subject else {}
    request = StartSession(
        project=row.project_id,
        flow=trigger.flow,
        goal=told,
        model=trigger.model,
        may_ask=subject is not None,
        issue_iid=number.get("issue"),
        merge_request_iid=number.get("merge_request"),
        pipeline_id=number.get("pipeline"),
    )
    triggered = Triggered(
        trigger=trigger.id, delivery=row.id, source=source(type_), account_id=account.user_id, account=account.username
    )
    by = Actor(actor.user_id, actor.username, actor.name, actor.email, actor.admin, "server", account)
    # With no key of idempotency: the delivery's own row is that, and keys are the person's to choose.
    session_id = await start_within(app, connection, by, request, None, triggered=triggered)
    await thread_answers.begun(app, connection, by, row, subject, session_id)
    return session_id


async def forget(app: App, at: datetime) -> None:
    """Deletes those that ended long before `at`, but for those of sessions that there are: their threads need them."""
    old = deliveries.c.ended_at < at - KEPT
    lives = select(sessions.c.id).where(sessions.c.id == deliveries.c.session_id).exists()
    batch = select(deliveries.c.id).where(old, ~lives).limit(FORGOTTEN_AT_ONCE)
    while True:
        async with app.database.transaction() as connection:
            gone = await connection.execute(delete(deliveries).where(deliveries.c.id.in_(batch)))
        if gone.rowcount < FORGOTTEN_AT_ONCE:
            return


async def revive(app: App) -> None:
    """Delivers what waits with no job of its own any more: a net that should catch nothing."""
    late = deliveries.c.status == "waiting", deliveries.c.created_at < func.now() - timedelta(seconds=LATE_SECONDS)
    async with app.database.reading() as connection:
        found = list((await connection.execute(select(deliveries.c.project_id).where(*late).distinct())).scalars())
    for project_id in found:
        await deliver(app, project_id)
