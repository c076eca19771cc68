"""Puts into the index what is not there yet: what commands print, at most seconds behind, and logs from before.

Events go into the index with the transaction that stores them. Output comes in pieces of any size and would cost its
executor the time, so a worker that is told indexes it; several share the work.
"""

import asyncio
from dataclasses import dataclass
from typing import Literal

import structlog
from sqlalchemy import Select, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.application import App
from quarterdeck.core import events as e
from quarterdeck.core.errors import UnavailableError
from quarterdeck.core.redaction import Redactor
from quarterdeck.core.search_texts import output_piece, spoken
from quarterdeck.core.text import decode
from quarterdeck.store import log, search
from quarterdeck.store import output as outputs
from quarterdeck.store.tables import offers, search_dues, sessions

LOOK_SECONDS = 2.0
"""While a call prints, how often what is new is taken."""
STRETCH_BYTES = 64 * 1024
STRETCH_EVENTS = 200
"""What is taken at once, so that whoever waits for the session's row waits for a moment only."""
QUIET_LOOKS = 5
"""A cancelled call may still print what it had printed before it died."""
PATIENCE = 40
"""How often a session that somebody else works on is tried again, before the others have their turn."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Due:
    """What is to be indexed of a call's output, or of a log if there is no call."""

    id: int
    session_id: int
    call_id: str | None
    seq: int
    place: int
    lines: int
    quiet: int


Outcome = Literal["more", "done", "busy"]


async def follow(app: App) -> None:
    """Indexes what is new for as long as the process lives; never returns."""
    with app.doorbell.listener(search.BELL) as listener:
        while True:
            left = True
            try:
                left = await index(app)
            except UnavailableError as error:
                _log.warning("what is to be indexed could not be looked at", reason=error.message)
            except Exception:
                _log.exception("indexing failed; it is tried again")
            await (listener.wait(LOOK_SECONDS) if left else listener.wait())


async def index(app: App) -> bool:
    """Indexes what there is, and answers whether more may come without a bell."""
    while True:
        for due_id in await _ids(app, _PRINTED):
            await _whole(app, due_id)
        # Between two stretches of logs from before, which may be many, what runs now is looked at again.
        outcomes = [await _step(app, due_id) for due_id in await _ids(app, _BEFORE)]
        if not set(outcomes) - {"busy"}:
            break
    async with app.database.transaction() as connection:
        await search.settle_index(connection)
        return (await connection.execute(select(search_dues.c.id).limit(1))).one_or_none() is not None


_OVER = offers.c.status.in_(("finished", "cancelled")) | offers.c.status.is_(None)
_PRINTED = (
    select(search_dues.c.id)
    .outerjoin(offers, offers.c.call_id == search_dues.c.call_id)
    .where(search_dues.c.call_id.is_not(None), _OVER | (offers.c.output_bytes > search_dues.c.place))
    .order_by(search_dues.c.id)
)
_BEFORE = select(search_dues.c.id).where(search_dues.c.call_id.is_(None)).order_by(search_dues.c.id).limit(20)


async def _ids(app: App, query: Select[int]) -> list[int]:
    async with app.database.transaction() as connection:
        return list((await connection.execute(query)).scalars())


async def _whole(app: App, due_id: int) -> None:
    tries = 0
    while (outcome := await _step(app, due_id)) != "done" and tries < PATIENCE:
        if outcome == "busy":
            tries += 1
            await asyncio.sleep(0.02)


async def _step(app: App, due_id: int) -> Outcome:
    """Indexes a stretch of what is due."""
    async with app.database.transaction() as connection:
        row = (
            await connection.execute(
                select(search_dues).where(search_dues.c.id == due_id).with_for_update(skip_locked=True)
            )
        ).one_or_none()
        if row is None:
            return "done"
        due = Due(row.id, row.session_id, row.call_id, row.seq, row.place, row.lines, row.quiet)
        if due.call_id is None:
            return await _log_stretch(connection, due)
        return await _output_stretch(connection, app.redactor, due, due.call_id)


async def _output_stretch(connection: AsyncConnection, redactor: Redactor, due: Due, call_id: str) -> Outcome:
    offer = (
        await connection.execute(select(offers.c.output_bytes, offers.c.status).where(offers.c.call_id == call_id))
    ).one_or_none()
    if offer is None:
        return await _remove(connection, due)
    data = await outputs.read(connection, call_id, due.place, STRETCH_BYTES)
    over = offer.status in ("finished", "cancelled")
    last = over and due.place + len(data) == offer.output_bytes
    pieces, taken, lines = _pieces(redactor, due, data, ended=last)
    if pieces:
        about = await _about(connection, due.session_id)
        if about is None:
            return await _held_back(connection, due)
        await search.keep_output(connection, due.session_id, call_id, due.seq, about, pieces)
    if last and (offer.status == "finished" or due.quiet >= QUIET_LOOKS):
        return await _remove(connection, due)
    quiet = due.quiet + 1 if last else 0
    if taken or quiet != due.quiet:
        await connection.execute(
            update(search_dues)
            .where(search_dues.c.id == due.id)
            .values(place=due.place + taken, lines=due.lines + lines, quiet=quiet)
        )
    return "more" if taken and not last else "done"


def _pieces(redactor: Redactor, due: Due, data: bytes, *, ended: bool) -> tuple[list[search.OutputPiece], int, int]:
    """The pieces of fresh output, and how many bytes and lines they are."""
    found: list[search.OutputPiece] = []
    taken = lines = 0
    while size := output_piece(data[taken:], ended=ended):
        piece = data[taken : taken + size]
        start = due.place + taken
        said = spoken(decode(piece), redactor)
        found.append(search.OutputPiece(start, start + size, due.lines + lines + 1, said))
        taken += size
        lines += piece.count(b"\n")
    return found, taken, lines


async def _log_stretch(connection: AsyncConnection, due: Due) -> Outcome:
    """Indexes some of a log that was there before there was a search, and notes what its calls printed."""
    about = await _about(connection, due.session_id)
    if about is None:
        return await _held_back(connection, due)
    events = await log.read(connection, due.session_id, after=due.place, before=due.seq + 1, limit=STRETCH_EVENTS)
    await search.keep(connection, search.rows(due.session_id, about, events))
    asked = {one.payload.call_id: one.seq for one in events if isinstance(one.payload, e.ToolCallRequested)}
    for one in events:
        if isinstance(one.payload, e.ToolCallFinished) and one.payload.output_bytes:
            call_id = one.payload.call_id
            await search.due(connection, due.session_id, call_id, asked.get(call_id, one.seq))
    if len(events) < STRETCH_EVENTS:
        return await _remove(connection, due)
    await connection.execute(update(search_dues).where(search_dues.c.id == due.id).values(place=events[-1].seq))
    return "more"


async def _about(connection: AsyncConnection, session_id: int) -> list[str] | None:
    """Whose the session is, which nobody can delete now before this transaction ends; None if it can't be had now."""
    # Never waited for: a deletion has the session and waits for the due that is held here.
    row = (
        await connection.execute(
            select(sessions.c.origin, sessions.c.project_id, sessions.c.initiator_id)
            .where(sessions.c.id == session_id)
            .with_for_update(read=True, key_share=True, skip_locked=True)
        )
    ).one_or_none()
    return None if row is None else search.scope(row.origin, row.project_id, row.initiator_id)


async def _held_back(connection: AsyncConnection, due: Due) -> Outcome:
    """Somebody else has the session, or it is gone."""
    there = await connection.execute(select(sessions.c.id).where(sessions.c.id == due.session_id))
    return "busy" if there.one_or_none() is not None else await _remove(connection, due)


async def _remove(connection: AsyncConnection, due: Due) -> Outcome:
    await connection.execute(delete(search_dues).where(search_dues.c.id == due.id))
    return "done"
