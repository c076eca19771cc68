"""What must hold after a storm: of every log and row, of what clients were told, of the journals, of what is left."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select

from quarterdeck.core import events as e
from quarterdeck.core.fold import FINAL_RESPONSE
from quarterdeck.core.state import SessionState
from quarterdeck.store.database import Database
from quarterdeck.store.tables import leases, pipelines, sessions
from tests.chaos.caller import Talk
from tests.chaos.cluster import Cluster
from tests.chaos.load import Load
from tests.chaos.proof import agreeing, open_rows
from tests.instance import files_below, processes_below

LEFT_SECONDS = 90
"""How long the last reports and tidying may take: the sleep of a client that waits, and a lease that runs out."""


@dataclass
class Aftermath:
    """All logs, and the faults that were found."""

    cluster: Cluster
    load: Load
    begun: dict[str, list[str]]
    """Which runners began each call, by their journals."""
    logs: dict[int, list[e.Event]] = field(default_factory=dict[int, list[e.Event]])
    faults: list[str] = field(default_factory=list[str])

    def read(self) -> None:
        """Every session: its row is the fold of its log."""
        asyncio.run(self._read())

    async def _read(self) -> None:
        database = Database(self.cluster.url)
        try:
            async with database.transaction() as connection:
                numbers = (await connection.execute(select(sessions.c.id).order_by(sessions.c.id))).scalars().all()
                lost = select(leases.c.subject).where(leases.c.runner_id.is_(None))
                given_up = set((await connection.execute(lost)).scalars())
                pushed = (
                    select(pipelines.c.ref)
                    .where(pipelines.c.source == "session")
                    .group_by(pipelines.c.ref, pipelines.c.sha)
                )
                twice = (await connection.execute(pushed.having(func.count() > 1))).scalars().all()
                self.faults += [f"{ref} has more than one pipeline" for ref in twice]
                for number in numbers:
                    try:
                        self.logs[number], state = await agreeing(connection, number)
                        owed = f"session:{number}" not in given_up
                        self.faults += [
                            f"session {number}: {one}" for one in _of_log(self.logs[number], state, owed=owed)
                        ]
                    except AssertionError as error:
                        self.faults.append(f"session {number}'s row is not the fold of its log: {error}")
        finally:
            await database.close()

    def compare(self) -> None:
        """What clients saw and were told is in the logs, once."""
        talks = [talk for course in self.load.courses for talk in course.talks]
        names = Counter(
            log[0].payload.title for log in self.logs.values() if isinstance(log[0].payload, e.SessionCreated)
        )
        self.faults += [f"{name!r} was begun {count} times" for name, count in names.items() if count > 1]
        for talk in talks:
            if talk.id and not names[talk.name] and not talk.name.endswith("child"):  # whose title is another
                self.faults.append(f"{talk.name} was begun, and is not there")
            if talk.id in self.logs:
                self.faults += [
                    f"{talk.name} (session {talk.id}): {fault}" for fault in _of_talk(talk, self.logs[talk.id])
                ]

    def journals(self) -> None:
        """Every call began at most once, and where the log says."""
        for call_id, homes in self.begun.items():
            if len(homes) > 1:
                self.faults.append(f"call {call_id} began more than once: {', '.join(homes)}")
        for number, log in self.logs.items():
            for one in _behind_history(log):
                match one.payload:
                    case e.ToolCallStarted(call_id=call_id, executor=executor) if executor != "server":
                        if self.begun.get(call_id) != [executor]:
                            told = self.begun.get(call_id)
                            self.faults.append(
                                f"session {number}: {executor} began {call_id}, and the journals say {told}"
                            )
                    case _:
                        pass

    def settled(self) -> None:
        """Nothing is left over, once what is on its way had time to come."""
        end = time.monotonic() + LEFT_SECONDS
        while left := self._left():
            if time.monotonic() > end:
                self.faults.append(f"left over after {LEFT_SECONDS} s: {left}")
                return
            time.sleep(0.5)

    def _left(self) -> str:
        found: dict[str, Any] = asyncio.run(open_rows(self.cluster.url, living=False))
        below = [processes_below(service.pid) for service in self.cluster.services.values() if service.pid]
        found["tools"] = [line for lines in below for line in lines.values() if "bwrap" in line or "3141." in line]
        for home in self.cluster.runners:
            for folder in ("workspaces", "outputs"):
                paths = [path.name for path in (home / folder).glob("*")]
                found[f"{folder} of {home.name}"] = (
                    paths if folder == "workspaces" else [str(path) for path, _ in files_below(home / folder)]
                )
        found["files"] = [
            path.name for number in (1, 2) for path in (self.cluster.home / f"serve-{number}").glob("push-*")
        ]
        return ", ".join(f"{name}: {what}" for name, what in found.items() if what)

    def ended(self, codes: dict[str, int]) -> None:
        """All have ended politely, and no process is there any more."""
        self.faults += [f"{name} ended with {code} when it was asked to" for name, code in codes.items() if code]
        own = self.cluster.postgres.pid
        lines = {pid: line for pid, line in processes_below(1).items() if str(self.cluster.home) in line}
        database = {own, *processes_below(own or -1)}
        left = [line for pid, line in lines.items() if pid not in database and "postgres" not in line]
        left += [line for line in processes_below(1).values() if "sleep 3141." in line]
        if left:
            self.faults.append(f"processes are left: {left}")


def _behind_history(log: list[e.Event]) -> list[e.Event]:
    """What is a fork's own of its log."""
    copied = [place for place, one in enumerate(log) if isinstance(one.payload, e.HistoryCopied)]
    return log[copied[-1] :] if copied else log


def _of_log(log: list[e.Event], state: SessionState, *, owed: bool) -> Iterator[str]:
    """What is wrong with one log by itself; a proof of its end is `owed` unless its lease had run out before."""
    if [one.seq for one in log] != list(range(1, len(log) + 1)):
        yield f"its events are numbered {[one.seq for one in log]}"
    turns = [one.payload.turn_no for one in log if isinstance(one.payload, e.TurnStarted)]
    if turns != list(range(1, len(turns) + 1)):
        yield f"its turns are numbered {turns}"
    for kind in (e.ToolCallRequested, e.ToolCallStarted, e.ToolCallFinished):
        times = Counter(one.payload.call_id for one in log if isinstance(one.payload, kind))
        if twice := [call_id for call_id, count in times.items() if count > 1]:
            yield f"{kind.__name__} stands there more than once for {twice}"
    made = [one.payload.name for one in log if isinstance(one.payload, e.ArtifactCreated)]
    if len(set(made)) < len(made):
        yield f"it made these, some of them twice: {made}"
    yield from _of_calls(log, state)
    kinds = [one.kind for one in log if one.event_class == "work"]
    if state.final and kinds[-1] != "status.changed":
        yield f"after its end came {kinds[-1]}"
    attached = any(isinstance(one.payload, e.ExecutorAttached) for one in log)
    if attached and owed and state.final and not state.torn_down:
        yield "an executor had it, and there is no proof that nothing runs any more"
    left = [one.payload.left for one in log if isinstance(one.payload, e.WorkspaceTornDown)]
    if any(left) or len(left) > 1:
        yield f"it was torn down with these left: {left}"


def _of_calls(log: list[e.Event], state: SessionState) -> Iterator[str]:
    own = _behind_history(log)
    offered = Counter(
        call_id for one in own if isinstance(one.payload, e.ToolCallsOffered) for call_id in one.payload.call_ids
    )
    if twice := [call_id for call_id, count in offered.items() if count > 1]:
        yield f"these calls were offered more than once: {twice}"
    requested = {one.payload.call_id for one in own if isinstance(one.payload, e.ToolCallRequested)}
    finished = {one.payload.call_id for one in log if isinstance(one.payload, e.ToolCallFinished)}
    if state.status.value != "stopped" and requested - finished:
        yield f"these calls have no end: {requested - finished}"
    asked = {one.payload.call_id: one.payload for one in own if isinstance(one.payload, e.ToolCallRequested)}
    cut_off: list[tuple[str, object]] = []
    for one in own:
        match one.payload:
            case e.ToolCallFinished(outcome=e.Outcome.INTERRUPTED, tool=tool, call_id=call_id) if call_id in asked:
                cut_off.append((tool, asked[call_id].args))
            case e.ToolCallFinished(outcome=e.Outcome.ERROR, exit_code=None, tool=tool, text=text, call_id=call_id):
                # An edit that was interrupted may have been made, and then finds nothing when it is asked for again.
                again = tool == "edit_file" and call_id in asked and (tool, asked[call_id].args) in cut_off
                if tool != FINAL_RESPONSE and not again:
                    yield f"{tool} failed: {text[:500]}; of {len(cut_off)} interrupted calls none was the same"
            case _:
                pass


def _of_talk(talk: Talk, log: list[e.Event]) -> Iterator[str]:
    """What a client saw stays as it was; what it was told was taken is there, and no more often than it asked."""
    stored = [one.model_dump(mode="json") for one in log[: len(talk.seen)]]
    for saw, is_there in zip(talk.seen, stored, strict=False):
        if saw != is_there:
            yield f"a watcher was sent {saw}, and the log has {is_there}"
            break
    if len(talk.seen) > len(log):
        yield f"a watcher was sent {len(talk.seen)} events, and the log has {len(log)}"
    found = Counter(filter(None, (_mark(one.payload) for one in log)))
    for mark, asked in talk.asked.items():
        if mark.startswith(("message", "approval")) and not talk.answered[mark] <= found[mark] <= asked:
            answered = talk.answered[mark]
            yield f"{mark!r} was asked for {asked} times, answered {answered} times, and stands there {found[mark]}"


def _mark(payload: e.AnyPayload) -> str:
    match payload:
        case e.MessageAdded(text=text):
            return f"message {text}"
        case e.ApprovalGranted(approval_id=approval_id) | e.ApprovalDenied(approval_id=approval_id):
            return f"approval {approval_id}"
        case _:
            return ""
