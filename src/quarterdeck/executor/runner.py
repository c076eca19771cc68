"""The runner daemon: takes what its server offers, carries it out, and can be cut off or killed at any moment."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import assert_never

import structlog

from quarterdeck import __version__
from quarterdeck.core.errors import QuarterdeckError, VersionMismatchError
from quarterdeck.core.events import Outcome
from quarterdeck.core.protocol import (
    DROP_SECONDS,
    HEARTBEAT_SECONDS,
    PROTOCOL_VERSION,
    VERSIONS_APART,
    Cancel,
    Drained,
    Hello,
    Offer,
    Result,
    Teardown,
    Welcome,
    Wipe,
    fits,
)
from quarterdeck.core.session_limits import Limits
from quarterdeck.executor.caches import trim
from quarterdeck.executor.calls import Call, Equipment
from quarterdeck.executor.client import ClashError, Client, Message, Pauses, SubjectLostError, UnreadableOffer, guard
from quarterdeck.executor.deletion import delete_tree
from quarterdeck.executor.home import Home
from quarterdeck.executor.journal import Journal
from quarterdeck.executor.leases import Leases
from quarterdeck.executor.probe import probe
from quarterdeck.executor.processes import Processes
from quarterdeck.executor.procfs import confined
from quarterdeck.executor.subjects import Subject
from quarterdeck.executor.watch import enforced
from quarterdeck.executor.workspace import Workspace

_log = structlog.get_logger(__name__)

SHUTDOWN_SECONDS = 5
CALLS_AT_ONCE = 8
"""Of one subject; more than that only wait for the same processors."""
FORGET_SECONDS = 1
"""How long the words of a wiped subject stay in the journal, and files of a lost one until they are asked for."""
_STEADY_SECONDS = 5
"""A stream that lived this long was no failure; the next pause is short again."""


@dataclass(frozen=True)
class RunnerSettings:
    """What a runner is started with."""

    url: str
    token: str
    name: str
    home: Path
    capacity: int = 2
    """How many subjects are worked on at the same time."""
    tags: tuple[str, ...] = ()
    allow_unsandboxed: bool = False
    allow_reduced: bool = False
    allow_plain_http: bool = False
    extra_ro_paths: tuple[Path, ...] = ()
    limits: Limits = field(default_factory=Limits)
    """Of each session and each job."""
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    drop_seconds: float = DROP_SECONDS
    """After so long without an answer the runner takes its leases for lost."""


async def run(settings: RunnerSettings) -> None:
    """Work for the server until SIGTERM or SIGINT, until it was drained, or until this is cancelled.

    Then nothing of it is left running.

    Raises:
        InvalidInputError: the token would be sent where others can read it.
        SandboxUnavailableError: this machine gives no walls, and nobody allowed to do without.
        VersionMismatchError: server and runner don't fit.
        UnauthenticatedError: the server doesn't know the token.
        ConflictError: another runner works in the same home.
        ClashError: another runner that lives has the same name.
    """
    guard(settings.url, allowed=settings.allow_plain_http)
    sandbox = await probe(
        allow_reduced=settings.allow_reduced,
        allow_unsandboxed=settings.allow_unsandboxed,
        extra_ro_paths=settings.extra_ro_paths,
    )
    home = Home(settings.home)
    with home.locked():
        client = Client(settings.url, settings.token, settings.drop_seconds)
        journal = Journal(home.journal)
        runner = Runner(settings, Equipment(client, journal, Processes(sandbox, settings.limits, journal.used), home))
        try:
            await runner.work()
        finally:
            await runner.shut_down()
            journal.close()
            await client.close()


class Runner:
    """One runner at work."""

    def __init__(self, settings: RunnerSettings, equipment: Equipment) -> None:
        self._settings = settings
        self._equipment = equipment
        self._home = equipment.home
        self._client = equipment.client
        self._journal = equipment.journal
        self._processes = equipment.processes
        self._subjects: dict[str, Subject] = {}
        self._room = asyncio.Condition()
        self._background: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._closing = False
        self._forgetting = self._asking = False
        self._leases = Leases(
            self._client,
            self._processes,
            self._subjects,
            self._lose,
            heartbeat_seconds=settings.heartbeat_seconds,
            drop_seconds=settings.drop_seconds,
        )

    async def work(self) -> None:
        """Take offers until SIGTERM or SIGINT, or until the server says that nothing is left."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        tasks = [asyncio.create_task(part) for part in (self._listen(), self._leases.keep(), _until(self._stop))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def shut_down(self) -> None:
        """Kill all processes, and tell the server of the calls that this ended, as far as 5 seconds allow."""
        reason = (
            "The executor was shut down while this call ran, and killed it. Files may be changed only in part. Look at "
            "the state of the workspace before you do it again."
        )
        self._closing = True
        await asyncio.gather(*(subject.interrupt(self._processes, reason) for subject in self._subjects.values()))
        tasks = [task for subject in self._subjects.values() for task in subject.calls.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=SHUTDOWN_SECONDS)
        left = [task for task in (*tasks, *self._background) if not task.done()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)

    async def _listen(self) -> None:
        """Introduce ourselves and take what the stream brings, again and again."""
        await self._tidy()
        pauses = Pauses()
        while True:
            welcome = await self._introduced()
            if not fits(welcome.protocol):
                raise VersionMismatchError(
                    f"The server speaks protocol {welcome.protocol}, this runner ({__version__}) {PROTOCOL_VERSION}; "
                    f"they may be {VERSIONS_APART} apart. Upgrade the older one."
                )
            self._leases.runner = welcome.runner
            for subject in welcome.wipe:
                await self._wipe(subject)
            for record in self._journal.untold():
                await self._take(record.offer)
            opened = monotonic()
            try:
                async for message in self._client.stream(welcome.runner):
                    await self._take(message)
            except QuarterdeckError as error:
                _log.info("stream ended", fault=error.message)
            if monotonic() - opened > _STEADY_SECONDS:
                pauses.reset()
            await pauses.wait()

    async def _introduced(self) -> Welcome:
        """Say hello; a name that is taken may be that of a runner that died, so it is asked for until that must show.

        Raises:
            ClashError: another runner that lives has our name.
        """
        pauses = Pauses()
        refused: float | None = None
        while True:
            last = refused is not None and monotonic() - refused > self._settings.drop_seconds
            try:
                return await self._client.hello(self._hello())
            except ClashError as error:
                if last:
                    raise
                _log.warning("name taken", name=self._settings.name, fault=error.message)
            refused = refused or monotonic()
            await pauses.wait()

    def _hello(self) -> Hello:
        sandbox, limits = self._processes.sandbox, self._processes.limits
        return Hello(
            protocol=PROTOCOL_VERSION,
            version=__version__,
            name=self._settings.name,
            instance=self._home.instance(),
            capacity=self._settings.capacity,
            tags=self._settings.tags,
            isolation=sandbox.isolation,
            capabilities={"sandbox": f"{sandbox.reason}; {enforced(limits)}", "limits": limits.words()},
            subjects=tuple(sorted({*self._home.subjects(), *self._journal.subjects()})),
        )

    async def _take(self, message: Message | None) -> None:
        try:
            match message:
                case Offer():
                    await self._offered(message)
                case UnreadableOffer():
                    self._aside(self._refuse(message))
                case Cancel():
                    await self._cancel(message)
                case Wipe():
                    self._aside(self._wipe(message.subject))
                case Drained():
                    _log.info("runner is drained")
                    self._stop.set()
                case None:
                    self._leases.renew_now()
                case _:
                    assert_never(message)
        except Exception:
            # Whatever is wrong with one, the next must be heard.
            _log.exception("message from the server not taken")

    async def _offered(self, offer: Offer) -> None:
        """Begin a call, unless it is under way; a newer lease ends what ran under an older one."""
        subject = self._subject(offer.subject)
        async with subject.lock:
            self._subjects[subject.name] = subject  # it may have been wiped while this waited
            if subject.epoch is not None and offer.lease_epoch < subject.epoch:
                _log.info("offer of an older lease", call_id=offer.call_id, subject=offer.subject)
                return
            if any(call.offer.lease_epoch != offer.lease_epoch for call in subject.calls):
                await subject.abandon(self._processes)
            # A lease that we gave up without the server's word is ours again, with the calls that it interrupted.
            subject.epoch = offer.lease_epoch
            if known := subject.under_way(offer.call_id):
                known.renew(offer)
                return
            subject.teardown = None
            self._processes.admit(subject.name, offer.limits, offer.used)
            call = Call(offer, self._equipment, subject.workspace)
            subject.calls[call] = asyncio.create_task(self._carry_out(subject, call))

    async def _refuse(self, offer: UnreadableOffer) -> None:
        """Answer an offer that can't be read, so that nobody waits for it; one that could be read before goes on."""
        if self._subject(offer.subject).under_way(offer.call_id) or self._journal.record(offer.call_id):
            return
        text = "This runner can't read the call. Update it if it is older than its server."
        result = Result(turn_no=offer.turn_no, lease_epoch=offer.lease_epoch, outcome=Outcome.ERROR, text=text)
        try:
            await self._client.result(offer.call_id, result)
        except QuarterdeckError as error:
            _log.info("refusal not wanted", call_id=offer.call_id, fault=error.message)

    async def _carry_out(self, subject: Subject, call: Call) -> None:
        try:
            async with self._place(subject):
                await call.carry_out()
        except* SubjectLostError as lost:
            _log.info("subject lost", subject=subject.name, fault=str(lost.exceptions[0]))
            self._aside(self._lose(subject))
        except* Exception as faults:
            _log.error("call not reported", call_id=call.offer.call_id, exc_info=faults)
        finally:
            call.close()
            subject.calls.pop(call, None)
            if subject.is_job and not self._closing:
                self._aside(self._clear(subject))

    @asynccontextmanager
    async def _place(self, subject: Subject) -> AsyncGenerator[None]:
        """One of the places to work: as many subjects as the capacity, and not too many calls of one."""

        def free() -> bool:
            others = sum(other.working > 0 for other in self._subjects.values() if other is not subject)
            return others < self._settings.capacity and subject.working < CALLS_AT_ONCE

        async with self._room:
            await self._room.wait_for(free)
            subject.working += 1
        try:
            yield
        finally:
            subject.working -= 1
            self._aside(self._tell_of_room())

    async def _tell_of_room(self) -> None:
        async with self._room:
            self._room.notify_all()

    async def _cancel(self, cancel: Cancel) -> None:
        """Kill the subject's tree, report the proof; the workspace stays. Of a single call, only what it started."""
        subject = self._subject(cancel.subject)
        async with subject.lock:
            if subject.epoch is not None and cancel.lease_epoch < subject.epoch:
                return
            if cancel.call_id:
                if call := subject.under_way(cancel.call_id):
                    call.interrupt("The call was cancelled while it ran, and killed.", Outcome.CANCELLED)
                return
            killed, calls = await subject.abandon(self._processes)
            subject.teardown = subject.teardown or Teardown(
                lease_epoch=cancel.lease_epoch,
                killed=killed.killed,
                left=killed.left,
                duration_ms=killed.duration_ms,
                method=killed.method,
            )
            await self._close_records(calls, Outcome.CANCELLED)
        self._aside(self._report_teardown(subject.name, subject.teardown))

    async def _report_teardown(self, name: str, teardown: Teardown) -> None:
        try:
            await self._client.teardown(name, teardown)
        except QuarterdeckError as error:
            _log.info("teardown not wanted", subject=name, fault=error.message)

    async def _lose(self, subject: Subject) -> None:
        """Kill and forget: another has the lease, or nobody. The files stay until the server says that they go."""
        async with subject.lock:
            _, calls = await subject.abandon(self._processes)
            subject.epoch = None
            await self._close_records(calls, None)
        if not self._asking:
            self._asking = True
            self._aside(self._ask_what_goes())

    async def _ask_what_goes(self) -> None:
        """Ask by a hello, as the stream may stay open for weeks; what was offered anew meanwhile stays."""
        await asyncio.sleep(FORGET_SECONDS)
        self._asking = False
        try:
            welcome = await self._client.hello(self._hello())
        except QuarterdeckError as error:
            _log.info("not known what goes", fault=error.message)
            return
        for name in welcome.wipe:
            await self._wipe(name, unless_held=True)

    async def _close_records(self, calls: list[Call], outcome: Outcome | None) -> None:
        """Note that the server wants no result of these, so that none is reported after a restart."""
        for offer in [call.offer for call in calls]:
            record = self._journal.record(offer.call_id)
            if record and record.result is None and outcome:
                result = Result(turn_no=offer.turn_no, lease_epoch=offer.lease_epoch, outcome=outcome, text="")
                await self._journal.end(offer.call_id, result)
            if record:
                await self._journal.tell(offer.call_id)

    async def _wipe(self, name: str, *, unless_held: bool = False) -> None:
        """Delete everything that is kept of the subject; what can't be deleted is tried again after the next hello."""
        try:
            subject = self._subject(name)
            async with subject.lock:
                if unless_held and subject.epoch is not None:
                    return
                await subject.abandon(self._processes)
                await subject.workspace.delete()
                await asyncio.to_thread(delete_tree, self._home.outputs(name))
                await self._journal.wipe(name)
                self._processes.forget(name)
                self._subjects.pop(name, None)
            _log.info("subject wiped", subject=name)
            if not self._forgetting:
                self._forgetting = True
                self._aside(self._forget())
        except (QuarterdeckError, OSError) as error:
            _log.error("subject not wiped", subject=name, fault=str(error))

    async def _forget(self) -> None:
        """Take what was wiped out of the journal's file; once for all that end in the same second."""
        await asyncio.sleep(FORGET_SECONDS)
        self._forgetting = False
        try:
            await self._journal.forget()
        except OSError as error:
            _log.error("journal not rewritten", fault=str(error))

    async def _clear(self, subject: Subject) -> None:
        """A job is over: its lease with it, and its files."""
        async with subject.lock:
            if subject.calls:
                return
            subject.epoch = None
            try:
                await subject.workspace.delete()
            except OSError as error:
                _log.error("workspace not deleted", subject=subject.name, fault=str(error))

    async def _tidy(self) -> None:
        """Take up what a runner before this one left, without jobs whose end the server knows."""
        # It dies with its runner, but not in the moment between its fork and its asking the kernel for that: killed
        # then, its other half waits for ever for the word that its user namespace is ready.
        for stray in await asyncio.to_thread(confined, str(self._home.root / "workspaces")):
            _log.info("a sandbox without a runner is ended", process=stray.pid)
            with suppress(ProcessLookupError):
                os.kill(stray.pid, signal.SIGKILL)
        untold = {record.offer.subject for record in self._journal.untold()}
        await asyncio.to_thread(trim, self._home.caches)
        for name in {*self._home.subjects(), *self._journal.subjects()}:
            subject = self._subject(name)
            if subject.is_job and name not in untold:
                await self._wipe(name)
            else:
                state = subject.workspace.state
                subject.epoch = state.epoch if state else None

    def _aside(self, work: Coroutine[None, None, None]) -> None:
        """Do something that the stream must not wait for."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _subject(self, name: str) -> Subject:
        if name not in self._subjects:
            self._subjects[name] = Subject(name, Workspace(self._home.workspace(name)))
        return self._subjects[name]


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()
    _log.info("runner stops")
