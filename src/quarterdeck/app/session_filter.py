"""Which sessions are asked for: a list's filters, which all combine, and what they are in SQL."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    Select,
    and_,
    any_,
    case,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.access import project_for
from quarterdeck.app.actor import Actor
from quarterdeck.core.access import LEAST_ROLE, Ability
from quarterdeck.core.status import AWAITING, GROUPS, Status, StatusGroup
from quarterdeck.store.database import planned
from quarterdeck.store.session_columns import ORDER
from quarterdeck.store.tables import EXPIRES_ORDER, members, session_texts, sessions, users

PRIVATE = ("chat", "ide")
"""The origins of sessions that are their initiator's alone."""
BRANCHES = 24
"""Into how many lists a list is split at most, each with an index that has its order."""
TEXT_CHARACTERS = 200
_INDEXED = re.compile(r"\w{3}")
"""What a word must have for the index of three letters to find it; without that, every text would be read."""
FEW = 5_000
"""Sessions with the words of a text that are taken by their numbers; with more, an order's walk meets one soon."""

Condition = ColumnElement[bool]


class SessionFilter(BaseModel):
    """What to find; what is absent says nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    project: int | str | None = Field(default=None, description="A project's number or path.")
    mine: bool = Field(default=False, description="Only those that you started.")
    needs_me: bool = Field(default=False, description="Only those that wait for an answer of yours.")
    kind: Literal["chat", "flow"] | None = Field(default=None, description="Chats alone, or all others.")
    status: Status | None = None
    status_group: StatusGroup | None = None
    flow: str | None = Field(
        default=None, max_length=200, description="`name/1.0.0`, all of `name/v1`, or all of `name`."
    )
    initiator: str | None = Field(default=None, max_length=255, description="A username.")
    origin: str | None = Field(default=None, max_length=20, description="`api`, `cli`, `web`, `chat`, `ide`, …")
    model: str | None = Field(default=None, max_length=200, description="As it was asked for: `provider:model`.")
    created_after: AwareDatetime | None = None
    created_before: AwareDatetime | None = None
    updated_after: AwareDatetime | None = Field(default=None, description="By the last activity.")
    updated_before: AwareDatetime | None = None
    expiring: int | None = Field(default=None, ge=0, le=100_000, description="Deleted within so many days.")
    held: bool | None = Field(default=None, description="Only those that are kept for good, or only the others.")
    parent: int | None = Field(default=None, ge=1, le=2**63 - 1, description="The session that started them.")
    executor: int | None = Field(default=None, ge=1, le=2**63 - 1, description="The editor that carries it out.")
    text: str | None = Field(
        default=None,
        max_length=TEXT_CHARACTERS,
        description="Words that are all in the title or the beginning of the goal; a number finds that session too.",
    )


class _Nothing(Exception):
    """No session can fit the filter."""


async def branches(
    connection: AsyncConnection,
    actor: Actor,
    wanted: SessionFilter,
    *,
    by_status: bool = False,
    numbered: bool = False,
    readable: Sequence[int] | None = None,
) -> list[list[Condition]]:
    """The filter as lists of conditions of which exactly one fits a session that the actor may see and that is found.

    Each is as narrow as an index of `sessions` is, so that each is found in its order without sorting; `by_status`
    when that order is the status's, `numbered` when only sessions of certain numbers are looked at. Who asks for
    several lists at once brings what `readable` answers.

    Raises:
        NotFoundError, ForbiddenError: the project is none whose sessions the actor may see.
    """
    # First, and whatever the rest finds: an answer must not tell of sessions that the actor may not see.
    scopes = await _scopes(connection, actor, wanted, readable)
    try:
        common = await _conditions(connection, actor, wanted)
        statuses = _statuses(wanted)
        few = None if numbered else await _few(connection, wanted.text)
    except _Nothing:
        return []
    if few is not None:  # they are sorted whatever they are sorted by, and looked up once
        return [[few, or_(*(and_(*scope) for scope in scopes)), sessions.c.status.in_(statuses), *common]]
    common += _text(wanted.text)
    if len(statuses) == len(Status):
        return [[*scope, *common] for scope in scopes]
    if by_status:
        places = {ORDER[GROUPS[status]] for status in statuses}
        common.append(sessions.c.status.in_(statuses))
        # A range of one: an equation would let PostgreSQL take any walk by number for this order.
        return [[*scope, sessions.c.status_order.between(one, one), *common] for scope in scopes for one in places]
    if len(scopes) * len(statuses) > BRANCHES:
        return [[*scope, sessions.c.status.in_(statuses), *common] for scope in scopes]
    return [[*scope, sessions.c.status == status, *common] for scope in scopes for status in statuses]


def of_traits(wanted: SessionFilter) -> Select[int] | None:
    """The numbers of all sessions of the filter's kind, flow and status, whoever may see them; None: all are."""
    conditions = [] if wanted.flow is None else [_flow(wanted.flow)]
    if wanted.kind is not None:
        conditions.append(_kind(wanted.kind))
    try:
        statuses = _statuses(wanted)
    except _Nothing:
        statuses = []
    if len(statuses) < len(Status):
        conditions.append(sessions.c.status.in_(statuses))
    return select(sessions.c.id).where(*conditions) if conditions else None


async def readable(connection: AsyncConnection, actor: Actor) -> list[int]:
    """The projects whose sessions the actor's role lets them see."""
    role = LEAST_ROLE[Ability.READ_SESSION]
    mine = select(members.c.project_id).where(members.c.user_id == actor.user_id, members.c.role >= role)
    return list((await connection.execute(mine.order_by(members.c.project_id))).scalars())


async def _scopes(
    connection: AsyncConnection, actor: Actor, wanted: SessionFilter, known: Sequence[int] | None
) -> list[list[Condition]]:
    """What the actor may see, without overlaps; within the project if one is named."""
    own: Condition = sessions.c.initiator_id == actor.user_id
    private: Condition = sessions.c.origin.in_(PRIVATE)
    public: Condition = sessions.c.origin.not_in(PRIVATE)
    chats: list[Condition]
    others: list[list[Condition]]
    alone = wanted.mine or wanted.needs_me or wanted.initiator == actor.username
    if wanted.project is not None:
        project = await project_for(connection, actor, wanted.project, Ability.READ_SESSION)
        within: Condition = sessions.c.project_id == project.id
        if alone:
            return [[within, own]]
        chats, others = [within, own, private], [[within, public]]
    elif alone:
        return [[own]]
    elif actor.admin:
        chats, others = [own, private], [[public]]
    else:
        ids = await readable(connection, actor) if known is None else known
        inside: Condition = sessions.c.project_id.in_(ids) if ids else false()
        chats = [own, or_(private, sessions.c.project_id.is_(None), ~inside)]
        split = len(ids) < BRANCHES // 3
        others = [[sessions.c.project_id == one, public] for one in ids] if split else [[inside, public]]
    return [chats] if wanted.kind == "chat" or wanted.origin in PRIVATE else [chats, *others]


def _statuses(wanted: SessionFilter) -> list[Status]:
    found = [
        status
        for status in Status
        if wanted.status in (None, status)
        and wanted.status_group in (None, GROUPS[status])
        and (not wanted.needs_me or status in AWAITING)
    ]
    if not found:
        raise _Nothing
    return found


async def _conditions(connection: AsyncConnection, actor: Actor, wanted: SessionFilter) -> list[Condition]:
    columns = sessions.c
    found: list[Condition] = []
    if wanted.initiator is not None and wanted.initiator != actor.username:
        person = select(users.c.id).where(users.c.username == wanted.initiator)
        user_id = (await connection.execute(person)).scalar_one_or_none()
        if user_id is None or wanted.mine or wanted.needs_me:
            raise _Nothing
        found.append(columns.initiator_id == user_id)
    if wanted.kind is not None:
        found.append(_kind(wanted.kind))
    for column, value in (
        (columns.origin, wanted.origin),
        (columns.model, wanted.model),
        (columns.parent_id, wanted.parent),
        (columns.executor_id, wanted.executor),
    ):
        if value is not None:
            found.append(column == value)
    if wanted.held is not None:
        found.append(columns.held if wanted.held else ~columns.held)
    if wanted.flow is not None:
        found.append(_flow(wanted.flow))
    # Nothing is active before it was created: what that says of the other time bounds the walk along its index.
    found += _between(columns.created_at, wanted.created_after, wanted.created_before or wanted.updated_before)
    found += _between(columns.last_activity, wanted.updated_after or wanted.created_after, wanted.updated_before)
    if wanted.expiring is not None:
        found.append(literal_column(EXPIRES_ORDER, Date()) <= today() + timedelta(days=wanted.expiring))
    return found


def today() -> date:
    """The day by which deletion counts."""
    return datetime.now(UTC).date()


def _between(column: ColumnElement[datetime], after: datetime | None, before: datetime | None) -> list[Condition]:
    found: list[Condition] = []
    if after is not None:
        found.append(column >= after)
    if before is not None:
        found.append(column < before)
    return found


async def _few(connection: AsyncConnection, text: str | None) -> Condition | None:
    """Which sessions have the words of a text, if those are not many. Raises _Nothing."""
    words = _words(text)
    if not any(_INDEXED.search(word) for word in words):
        return None
    some = _holding(words).limit(FEW + 1).subquery()
    all_of_them = func.coalesce(func.array_agg(some.c.session_id), literal([], ARRAY(BigInteger)))
    told = await planned(connection, select(case((func.count() <= FEW, all_of_them))))
    ids: list[int] | None = told[0][0]
    if ids is None:
        return None
    if (number := _number(words)) is not None:
        ids.append(number)
    if not ids:
        raise _Nothing
    return sessions.c.id == any_(literal(ids, ARRAY(BigInteger)))


def _text(text: str | None) -> list[Condition]:
    words = _words(text)
    if not words:
        return []
    holds, number = _holding(words), _number(words)
    if number is None:
        return [sessions.c.id.in_(holds)]
    return [sessions.c.id.in_(holds.union_all(select(sessions.c.id).where(sessions.c.id == number)))]


def _words(text: str | None) -> list[str]:
    return (text or "").split()


def _number(words: list[str]) -> int | None:
    """The session that is meant."""
    number = re.fullmatch(r"#?([0-9]{1,18})", words[0], re.ASCII) if len(words) == 1 else None
    return int(number[1]) if number is not None else None


def _holding(words: list[str]) -> Select[int]:
    return select(session_texts.c.session_id).where(
        *(session_texts.c.text.ilike(f"%{_escaped(word)}%") for word in words)
    )


def _kind(kind: Literal["chat", "flow"]) -> Condition:
    return (sessions.c.origin == "chat") if kind == "chat" else (sessions.c.origin != "chat")


def _flow(name: str) -> Condition:
    name, _, version = name.partition("/")
    if version and not version.startswith("v"):
        return sessions.c.flow == f"{name}/{version}"
    return sessions.c.flow.like(_escaped(f"{name}/{version[1:]}.") + "%" if version else _escaped(f"{name}/") + "%")


def _escaped(text: str) -> str:
    """For a LIKE without an ESCAPE clause, which an index serves."""
    return re.sub(r"([\\%_])", r"\\\1", text)
