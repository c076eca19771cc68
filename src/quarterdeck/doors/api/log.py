"""What a session did: its events as pages and as a stream, the output of its calls, its diff."""

import base64
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict
from functools import partial
from http import HTTPStatus
from typing import Annotated, Literal, assert_never

from litestar import Response, Router, get
from litestar.params import HeaderParameter, PathParameter, QueryParameter
from litestar.response import Stream
from pydantic import BaseModel, ConfigDict

from quarterdeck.app import session_changes, session_log, watch
from quarterdeck.app.session_changes import Changes
from quarterdeck.app.session_log import Wanted
from quarterdeck.app.signals import EventSignal, OutputSignal, PartialSignal, Signal
from quarterdeck.app.tails import Moment
from quarterdeck.core.events import Event, Level
from quarterdeck.doors.api.parameters import After, Caller, CallId, LastEventId, Offset, SessionId, Still, TheApp
from quarterdeck.doors.export.entries import entry
from quarterdeck.doors.identity import watches
from quarterdeck.doors.ranges import byte_range
from quarterdeck.doors.sse import Closes, chunk, message, stream

OUTPUT_PAGE_BYTES = 1024 * 1024
Bytes = Annotated[int, QueryParameter(ge=1, le=OUTPUT_PAGE_BYTES, description="How many bytes.")]


class EventPage(BaseModel):
    """Events in order; `next` is `after` of the following page, newest first its `before`, None at the end.

    A page of kinds or words may come out short while there is a `next`: one request looks through 20,000 events.
    """

    model_config = ConfigDict(frozen=True)
    items: list[Event]
    next: int | None


@get("/events", summary="Read the log")
async def events(
    app: TheApp,
    actor: Caller,
    session_id: SessionId,
    after: After = 0,
    before: Annotated[
        int | None, QueryParameter(ge=1, le=2**63 - 1, description="Only what comes before this `seq`.")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=1_000, description="How many events at most.")] = 1_000,
    level: Annotated[Level, QueryParameter(description="The density: result, concise or full.")] = Level.FULL,
    kind: Annotated[
        list[str] | None, QueryParameter(max_length=50, description="Only events of this kind; may be repeated.")
    ] = None,
    text: Annotated[
        str, QueryParameter(max_length=200, description="Only events with these words, in upper or lower case.")
    ] = "",
    order: Annotated[Literal["asc", "desc"], QueryParameter(description="Oldest or newest first.")] = "asc",
) -> EventPage:
    """Events between `after` and `before`, oldest or newest first."""
    wanted = Wanted(level, frozenset(kind or ()), text)
    newest_first = order == "desc"
    found = await session_log.page(
        app, actor, session_id, wanted, after=after, before=before, newest_first=newest_first, limit=limit
    )
    return EventPage(items=found.events, next=found.next)


@get("/events/{seq:int}", summary="Read one event")
async def event(
    app: TheApp, actor: Caller, session_id: SessionId, seq: Annotated[int, PathParameter(ge=1, le=2**63 - 1)]
) -> Event:
    """The event with this number."""
    return await session_log.event(app, actor, session_id, seq)


@get("/stream", media_type="text/event-stream", summary="Watch a session")
async def follow(
    app: TheApp,
    actor: Caller,
    still: Still,
    closing: Closes,
    session_id: SessionId,
    after: After = 0,
    last_event_id: LastEventId = None,
    form: Annotated[
        Literal["events", "entries"], QueryParameter(description="As programs read them, or as people do.")
    ] = "events",
) -> Stream:
    """Server-sent events: each event of the log under its kind with `id: seq`, `partial` answers, and `output`.

    As `entries` each event comes under the name `entry`, as a text with its head, its words and what is verbatim in it.

    `output` has `call_id`, `offset` and `data` (base64). The stream ends with `end` when the session has ended and
    was torn down, with `closing` when the server stops; after anything else connect again with `Last-Event-ID`. One
    who reads so slowly that 256 KiB wait is sent `error` (503, `watcher_behind`), and connects again. One whose token
    or role is taken away is sent `error` (401, 404) within 15 seconds.
    """
    start = after if last_event_id is None else last_event_id
    tell = _told if form == "events" else _read_out
    return stream(
        _chunks(await watch.session(app, actor, session_id, after=start), tell),
        closing,
        check=partial(watches, app, still, session_id),
    )


@get("/calls/{call_id:str}/output", media_type="application/octet-stream", summary="Read the output of a call")
async def output(
    app: TheApp,
    actor: Caller,
    session_id: SessionId,
    call_id: CallId,
    offset: Offset = 0,
    limit: Annotated[
        int, QueryParameter(ge=1, le=OUTPUT_PAGE_BYTES, description="How many bytes.")
    ] = OUTPUT_PAGE_BYTES,
    wanted: Annotated[
        str | None, HeaderParameter(name="Range", max_length=100, description="`bytes=FIRST-LAST`, instead of both.")
    ] = None,
) -> Response[bytes]:
    """Raw bytes as the command wrote them, from `offset`; nothing when there is no more.

    With `Range` the answer is 206, and `Content-Range` says how many bytes there are by now.
    """
    size = await session_log.output_size(app, actor, session_id, call_id) if wanted is not None else 0
    span = byte_range(wanted, size, most=OUTPUT_PAGE_BYTES) if wanted is not None else None
    if span is not None:
        offset, limit = span.start, len(span)
    answer = plain(await session_log.output(app, actor, session_id, call_id, offset=offset, limit=limit))
    answer.headers["Accept-Ranges"] = "bytes"
    if span is not None:
        answer.status_code = HTTPStatus.PARTIAL_CONTENT
        answer.headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
    return answer


@get("/diff", media_type="text/x-diff", summary="Show what a session changed")
async def diff(
    app: TheApp,
    actor: Caller,
    session_id: SessionId,
    step: Annotated[int | None, QueryParameter(ge=1, le=2**31 - 1, description="Only what this step changed.")] = None,
    file: Annotated[
        str | None, QueryParameter(min_length=1, max_length=4_096, description="Only what became of this file.")
    ] = None,
) -> Response[bytes]:
    """The whole diff from the base commit, or that of one step or file, as git prints it."""
    return plain(await session_changes.diff(app, actor, session_id, step=step, file=file), "text/x-diff")


@get("/changes", summary="List what a session changed")
async def changes(
    app: TheApp,
    actor: Caller,
    session_id: SessionId,
    after: Annotated[int, QueryParameter(ge=0, le=2**31 - 1, description="Only the steps behind this one.")] = 0,
) -> Changes:
    """The files with lines added and removed, in all and by steps, without a diff."""
    return await session_changes.changes(app, actor, session_id, after=after)


def plain(data: bytes, media_type: str = "application/octet-stream") -> Response[bytes]:
    """Bytes that others made: never shown as a page."""
    return Response(
        data, media_type=media_type, headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    )


async def _chunks(moments: AsyncIterator[Moment], tell: Callable[[Sequence[Signal]], bytes]) -> AsyncIterator[bytes]:
    async for moment in moments:
        yield moment.told(tell)


def _told(signals: Sequence[Signal]) -> bytes:
    return chunk(signal_message(signal) for signal in signals)


def _read_out(signals: Sequence[Signal]) -> bytes:
    return chunk(
        _entry_message(signal) if isinstance(signal, EventSignal) else signal_message(signal) for signal in signals
    )


def _entry_message(signal: EventSignal) -> bytes:
    event = signal.event
    told = asdict(entry(event, event.at))
    told["at"] = event.at.isoformat()
    for unwanted in ("seconds", "diff", "files"):
        del told[unwanted]
    return message("entry", json.dumps(told, ensure_ascii=False), event.seq)


def signal_message(signal: Signal) -> bytes:
    """One signal as a server-sent event."""
    match signal:
        case EventSignal():
            return message(signal.event.kind, signal.json, signal.event.seq)
        case PartialSignal():
            return message("partial", json.dumps({"turn_no": signal.turn_no, "text": signal.text}))
        case OutputSignal():
            data = base64.b64encode(signal.data).decode()
            return message("output", json.dumps({"call_id": signal.call_id, "offset": signal.offset, "data": data}))
        case _:
            assert_never(signal)


ROUTES = Router(
    "/sessions/{session_id:int}", route_handlers=[events, event, follow, output, diff, changes], tags=["log"]
)
