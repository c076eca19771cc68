"""What a session did: its events as pages and as a stream, the output of its calls, its diff."""

import base64
import json
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, assert_never

from litestar import Response, Router, get
from litestar.params import QueryParameter
from litestar.response import Stream
from pydantic import BaseModel, ConfigDict

from quarterdeck.app import session_log, sessions, watch
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.signals import EventSignal, OutputSignal, PartialSignal, Signal
from quarterdeck.core.events import Event, Level
from quarterdeck.doors.api.parameters import After, Caller, CallId, LastEventId, Offset, SessionId, TheApp
from quarterdeck.doors.sse import Closes, chunk, message, stream

OUTPUT_PAGE_BYTES = 1024 * 1024
Bytes = Annotated[int, QueryParameter(ge=1, le=OUTPUT_PAGE_BYTES, description="How many bytes.")]


class EventPage(BaseModel):
    """Events in order; `next` is what `after` of the following page is, None at the end of what there is now."""

    model_config = ConfigDict(frozen=True)
    items: list[Event]
    next: int | None


@get("/events", summary="Read the log")
async def events(
    app: TheApp,
    actor: Caller,
    session_id: SessionId,
    after: After = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=1_000, description="About how many events.")] = 1_000,
    level: Annotated[Level, QueryParameter(description="The density: result, concise or full.")] = Level.FULL,
) -> EventPage:
    """Events behind `after`, oldest first."""
    found = await session_log.events(app, actor, session_id, after=after, limit=limit)
    items = [event for event in found if session_log.shown(event.level, level)]
    return EventPage(items=items, next=found[-1].seq if len(found) >= limit else None)


@get("/stream", media_type="text/event-stream", summary="Watch a session")
async def follow(
    app: TheApp,
    actor: Caller,
    closing: Closes,
    session_id: SessionId,
    after: After = 0,
    last_event_id: LastEventId = None,
) -> Stream:
    """Server-sent events: each event of the log under its kind with `id: seq`, `partial` answers, and `output`.

    `output` has `call_id`, `offset` and `data` (base64). The stream ends with `end` when the session has ended and
    was torn down, with `closing` when the server stops; after anything else connect again with `Last-Event-ID`. One
    who reads so slowly that 256 KiB wait is sent `error` (503, `watcher_behind`), and connects again.
    """
    await sessions.show(app, actor, session_id)
    start = after if last_event_id is None else last_event_id
    return stream(_chunks(app, actor, session_id, start), closing)


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
) -> Response[bytes]:
    """Raw bytes as the command wrote them, from `offset`; nothing when there is no more."""
    return plain(await session_log.output(app, actor, session_id, call_id, offset=offset, limit=limit))


@get("/diff", media_type="text/x-diff", summary="Show what a session changed")
async def diff(
    app: TheApp,
    actor: Caller,
    session_id: SessionId,
    step: Annotated[int | None, QueryParameter(ge=1, le=2**31 - 1, description="Only what this step changed.")] = None,
) -> Response[bytes]:
    """The whole diff from the base commit, or that of one step, as git prints it."""
    return plain(await session_log.diff(app, actor, session_id, step=step), "text/x-diff")


def plain(data: bytes, media_type: str = "application/octet-stream") -> Response[bytes]:
    """Bytes that others made: never shown as a page."""
    return Response(
        data, media_type=media_type, headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    )


async def _chunks(app: App, actor: Actor, session_id: int, after: int) -> AsyncIterator[bytes]:
    async for moment in watch.session(app, actor, session_id, after=after):
        yield moment.told(_told)


def _told(signals: Sequence[Signal]) -> bytes:
    return chunk(_message(signal) for signal in signals)


def _message(signal: Signal) -> bytes:
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


ROUTES = Router("/sessions/{session_id:int}", route_handlers=[events, follow, output, diff], tags=["log"])
