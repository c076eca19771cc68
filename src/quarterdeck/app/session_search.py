"""Search over sessions: in all that somebody may see, newest first, or in one, in the order of its events."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import session_filter, session_views
from quarterdeck.app.access import project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_access import may
from quarterdeck.app.session_filter import SessionFilter
from quarterdeck.core import limits
from quarterdeck.core import search as core
from quarterdeck.core.access import LEAST_ROLE, Ability
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.search import Query
from quarterdeck.core.search_texts import Part, Text, spoken, texts
from quarterdeck.core.status import Status, StatusGroup
from quarterdeck.core.text import decode
from quarterdeck.store import search, search_reading
from quarterdeck.store.search import Found, Reach
from quarterdeck.store.tables import members, projects, sessions

LINES = 5
"""How many lines of one hit are shown."""
BATCH = 24
"""How many pieces are read at first, a little more than a page has hits; then four times as many at once."""
PIECES = 120
"""How many pieces one request reads at least, if so few of them fit; what is behind them is for the next page."""


class HitLine(BaseModel):
    """A line of a hit; `marks` are the places of what was looked for, in characters from the line's beginning."""

    model_config = ConfigDict(frozen=True)
    line: int
    text: str
    marks: tuple[tuple[int, int], ...]


class Hit(BaseModel):
    """A text that fits: of the event `seq`, or what the call `call_id`, which that event asked for, printed there."""

    model_config = ConfigDict(frozen=True)
    session_id: int
    session_title: str
    project_path: str
    seq: int
    part: Part
    call_id: str | None
    lines: tuple[HitLine, ...]
    more_lines: int
    """How many further lines of it fit, or have a mark."""
    url: str


class HitPage(BaseModel):
    """Some hits; `next` is the cursor of the page behind, None at the end. Any page may have fewer than asked for."""

    model_config = ConfigDict(frozen=True)
    items: tuple[Hit, ...]
    next: str | None


@dataclass(frozen=True)
class _Match:
    seq: int
    part: Part
    call_id: str | None
    lines: list[HitLine]
    more: int


async def find(
    app: App,
    actor: Actor,
    text: str,
    *,
    project: int | str | None = None,
    mine: bool = False,
    kind: Literal["chat", "flow"] | None = None,
    flow: str | None = None,
    status: Status | None = None,
    status_group: StatusGroup | None = None,
    before: str | None = None,
    limit: int = limits.PAGE_ROWS,
) -> HitPage:
    """The newest texts that fit, of all sessions that the actor may see; `before` is an earlier page's `next`.

    Kind, flow and status say which as they do in lists.

    Raises:
        InvalidInputError: the query or the cursor can't be used; says why.
    """
    query = core.query(text)
    of = session_filter.of_traits(SessionFilter(kind=kind, flow=flow, status=status, status_group=status_group))
    async with app.database.transaction() as connection:
        inside = None if project is None else await project_for(connection, actor, project, Ability.READ_SESSION)
        scope = search.visible(
            user_id=actor.user_id,
            admin=actor.admin,
            projects=await _developed(connection, actor),
            project=inside.id if inside else None,
            mine=mine,
        )
        newest = await search.newest_id(connection)
        upto, skip = _cursor(before, 2) if before is not None else (newest, 0)
        gathering = _Gathering(app, connection, actor, query, limit, skip, step=-1)
        reaches: tuple[Reach, ...] = ("near", "far", "all")
        for reach in reaches:
            beyond = search.floor(upto, reach)
            while True:
                batch = gathering.batch
                found = await search.newest(connection, query, scope, of=of, upto=upto, reach=reach, limit=batch)
                if (place := await gathering.take(found)) is not None:
                    return gathering.page(f"{place[0].id}.{place[1]}")
                if len(found) < batch:
                    break
                upto = found[-1].id - 1
                if gathering.read >= PIECES:
                    return gathering.page(f"{upto}.0")
            upto = min(upto, beyond)
            if upto <= 0:
                break
        return gathering.page(None)


async def find_within(
    app: App, actor: Actor, session_id: int, text: str, *, after: str | None = None, limit: int = limits.PAGE_ROWS
) -> HitPage:
    """The texts of a session that fit, in the order of its events; `after` is an earlier page's `next`.

    Raises:
        InvalidInputError: the query or the cursor can't be used; says why.
    """
    query = core.query(text)
    async with app.database.reading() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        seq, piece_id, skip = _cursor(after, 3) if after is not None else (0, 0, 0)
        gathering = _Gathering(app, connection, actor, query, limit, skip)
        while True:
            batch = gathering.batch
            found = await search.within(connection, session_id, query, seq=seq, piece_id=piece_id, limit=batch)
            if (place := await gathering.take(found)) is not None:
                return gathering.page(f"{place[0].seq}.{place[0].id}.{place[1]}")
            if len(found) < batch:
                return gathering.page(None)
            seq, piece_id = found[-1].seq, found[-1].id + 1
            if gathering.read >= PIECES:
                return gathering.page(f"{seq}.{piece_id}.0")


async def _developed(connection: AsyncConnection, actor: Actor) -> Sequence[int]:
    """The projects whose sessions the actor may see, apart from those of their own."""
    if actor.admin:
        return ()
    least = LEAST_ROLE[Ability.READ_SESSION]
    query = select(members.c.project_id).where(members.c.user_id == actor.user_id, members.c.role >= least)
    return (await connection.execute(query)).scalars().all()


def _cursor(text: str, numbers: int) -> list[int]:
    if not re.fullmatch(rf"\d{{1,18}}(\.\d{{1,18}}){{{numbers - 1}}}", text, re.ASCII):
        raise InvalidInputError("That is not a cursor of this search; take `next` of an earlier page.")
    return [int(number) for number in text.split(".")]


@dataclass
class _Gathering:
    """The hits of one page, one more than fit in it at the most, which says where the next page begins."""

    app: App
    connection: AsyncConnection
    actor: Actor
    query: Query
    limit: int
    skip: int
    """How many matches of the first piece were on the page before."""
    step: int = 1
    """-1: of a piece the newest events first."""
    read: int = 0
    hits: list[Hit] = field(default_factory=list[Hit])
    known: dict[int, tuple[str, str] | None] = field(default_factory=dict[int, tuple[str, str] | None])
    """Title and project of sessions, None of those that the actor may not see after all."""

    @property
    def batch(self) -> int:
        """How many pieces to read next."""
        return BATCH if self.read < BATCH else 4 * BATCH

    def page(self, following: str | None) -> HitPage:
        return HitPage(items=tuple(self.hits), next=following)

    async def take(self, found: Sequence[Found]) -> tuple[Found, int] | None:
        """Reads pieces; answers the piece and its match that the page has no room for, if it is full."""
        self.read += len(found)
        await self._look_up({one.session_id for one in found} - self.known.keys())
        seen = [one for one in found if self.known[one.session_id] is not None]
        matches = await _matches(self.app, self.connection, self.query, seen)
        for piece in seen:
            for n, match in enumerate(matches[piece.id][:: self.step]):
                if n < self.skip:
                    continue
                if len(self.hits) == self.limit:
                    return piece, n
                self.hits.append(self._hit(piece, match))
            self.skip = 0
        return None

    async def _look_up(self, ids: set[int]) -> None:
        """By the sessions' rows, whatever the index says."""
        if not ids:
            return
        query = session_views.visible(self.actor).where(sessions.c.id.in_(ids))
        rows = await self.connection.execute(query.with_only_columns(sessions.c.id, sessions.c.title, projects.c.path))
        self.known |= dict.fromkeys(ids) | {row.id: (row.title, row.path or "") for row in rows}

    def _hit(self, piece: Found, match: _Match) -> Hit:
        title, path = self.known[piece.session_id] or ("", "")
        return Hit(
            session_id=piece.session_id,
            session_title=title,
            project_path=path,
            seq=match.seq,
            part=match.part,
            call_id=match.call_id,
            lines=tuple(match.lines),
            more_lines=match.more,
            url=f"{self.app.public_url}/sessions/{piece.session_id}#e{match.seq}",
        )


async def _matches(
    app: App, connection: AsyncConnection, query: Query, found: Sequence[Found]
) -> dict[int, list[_Match]]:
    """The texts of pieces that fit, by the pieces' numbers, in the order of their events."""
    parts = [part.encode() for part in query.parts if part.isascii() and part.isalnum()]
    events = await search_reading.events_of(connection, [one for one in found if one.call_id is None], parts)
    outputs = await search_reading.outputs_of(connection, [one for one in found if one.call_id is not None])
    matches: dict[int, list[_Match]] = {}
    for piece in found:
        if piece.call_id is not None:
            text = spoken(decode(outputs.get(piece.id, b"")), app.redactor)
            matches[piece.id] = _output_match(query, text, piece)
            continue
        named = [(event.seq, text) for event in events.get(piece.id, []) for text in texts(event)]
        chosen = named[piece.start : piece.stop] if piece.seq == piece.last_seq else named
        matches[piece.id] = [_match(query, seq, text) for seq, text in chosen if query.fits(text.text)]
    return matches


def _output_match(query: Query, text: str, piece: Found) -> list[_Match]:
    """The lines of an output that fit, each by itself, as one match; none if there are none."""
    folded = core.fold(text)
    shown: list[HitLine] = []
    more = 0
    # The rarest part decides which lines are looked at.
    for number, begin, end in _lines_with(folded, min(query.parts, key=folded.count)):
        if query.fits_folded(folded[begin:end]):
            if len(shown) < LINES:
                shown.append(_line(piece.line + number, text[begin:end], query.marks(text[begin:end])))
            else:
                more += 1
    return [_Match(piece.seq, "output", piece.call_id, shown, more)] if shown else []


def _lines_with(text: str, part: str) -> Iterator[tuple[int, int, int]]:
    """The lines that have a part: the number from 0, where it begins and where it ends."""
    number = counted = place = 0
    while (place := text.find(part, place)) >= 0:
        number += text.count("\n", counted, place)
        begin, end = text.rfind("\n", 0, place) + 1, text.find("\n", place)
        end = len(text) if end < 0 else end
        yield number, begin, end
        counted = place = end


def _match(query: Query, seq: int, text: Text) -> _Match:
    """A text that fits as a whole, with those of its lines that have something of what was looked for."""
    marks = query.marks(text.text)
    shown: list[HitLine] = []
    more = begin = 0
    for number, line in enumerate(text.text.split("\n"), text.line):
        end = begin + len(line)
        inside = [(max(a, begin) - begin, min(b, end) - begin) for a, b in marks if a < end and b > begin]
        if inside and len(shown) < LINES:
            shown.append(_line(number, line, inside))
        elif inside:
            more += 1
        begin = end + 1
    return _Match(seq, text.part, text.call_id, shown, more)


def _line(number: int, text: str, marks: list[tuple[int, int]]) -> HitLine:
    shown, places = core.shown(text, marks)
    return HitLine(line=number, text=shown, marks=tuple(places))
