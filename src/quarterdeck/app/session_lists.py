"""Lists of sessions: filtered, sorted, and in pages from either end, read from the rows' columns alone."""

import base64
import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, StrictBool, StrictInt, TypeAdapter
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    DateTime,
    Integer,
    Numeric,
    Row,
    Select,
    any_,
    bindparam,
    literal,
    literal_column,
    select,
    text,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from quarterdeck.app import session_filter
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.runner_choice import explained
from quarterdeck.app.session_filter import Condition, SessionFilter
from quarterdeck.core import limits
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.state import Waiting
from quarterdeck.core.status import AWAITING, GROUPS, Status, StatusGroup
from quarterdeck.store.database import planned
from quarterdeck.store.tables import COST_ORDER, EXPIRES_ORDER, projects, sessions, users

Sort = Literal["updated", "created", "expires", "cost", "status"]
Order = Literal["asc", "desc"]


class SessionRow(BaseModel):
    """A session in a list."""

    model_config = ConfigDict(frozen=True)
    id: int
    project_id: int | None
    project_path: str
    title: str
    flow: str
    model: str
    scripted: bool
    initiator: str
    origin: str
    status: Status
    status_group: StatusGroup
    reason: str
    waiting_for: Waiting | None
    needs_me: bool
    """It waits for an answer that only you can give."""
    seq: int
    cost: str | None
    """None is not known."""
    warnings: int
    errors: int
    held: bool
    verified: bool | None
    """Whether the last check of its work passed; None when there was none since its last commit."""
    parent_id: int | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    duration_seconds: float | None
    """From its start to its end or to now."""
    last_activity: datetime
    expires_on: date | None
    """None while it is held."""
    expires_soon: bool
    """Views warn of it."""
    url: str


class SessionPage(BaseModel):
    """Some sessions; `next` and `previous` are the cursors of the pages behind and before, None where there is none."""

    model_config = ConfigDict(frozen=True)
    items: tuple[SessionRow, ...]
    next: str | None
    previous: str | None


class _Key(NamedTuple):
    """What a list is sorted by, before the number of the session."""

    column: ColumnElement[Any]
    type: TypeEngine[Any]
    read: Callable[[str], object]
    usual: Order
    turned: bool = False
    """Its column counts backwards."""


_KEYS: dict[Sort, _Key] = {
    "updated": _Key(sessions.c.last_activity, DateTime(timezone=True), datetime.fromisoformat, "desc"),
    "created": _Key(sessions.c.created_at, DateTime(timezone=True), datetime.fromisoformat, "desc"),
    "expires": _Key(literal_column(EXPIRES_ORDER, Date()), Date(), date.fromisoformat, "asc"),
    "cost": _Key(literal_column(COST_ORDER, Numeric()), Numeric(), Decimal, "desc"),
    "status": _Key(sessions.c.status_order, Integer(), int, "asc", turned=True),
}


class Cursor(NamedTuple):
    """A place between two rows of a list, and the way from there."""

    sort: Sort
    descending: bool
    backwards: bool
    value: str
    session_id: int

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(json.dumps(self).encode()).decode().rstrip("=")


async def find(
    app: App,
    actor: Actor,
    wanted: SessionFilter | None = None,
    *,
    sort: Sort | None = None,
    order: Order | None = None,
    cursor: str | None = None,
    last: bool = False,
    limit: int = limits.PAGE_ROWS,
) -> SessionPage:
    """The sessions that fit and that the actor may see, the newest activity first unless `sort` says otherwise.

    A cursor fixes sort and order; `last` is the page at the end, which costs what the first does.

    Raises:
        InvalidInputError: the cursor is none, or of another order.
    """
    place = _parsed(cursor) if cursor is not None else None
    sort = sort or (place.sort if place else "updated")
    descending = place.descending if place and order is None else _down(sort, order)
    if place is not None and (sort, descending) != (place.sort, place.descending):
        raise InvalidInputError("The cursor is of a list in another order; leave the order out, or the cursor.")
    backwards = place.backwards if place is not None else last
    limit = min(max(limit, 1), 100)
    async with app.database.reading() as connection:
        found = await session_filter.branches(connection, actor, wanted or SessionFilter(), by_status=sort == "status")
        places = await _places(connection, found, sort, descending is not backwards, place, limit + 1)
        items = await views_of(app, actor, connection, await _shown(connection, [one.id for one in places[:limit]]))
    more, places = len(places) > limit, places[:limit]
    if backwards:
        places, items = places[::-1], items[::-1]
    before, behind = (more, place is not None) if backwards else (place is not None, more)
    ends = (places[0], places[-1]) if places else None
    return SessionPage(
        items=items,
        next=str(Cursor(sort, descending, False, *_value(ends[1]))) if ends and behind else None,
        previous=str(Cursor(sort, descending, True, *_value(ends[0]))) if ends and before else None,
    )


async def several(
    app: App, actor: Actor, lists: Sequence[tuple[SessionFilter, int]]
) -> tuple[tuple[SessionRow, ...], ...]:
    """The first sessions of each filter, so many as stands beside it, by their last activity: all in one go.

    Raises:
        NotFoundError, ForbiddenError: as `find` does.
    """
    async with app.database.reading() as connection:
        own = all(wanted.mine or wanted.needs_me for wanted, _ in lists)
        readable = () if own else await session_filter.readable(connection, actor)
        parts: list[Select[Any, Any, Any]] = []
        for place, (wanted, limit) in enumerate(lists):
            found = await session_filter.branches(connection, actor, wanted, readable=readable)
            ordered = [_ordered(_KEYS["updated"], one, True, None, limit) for one in found]
            if ordered:
                many = len(ordered) > 1
                whole = (union_all(*ordered).order_by(_DOWN).limit(limit) if many else ordered[0]).subquery()
                parts.append(select(literal(place).label("place"), whole.c.id, whole.c.key))
        places = await planned(connection, union_all(*parts).order_by(_LISTED)) if parts else ()
        ids = list(dict.fromkeys(one.id for one in places))
        rows = {row.id: row for row in await views_of(app, actor, connection, await _shown(connection, ids))}
    return tuple(
        tuple(rows[one.id] for one in places if one.place == place and one.id in rows) for place in range(len(lists))
    )


async def matching(
    connection: AsyncConnection, actor: Actor, wanted: SessionFilter, session_ids: Sequence[int]
) -> list[Row[Any]]:
    """The rows among those sessions that fit and that the actor may see, in one query."""
    found = await session_filter.branches(connection, actor, wanted, numbered=True)
    if not found:
        return []
    among = sessions.c.id == any_(literal(list(session_ids), ARRAY(BigInteger)))
    chosen = union_all(*(select(sessions.c.id).where(among, *one) for one in found)).subquery()
    return list((await connection.execute(_SHOWN.join(chosen, chosen.c.id == sessions.c.id))).all())


async def chosen(app: App, actor: Actor, session_ids: Sequence[int]) -> tuple[SessionRow, ...]:
    """Those of the sessions that the actor may see, the newest first; nothing is asked for none."""
    if not session_ids:
        return ()
    async with app.database.reading() as connection:
        rows = await matching(connection, actor, SessionFilter(), session_ids)
        return await views_of(app, actor, connection, sorted(rows, key=lambda row: row.id, reverse=True))


def _down(sort: Sort, order: Order | None) -> bool:
    """Whether the column goes down."""
    key = _KEYS[sort]
    return ((order or key.usual) == "desc") is not key.turned


async def _places(
    connection: AsyncConnection,
    branches: list[list[Condition]],
    sort: Sort,
    descending: bool,
    place: Cursor | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Which sessions come, in their order, each with what it is sorted by."""
    ordered = [_ordered(_KEYS[sort], one, descending, place, limit) for one in branches]
    if not ordered:
        return []
    if len(ordered) == 1:
        return await planned(connection, ordered[0])
    return await planned(connection, union_all(*ordered).order_by(_DOWN if descending else _UP).limit(limit))


def _ordered(
    key: _Key, conditions: list[Condition], descending: bool, place: Cursor | None, limit: int
) -> Select[int, Any]:
    column = key.column
    query = select(sessions.c.id, column.label("key")).where(*conditions)
    if place is not None:
        mark = tuple_(literal(key.read(place.value), key.type), literal(place.session_id, BigInteger))
        here = tuple_(column, sessions.c.id)
        query = query.where(here < mark if descending else here > mark)
    way = [column.desc(), sessions.c.id.desc()] if descending else [column, sessions.c.id]
    return query.order_by(*way).limit(limit)


_UP, _DOWN = text("key, id"), text("key desc, id desc")
_LISTED = text("place, key desc, id desc")
_SHOWN = (
    select(
        *(column for column in sessions.c if column.name not in ("state", "flow_hash", "script_hash")),
        projects.c.path,
        users.c.username,
    )
    .outerjoin(projects, projects.c.id == sessions.c.project_id)
    .join(users, users.c.id == sessions.c.initiator_id)
)
_CHOSEN = _SHOWN.where(sessions.c.id == any_(bindparam("ids", type_=ARRAY(BigInteger))))


async def _shown(connection: AsyncConnection, ids: list[int]) -> list[Row[Any]]:
    """The rows of sessions in the order of their numbers here; one that was deleted meanwhile is not there."""
    if not ids:
        return []
    rows = {row.id: row for row in await connection.execute(_CHOSEN, {"ids": ids})}
    return [rows[one] for one in ids if one in rows]


async def views_of(
    app: App, actor: Actor, connection: AsyncConnection, rows: Sequence[Row[Any]]
) -> tuple[SessionRow, ...]:
    """Rows as doors show them to the actor."""
    found = [_view(app, actor, row) for row in rows]
    waiting = await explained(connection, {one.id: one.waiting_for for one in found})
    return tuple(one.model_copy(update={"waiting_for": waiting[one.id]}) if one.id in waiting else one for one in found)


def _view(app: App, actor: Actor, row: Row[Any]) -> SessionRow:
    status = Status(row.status)
    until = row.ended_at or datetime.now(UTC)
    return SessionRow(
        id=row.id,
        project_id=row.project_id,
        project_path=row.path or "",
        title=row.title,
        flow=row.flow,
        model=row.model,
        scripted=row.scripted,
        initiator=row.username,
        origin=row.origin,
        status=status,
        status_group=GROUPS[status],
        reason=row.reason,
        waiting_for=Waiting.model_validate(row.waiting_for) if row.waiting_for else None,
        needs_me=status in AWAITING and row.initiator_id == actor.user_id,
        seq=row.seq,
        cost=None if row.cost is None else str(row.cost),
        warnings=row.warnings,
        errors=row.errors,
        held=row.held,
        verified=row.verified,
        parent_id=row.parent_id,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        duration_seconds=max(0.0, (until - row.started_at).total_seconds()) if row.started_at else None,
        last_activity=row.last_activity,
        expires_on=row.expires_on,
        expires_soon=bool(row.expires_on)
        and (row.expires_on - session_filter.today()).days <= limits.EXPIRES_SOON_DAYS,
        url=f"{app.public_url}/sessions/{row.id}",
    )


def _value(place: Row[Any]) -> tuple[str, int]:
    return str(place.key), place.id


def _parsed(text: str) -> Cursor:
    try:
        sort, descending, backwards, value, session_id = _CURSOR.validate_json(
            base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        )
        read = _KEYS[sort].read(value)
        if isinstance(read, Decimal) and not read.is_finite():
            raise ValueError
    except (ValueError, ArithmeticError):
        raise InvalidInputError("That is no cursor of this list; take `next` or `previous` of another page.") from None
    return Cursor(sort, descending, backwards, value, session_id)


_CURSOR = TypeAdapter(tuple[Sort, StrictBool, StrictBool, str, StrictInt])
