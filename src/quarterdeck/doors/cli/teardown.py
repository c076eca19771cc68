"""`qd session cancel --wait`: the proof that nothing runs any more of a session that was stopped, and of all below."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from pydantic import JsonValue

from quarterdeck.client.models import EventPage, SessionPage, SessionView
from quarterdeck.core.events import TeardownMissed, WorkspaceTornDown
from quarterdeck.doors.cli.client import Client, parse
from quarterdeck.doors.cli.command import Cli
from quarterdeck.doors.cli.failure import Exit, Failure
from quarterdeck.doors.cli.plain import line
from quarterdeck.doors.cli.signals import signals
from quarterdeck.doors.cli.timeline import missed, torn_down

RECORDS = 100
"""How far before the end of a log the proof is looked for: behind a stop there are only records."""
PAGE = 100
_KINDS = ("workspace.torn_down", "teardown.missed")


@dataclass
class _Stop:
    """One stopped session, and what is known of its end."""

    session: SessionView
    proof: WorkspaceTornDown | None = None
    missed: TeardownMissed | None = None
    owed: bool = True

    @property
    def unproved(self) -> bool:
        """Whether a runner had something of it, and no proof will come."""
        proved = self.proof is not None or self.session.torn_down
        return not self.owed and not proved and bool(self.missed or self.session.executor)

    def hear(self, kind: str, event: str) -> None:
        """Takes what an event tells of the end, if it does."""
        match kind:
            case "workspace.torn_down":
                self.proof = WorkspaceTornDown.model_validate(json.loads(event)["payload"])
            case "teardown.missed":
                self.missed = TeardownMissed.model_validate(json.loads(event)["payload"])
            case _:
                pass

    def words(self) -> str:
        head = f"Session #{self.session.id} is {self.session.status}; "
        if self.proof is not None:
            return f"{head}{torn_down(self.proof)}."
        if not self.owed:
            return head + (missed(self.missed) if self.missed else self._unheld()) + "."
        waiting = self.session.waiting_for
        awaited = line(waiting.detail, 300) if waiting else "the proof that nothing of it runs any more"
        return (
            f"{head}what has not come: {awaited}. It comes when the runner is back, which kills by itself until then."
        )

    def _unheld(self) -> str:
        if not self.session.executor:
            return "it had no workspace, so nothing was running"
        return f"the runner {line(self.session.executor)} had lost it, and kills by itself what it ran of it"

    def told(self) -> "dict[str, JsonValue]":
        proof = self.proof.model_dump(mode="json") if self.proof else None
        lost = None if self.proof or not self.missed else self.missed.why
        waiting = self.session.waiting_for.detail if self.owed and self.session.waiting_for else None
        return {
            "session": self.session.id, "status": self.session.status, "teardown": proof, "missed": lost,
            "waiting_for": waiting,
        }  # fmt: skip


async def prove(cli: Cli, client: Client, session: SessionView, seconds: float) -> None:
    """Waits for the proofs, each printed when it is there, for so long at most.

    Raises:
        Failure: something is left, or a proof won't come (1); one has not come yet (5).
    """
    end = asyncio.get_running_loop().time() + seconds
    stops: list[_Stop] = []
    async for one in _tree(client, session):
        if one.id != session.id and one.status != "stopped":
            continue  # it had ended by itself
        stop = _Stop(one)
        stops.append(stop)
        await _wait(client, stop, end)
        if not cli.json:
            cli.say(stop.words())
    if cli.json:
        first, *below = [stop.told() for stop in stops]
        cli.print({**first, "below": list(below)})
    if left := sum(stop.proof.left for stop in stops if stop.proof):
        raise Failure(f"{left} processes are left.", Exit.FAILED)
    if any(stop.unproved for stop in stops):
        raise Failure("Of what a lost or removed runner did there is no proof.", Exit.FAILED)
    if any(stop.owed for stop in stops):
        again = f"qd session cancel {session.id} --wait"
        raise Failure(f"Not proved within {seconds:g} s that nothing runs. Wait again: {again}", Exit.UNREACHABLE)


async def _wait(client: Client, stop: _Stop, end: float) -> None:
    try:
        async with asyncio.timeout_at(end):
            async for signal in signals(client, stop.session.id, max(0, stop.session.seq - RECORDS)):
                stop.hear(signal.event, signal.data)
            stop.owed = False
    except TimeoutError:
        await _look(client, stop)


async def _look(client: Client, stop: _Stop) -> None:
    """What is known now: while others were waited for this one's proof may have come."""
    path = f"/sessions/{stop.session.id}"
    stop.session = parse(SessionView, await client.get(path))
    page = parse(EventPage, await client.get(f"{path}/events", order="desc", limit=RECORDS, kind=[*_KINDS]))
    for event in reversed(page.items):
        stop.hear(event.payload.kind, event.model_dump_json())
    stop.owed = stop.proof is None and stop.session.waiting_for is not None


async def _tree(client: Client, session: SessionView) -> AsyncIterator[SessionView]:
    """The session and all below it, whoever of them was stopped."""
    yield session
    cursor: str | None = None
    while True:
        page = parse(SessionPage, await client.get("/sessions", parent=session.id, limit=PAGE, cursor=cursor))
        for row in page.items:
            async for below in _tree(client, parse(SessionView, await client.get(f"/sessions/{row.id}"))):
                yield below
        if (cursor := page.next) is None:
            return
