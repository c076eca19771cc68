"""Search over sessions: in all that somebody may see, newest first, or in one, in the order of its events."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import session_views
from quarterdeck.app.access import project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_access import may
from quarterdeck.core import limits
from quarterdeck.core import search as core
from quarterdeck.core.access import LEAST_ROLE, Ability
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.search import Query
from quarterdeck.core.search_texts import Part, spoken, texts
from quarterdeck.core.text import decode
from quarterdeck.store import search, search_reading
from quarterdeck.store.search import Found, Reach
from quarterdeck.store.tables import members, projects, sessions

LINES = 5
"""How many lines of one hit are shown."""
BATCH = 24
"""How many pieces are read at once."""
PIECES = 480
"""How many pieces one request reads; what is behind them is for the next page."""


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


async def find(
    app: App,
    actor: Actor,
    text: str,
    *,
    project: int | str | None = None,
    mine: bool = False,
    before: str | None = None,
    limit: int = limits.PAGE_ROWS,
) -> HitPage:
    """The newest texts that fit, of all sessions that the actor may see; `before` is an earlier page's `next`.

    Raises:
        InvalidInputError: the query or the cursor can't be used; says why.
    """
    query = core.query(text)
    async with app.database.transaction() as connection:
        inside = None if project is None else await project_for(connection, actor, project, Ability.READ_SESSION)
        scope = search.visible(
            user_id=actor.user_id,
            admin=actor.admin,
            projects=await _developed(connection, actor),
            project=inside.id if inside else None,
            mine=mine,
        )
        upto, skip = _cursor(before, 2) if before is not None else (await search.newest_id(connection), 0)
        gathering = _Gathering(app, connection, actor, query, limit, skip, step=-1)
        reaches: tuple[Reach, ...] = ("near", "far", "all")
        for reach in reaches:
            beyond = search.floor(upto, reach)
            while True:
                found = await search.newest(connection, query, scope, upto=upto, reach=reach, limit=BATCH)
                if (place := await gathering.take(found)) is not None:
                    return gathering.page(f"{place[0].id}.{place[1]}")
                if len(found) < BATCH:
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
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        seq, piece_id, skip = _cursor(after, 3) if after is not None else (0, 0, 0)
        gathering = _Gathering(app, connection, actor, query, limit, skip)
        while True:
            found = await search.within(connection, session_id, query, seq=seq, piece_id=piece_id, limit=BATCH)
            if (place := await gathering.take(found)) is not None:
                return gathering.page(f"{place[0].seq}.{place[0].id}.{place[1]}")
            if len(found) < BATCH:
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

    def page(self, following: str | None) -> HitPage:
        return HitPage(items=tuple(self.hits), next=following)

    async def take(self, found: Sequence[Found]) -> tuple[Found, int] | None:
        """Reads pieces; answers the piece and its match that the page has no room for, if it is full."""
        self.read += len(found)
        about = await self._sessions({one.session_id for one in found})
        readable = [one for one in found if one.session_id in about]
        matches = await _matches(self.app, self.connection, self.query, readable)
        for piece in found:
            for n, match in enumerate(matches[piece.id][:: self.step] if piece.id in matches else []):
                if n < self.skip:
                    continue
                if len(self.hits) == self.limit:
                    return piece, n
                self.hits.append(self._hit(piece, match, *about[piece.session_id]))
            self.skip = 0
        return None

    async def _sessions(self, ids: set[int]) -> dict[int, tuple[str, str]]:
        """Title and project of those sessions that the actor may see: by their rows, whatever the index says."""
        if not ids:
            return {}
        query = session_views.visible(self.actor).where(sessions.c.id.in_(ids))
        rows = await self.connection.execute(query.with_only_columns(sessions.c.id, sessions.c.title, projects.c.path))
        return {row.id: (row.title, row.path or "") for row in rows}

    def _hit(self, piece: Found, match: _Match, title: str, path: str) -> Hit:
        return Hit(
            session_id=piece.session_id,
            session_title=title,
            project_path=path,
            seq=match.seq,
            part=match.part,
            call_id=match.call_id,
            lines=tuple(match.lines[:LINES]),
            more_lines=max(0, len(match.lines) - LINES),
            url=f"{self.app.public_url}/sessions/{piece.session_id}#e{match.seq}",
        )


async def _matches(
    app: App, connection: AsyncConnection, query: Query, found: Sequence[Found]
) -> dict[int, list[_Match]]:
    """The texts of pieces that fit, by the pieces' numbers, in the order of their events."""
    needles = [word.text.encode() for word in query.words if word.text.isascii()]
    events = await search_reading.events_of(connection, [one for one in found if one.call_id is None], needles)
    outputs = await search_reading.outputs_of(connection, [one for one in found if one.call_id is not None])
    matches: dict[int, list[_Match]] = {}
    for piece in found:
        if piece.call_id is not None:
            lines = list(_output_lines(query, spoken(decode(outputs.get(piece.id, b"")), app.redactor), piece.line))
            matches[piece.id] = [_Match(piece.seq, "output", piece.call_id, lines)] if lines else []
            continue
        named = [(event.seq, text) for event in events.get(piece.id, []) for text in texts(event)]
        chosen = named[piece.start : piece.stop] if piece.seq == piece.last_seq else named
        matches[piece.id] = [
            _Match(seq, text.part, text.call_id, _marked_lines(query, text.text, text.line))
            for seq, text in chosen
            if query.fits(text.text)
        ]
    return matches


def _output_lines(query: Query, text: str, first: int) -> Iterator[HitLine]:
    """The lines of an output that fit, each by itself."""
    folded = core.fold(text)
    lines = text.split("\n")
    for number in _lines_with(folded, query.needle):
        if query.fits(lines[number]):
            yield _line(first + number, lines[number], query.marks(lines[number]))


def _lines_with(folded: str, needle: str) -> Iterator[int]:
    """The numbers from 0 of the lines that a text is in."""
    place = number = counted = 0
    while (place := folded.find(needle, place)) >= 0:
        number += folded.count("\n", counted, place)
        yield number
        counted = end = folded.find("\n", place)
        if end < 0:
            return
        place = end


def _marked_lines(query: Query, text: str, first: int) -> list[HitLine]:
    """The lines of a text that fits as a whole which have something of what was looked for."""
    marks = query.marks(text)
    found: list[HitLine] = []
    begin = 0
    for number, line in enumerate(text.split("\n"), first):
        end = begin + len(line)
        inside = [(max(a, begin) - begin, min(b, end) - begin) for a, b in marks if a < end and b > begin]
        if inside:
            found.append(_line(number, line, inside))
        begin = end + 1
    return found


def _line(number: int, text: str, marks: list[tuple[int, int]]) -> HitLine:
    shown, places = core.shown(text, marks)
    return HitLine(line=number, text=shown, marks=tuple(places))
