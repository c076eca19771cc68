"""NOTIFY as a doorbell: it says where something is new, never what. One listening connection per process.

A bell's text is `topic cursor`, for example `session:12 45`, `output:c_… 4096`, `runner:3 0`, `pipeline:5 0`.
A lost bell costs a moment: everybody who waits also looks again after `PATIENCE_SECONDS`.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager, suppress

import psycopg
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

CHANNEL = "quarterdeck"
PATIENCE_SECONDS = 15.0
LAST = 2**63 - 1
"""The cursor of a deletion: behind all others, so that no other bell hides it."""

_log = structlog.get_logger(__name__)


async def ring(connection: AsyncConnection, topic: str, cursor: int = 0) -> None:
    """Rings `topic` when the transaction commits."""
    await connection.execute(
        text("select pg_notify(:channel, :bell)"),
        {"channel": CHANNEL, "bell": f"{topic} {cursor}"},
    )


class Listener:
    """One who waits for some topics; rings that come while nobody waits are kept as one."""

    def __init__(self) -> None:
        self._rung: dict[str, int] = {}
        self._event = asyncio.Event()

    def notice(self, topic: str, cursor: int) -> None:
        """Called by the doorbell."""
        self._rung[topic] = max(cursor, self._rung.get(topic, 0))
        self._event.set()

    async def wait(self, seconds: float = PATIENCE_SECONDS) -> dict[str, int]:
        """The topics that rang since the last call with their largest cursors; empty after `seconds` of silence."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        self._event.clear()
        rung, self._rung = self._rung, {}
        return rung


class Doorbell:
    """Hears all bells of the database on one connection and passes them to this process's listeners."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._listeners: dict[str, set[Listener]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to listen, and goes on through lost connections."""
        self._task = asyncio.create_task(self._listen(), name="doorbell")

    async def stop(self) -> None:
        """Ends the listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    @contextmanager
    def listener(self, *topics: str) -> Generator[Listener]:
        """A listener for `topics`; `session:*` hears the bells of every session."""
        listener = Listener()
        for topic in topics:
            self._listeners.setdefault(topic, set()).add(listener)
        try:
            yield listener
        finally:
            for topic in topics:
                rest = self._listeners[topic]
                rest.discard(listener)
                if not rest:
                    del self._listeners[topic]

    async def _listen(self) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, application_name="quarterdeck doorbell"
                ) as connection:
                    await connection.execute(f"listen {CHANNEL}")
                    self._everybody()
                    async for notice in connection.notifies():
                        self._pass_on(notice.payload)
            except psycopg.Error as error:
                _log.warning("doorbell lost its connection", reason=str(error).strip())
                await asyncio.sleep(0.25)

    def _pass_on(self, bell: str) -> None:
        topic, _, cursor = bell.rpartition(" ")
        kind = topic.partition(":")[0]
        for name in (topic, f"{kind}:*"):
            for listener in tuple(self._listeners.get(name, ())):
                listener.notice(topic, int(cursor))

    def _everybody(self) -> None:
        """After a new connection bells may have been missed: everybody looks."""
        for topic, listeners in self._listeners.items():
            for listener in tuple(listeners):
                listener.notice(topic, 0)
