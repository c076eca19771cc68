"""One stream for a session's page: new entries, the answer being written, output, and the parts that change."""

from asyncio import to_thread
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

from litestar import Request, get
from litestar.response import Stream

from quarterdeck.app import session_rights, sessions, watch
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_rights import SessionRights
from quarterdeck.app.signals import EventSignal, Signal
from quarterdeck.app.tails import Moment
from quarterdeck.doors.api.parameters import After, Caller, LastEventId, SessionId, Still, TheApp
from quarterdeck.doors.identity import watches
from quarterdeck.doors.sse import KEEPALIVE, Closes
from quarterdeck.doors.web import languages
from quarterdeck.doors.web.layout import fresh, live
from quarterdeck.doors.web.session_parts import parts
from quarterdeck.doors.web.timeline import Lens, Teller, teller
from quarterdeck.doors.web.views import level_of

_UNSEEN = ("tool_call.", "model.", "component.", "message.", "notice.", "setup.", "network.", "context.", "delegation.")
"""Events of these kinds change nothing beside the log."""
AT_ONCE_BYTES = 2 * 1024
"""A moment of so much is rendered where it is read: to wait for a thread would cost each of its watchers more."""
OUTPUT_BYTES = 64 * 1024
"""What a page is told of the output that calls printed before."""


@get("/sessions/{session_id:int}/stream", media_type="text/event-stream")
async def follow(
    app: TheApp,
    actor: Caller,
    still: Still,
    closing: Closes,
    session_id: SessionId,
    request: Request[Actor, None, Any],
    after: After = 0,
    last_event_id: LastEventId = None,
) -> Stream:
    """What is new behind `after`, in the level of detail that the page has."""
    session = await sessions.show(app, actor, session_id)
    lens = Lens(session_id, session.created_at, level_of(request), languages.spoken())
    start = after if last_event_id is None else last_event_id
    moments = await watch.session(app, actor, session_id, after=start, most_output=OUTPUT_BYTES)
    check = partial(watches, app, still, session_id)
    return live(app, actor, closing, _chunks(app, still, lens, moments), check=check)


async def _chunks(app: App, still: Still, lens: Lens, moments: AsyncIterator[Moment]) -> AsyncIterator[bytes]:
    async for moment in moments:
        beside = b""
        if moment.told(_changes_parts):
            # Each watcher is let in again by itself; only what all of them may see is made once for all.
            actor = await still()
            rights = await session_rights.rights(app, actor, lens.session_id)
            beside = await moment.once((rights, lens.language), partial(_parts, app, actor, lens.session_id, rights))
        yield await _entries(moment, lens) + beside


@get("/sessions/{session_id:int}/header/stream", media_type="text/event-stream")
async def follow_header(
    app: TheApp, actor: Caller, still: Still, closing: Closes, session_id: SessionId, after: After = 0
) -> Stream:
    """What changes on the tabs that have no log: the header."""
    moments = await watch.session(app, actor, session_id, after=after, most_output=0)
    check = partial(watches, app, still, session_id)
    return live(app, actor, closing, _headers(app, still, session_id, moments), check=check)


async def _headers(app: App, still: Still, session_id: int, moments: AsyncIterator[Moment]) -> AsyncIterator[bytes]:
    async for moment in moments:
        if moment.told(_changes_parts):
            actor = await still()
            rights = await session_rights.rights(app, actor, session_id)
            make = partial(_header, app, actor, session_id, rights)
            yield await moment.once(("header", rights, languages.spoken()), make)


async def _header(app: App, actor: Actor, session_id: int, rights: SessionRights) -> bytes:
    return fresh({"session-now": parts(await sessions.show(app, actor, session_id), rights).header})


async def _entries(moment: Moment, lens: Lens) -> bytes:
    """What is new in the log: made once for all who look through the same lens; in a thread what takes its time."""
    tell = teller(lens)
    if not moment.signals:
        return KEEPALIVE
    if moment.size <= AT_ONCE_BYTES:
        return moment.told(tell)
    return await moment.once(tell, partial(_told, tell, moment.signals))


async def _told(tell: Teller, signals: Sequence[Signal]) -> bytes:
    return await to_thread(tell, signals)


async def _parts(app: App, actor: Actor, session_id: int, rights: SessionRights) -> bytes:
    return parts(await sessions.show(app, actor, session_id), rights).message


def _changes_parts(signals: Sequence[Signal]) -> bool:
    events = (signal.event for signal in signals if isinstance(signal, EventSignal))
    return any(not event.kind.startswith(_UNSEEN) for event in events)


ROUTES = (follow, follow_header)
