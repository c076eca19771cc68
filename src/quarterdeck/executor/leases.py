"""The leases of a runner, kept alive by heartbeats; without a server they end by themselves."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from time import monotonic

import structlog

from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.protocol import Heartbeat, Held
from quarterdeck.executor.client import Client, Pauses
from quarterdeck.executor.processes import Processes
from quarterdeck.executor.subjects import Subject

_log = structlog.get_logger(__name__)


class Leases:
    """Renews what the subjects hold, every `heartbeat_seconds`; after `drop_seconds` without an answer kills it all."""

    def __init__(
        self,
        client: Client,
        processes: Processes,
        subjects: Mapping[str, Subject],
        lose: Callable[[Subject], Awaitable[None]],
        *,
        heartbeat_seconds: float,
        drop_seconds: float,
    ) -> None:
        self._client = client
        self._processes = processes
        self._subjects = subjects
        self._lose = lose
        self._heartbeat_seconds = heartbeat_seconds
        self._drop_seconds = drop_seconds
        self._now = asyncio.Event()
        self.runner = 0
        """The id that the server gave; nothing is renewed before."""

    def renew_now(self) -> None:
        """Don't wait for the next heartbeat's time."""
        self._now.set()

    async def keep(self) -> None:
        """Renew until cancelled."""
        pauses = Pauses()
        renewed = monotonic()
        while True:
            try:
                if self.runner:
                    await self._renew()
                    renewed = monotonic()
                    pauses.reset()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._heartbeat_seconds):
                        await self._now.wait()
                self._now.clear()
            except QuarterdeckError as error:
                _log.info("heartbeat failed", fault=error.message)
                if monotonic() - renewed > self._drop_seconds:
                    await self._drop()
                await pauses.wait()

    async def _renew(self) -> None:
        leases = tuple(
            Held(subject=subject.name, lease_epoch=subject.epoch)
            for subject in self._subjects.values()
            if subject.epoch is not None
        )
        answer = await self._client.heartbeat(Heartbeat(runner=self.runner, held=leases))
        held = {lease.subject: lease.lease_epoch for lease in leases}
        for name in answer.lost:
            subject = self._subjects.get(name)
            # An offer of a newer lease may have come while the answer was on its way.
            if subject and subject.epoch is not None and subject.epoch == held.get(name):
                await self._lose(subject)

    async def _drop(self) -> None:
        """Our leases have ended, as far as we can know: nothing may run on that the server gives to another."""
        reason = (
            f"The executor could not reach the server for {self._drop_seconds:.0f} seconds and killed this call. "
            "Files may be changed only in part. Look at the state of the workspace before you do it again."
        )
        for subject in tuple(self._subjects.values()):
            async with subject.lock:
                if subject.epoch is not None:
                    subject.epoch = None
                    await subject.interrupt(self._processes, reason)
