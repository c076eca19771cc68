"""One stream for a session's page: new entries, the answer being written, output, and the parts that change."""

from collections.abc import AsyncIterator
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
from quarterdeck.doors.api.parameters import After, Caller, LastEventId, SessionId, TheApp
from quarterdeck.doors.sse import Closes, stream
from quarterdeck.doors.web import languages
from quarterdeck.doors.web.session_parts import parts
from quarterdeck.doors.web.timeline import Lens, teller
from quarterdeck.doors.web.views import level_of

_UNSEEN = ("tool_call.", "model.", "component.", "message.", "notice.", "setup.", "network.", "context.", "delegation.")
"""Events of these kinds change nothing beside the log."""


@get("/sessions/{session_id:int}/stream", media_type="text/event-stream")
async def follow(
    app: TheApp,
    actor: Caller,
    closing: Closes,
    session_id: SessionId,
    request: Request[Actor, None, Any],
    after: After = 0,
    last_event_id: LastEventId = None,
) -> Stream:
    """What is new behind `after`, in the level of detail that the page has."""
    session = await sessions.show(app, actor, session_id)
    rights = await session_rights.rights(app, actor, session_id)
    lens = Lens(session_id, session.created_at, level_of(request), languages.spoken())
    start = after if last_event_id is None else last_event_id
    moments = await watch.session(app, actor, session_id, after=start)
    return stream(_chunks(app, actor, lens, rights, moments), closing)


async def _chunks(
    app: App, actor: Actor, lens: Lens, rights: SessionRights, moments: AsyncIterator[Moment]
) -> AsyncIterator[bytes]:
    async for moment in moments:
        told = moment.told(teller(lens))
        if any(map(_changes_parts, moment.signals)):
            told += await moment.once((rights, lens.language), partial(_parts, app, actor, lens.session_id, rights))
        yield told


async def _parts(app: App, actor: Actor, session_id: int, rights: SessionRights) -> bytes:
    return parts(await sessions.show(app, actor, session_id), rights).message


def _changes_parts(signal: Signal) -> bool:
    return isinstance(signal, EventSignal) and not signal.event.kind.startswith(_UNSEEN)


ROUTES = (follow,)
