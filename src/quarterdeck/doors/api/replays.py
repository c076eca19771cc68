"""A session's log again, at the times at which it was written."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated

from litestar import Router, get
from litestar.params import QueryParameter
from litestar.response import Stream

from quarterdeck.app import replays, sessions
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.replays import Pace
from quarterdeck.doors.api.log import signal_message
from quarterdeck.doors.api.parameters import After, Caller, LastEventId, SessionId, Still, TheApp
from quarterdeck.doors.identity import watches
from quarterdeck.doors.sse import Closes, chunk, stream

Speed = Annotated[float, QueryParameter(ge=0, le=1_000, description="4 is four times as fast, 0 is at once.")]
MaxGap = Annotated[float, QueryParameter(ge=0, le=3_600, description="The longest silence, in seconds.")]


@get("/replay", media_type="text/event-stream", summary="Replay a session")
async def replay(
    app: TheApp,
    actor: Caller,
    still: Still,
    closing: Closes,
    session_id: SessionId,
    speed: Speed = 1.0,
    max_gap: MaxGap = 2.0,
    after: After = 0,
    last_event_id: LastEventId = None,
) -> Stream:
    """The same messages as the stream's, but for `partial`, at the times of the log; `end` comes behind its last event.

    What a call printed comes before its end. Connect again with `Last-Event-ID` to go on from there.
    """
    await sessions.show(app, actor, session_id)
    start = after if last_event_id is None else last_event_id
    return stream(
        _chunks(app, actor, session_id, start, Pace(speed, max_gap)),
        closing,
        check=partial(watches, app, still, session_id),
    )


async def _chunks(app: App, actor: Actor, session_id: int, after: int, pace: Pace) -> AsyncIterator[bytes]:
    async for signals in replays.replay(app, actor, session_id, after=after, pace=pace):
        yield chunk(signal_message(signal) for signal in signals)


ROUTES = Router("/sessions/{session_id:int}", route_handlers=[replay], tags=["log"])
