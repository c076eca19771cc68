"""The index of search: pieces of logs and outputs under their words, found in GIN, newest first.

A row's words are those of its piece and some about it, which begin with `/` as no word of a text does: `/s` it is
shared with the project's developers (no chat), `/q7` its project, `/u5` its initiator, `/n…` and `/f…` the block of
ids that it is of. So who may see it, and how far back is looked, is answered by the index together with the words: a
word that is everywhere costs no more than one that is rare.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import BigInteger, Select, bindparam, func, literal_column, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.core import events as e
from quarterdeck.core.search import Query, words
from quarterdeck.core.search_texts import pieces
from quarterdeck.store.doorbell import ring
from quarterdeck.store.tables import search_dues, search_pieces

BELL = "search"
NEAR, FAR = 10, 15
"""Blocks of 2^10 and 2^15 pieces: looked through one after the other, before all of it."""
Reach = Literal["near", "far", "all"]

_TYPES = {
    "session_id": "bigint", "seq": "bigint", "last_seq": "bigint", "call_id": "text", "start": "bigint",
    "stop": "bigint", "line": "bigint", "words": "text",
}  # fmt: skip
# The ids are drawn first, because the row's words name their blocks.
KEEP = (
    "insert into search_pieces (id, session_id, seq, last_seq, call_id, start, stop, line, words)"  # noqa: S608 - names of our own table
    " select id, session_id, seq, last_seq, call_id, start, stop, line,"
    f" array_to_tsvector(string_to_array(words, ' ') || ('/n' || (id >> {NEAR})) || ('/f' || (id >> {FAR})))"
    " from (select nextval(pg_get_serial_sequence('search_pieces', 'id')) as id, piece.* from unnest("
    f"{', '.join(f'cast(%(w_{name})b as {of}[])' for name, of in _TYPES.items())}"
    f") as piece({', '.join(_TYPES)})) as drawn"
)
"""Takes the arrays of `columns`, as psycopg does; it may stand within a larger statement."""


def scope(origin: str, project_id: int | None, initiator_id: int) -> list[str]:
    """The words that say whose a session's pieces are; all of them stay for life."""
    shared = [] if origin in ("chat", "ide") else ["/s"]
    project = [] if project_id is None else [f"/q{project_id}"]
    return [*shared, *project, f"/u{initiator_id}"]


def scope_of(created: e.SessionCreated) -> list[str]:
    """The same by a session's first event."""
    return scope(created.origin, created.project_id, created.initiator_id)


Row = dict[str, Any]
"""What is put into the index: a piece of some events, or of an output."""


def rows(session_id: int, about: list[str], events: Sequence[e.Event]) -> list[Row]:
    """What is searched of events of a session whose scope is `about`."""
    return [
        {
            "session_id": session_id,
            "seq": piece.seq,
            "last_seq": piece.last_seq,
            "call_id": None,
            "start": piece.start,
            "stop": piece.stop,
            "line": 1,
            "words": " ".join([*words("\n".join(piece.texts)), *about]),
        }
        for piece in pieces(events)
    ]


async def keep(connection: AsyncConnection, found: Sequence[Row]) -> None:
    """Puts rows into the index, those of events in the transaction that stores them."""
    if found:
        await connection.exec_driver_sql(KEEP, columns(found))


def columns(found: Sequence[Row]) -> dict[str, list[Any]]:
    """The parameters of `KEEP`: of each column all values."""
    return {f"w_{name}": [row[name] for row in found] for name in _TYPES}


@dataclass(frozen=True)
class OutputPiece:
    """Some bytes of a call's output, and what they say."""

    start: int
    stop: int
    line: int
    text: str


async def keep_output(
    connection: AsyncConnection, session_id: int, call_id: str, seq: int, about: list[str], pieces: list[OutputPiece]
) -> None:
    """Puts pieces of an output into the index; `about` is their session's scope."""
    rows = [
        {
            "session_id": session_id,
            "seq": seq,
            "last_seq": seq,
            "call_id": call_id,
            "start": one.start,
            "stop": one.stop,
            "line": one.line,
            "words": " ".join([*words(one.text), *about]),
        }
        for one in pieces
    ]
    await keep(connection, rows)


# An event that asked for a call before states knew its number is taken to be the newest.
_DUE = text(
    "insert into search_dues (session_id, call_id, seq)"
    " select id, :call_id, coalesce(nullif((state->'calls'->:call_id->>'seq')::bigint, 0), seq)"
    " from sessions where id = :session_id on conflict do nothing"
)


async def due(connection: AsyncConnection, session_id: int, call_id: str, seq: int) -> None:
    """Notes that a call's output is to be indexed."""
    await connection.execute(
        upsert(search_dues).values(session_id=session_id, call_id=call_id, seq=seq).on_conflict_do_nothing()
    )


async def began(connection: AsyncConnection, session_id: int, call_id: str) -> None:
    """Notes that a call prints something, and wakes whoever indexes."""
    await connection.execute(_DUE, {"session_id": session_id, "call_id": call_id})
    await ring(connection, BELL)


class Found(NamedTuple):
    """A piece that has the words of a query: texts or bytes `start` to `stop`; `line` is the number of its first."""

    id: int
    session_id: int
    seq: int
    last_seq: int
    call_id: str | None
    start: int
    stop: int
    line: int


async def newest_id(connection: AsyncConnection) -> int:
    """The number of the newest piece; this transaction finds pieces by the index alone from now on."""
    # To read the words of all rows looks cheap to the planner, which does not count their unpacking.
    read = select(func.coalesce(func.max(search_pieces.c.id), 0), func.set_config("enable_seqscan", "off", True))
    return (await connection.execute(read)).one()[0]


_of = search_pieces.c
_FOUND = select(_of.id, _of.session_id, _of.seq, _of.last_seq, _of.call_id, _of.start, _of.stop, _of.line).where(
    text("words @@ cast(:query as tsquery)")
)
# `id + 0` keeps the planner from walking all ids and looking into each row's words instead of asking the index.
_NUMBER = literal_column("search_pieces.id + 0", BigInteger())
_NEWEST = (
    _FOUND.where(bindparam("upto") >= _NUMBER).order_by(_NUMBER.desc()).limit(bindparam("limit", type_=BigInteger))
)
_WITHIN = (
    _FOUND.where(text("session_id = :session_id and (seq, id) >= (:seq, :id)"))
    .order_by(_of.seq, _of.id)
    .limit(bindparam("limit", type_=BigInteger))
)


async def newest(
    connection: AsyncConnection,
    query: Query,
    scope: str,
    *,
    of: Select[int] | None = None,
    upto: int,
    reach: Reach,
    limit: int,
) -> list[Found]:
    """The newest pieces up to number `upto` that have the query's words, of what `scope` allows.

    `of` are the numbers of the sessions alone that are looked in.
    """
    asked = f"{tsquery(query)} & ({scope})"
    if reach != "all":
        letter, bits = ("n", NEAR) if reach == "near" else ("f", FAR)
        asked += f" & ('/{letter}{upto >> bits}' | '/{letter}{(upto >> bits) - 1}')"
    newest = _NEWEST if of is None else _NEWEST.where(search_pieces.c.session_id.in_(of))
    found = await connection.execute(newest, {"query": asked, "upto": upto, "limit": limit})
    return [Found(*row) for row in found]


def floor(upto: int, reach: Reach) -> int:
    """The number behind which nothing is left once `reach` was looked through from `upto` on."""
    if reach == "all":
        return 0
    bits = NEAR if reach == "near" else FAR
    return (((upto >> bits) - 1) << bits) - 1


async def within(
    connection: AsyncConnection, session_id: int, query: Query, *, seq: int, piece_id: int, limit: int
) -> list[Found]:
    """A session's pieces from a place on that have the query's words, in the order of their events."""
    values = {"query": tsquery(query), "session_id": session_id, "seq": seq, "id": piece_id, "limit": limit}
    return [Found(*row) for row in await connection.execute(_WITHIN, values)]


def tsquery(query: Query) -> str:
    """The words of a query for PostgreSQL; they are letters and digits, and need no escaping within quotes."""
    return " & ".join(sorted(f"'{word.text}'{':*' if word.begins else ''}" for word in query.words))


def visible(*, user_id: int, admin: bool, projects: Sequence[int], project: int | None, mine: bool) -> str:
    """The words about sessions that somebody may see, narrowed down to one project or to their own."""
    seen = f"'/u{user_id}'"
    if admin:
        seen += " | '/s'"
    elif projects:
        developed = " | ".join(f"'/q{one}'" for one in projects)
        seen += f" | ('/s' & ({developed}))"
    inside = "" if project is None else f" & '/q{project}'"
    own = f" & '/u{user_id}'" if mine else ""
    return f"({seen}){inside}{own}"


async def settle_index(connection: AsyncConnection) -> None:
    """Moves what was added lately to its place in the index, so that no session's own transaction has to."""
    await connection.execute(text("select gin_clean_pending_list('ix_search_pieces_words')"))
