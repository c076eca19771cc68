"""A session's pages: its log, its details, what it changed; and what is read of it as files."""

from asyncio import to_thread
from collections.abc import AsyncIterator
from typing import Annotated, Any

from litestar import MediaType, Request, Response, get
from litestar.params import FromQuery, PathParameter, QueryParameter
from litestar.response import Stream
from markupsafe import Markup

from quarterdeck.app import session_changes, session_log, session_records, session_rights, session_search, sessions
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_log import Wanted
from quarterdeck.app.session_views import SessionView
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.events import Event, Level
from quarterdeck.core.status import FINAL
from quarterdeck.core.text import cut, decode
from quarterdeck.doors.api.parameters import Caller, CallId, SessionId, TheApp
from quarterdeck.doors.export.download import Format, download
from quarterdeck.doors.web import languages
from quarterdeck.doors.web.layout import framed
from quarterdeck.doors.web.rendering import HEADERS
from quarterdeck.doors.web.session_parts import parts
from quarterdeck.doors.web.timeline import Lens, alone, open_calls, timeline
from quarterdeck.doors.web.views import level_of, remembering

ENTRIES = 200
"""Of one chunk of the log."""
DIFF_CHARACTERS = 500_000
"""Of one page; the API and git have the rest."""
PIECE_BYTES = 256 * 1024
"""Of a call's output, read at once."""

Seq = Annotated[int | None, QueryParameter(ge=1, le=2**63 - 1)]


async def _chunk(
    app: App,
    actor: Actor,
    lens: Lens,
    *,
    after: int = 0,
    before: int | None = None,
    newest_first: bool,
    limit: int = ENTRIES,
) -> tuple[list[Event], bool]:
    """Events in their order, and whether there are more on that side."""
    wanted = Wanted(lens.level)
    found = await session_log.page(
        app, actor, lens.session_id, wanted, after=after, before=before, newest_first=newest_first, limit=limit
    )
    return (found.events[::-1] if newest_first else found.events), found.next is not None


async def _timeline(app: App, actor: Actor, lens: Lens, events: list[Event]) -> Markup:
    """The entries; a card has its call's end also where that is in the next chunk or not shown by itself."""
    running, ends = frozenset[str](), list[Event]()
    if unended := open_calls(events):
        running = await session_log.running(app, actor, lens.session_id)
        if over := [seq for call_id, seq in unended.items() if call_id not in running]:
            wanted = Wanted(kinds=frozenset({"tool_call.finished"}))
            ends = (await session_log.page(app, actor, lens.session_id, wanted, after=min(over), limit=ENTRIES)).events
    return await to_thread(timeline, events, lens, running, ends)


def _lens(session: SessionView, level: Level) -> Lens:
    return Lens(session.id, session.created_at, level, languages.spoken())


@get("/sessions/{session_id:int}")
async def activity(
    app: TheApp,
    actor: Caller,
    session_id: SessionId,
    request: Request[Actor, None, Any],
    at: Seq = None,
    before: Seq = None,
    after: Seq = None,
    q: FromQuery[str] = "",
) -> Response[str]:
    """The log: its end, or what is around an entry, before or behind it."""
    session = await sessions.show(app, actor, session_id)
    level = level_of(request)
    if at is not None:
        level = max(level, (await session_log.event(app, actor, session_id, at)).level, key=list(Level).index)
    lens = _lens(session, level)
    earlier = later = False
    # What comes while the page is made is left to the stream, which goes on behind `session.seq`.
    end = session.seq + 1
    if at is not None:
        half = ENTRIES // 2
        first, earlier = await _chunk(app, actor, lens, before=min(at, end), newest_first=True, limit=half)
        second, later = await _chunk(app, actor, lens, after=at - 1, before=end, newest_first=False, limit=half)
        events = first + second
    elif after is not None:
        events, later = await _chunk(app, actor, lens, after=after, before=end, newest_first=False)
        earlier = True
    else:
        events, earlier = await _chunk(app, actor, lens, before=min(before or end, end), newest_first=True)
        later = before is not None and before < end
    response = await _framed(
        app,
        actor,
        session,
        "session.html",
        tab="activity",
        entries=await _timeline(app, actor, lens, events),
        events=events,
        earlier=earlier,
        later=later,
        level=level,
        levels=list(Level),
        words=q[:200],
        hits=await _hits(app, actor, session_id, q[:200]),
    )
    if request.query_params.get("level") in set(Level) and (at, before, after) == (None, None, None):
        response.set_cookie(remembering(level))
    return response


async def _hits(app: App, actor: Actor, session_id: int, words: str) -> object:
    """What the search in the log finds; the reason, when the words can't be searched for."""
    if not words.strip():
        return None
    try:
        return await session_search.find_within(app, actor, session_id, words)
    except QuarterdeckError as error:
        return error.message


@get("/sessions/{session_id:int}/entries")
async def entries(
    app: TheApp, actor: Caller, session_id: SessionId, request: Request[Actor, None, Any], before: Seq = None
) -> Response[str]:
    """A chunk of the log for a page that is open: what stands before an entry. A header says whether there is more."""
    lens = _lens(await sessions.show(app, actor, session_id), level_of(request))
    events, more = await _chunk(app, actor, lens, before=before, newest_first=True)
    headers = {**HEADERS, "Quarterdeck-First": str(events[0].seq) if events and more else ""}
    return Response(await _timeline(app, actor, lens, events), media_type=MediaType.HTML, headers=headers)


@get("/sessions/{session_id:int}/entries/{seq:int}")
async def one_entry(
    app: TheApp, actor: Caller, session_id: SessionId, seq: Annotated[int, PathParameter(ge=1, le=2**63 - 1)]
) -> Response[str]:
    """One entry with nothing left out, and the event as JSON."""
    session = await sessions.show(app, actor, session_id)
    event = await session_log.event(app, actor, session_id, seq)
    shown = await to_thread(alone, event, _lens(session, Level.FULL))
    raw = event.model_dump_json(indent=2)
    return await _framed(app, actor, session, "entry.html", tab="activity", entry=shown, raw=raw, seq=seq)


@get("/sessions/{session_id:int}/details")
async def details(app: TheApp, actor: Caller, session_id: SessionId) -> Response[str]:
    """Every field; at the bottom what ends the session."""
    session = await sessions.show(app, actor, session_id)
    return await _framed(
        app,
        actor,
        session,
        "session_details.html",
        tab="details",
        usage=await session_records.used(app, actor, session_id),
        children=await session_records.children(app, actor, session_id),
        decisions=await session_records.decisions(app, actor, session_id),
        context=await session_records.context(app, actor, session_id),
    )


@get("/sessions/{session_id:int}/cancel")
async def ask_to_cancel(app: TheApp, actor: Caller, session_id: SessionId) -> Response[str]:
    """The confirmation, for browsers without script."""
    session = await sessions.show(app, actor, session_id)
    return await _framed(app, actor, session, "session_cancel.html", tab="details")


@get("/sessions/{session_id:int}/changes")
async def changes(
    app: TheApp,
    actor: Caller,
    session_id: SessionId,
    step: Annotated[int | None, QueryParameter(ge=1, le=2**31 - 1)] = None,
) -> Response[str]:
    """The diff of all, or of one step, by file."""
    session = await sessions.show(app, actor, session_id)
    found = await session_changes.changes(app, actor, session_id, after=max(0, (step or 0) - 50))
    diff = cut(decode(await session_changes.diff(app, actor, session_id, step=step)), DIFF_CHARACTERS)
    return await _framed(
        app, actor, session, "session_changes.html", tab="changes", changes=found, step=step, files=by_file(diff)
    )


def by_file(diff: str) -> list[tuple[str, str]]:
    """A diff in pieces: the first line of each file, and all of its lines."""
    pieces = ("\n" + diff).split("\ndiff --git ")[1:]
    return [(piece.partition("\n")[0], f"diff --git {piece}") for piece in pieces]


@get("/sessions/{session_id:int}/calls/{call_id:str}/output")
async def output(app: TheApp, actor: Caller, session_id: SessionId, call_id: CallId) -> Stream:
    """All that a call has printed by now, raw; as plain text, which a browser makes nothing of."""
    size = await session_log.output_size(app, actor, session_id, call_id)
    pieces = _pieces(app, actor, session_id, call_id, size)
    return Stream(pieces, media_type="text/plain; charset=utf-8", headers={**HEADERS, **_PLAIN})


async def _pieces(app: App, actor: Actor, session_id: int, call_id: str, size: int) -> AsyncIterator[bytes]:
    for offset in range(0, size, PIECE_BYTES):
        limit = min(PIECE_BYTES, size - offset)
        yield await session_log.output(app, actor, session_id, call_id, offset=offset, limit=limit)


@get("/sessions/{session_id:int}/export")
async def export(
    app: TheApp,
    actor: Caller,
    session_id: SessionId,
    format_: Annotated[Format, QueryParameter(name="format")] = "ndjson",
) -> Stream:
    """The session as a file."""
    return await download(app, actor, session_id, format_)


_PLAIN = {"Content-Security-Policy": "default-src 'none'; sandbox"}


async def _framed(
    app: App, actor: Actor, session: SessionView, template: str, *, tab: str, **values: object
) -> Response[str]:
    rights = await session_rights.rights(app, actor, session.id)
    around = parts(session, rights)
    return await framed(
        app,
        actor,
        template,
        project_id=session.project_id,
        project_path=session.project_path,
        here="chats" if session.origin == "chat" else "sessions",
        session=session,
        rights=rights,
        final=session.status in FINAL,
        title=around.title,
        header=Markup(around.header),  # noqa: S704 rendered by templates, which escape
        waiting=Markup(around.waiting),  # noqa: S704
        composer=Markup(around.composer),  # noqa: S704
        tab=tab,
        **values,
    )


ROUTES = (activity, entries, one_entry, details, ask_to_cancel, changes, output, export)
