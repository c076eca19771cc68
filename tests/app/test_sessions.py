"""The log is the truth: after any sequence of actions, from any side and in any order, fold(events) == stored row."""

import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import select

from quarterdeck.app import deletion, executors, hellos, offers, server_calls, session_lists, sessions, steering, turns
from quarterdeck.app.application import App
from quarterdeck.app.executors import Hands
from quarterdeck.app.sessions import StartSession
from quarterdeck.app.turns import Question, Turn
from quarterdeck.core import protocol as p
from quarterdeck.core.answer import Reply, RequestedCall
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.events import EventClass, Outcome
from quarterdeck.core.fold import fold
from quarterdeck.core.state import SessionState
from quarterdeck.core.status import FINAL
from quarterdeck.core.usage import Usage
from quarterdeck.store import log
from quarterdeck.store.session_columns import listed
from quarterdeck.store.tables import sessions as rows
from tests.conftest import Start

FLOW = """
version: v1
environment: ambient
name: work
components:
  - {name: work, type: AgentComponent, prompt_id: work, inputs: ["context:goal"], max_cycles: 30,
     toolset: [read_file, list_dir, run_command, edit_file, todo_write]}
routers: [{from: work, to: end}]
flow: {entry_point: work}
prompts: [{prompt_id: work, name: work, prompt_template: {system: s, user: "{{ goal }}"}}]
"""
SCRIPT = "components: {work: [{say: unused}]}"
PLANTED = "ghp_" + "a1B2" * 9
CALLS = (
    RequestedCall("p1", "read_file", {"file_path": "a"}),
    RequestedCall("p2", "list_dir", {"directory": "."}),
    RequestedCall("p3", "run_command", {"command": "make"}),
    RequestedCall("p8", "run_command", {"command": f"echo {PLANTED}"}),
    RequestedCall("p4", "todo_write", {"items": []}),
    RequestedCall("p5", "no_such_tool", {}),
    RequestedCall("p6", "edit_file", {"wrong": 1}),
    RequestedCall("p7", "read_file", {}, "the arguments were no JSON"),
)


@dataclass
class World:
    """Everybody who acts on one session, each step chosen by chance; what is refused is refused, nothing breaks."""

    app: App
    start: Start
    hands: Hands
    runner: int
    chance: random.Random
    session_id: int = 0
    turn: Turn | None = None
    question: Question | None = None
    asked: Question | None = None
    stale: list[Turn] = field(default_factory=list[Turn])
    given: dict[str, p.Offer] = field(default_factory=dict[str, p.Offer])
    results: list[tuple[str, p.Result]] = field(default_factory=list[tuple[str, p.Result]])
    job: int = 0

    async def claim(self) -> None:
        state = await self.state()
        self.job += 1
        crashed = state.turn_open and self.turn is not None and self.chance.random() < 0.3
        job = state.turn_job if crashed else self.job
        claimed = await turns.claim(self.app, self.session_id, state.turn_no + 1, job=job)
        if claimed is not None:
            if self.turn is not None:
                self.stale.append(self.turn)
            self.turn, self.question = claimed, None

    async def advance(self) -> None:
        if self.turn is not None and self.question is None:
            self.question = await turns.advance(self.app, self.turn)

    async def answer(self) -> None:
        if self.turn is None or self.question is None:
            return
        calls = tuple(self.chance.sample(CALLS, self.chance.randint(1, 4))) if self.chance.random() < 0.95 else ()
        reply = Reply(f"Said. {PLANTED}", "thought", calls, "opaque", "scripted:x", Usage(requests=1), 5)
        await turns.answered(self.app, self.turn, self.question, reply)
        self.asked = self.question
        self.question = None

    async def late(self) -> None:
        if self.stale and self.asked is not None:
            late = Reply("late", "", (), "", "m", Usage(), 1)
            with pytest.raises(QuarterdeckError):
                await turns.answered(self.app, self.chance.choice(self.stale), self.asked, late)

    async def fail(self) -> None:
        if self.turn is not None and self.question is not None:
            await turns.failed_to_answer(self.app, self.turn, "work", "away", 0.0)
            self.question = None

    async def take_offers(self) -> None:
        orders = offers.stream(self.app, self.hands, self.runner)
        for order in await anext(orders) if await self.open_offers() else []:
            if isinstance(order, p.Offer):
                self.given[order.call_id] = order
        await orders.aclose()

    async def open_offers(self) -> bool:
        state = await self.state()
        return any(call.side == "executor" and call.status in ("offered", "running") for call in state.calls.values())

    async def begin_call(self) -> None:
        if self.given:
            offer = self.chance.choice(list(self.given.values()))
            said = p.Started(turn_no=offer.turn_no, lease_epoch=offer.lease_epoch)
            await executors.started(self.app, self.hands, offer.call_id, said)

    async def end_call(self) -> None:
        if self.given:
            offer = self.chance.choice(list(self.given.values()))
            outcome = self.chance.choice(list(Outcome))
            begun = self.chance.random() < 0.5
            said = p.Result(
                turn_no=offer.turn_no, lease_epoch=offer.lease_epoch, begun=begun, outcome=outcome, text=PLANTED
            )
            self.results.append((offer.call_id, said))
            await executors.result(self.app, self.hands, *self.results[-1])

    async def repeat_result(self) -> None:
        if self.results:
            await executors.result(self.app, self.hands, *self.chance.choice(self.results))

    async def server_side(self) -> None:
        for call_id, call in (await self.state()).calls.items():
            if call.side == "server" and call.status in ("offered", "running"):
                await server_calls.begin(self.app, self.session_id, call_id)
                for _ in range(self.chance.randint(1, 2)):
                    await server_calls.finish(self.app, self.session_id, call_id, outcome=Outcome.OK, text="done")

    async def person(self) -> None:
        app, owner, number = self.app, self.start.owner, self.session_id
        approvals = list((await self.state()).approvals)
        match self.chance.randrange(8):
            case 0:
                await steering.reply(app, owner, number, f"a word {PLANTED}")
            case 1:
                await steering.pause(app, owner, number)
            case 2:
                await steering.resume(app, owner, number)
            case 3:
                await steering.hold(app, owner, number, held=self.chance.random() < 0.5)
            case 4:
                await steering.rename(app, owner, number, "another title")
            case 5 | 6 if approvals:
                await steering.approve(app, owner, number, self.chance.choice(approvals), for_session=True)
            case 7 if approvals:
                await steering.deny(app, owner, number, self.chance.choice(approvals), reason="no")
            case _:
                if self.chance.random() < 0.05:
                    await steering.cancel(app, owner, number)

    async def state(self) -> SessionState:
        async with self.app.database.transaction() as connection:
            found = await connection.execute(select(rows.c.state).where(rows.c.id == self.session_id))
            return SessionState.model_validate(found.scalar_one())

    async def check(self) -> SessionState:
        """The promise, against the database."""
        async with self.app.database.transaction() as connection:
            events = await log.read(connection, self.session_id, limit=100_000)
            row: Any = (await connection.execute(select(rows).where(rows.c.id == self.session_id))).one()
        folded = fold(events)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert SessionState.model_validate(row.state) == folded
        assert (row.status, row.seq, row.turn_no, row.turn_open) == (
            folded.status.value,
            folded.seq,
            folded.turn_no,
            folded.turn_open,
        )
        assert (row.expires_on, row.title, row.warnings) == (folded.expires_on, folded.title, folded.warnings)
        assert {name: getattr(row, name) for name in listed(folded)} == listed(folded)
        ended = next((n for n, event in enumerate(events) if _ends(event)), None)
        if ended is not None:
            assert all(event.event_class is EventClass.RECORD for event in events[ended + 1 :])
        assert not any(PLANTED in event.model_dump_json() for event in events), "no secret is stored"
        return folded


def _ends(event: Any) -> bool:
    return getattr(event.payload, "to_status", None) in FINAL


@pytest.mark.parametrize("seed", range(10))
async def test_the_fold_of_the_log_is_the_stored_row(app: App, start: Start, seed: int) -> None:
    hands = await executors.authenticate(app, start.runner_token)
    welcome = await hellos.hello(app, hands, p.Hello(protocol=1, version="0", name="r", capacity=4, isolation="full"))
    world = World(app, start, hands, welcome.runner, random.Random(seed))
    request = StartSession(
        project="sample",
        flow_yaml=FLOW,
        goal=f"Keep {PLANTED} to yourself.",
        model="scripted",
        script=SCRIPT,
        pre_approved=(() if seed % 3 == 0 else None),
    )
    world.session_id = (await sessions.start(app, start.owner, request)).id
    actions = [
        *(world.claim, world.claim, world.advance, world.advance, world.advance, world.answer, world.answer),
        *(world.take_offers, world.take_offers, world.begin_call, world.end_call, world.end_call, world.repeat_result),
        *(world.server_side, world.server_side, world.person, world.late, world.fail),
    ]
    for _ in range(250):
        action = world.chance.choice(actions)
        try:
            await action()
        except QuarterdeckError:
            world.question = None
        folded = await world.check()
        if folded.final:
            break
    if not (await world.state()).final:
        assert (await steering.cancel(app, start.owner, world.session_id)).status in FINAL
    await world.check()


async def test_what_one_may_not_know_of_is_not_there(app: App, start: Start) -> None:
    from quarterdeck.app.actor import Actor
    from quarterdeck.core.errors import NotFoundError

    request = StartSession(project="sample", flow_yaml=FLOW, goal="g", model="scripted", script=SCRIPT)
    session_id = (await sessions.start(app, start.owner, request)).id
    stranger = Actor(start.owner.user_id + 1000, "eve", "Eve", "", admin=False)
    for attempt in (
        sessions.show(app, stranger, session_id),
        sessions.start(app, stranger, request),
        steering.cancel(app, stranger, session_id),
        deletion.delete_session(app, stranger, session_id),
    ):
        with pytest.raises(NotFoundError):
            await attempt
    assert not (await session_lists.find(app, stranger)).items


async def test_the_same_idempotency_key_starts_one_session(app: App, start: Start) -> None:
    request = StartSession(project="sample", flow_yaml=FLOW, goal="g", model="scripted", script=SCRIPT)
    first = await sessions.start(app, start.owner, request, "key-1")
    again = await sessions.start(app, start.owner, request, "key-1")
    assert first.id == again.id
    assert (await sessions.start(app, start.owner, request, "key-2")).id != first.id
