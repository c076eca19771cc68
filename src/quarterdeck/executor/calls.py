"""One call on a runner: from its offer to the result that the server has.

The order is the promise: workspace ready, start on disk, body, snapshot uploaded, end on disk, output sent, result
reported. A call that the journal knows is answered from there and never begun again.
"""

import asyncio
from asyncio import TaskGroup
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import structlog

from quarterdeck.core.errors import QuarterdeckError, TooLargeError, UnauthenticatedError, UnavailableError
from quarterdeck.core.events import Outcome
from quarterdeck.core.limits import BUNDLE_BYTES, RESULT_CHARACTERS
from quarterdeck.core.protocol import JobSpec, Offer, Prepared, Result, SetupReport, SnapshotReport, Started
from quarterdeck.core.redaction import Redactor
from quarterdeck.core.session_limits import Used
from quarterdeck.core.text import clean, cut
from quarterdeck.executor import bodies, jobs, mcp, setup
from quarterdeck.executor.client import Client, Pauses, RefusedError, SubjectLostError
from quarterdeck.executor.commits import Commits
from quarterdeck.executor.hands import Done, Hands
from quarterdeck.executor.home import Home
from quarterdeck.executor.journal import Journal, JournalError
from quarterdeck.executor.network import Network
from quarterdeck.executor.parallel import first, in_parallel
from quarterdeck.executor.processes import LimitReachedError, Processes
from quarterdeck.executor.setup import Setup
from quarterdeck.executor.snapshots import Snapshot
from quarterdeck.executor.spool import Spool
from quarterdeck.executor.workspace import Source, TokenRefusedError, Workspace
from quarterdeck.tools.catalogue import CATALOGUE

_log = structlog.get_logger(__name__)

SHORT_SECONDS = 0.03
"""A call that is over sooner is told of once: its start with its end."""
_TOKEN_REFUSALS = 5
_IDLE = "of agent-config.yml has no effect:"
_T = TypeVar("_T")
_UNKNOWN = (
    "It is not known how much of the call was done: files may be changed only in part. Look at the state of the "
    "workspace before you do it again."
)
_DIED = f"The executor died in the middle of this call. Whatever it had started is dead. {_UNKNOWN}"


@dataclass(frozen=True)
class Equipment:
    """What all calls of a runner work with."""

    client: Client
    journal: Journal
    processes: Processes
    home: Home


class Call:
    """One offered call; `carry_out` runs in a task of its own, which is cancelled when nobody wants the result."""

    def __init__(self, offer: Offer, equipment: Equipment, workspace: Workspace) -> None:
        self.offer = offer
        self._client = equipment.client
        self._journal = equipment.journal
        self._equipment = equipment
        self._workspace = workspace
        self._source = Source(self._client.url, self._download, offer.workspace.token)
        spooled = equipment.home.output(offer.subject, offer.call_id)
        redactor = Redactor((offer.workspace.token, *(offer.mcp.env.values() if offer.mcp else ())))
        self._spool = Spool(spooled, self._client, offer.call_id, offer.lease_epoch, redactor)
        self._network = self._policed(offer)
        self._setup: SetupReport | None = None
        self._interruption = ""
        self._interrupted_as = Outcome.INTERRUPTED
        self._abandoned = False
        self.begun = False
        """Whether the journal says that it began, so that it must not just be forgotten."""
        self._work: asyncio.Task[Any] | None = None
        """The setup script, then the body."""
        self._at_work = asyncio.Event()

    def _policed(self, offer: Offer) -> Network | None:
        """The network that its commands may have: none where no walls of their own hold them to it."""
        full = self._equipment.processes.sandbox.isolation == "full"
        return Network(offer.workspace.network) if offer.workspace.network and full else None

    def interrupt(self, reason: str, outcome: Outcome = Outcome.INTERRUPTED) -> None:
        """End setup or body, and report the call as interrupted, with the reason for whoever reads the result."""
        if not self._interruption:
            self._interruption, self._interrupted_as = reason, outcome
        if self._work:
            self._work.cancel()

    def renew(self, offer: Offer) -> None:
        """Take what is new in an offer of the same call: its token, as the one before ended with its stream."""
        self._source.token = offer.workspace.token or self._source.token  # the journal's has none

    def abandon(self) -> None:
        """Nobody wants the result any more: whatever the body comes to, it isn't reported. Cancel the task after it."""
        self._abandoned = True

    def close(self) -> None:
        """Let go of the output's file, which stays when the server hasn't all of it."""
        self._spool.close()

    async def carry_out(self) -> None:
        """Do the call, unless it began before, and report how it ended.

        Raises:
            SubjectLostError: (in a group) the server wants nothing of this subject any more.
        """
        try:
            await self._report(await self._outcome())
        except* (SubjectLostError, UnauthenticatedError):
            raise
        except* Exception as faults:
            _log.error("call failed in the executor", call_id=self.offer.call_id, exc_info=faults)
            await self._report(await self._ended_by(f"The executor has a fault of its own: {first(faults)!r}."))

    async def _outcome(self) -> Result:
        record = self._journal.record(self.offer.call_id)
        if record is None:
            return await self._do()
        return record.result or await self._interrupted()

    async def _ended_by(self, fault: str, used: Used | None = None) -> Result:
        """An `error` in place of a result that can't be had or told, of which `used` stays."""
        text = cut(clean(f"{fault} {_UNKNOWN}"), RESULT_CHARACTERS)
        self._spool.close()
        result = Result(
            turn_no=self.offer.turn_no,
            lease_epoch=self.offer.lease_epoch,
            begun=self._begun(),
            outcome=Outcome.ERROR,
            text=text,
            output_bytes=self._spool.size,
            output_sha256=self._spool.sha256,
            used=used or self._equipment.processes.used(self.offer.subject),
        )
        await self._end(result)
        return result

    def _begun(self) -> bool:
        return self._journal.record(self.offer.call_id) is not None

    async def _do(self) -> Result:
        began = monotonic()
        fault = await self._ready()
        over = asyncio.Event()
        async with TaskGroup() as reports:
            reports.create_task(self._tell_of_start(over))
            reports.create_task(_unless_refused(self._spool.send()))
            try:
                if not fault:
                    await self._watched(self._set_up())
                result = await self._result(await self._carried_out(fault), began)
                if self.begun:
                    await self._end(result)
            finally:
                over.set()
                self._at_work.set()
                self._spool.close()
        return result

    async def _carried_out(self, fault: str) -> jobs.JobDone:
        """The end of the body, which begins when its start is on disk."""
        try:
            await self._journal.begin(self.offer)
        except JournalError as error:
            return jobs.JobDone(Done(Outcome.ERROR, f"{error.message} So it did not start this call."))
        self.begun = True
        self._at_work.set()
        if fault:
            return jobs.JobDone(Done(Outcome.ERROR, fault))
        ended = await self._watched(self._run_body())
        if ended and (not self._interruption or ended.done.outcome is Outcome.OK):
            return ended
        return jobs.JobDone(Done(self._interrupted_as, self._interruption))

    async def _tell_of_start(self, over: asyncio.Event) -> None:
        """Tell the server that the call began, or the setup before it, unless its end is about to."""
        await self._at_work.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(SHORT_SECONDS):
                await over.wait()
            return
        started = Started(turn_no=self.offer.turn_no, lease_epoch=self.offer.lease_epoch)
        await _unless_refused(self._client.started(self.offer.call_id, started))

    async def _ready(self) -> str:
        """Have the workspace there, however long the server is away; what went wrong, if it can't be."""
        pauses = Pauses()
        began = monotonic()
        refusals = 0
        while True:
            try:
                await self._workspace.prepare(self.offer.workspace, self.offer.lease_epoch, self._source)
                break
            except UnavailableError as error:
                _log.info("workspace waits for the server", subject=self.offer.subject, fault=error.message)
                await pauses.wait()
            except (QuarterdeckError, OSError) as error:
                refusals += 1
                # A token that was replaced in the meantime comes with the next offer of this call.
                if not isinstance(error, TokenRefusedError) or refusals == _TOKEN_REFUSALS:
                    return f"The workspace can't be made: {error}"
                await pauses.wait()
        if self._workspace.announced != self.offer.lease_epoch:
            prepared = Prepared(
                lease_epoch=self.offer.lease_epoch,
                base_commit=self.offer.workspace.commit,
                isolation=self._equipment.processes.sandbox.isolation,
                duration_ms=_milliseconds(began),
                notes=self._missing(),
            )
            await _unless_refused(self._client.prepared(self.offer.subject, prepared))
            self._workspace.announced = self.offer.lease_epoch
        return ""

    async def _set_up(self) -> None:
        """Run the project's setup script if it is still to be run here: what it prints is the call's first output."""

        async def sink(data: bytes) -> None:
            self._at_work.set()
            await self._spool.write(data)

        spec, processes, folder = self.offer.workspace, self._equipment.processes, self._equipment.home.caches
        script = Setup(self.offer.subject, spec, self._workspace, processes, self._network, folder)
        self._setup = await script.once(sink)

    def _missing(self) -> tuple[str, ...]:
        """What of the project's configuration there is not, and why."""
        isolation, spec = self._equipment.processes.sandbox.isolation, self.offer.workspace
        missing = list[str]()
        if spec.network and not self._network:
            missing.append(f"The network policy {_IDLE} it needs full isolation, this is {isolation}.")
        if spec.cache and isolation == "none":
            missing.append(f"The cache {_IDLE} without a sandbox any command could write into it.")
        return tuple(missing)

    async def _watched(self, work: Coroutine[None, None, _T]) -> _T | None:
        """What comes of setup or body; None when the call is interrupted before or within it."""
        if self._interruption:
            work.close()
            return None
        self._work = under_way = asyncio.create_task(work)
        try:
            done = await under_way
            if self._abandoned:
                raise asyncio.CancelledError
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._interruption or (task and task.cancelling()):
                raise
            return None
        return done

    async def _run_body(self) -> jobs.JobDone:
        offer = self.offer
        try:
            return await self._run_job(offer.job) if offer.job else jobs.JobDone(await self._run_tool())
        except LimitReachedError as error:
            return jobs.JobDone(Done(Outcome.ERROR, error.message, limit=error.reached))
        except QuarterdeckError as error:
            return jobs.JobDone(Done(Outcome.ERROR, error.message))
        except Exception as error:
            _log.exception("tool failed", tool=offer.tool, call_id=offer.call_id)
            fault = f"{type(error).__name__}: {error}"
            return jobs.JobDone(Done(Outcome.ERROR, f"The tool {offer.tool} has a fault of its own: {fault}"))

    async def _run_job(self, job: JobSpec) -> jobs.JobDone:
        return await jobs.run(
            self.offer.subject,
            self.offer.workspace,
            job,
            workspace=self._workspace,
            source=self._source,
            processes=self._equipment.processes,
            sink=self._spool.write,
        )

    async def _run_tool(self) -> Done:
        processes = self._equipment.processes
        hands = Hands(
            subject=self.offer.subject,
            root=self._workspace.files,
            processes=processes,
            workspace=Commits(self._client, processes, self._workspace, self._source, self.offer),
            sink=self._spool.write,
            network=self._network,
        )
        if self.offer.mcp:
            return await mcp.carry_out(hands, self.offer.mcp, self.offer.args)
        return await bodies.carry_out(hands, self.offer.tool, self.offer.args)

    async def _interrupted(self) -> Result:
        """The result of a call that a runner before this one began and didn't end."""
        result = await self._result(jobs.JobDone(Done(Outcome.INTERRUPTED, _DIED)))
        used = result.used or Used()  # the runner that died has counted for itself; what was kept is still there
        output = max(used.output, self._spool.size)
        result = result.model_copy(update={"used": used.model_copy(update={"output": output})})
        await self._end(result)
        return result

    async def _end(self, result: Result) -> None:
        try:
            await self._journal.end(self.offer.call_id, result)
        except JournalError as error:
            # The server gets the result all the same; only a crash before that would make it `interrupted`.
            _log.error("result not in the journal", call_id=self.offer.call_id, fault=error.message)

    async def _result(self, ended: jobs.JobDone, began: float | None = None) -> Result:
        duration = _milliseconds(began) if began else 0
        self._spool.close()  # what was held back counts as well
        report, notes = await self._snapshot()
        artifacts = None
        try:
            artifacts = await self._upload(ended.artifacts) if ended.artifacts else None
        except SubjectLostError:
            raise
        except (QuarterdeckError, OSError) as error:
            notes.append(f"(The artifacts could not be kept: {error})")
        refused = self._network.refused if self._network else ()
        if refused:
            hosts = ", ".join(f"{one.host}:{one.port}" for one in refused[:5])
            notes.append(
                f"(Refused of the network: {hosts}. Only what the project's agent-config.yml allows is there.)"
            )
        text = clean("\n".join(part for part in (setup.told(self._setup), ended.done.text, *notes) if part))
        return Result(
            turn_no=self.offer.turn_no,
            lease_epoch=self.offer.lease_epoch,
            begun=self._begun(),
            outcome=ended.done.outcome,
            text=cut(text, RESULT_CHARACTERS),
            exit_code=ended.done.exit_code,
            duration_ms=duration,
            output_bytes=self._spool.size,
            output_sha256=self._spool.sha256,
            truncated=ended.done.truncated or self._spool.truncated or len(text) > RESULT_CHARACTERS,
            snapshot=report,
            artifacts_blob=artifacts,
            mcp_tools=ended.done.tools,
            mcp_left_out=ended.done.tools_left_out,
            setup=self._setup,
            refused=refused,
            used=self._equipment.processes.used(self.offer.subject),
            limit=ended.done.limit,
        )

    async def _snapshot(self) -> tuple[SnapshotReport | None, list[str]]:
        """What the call changed, uploaded, and what is to be said of it; a snapshot that fails fails no call."""
        entry, state = CATALOGUE.get(self.offer.tool), self._workspace.state
        changes = entry.snapshot if entry else self.offer.mcp is not None and bool(self.offer.mcp.tool)
        if not changes or not state or state.epoch != self.offer.lease_epoch:
            return None, []
        try:
            taken = await self._workspace.snapshot(self.offer.workspace)
            if taken is None:
                return None, []
            return await self._uploaded(taken), _notes(taken)
        except SubjectLostError:
            raise
        except Exception as error:
            _log.warning("no snapshot", subject=self.offer.subject, exc_info=error)
            return None, [f"(The files are as the call left them, but no snapshot of them could be kept: {error})"]

    async def _uploaded(self, taken: Snapshot) -> SnapshotReport:
        files = (taken.bundle, taken.step_diff, taken.whole_diff)
        try:
            if taken.bundle_bytes > BUNDLE_BYTES:
                raise TooLargeError(f"It has more than {BUNDLE_BYTES:,} bytes.")
            async with in_parallel() as group:
                bundle, step_diff, whole_diff = [group.create_task(self._upload(file)) for file in files]
        finally:
            for file in files:
                file.unlink(missing_ok=True)
        return SnapshotReport(
            step=taken.step,
            commit=taken.commit,
            files=taken.files,
            bundle_blob=bundle.result(),
            step_diff_blob=step_diff.result(),
            whole_diff_blob=whole_diff.result(),
        )

    async def _report(self, result: Result) -> None:
        offer = self.offer
        if result.snapshot:
            try:
                self._workspace.settle(offer.lease_epoch, result.snapshot.step, result.snapshot.commit)
            except OSError as error:
                # The next offer brings the server's word for it.
                _log.error("step not noted", subject=offer.subject, fault=str(error))
        self._spool.close()
        await _unless_refused(self._spool.send())
        if refusal := await self._refusal(result):
            fault = f"The server did not take the result of this call, nor a snapshot of its files: {refusal}"
            if await self._refusal(await self._ended_by(fault, result.used)):
                return  # the journal keeps it as untold, and it is told again after the next hello
        # In this order a crash between the two costs one more report, in the other it would leave the file for good.
        self._spool.discard()
        with suppress(JournalError):
            await self._journal.tell(offer.call_id)

    async def _refusal(self, result: Result) -> str:
        """Report a result, maybe one of a lease before this; why the server doesn't take it, empty when it has it."""
        address = {"turn_no": self.offer.turn_no, "lease_epoch": self.offer.lease_epoch}
        try:
            await self._client.result(self.offer.call_id, result.model_copy(update=address))
        except RefusedError as error:
            _log.error("result refused", call_id=self.offer.call_id, fault=error.message)
            return error.message
        return ""

    async def _upload(self, file: Path) -> int:
        return await self._client.upload(self.offer.subject, self.offer.lease_epoch, file)

    async def _download(self, blob: int, target: Path) -> None:
        await self._client.download(self.offer.subject, blob, target)


def _notes(taken: Snapshot) -> list[str]:
    notes: list[str] = []
    if taken.left_out:
        names = ", ".join(taken.left_out[:10])
        notes.append(f"(Left out of the snapshot, too large, unreadable, or with names that git refuses: {names})")
    if taken.files_changed > len(taken.files):
        notes.append(f"({taken.files_changed:,} files changed; the first {len(taken.files):,} are listed.)")
    return notes


async def _unless_refused(report: Awaitable[object]) -> None:
    """A report that the server will never take must not keep the call from ending; it is logged and left."""
    try:
        await report
    except (RefusedError, UnauthenticatedError) as error:
        _log.error("report refused", fault=error.message)


def _milliseconds(began: float) -> int:
    return round((monotonic() - began) * 1000)
