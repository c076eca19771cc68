"""A running command and the limits of its session: looked at a few times a second, killed when one is reached."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.session_limits import LimitName, Limits, Reached, Used
from quarterdeck.executor import procfs
from quarterdeck.executor.cgroup import SessionGroup
from quarterdeck.executor.command import Command
from quarterdeck.executor.disk import Disk
from quarterdeck.executor.output import Output

LOOK_SECONDS = 0.2


class LimitReachedError(QuarterdeckError):
    """A session has used what it may of a runner."""

    code = "limit_reached"

    def __init__(self, reached: Reached) -> None:
        super().__init__(str(reached))
        self.reached = reached


@dataclass
class Usage:
    """What a session's commands have used on this runner, and what they are using now."""

    limits: Limits
    seconds: float = 0
    """Of all commands that have ended."""
    output: int = 0
    """What was kept of theirs."""
    told: Used = field(default_factory=Used)
    """What of this the server counts, or will when it has heard of all results."""
    running: dict[Command, tuple[float, Output]] = field(default_factory=dict[Command, tuple[float, Output]])
    """When each began, and what it prints."""

    def begin(self, command: Command, output: Output) -> None:
        """A command begins."""
        self.running[command] = monotonic(), output

    def end(self, command: Command) -> None:
        """A command has ended."""
        began, output = self.running.pop(command)
        self.seconds += monotonic() - began
        self.output += output.kept

    def count(self, used: Used) -> None:
        """The server has counted so much: more than we told it where others worked on the session, too."""
        more = Used(ms=max(0, used.ms - self.told.ms), output=max(0, used.output - self.told.output))
        self.told += more
        self.seconds += more.ms / 1000
        self.output += more.output

    def tell(self) -> Used:
        """What commands that have ended took, as far as it was not told; it is from now on."""
        whole = Used(ms=max(self.told.ms, round(self.seconds * 1000)), output=self.output)
        fresh = Used(ms=whole.ms - self.told.ms, output=whole.output - self.told.output)
        self.told = whole
        return fresh

    def reached(self) -> LimitName | None:
        """The limit that all commands together have used up."""
        if self.output + sum(output.kept for _, output in self.running.values()) >= self.limits.output:
            return "output"
        return "session" if self.seconds_left() <= 0 else None

    def seconds_left(self) -> float:
        """How long commands may run still."""
        return self.limits.session - self.seconds - sum(monotonic() - began for began, _ in self.running.values())


@dataclass
class Watch:
    """One command and everything that it is measured by."""

    command: Command
    limits: Limits
    usage: Usage
    disk: Disk
    group: SessionGroup | None
    commands: Callable[[], list[Command]]
    """All of the session that run now."""
    reached: LimitName | None = None

    async def keep(self) -> None:
        """Kill the command, with all that it started, as soon as its session has reached a limit."""
        while not self.reached:
            await asyncio.sleep(LOOK_SECONDS)
            self.reached = await self._looked()
        # A task of its own: who waits for the command's end is told of it before the kill is through.
        await asyncio.shield(asyncio.create_task(self.command.kill()))

    def judge(self) -> None:
        """Look for the last time, at what the kernel says of a command that has ended and whose groups are there."""
        if not self.reached and self.command.cgroup:
            self.reached = self.command.cgroup.reached()

    async def _looked(self) -> LimitName | None:
        if (cgroup := self.command.cgroup) and (reached := cgroup.reached()):
            return reached
        if reached := self.usage.reached():
            return reached
        bounded = self.group.bounded if self.group else frozenset[LimitName]()
        if not {"memory", "processes"} <= bounded:
            tops = [one.process.pid for one in self.commands() if one.process]
            if reached := await asyncio.to_thread(_counted, tops, self.limits, bounded):
                return reached
        return await self.disk.reached(self.command.process.pid) if self.command.process else None


def enforced(limits: Limits) -> str:
    """How this machine holds sessions to their limits of memory and processes, found by trying, for `doctor`."""
    group = SessionGroup.made(limits)
    bounded: frozenset[LimitName] = group.bounded if group else frozenset()
    if group:
        group.discard()
    by_kernel = [name for name in ("memory", "processes") if name in bounded]
    by_us = [name for name in ("memory", "processes") if name not in bounded]
    return ", ".join(
        f"{' and '.join(names)} limited by {means}"
        for names, means in ((by_kernel, "cgroups"), (by_us, f"a look every {LOOK_SECONDS} s and rlimits"))
        if names
    )


def _counted(tops: list[int], limits: Limits, bounded: frozenset[LimitName]) -> LimitName | None:
    """The limit that the processes below some are over, by our own count of what the kernel doesn't hold them to."""
    processes = [process for top in tops for process in procfs.offspring(top)]
    if "processes" not in bounded and sum(procfs.threads(process) for process in processes) >= limits.processes:
        return "processes"
    if "memory" in bounded or sum(procfs.resident(process) for process in processes) <= limits.memory:
        return None
    # What processes share was counted for each of them; the kernel divides it, which takes it longer.
    return "memory" if sum(procfs.proportional(process) for process in processes) > limits.memory else None
