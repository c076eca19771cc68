"""What a runner holds of one subject: its lease, its workspace, and the calls that are being carried out."""

import asyncio
from dataclasses import dataclass, field

from quarterdeck.core.protocol import Teardown
from quarterdeck.executor.calls import Call
from quarterdeck.executor.processes import Killed, Processes
from quarterdeck.executor.workspace import Workspace


@dataclass
class Subject:
    """One subject on this runner."""

    name: str
    workspace: Workspace
    epoch: int | None = None
    """The lease that this runner believes to have."""
    teardown: Teardown | None = None
    """The last proof, as long as nothing was started after it."""
    calls: dict[Call, asyncio.Task[None]] = field(default_factory=dict[Call, "asyncio.Task[None]"])
    working: int = 0
    """How many of the calls have a place to work."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Taking in a call and ending all calls exclude each other."""

    @property
    def is_job(self) -> bool:
        """Whether it is a pipeline job, whose files go with its one call; the journal keeps no job's definition."""
        return self.name.startswith("job:")

    def under_way(self, call_id: str) -> Call | None:
        """The call, if it is being carried out here."""
        return next((call for call in self.calls if call.offer.call_id == call_id), None)

    async def abandon(self, processes: Processes) -> tuple[Killed, list[Call]]:
        """Kill all processes and let go of all calls; the proof, and the calls that nobody will report now."""
        calls = dict(self.calls)
        for call in calls:
            call.abandon()
        killed = await processes.kill_tree(self.name)
        await _cancelled(list(calls.values()))
        processes.used(self.name)  # whoever ended the lease has counted it
        return killed, list(calls)

    async def interrupt(self, processes: Processes, reason: str) -> None:
        """Kill all processes; calls that began are reported as interrupted, those that didn't are let go of."""
        waiting: list[asyncio.Task[None]] = []
        for call, task in self.calls.items():
            if call.begun:
                call.interrupt(reason)
            else:
                call.abandon()
                waiting.append(task)
        await processes.kill_tree(self.name)
        await _cancelled(waiting)


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
