"""Entries of a log by themselves: a chunk for a page that is open, one entry whole, those of a child session."""

from asyncio import to_thread
from typing import Annotated, Any

from litestar import MediaType, Request, Response, get
from litestar.params import PathParameter, QueryParameter

from quarterdeck.app import session_log, sessions
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_log import Lines
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.events import Event, Level, ToolCallFinished, ToolCallRequested
from quarterdeck.doors.api.parameters import Caller, SessionId, TheApp
from quarterdeck.doors.web.log_chunks import chunk, lens_of, rendered
from quarterdeck.doors.web.rendering import HEADERS, fragment
from quarterdeck.doors.web.session_layout import in_session
from quarterdeck.doors.web.timeline import DEEPEST, alone, last_line
from quarterdeck.doors.web.views import level_of

Seq = Annotated[int | None, QueryParameter(ge=1, le=2**63 - 1)]
LINES = 400
"""Of what a call printed, on one page."""
INSIDE = 30
"""Entries of a session that is shown within another one's log."""


@get("/sessions/{session_id:int}/entries")
async def entries(
    app: TheApp, actor: Caller, session_id: SessionId, request: Request[Actor, None, Any], before: Seq = None
) -> Response[str]:
    """A chunk of the log for a page that is open: what stands before an entry. A header says whether there is more."""
    lens = lens_of(await sessions.show(app, actor, session_id), level_of(request))
    events, more = await chunk(app, actor, lens, before=before, newest_first=True)
    headers = {**HEADERS, "Quarterdeck-First": str(events[0].seq) if events and more else ""}
    return Response(await rendered(app, actor, lens, events), media_type=MediaType.HTML, headers=headers)


@get("/sessions/{session_id:int}/inside")
async def inside(
    app: TheApp,
    actor: Caller,
    session_id: SessionId,
    request: Request[Actor, None, Any],
    depth: Annotated[int, QueryParameter(ge=1, le=DEEPEST)] = 1,
) -> Response[dict[str, str]]:
    """The session as it is shown within the log of the one that started it: where it stands, and its last entries."""
    session = await sessions.show(app, actor, session_id)
    lens = lens_of(session, level_of(request), depth)
    events, more = await chunk(app, actor, lens, newest_first=True, most=INSIDE)
    said = last_line(events, lens)
    told: dict[str, str] = {
        "summary": fragment("parts/child_summary.html", row=session, cost=session.usage.cost, said=said),
        "entries": fragment(
            "parts/inside.html", entries=await rendered(app, actor, lens, events), more=more, row=session
        ),
    }
    return Response(told, headers=HEADERS)


@get("/sessions/{session_id:int}/entries/{seq:int}")
async def one_entry(
    app: TheApp,
    actor: Caller,
    session_id: SessionId,
    request: Request[Actor, None, Any],
    seq: Annotated[int, PathParameter(ge=1, le=2**63 - 1)],
    line: Annotated[int | None, QueryParameter(ge=1, le=2**31 - 1)] = None,
) -> Response[str]:
    """One entry with nothing left out: the event as JSON, and what a call printed, around a line of it."""
    session = await sessions.show(app, actor, session_id)
    event = await session_log.event(app, actor, session_id, seq)
    return await in_session(
        app,
        actor,
        session,
        "entry.html",
        tab="activity",
        request=request,
        entry=await to_thread(alone, event, lens_of(session, Level.FULL)),
        raw=event.model_dump_json(indent=2),
        seq=seq,
        printed=await _printed(app, actor, event, line or 1),
        per_page=LINES,
    )


async def _printed(app: App, actor: Actor, event: Event, line: int) -> Lines | None:
    """The lines around one of what a call has printed; None where the entry is of no call, or it printed nothing."""
    match event.payload:
        case ToolCallRequested(call_id=call_id) | ToolCallFinished(call_id=call_id):
            pass
        case _:
            return None
    first = max(1, line - LINES // 2)
    try:
        found = await session_log.output_lines(app, actor, event.session, call_id, first=first, count=LINES)
    except NotFoundError:  # what is not carried out by an executor prints nothing
        return None
    return found if found.lines else None


ROUTES = (entries, inside, one_entry)
