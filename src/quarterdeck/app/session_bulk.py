"""Doing one thing to many sessions: first a look at which, then exactly those, each in a transaction of its own."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import deletion, session_filter, session_lists, steering
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_access import standing
from quarterdeck.app.session_filter import SessionFilter
from quarterdeck.app.session_lists import SessionRow
from quarterdeck.core import limits
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.status import FINAL, Status
from quarterdeck.store.tables import members
from quarterdeck.store.tables import sessions as rows

Action = Literal["cancel", "delete", "hold", "release"]

FOUND = 10_000
"""What one preview tells at most."""
SHOWN = 20
AT_ONCE = 100
"""What one request does at most; each is a transaction of its own."""

_ABILITIES: dict[Action, Ability] = {
    "cancel": Ability.CANCEL_SESSION,
    "delete": Ability.DELETE_SESSION,
    "hold": Ability.HOLD_SESSION,
    "release": Ability.HOLD_SESSION,
}


class BulkPreview(BaseModel):
    """What an action would do."""

    model_config = ConfigDict(frozen=True)
    action: Action
    ids: tuple[int, ...]
    """The sessions that it would be done to: pass them on to have it done. The newest come first."""
    first: tuple[SessionRow, ...]
    """The first of them."""
    not_allowed: int
    """Sessions that fit too, where your role does not allow it."""
    nothing_to_do: int
    """Sessions that fit too, where it would change nothing or is not possible: ended, held, not held."""
    more: bool
    """There are more than one preview tells; when these are done, look again."""


class BulkResult(BaseModel):
    """What came of it for one session."""

    model_config = ConfigDict(frozen=True)
    id: int
    done: bool
    why: str = ""
    """Why not."""


class BulkResults(BaseModel):
    """What came of it."""

    model_config = ConfigDict(frozen=True)
    results: tuple[BulkResult, ...]


class BulkWish(BaseModel):
    """An action on the sessions that a filter finds."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    action: Action
    filter: SessionFilter = SessionFilter()


class BulkOrder(BulkWish):
    """The same, for the sessions of a preview."""

    ids: tuple[int, ...] = Field(min_length=1, max_length=AT_ONCE)
    reason: str = Field(default="", max_length=limits.REASON_CHARACTERS)


async def preview(app: App, actor: Actor, wish: BulkWish) -> BulkPreview:
    """Which sessions fit, and whether the action would do something to them; nothing is done."""
    async with app.database.transaction() as connection:
        branches = await session_filter.branches(connection, actor, wish.filter)
        if not branches:
            return BulkPreview(action=wish.action, ids=(), first=(), not_allowed=0, nothing_to_do=0, more=False)
        found = await _found(connection, actor, branches, FOUND + 1)
        more, found = len(found) > FOUND, found[:FOUND]
        allowed = [row for row in found if _may(actor, wish.action, row)]
        ids = tuple(row.id for row in allowed if _does(wish.action, row))
        shown = await session_lists.matching(connection, actor, wish.filter, ids[:SHOWN])
        first = await session_lists.views_of(app, actor, connection, sorted(shown, key=lambda row: -row.id))
    return BulkPreview(
        action=wish.action,
        ids=ids,
        first=first,
        not_allowed=len(found) - len(allowed),
        nothing_to_do=len(allowed) - len(ids),
        more=more,
    )


async def doable(app: App, actor: Actor, action: Action, ids: Collection[int]) -> tuple[int, ...]:
    """Those of the sessions that the action would do something to; nothing is done."""
    async with app.database.reading() as connection:
        branches = await session_filter.branches(connection, actor, SessionFilter(), numbered=True)
        if not branches:
            return ()
        among = rows.c.id.in_([one for one in ids if one < 1 << 63])
        found = await _found(connection, actor, [[*one, among] for one in branches], AT_ONCE)
    return tuple(row.id for row in found if _may(actor, action, row) and _does(action, row))


async def _found(
    connection: AsyncConnection, actor: Actor, branches: Sequence[Sequence[session_filter.Condition]], most: int
) -> Sequence[Row[Any]]:
    columns = (
        *(rows.c.id, rows.c.status, rows.c.held, rows.c.initiator_id, rows.c.origin, rows.c.project_id),
        members.c.role,
    )
    membership = (members.c.project_id == rows.c.project_id) & (members.c.user_id == actor.user_id)
    parts = [select(*columns).outerjoin(members, membership).where(*one) for one in branches]
    whole = union_all(*parts).subquery()
    return (await connection.execute(select(whole).order_by(whole.c.id.desc()).limit(most))).all()


async def act(app: App, actor: Actor, order: BulkOrder) -> BulkResults:
    """Does it to those of the sessions that still fit the filter, each by its own use case and its own check."""
    async with app.database.transaction() as connection:
        fitting = await session_lists.matching(connection, actor, order.filter, order.ids)
    fits = {row.id for row in fitting}
    results: list[BulkResult] = []
    for session_id in dict.fromkeys(order.ids):
        if session_id not in fits:
            results.append(BulkResult(id=session_id, done=False, why="It does not fit the filter any more."))
            continue
        try:
            await _use_case(app, actor, order)(session_id)
            results.append(BulkResult(id=session_id, done=True))
        except QuarterdeckError as error:
            results.append(BulkResult(id=session_id, done=False, why=error.message))
    return BulkResults(results=tuple(results))


def _use_case(app: App, actor: Actor, order: BulkOrder) -> Callable[[int], Awaitable[object]]:
    match order.action:
        case "cancel":
            return lambda one: steering.cancel(app, actor, one, order.reason)
        case "delete":
            return lambda one: deletion.delete_session(app, actor, one)
        case "hold":
            return lambda one: steering.hold(app, actor, one, held=True, reason=order.reason)
        case "release":
            return lambda one: steering.hold(app, actor, one, held=False)


def _may(actor: Actor, action: Action, row: Row[Any]) -> bool:
    """What the use case will find; it decides."""
    return standing(actor, row).allows(_ABILITIES[action])


def _does(action: Action, row: Row[Any]) -> bool:
    match action:
        case "cancel":
            return Status(row.status) not in FINAL
        case "delete" | "hold":
            return not row.held
        case "release":
            return bool(row.held)
