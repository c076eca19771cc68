"""The signals of a session, through restarts of the server and of its database."""

import asyncio
import json
from collections.abc import AsyncIterator

from httpx_sse import ServerSentEvent

from quarterdeck.doors.cli.absence import Absence
from quarterdeck.doors.cli.client import Client, refusal
from quarterdeck.doors.cli.failure import Failure

CALM_SECONDS = 5.0
"""A stream that lived this long says that the server was there."""


async def signals(client: Client, session_id: int, after: int = 0) -> AsyncIterator[ServerSentEvent]:
    """All signals of a session behind `after`, connecting again with back-off until the stream says `end`.

    Raises:
        Failure: the server refuses, or stays away for as long as `Absence` has patience.
    """
    absence, now = Absence(), asyncio.get_running_loop().time
    while True:
        opened = now()
        try:
            async with client.stream(f"/sessions/{session_id}/stream", last_event_id=after) as stream:
                async for signal in stream:
                    if signal.event == "end":
                        return
                    if signal.event == "closing":
                        break
                    if signal.event == "error":
                        raise _failure(signal)
                    if signal.event == "message" and not signal.data:  # a comment that keeps the line alive
                        continue
                    if signal.id:
                        after = int(signal.id)
                        absence.over()
                    yield signal
        except Failure as failure:
            if now() - opened > CALM_SECONDS:
                absence.over()
            absence.judge(failure)
        await absence.wait()


def _failure(signal: ServerSentEvent) -> Failure:
    """The problem that a stream ended with."""
    problem = json.loads(signal.data)
    return refusal(int(problem.get("status", 500)), str(problem.get("detail", "The stream failed.")))
