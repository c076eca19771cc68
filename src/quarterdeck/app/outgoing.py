"""What goes out of the server, to webhooks and to people: each due one is sent by one worker, beside all others.

It is no job of the queue, because a receiver that is slow would hold a place there that a turn needs. Its row says
when it is due, or until when a worker has it; a worker sleeps until the first of these times, or until the bell.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime
from functools import partial

import structlog

from quarterdeck.app import notice_sending, webhook_sending
from quarterdeck.app.application import App
from quarterdeck.core.errors import UnavailableError
from quarterdeck.store import clock
from quarterdeck.store.doorbell import PATIENCE_SECONDS, Listener

BELL = "outgoing"
"""Rings when something is due."""
SLOTS = 32
"""How much is on its way from one process at a time."""
SOONEST_SECONDS = 0.05
_log = structlog.get_logger(__name__)


async def follow(app: App) -> None:
    """Sends what is due for as long as the process lives; never returns."""
    with app.doorbell.listener(BELL) as listener:
        sender = Sender(app, listener)
        try:
            while True:
                seconds = PATIENCE_SECONDS
                try:
                    seconds = await sender.look()
                except UnavailableError as error:
                    _log.warning("what goes out could not be looked at", reason=error.message)
                except Exception:
                    _log.exception("sending failed; it is tried again")
                await listener.wait(seconds)
        finally:
            await sender.close()


class Sender:
    """One process's part of it."""

    def __init__(self, app: App, listener: Listener | None = None) -> None:
        self._app, self._listener = app, listener
        self._tasks: set[asyncio.Task[None]] = set()
        self._to = Counter[int]()
        """How many are on their way to each webhook."""

    async def look(self) -> float:
        """Begins to send what is due, and answers in how many seconds something else is."""
        free = SLOTS - len(self._tasks)
        async with self._app.database.transaction() as connection:
            full = [number for number, count in self._to.items() if count >= webhook_sending.AT_ONCE]
            deliveries = await webhook_sending.take(connection, free, full=full) if free > 0 else []
            notices = await notice_sending.take(connection, free - len(deliveries)) if free > len(deliveries) else []
            times = [await webhook_sending.next_due(connection), await notice_sending.next_due(connection)]
        for one in deliveries:
            self._to[one.webhook_id] += 1
            self._begin(webhook_sending.send(self._app, one), partial(self._left, one.webhook_id))
        for notice in notices:
            self._begin(notice_sending.send(self._app, notice), lambda: None)
        return _seconds(times)

    async def settle(self) -> None:
        """Sends until nothing is due or on its way."""
        while True:
            await self.look()
            if not self._tasks:
                return
            await asyncio.wait(tuple(self._tasks))

    async def close(self) -> None:
        """What is on its way is left to whoever finds that it was not told of."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def _begin(self, work: Coroutine[None, None, None], over: Callable[[], None]) -> None:
        task = asyncio.create_task(_noted(work))
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            over()
            if self._listener is not None:  # there is room again, and what was behind it may go
                self._listener.notice(BELL, 0)

        task.add_done_callback(ended)

    def _left(self, webhook_id: int) -> None:
        self._to[webhook_id] -= 1
        if not self._to[webhook_id]:
            del self._to[webhook_id]


async def _noted(work: Coroutine[None, None, None]) -> None:
    """What fails in a way that nobody thought of is sent again when its time is over."""
    with suppress(asyncio.CancelledError):
        try:
            await work
        except UnavailableError as error:
            _log.warning("what came of a message could not be noted", reason=error.message)
        except Exception:
            _log.exception("sending failed; it is sent again")


def _seconds(times: list[datetime | None]) -> float:
    soonest = min((at for at in times if at is not None), default=None)
    if soonest is None:
        return PATIENCE_SECONDS
    return min(max((soonest - clock.now()).total_seconds(), SOONEST_SECONDS), PATIENCE_SECONDS)
