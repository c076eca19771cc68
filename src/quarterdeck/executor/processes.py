"""Commands of subjects, each within its walls: started, drained, timed, and killed with proof.

A subject is what a lease is on: `session:12` or `job:7`. How a command is held depends on the walls: with bubblewrap
the first process of its pid namespace is the handle, and the kernel kills the rest with it; otherwise it has a
supervisor of ours. Either way a kill -9 of the runner is the end of all its commands.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from quarterdeck.core.errors import QuarterdeckError, SessionEndedError
from quarterdeck.core.events import Outcome
from quarterdeck.core.session_limits import LimitName, Limits, ProjectLimits, Reached, Used
from quarterdeck.executor.cgroup import SessionGroup
from quarterdeck.executor.command import Command, Killed, SandboxBrokenError
from quarterdeck.executor.confines import within
from quarterdeck.executor.disk import Disk
from quarterdeck.executor.namespaced import NamespacedCommand
from quarterdeck.executor.network import Network
from quarterdeck.executor.output import Output, Sink
from quarterdeck.executor.sandbox import Sandbox
from quarterdeck.executor.supervised import SupervisedCommand
from quarterdeck.executor.watch import LimitReachedError, Usage, Watch

__all__ = ["Ended", "Killed", "LimitReachedError", "Processes", "Sink"]

_DRAIN_SECONDS = 5


@dataclass(frozen=True)
class Ended:
    """A command that ended: `ok` (exit code 0), `error`, `timed_out`, or `cancelled` (killed with its subject)."""

    outcome: Outcome
    exit_code: int | None
    """128 + n after signal n, as shells say it; None when we killed it."""
    text: str
    """Output and errors, in order; of long output the head and the tail."""
    output_bytes: int
    """All that it printed, kept or not."""
    truncated: bool
    duration_ms: int
    reached: Reached | None = None
    """The limit of its session that ended it."""

    @property
    def limit(self) -> str:
        """That limit in words for whoever waits for it; empty when none did."""
        return str(self.reached or "")


@dataclass
class _Subject:
    limits: Limits
    usage: Usage
    commands: set[Command] = field(default_factory=set[Command])
    closed: bool = False
    disk: Disk | None = None
    group: SessionGroup | None = None


class Processes:
    """All commands of one runner. Use it from one event loop, in a thread that lives as long as the runner."""

    def __init__(
        self, sandbox: Sandbox, limits: Limits | None = None, used: Callable[[str], Used] | None = None
    ) -> None:
        """`used` says what was told of a subject before, when it is first heard of."""
        SessionGroup.sweep()
        self.sandbox = sandbox
        self.limits = within(limits or Limits())
        self._used = used
        self._subjects: dict[str, _Subject] = {}

    async def run(
        self,
        subject: str,
        argv: list[str],
        *,
        root: Path,
        timeout: float,
        env: dict[str, str] | None = None,
        readable: tuple[Path, ...] = (),
        sink: Sink | None = None,
        network: Network | None = None,
    ) -> Ended:
        """Run `argv` in the workspace `root` until it ends, or for `timeout` seconds.

        A program that isn't there is exit code 127, as in a shell. Cancelling kills the command and all it started.

        Raises:
            SessionEndedError: the subject was killed and not admitted again.
            LimitReachedError: the subject has used up its time or its output.
            SandboxBrokenError: the walls could not be put up.
        """
        began = time.monotonic()
        held = self._admitted(subject)
        shorter = _shorter(timeout, held.usage)
        output = Output(sink)
        watch = self._begin(held, argv, output, root=root, env=env or {}, readable=readable, network=network)
        watching = asyncio.create_task(watch.keep())
        try:
            timed_out = await _follow(watch.command, output, shorter[1] if shorter else timeout)
            watch.judge()
        except BaseException:
            output.mute()
            raise
        finally:
            # A task of its own, because a second cancellation must not leave a process behind.
            await asyncio.shield(asyncio.create_task(self._end(watch.command, held, output, watching)))
        reached = watch.reached or (shorter[0] if shorter and timed_out else None)
        if timed_out is None and not reached:
            raise SandboxBrokenError(f"{SandboxBrokenError()} {output.text.strip()[:500]}")
        await output.finish()
        exit_code = None if timed_out or reached else watch.command.exit_code
        return Ended(
            _outcome(exit_code, timed_out=bool(timed_out), limited=reached is not None),
            exit_code,
            output.text,
            output.total,
            output.truncated,
            round((time.monotonic() - began) * 1000),
            held.limits.reached(reached, of=self.limits) if reached else None,
        )

    @asynccontextmanager
    async def conversing(
        self,
        subject: str,
        argv: list[str],
        *,
        root: Path,
        env: dict[str, str],
        sink: Sink,
        network: Network | None = None,
    ) -> AsyncGenerator[Command]:
        """A command that is spoken with for as long as the block lasts; `sink` gets its errors.

        Raises:
            SessionEndedError, LimitReachedError, SandboxBrokenError: as `run` does; also a limit that ends it.
        """
        held = self._admitted(subject)
        errors = Output(sink)
        watch = self._begin(held, argv, errors, root=root, env=env, readable=(), talks=True, network=network)
        command = watch.command
        watching = asyncio.create_task(watch.keep())
        draining: asyncio.Task[None] | None = None
        try:
            await command.start()
            draining = asyncio.create_task(errors.drain(command.errors))
            yield command
        except QuarterdeckError as error:
            watch.judge()
            if watch.reached:
                raise LimitReachedError(held.limits.reached(watch.reached, of=self.limits)) from error
            raise
        finally:
            await asyncio.shield(asyncio.create_task(self._end(command, held, Output(None), watching)))
            if draining is not None:
                await asyncio.wait({draining}, timeout=_DRAIN_SECONDS)
                draining.cancel()
                await errors.finish()

    async def kill_tree(self, subject: str) -> Killed:
        """Kill all commands of the subject at once, without grace, and say what was seen dead.

        The subject starts no command from then on, until `admit`: call this first, then cancel its tasks.
        """
        began = time.monotonic()
        held = self._subject(subject)
        held.closed = True
        proofs = await asyncio.gather(*(command.kill() for command in tuple(held.commands)))
        return Killed(
            killed=sum(proof.killed for proof in proofs),
            left=sum(proof.left for proof in proofs),
            duration_ms=round((time.monotonic() - began) * 1000, 1),
            method=" + ".join(sorted({proof.method for proof in proofs})) or "nothing ran",
        )

    def admit(self, subject: str, asked: ProjectLimits | None = None, used: Used | None = None) -> None:
        """The subject may start commands, also after it was killed: a call of it came.

        With it comes what its project asks for as limits of those that start from now on, and what the server has
        counted.
        """
        held = self._subject(subject)
        held.closed = False
        held.limits = held.usage.limits = self.limits.within(asked)
        held.usage.count(used or Used())

    def used(self, subject: str) -> Used:
        """What its commands that have ended took since this was asked last."""
        return self._subject(subject).usage.tell()

    def forget(self, subject: str) -> None:
        """Drop what is known of a subject that runs nothing and is gone for good."""
        held = self._subjects.get(subject)
        if held and not held.commands:
            del self._subjects[subject]

    def _subject(self, name: str) -> _Subject:
        if name not in self._subjects:
            told = self._used(name) if self._used else Used()
            self._subjects[name] = _Subject(self.limits, Usage(self.limits, told.ms / 1000, told.output, told))
        return self._subjects[name]

    def _admitted(self, subject: str) -> _Subject:
        held = self._subject(subject)
        if held.closed:
            raise SessionEndedError(f"{subject} was stopped here; no command is started for it.")
        if reached := held.usage.reached():
            raise LimitReachedError(held.limits.reached(reached, of=self.limits))
        return held

    def _begin(
        self,
        held: _Subject,
        argv: list[str],
        output: Output,
        *,
        root: Path,
        env: dict[str, str],
        readable: tuple[Path, ...],
        talks: bool = False,
        network: Network | None = None,
    ) -> Watch:
        """A command that is not started yet, counted as one of its session's."""
        held.group = held.group or SessionGroup.made(held.limits)
        if held.disk is None or (held.disk.root, held.disk.limits) != (root, held.limits):
            held.disk = Disk(root, held.limits)
        kind = NamespacedCommand if self.sandbox.has_pid_namespace else SupervisedCommand
        command = kind(
            self.sandbox, argv, root=root, env=env, readable=readable, limits=held.limits, group=held.group,
            talks=talks, network=network,
        )  # fmt: skip
        held.commands.add(command)
        held.usage.begin(command, output)
        return Watch(command, held.limits, held.usage, held.disk, held.group, lambda: list(held.commands))

    async def _end(self, command: Command, held: _Subject, output: Output, watching: asyncio.Task[None]) -> None:
        watching.cancel()
        try:
            await command.kill()
            # What is still in the pipe; its end comes at once when all its writers are dead.
            async with asyncio.timeout(_DRAIN_SECONDS):
                await output.drain(command.output)
                await command.reap()
        except TimeoutError:
            return
        finally:
            held.commands.discard(command)
            held.usage.end(command)
            if held.group and not held.commands:
                group, held.group = held.group, None
                await group.remove()
            await asyncio.wait({watching})  # what it had started to measure with is dead by then


async def _follow(command: Command, output: Output, timeout: float) -> bool | None:
    """Until it has ended, or its time is up: whether that was so; None when its walls could not be put up."""
    time_left = asyncio.timeout(timeout)
    try:
        async with time_left:
            await command.start()
            await _both(output.drain(command.output), command.wait())
    except TimeoutError:
        if not time_left.expired():
            raise
        return True
    except SandboxBrokenError:
        output.mute()
        return None
    if command.cancelled:
        command.exit_code = None
    return False


async def _both(first: Coroutine[None, None, None], second: Coroutine[None, None, None]) -> None:
    """Until both are done or one fails, then neither goes on."""
    tasks = [asyncio.create_task(first), asyncio.create_task(second)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        faults = await asyncio.gather(*tasks, return_exceptions=True)
    for fault in faults:
        if isinstance(fault, Exception):
            raise fault


def _shorter(timeout: float, usage: Usage) -> tuple[LimitName, float] | None:
    """The limit that leaves a command less time than its timeout, and how much."""
    left: dict[LimitName, float] = {"call": usage.limits.call, "session": usage.seconds_left()}
    name = min(left, key=lambda one: left[one])
    return (name, left[name]) if left[name] < timeout else None


def _outcome(exit_code: int | None, *, timed_out: bool, limited: bool) -> Outcome:
    if timed_out:
        return Outcome.TIMED_OUT
    if limited:
        return Outcome.ERROR
    match exit_code:
        case 0:
            return Outcome.OK
        case None:
            return Outcome.CANCELLED
        case _:
            return Outcome.ERROR
