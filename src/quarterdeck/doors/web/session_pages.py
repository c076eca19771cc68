"""A session's pages: its log, what it changed; and what is read of it as files."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from litestar import Request, Response, get
from litestar.params import FromQuery, QueryParameter
from litestar.response import Stream

from quarterdeck.app import session_changes, session_log, sessions
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.events import Event, Level
from quarterdeck.doors.api.parameters import Caller, CallId, SessionId, TheApp
from quarterdeck.doors.export.download import Format, download
from quarterdeck.doors.web import conversation, log_search
from quarterdeck.doors.web.diffs import by_file
from quarterdeck.doors.web.entry_pages import Seq
from quarterdeck.doors.web.log_chunks import ENTRIES, chunk, lens_of, rendered
from quarterdeck.doors.web.raw import raw
from quarterdeck.doors.web.session_layout import in_session
from quarterdeck.doors.web.timeline import Lens
from quarterdeck.doors.web.views import level_of, remembering

Step = Annotated[int | None, QueryParameter(ge=1, le=2**31 - 1)]


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
    hits: FromQuery[str] = "",
) -> Response[str]:
    """The log: its end, or what is around an entry, before or behind it; and what a search in it finds."""
    session = await sessions.show(app, actor, session_id)
    if session.origin == "chat" and not request.query_params:
        talk = await conversation.opened(app, actor, session)
        return await in_session(app, actor, session, "chat.html", tab="conversation", request=request, talk=talk)
    level = level_of(request)
    if at is not None:
        level = max(level, (await session_log.event(app, actor, session_id, at)).level, key=list(Level).index)
    lens = lens_of(session, level)
    found = await log_search.find(app, actor, session_id, q, cursor=hits, at=at)
    part = await _part(app, actor, lens, session.seq, at=at, before=before, after=after)
    response = await in_session(
        app,
        actor,
        session,
        "session.html",
        tab="activity",
        request=request,
        entries=await rendered(app, actor, lens, part.events, found.query if found else None),
        part=part,
        level=level,
        levels=list(Level),
        found=found,
    )
    if request.query_params.get("level") in set(Level) and (at, before, after) == (None, None, None):
        response.set_cookie(remembering(level))
    return response


@dataclass(frozen=True)
class _Part:
    """What a page has of a log, and whether there is more before and behind."""

    events: list[Event]
    earlier: bool
    later: bool


async def _part(
    app: App, actor: Actor, lens: Lens, seq: int, *, at: int | None, before: int | None, after: int | None
) -> _Part:
    # What comes while the page is made is left to the stream, which goes on behind the session's `seq`.
    end = seq + 1
    if at is not None:
        half = ENTRIES // 2
        first, earlier = await chunk(app, actor, lens, before=min(at, end), newest_first=True, most=half)
        second, later = await chunk(app, actor, lens, after=at - 1, before=end, newest_first=False, most=half)
        return _Part(first + second, earlier, later)
    if after is not None:
        events, later = await chunk(app, actor, lens, after=after, before=end, newest_first=False)
        return _Part(events, earlier=True, later=later)
    events, earlier = await chunk(app, actor, lens, before=min(before or end, end), newest_first=True)
    return _Part(events, earlier, later=before is not None and before < end)


@get("/sessions/{session_id:int}/changes")
async def changes(
    app: TheApp,
    actor: Caller,
    session_id: SessionId,
    request: Request[Actor, None, Any],
    step: Step = None,
    by: FromQuery[Literal["file", "step"]] = "file",
    after: Step = None,
    unfold: FromQuery[Literal["", "all", "none"]] = "",
) -> Response[str]:
    """The diff of all by file, or of one step, or which steps there are."""
    session = await sessions.show(app, actor, session_id)
    found = await session_changes.changes(app, actor, session_id, after=after or max(0, (step or 0) - 20))
    diff = b"" if by == "step" else await session_changes.diff(app, actor, session_id, step=step)
    return await in_session(
        app,
        actor,
        session,
        "session_changes.html",
        tab="changes",
        request=request,
        changes=found,
        by=by,
        step=step,
        unfold=unfold,
        files=by_file(diff),
    )


@get("/sessions/{session_id:int}/calls/{call_id:str}/output")
async def output(app: TheApp, actor: Caller, session_id: SessionId, call_id: CallId) -> Stream:
    """All that a call has printed by now, raw; as plain text, which a browser makes nothing of."""
    size = await session_log.output_size(app, actor, session_id, call_id)

    async def read(offset: int, limit: int) -> bytes:
        return await session_log.output(app, actor, session_id, call_id, offset=offset, limit=limit)

    return raw(size, read)


@get("/sessions/{session_id:int}/export")
async def export(
    app: TheApp,
    actor: Caller,
    session_id: SessionId,
    format_: Annotated[Format, QueryParameter(name="format")] = "ndjson",
    redacted: FromQuery[bool] = False,
    level: FromQuery[Level] = Level.CONCISE,
) -> Stream:
    """The session as a file."""
    return await download(app, actor, session_id, format_, redacted=redacted, level=level)


ROUTES = (activity, changes, output, export)
