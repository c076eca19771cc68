"""Every kind of component on a real database, with a real worker, the scripted model, and tools of the server."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from procrastinate import RetryDecision
from sqlalchemy import select

from quarterdeck.app import session_log, sessions, steering, turns
from quarterdeck.app.application import App
from quarterdeck.app.session_views import SessionView
from quarterdeck.core import events as e
from quarterdeck.core.errors import InvalidInputError, UnavailableError
from quarterdeck.core.fold import fold
from quarterdeck.core.history import conversation
from quarterdeck.core.status import Status
from quarterdeck.engine.brain import Brain
from quarterdeck.engine.desk import Desk
from quarterdeck.engine.models.scripted import ScriptedModel
from quarterdeck.engine.worker import Worker
from quarterdeck.store.tables import sessions as rows
from tests.conftest import Start

SUPERVISOR = """
version: v1
environment: ambient
name: supervised
components:
  - name: lead
    type: AgentComponent
    prompt_id: lead
    toolset: [todo_write, clarification_question]
    subagents: [{name: reader}]
    max_delegations: 2
    response_schema_id: verdict
  - {name: reader, type: AgentComponent, prompt_id: reader, description: Reads branches., toolset: [list_branches]}
  - name: note
    type: OneOffComponent
    prompt_id: note
    inputs:
      - {from: context:lead.final_answer.word, as: word}
      - {from: "conversation_history:lead", as: talk}
    toolset: [todo_write]
routers:
  - from: lead
    condition: {input: "context:lead.final_answer.good", routes: {"true": note, default_route: abort}}
  - {from: note, condition: {input: "context:note.execution_result", routes: {success: end, default_route: abort}}}
flow: {entry_point: lead}
prompts:
  - {prompt_id: lead, prompt_template: {system: You lead., user: "{{ goal }}"}}
  - {prompt_id: reader, prompt_template: {system: You read., user: "Look at {{ goal }}"}}
  - {prompt_id: note, prompt_template: {system: You note., user: "Note {{ word }} of {{ talk }}"}}
response_schemas:
  - schema_id: verdict
    definition:
      type: object
      required: [good, word]
      properties: {good: {type: boolean}, word: {type: string, maxLength: 9}}
"""
SUPERVISOR_SCRIPT = """
components:
  lead:
    - call: {tool: clarification_question, args: {question: Which word?, choices: [heron, stork]}}
    - capture: {word: '^(\\w+)$'}
      call: {tool: delegate_task, args: {agent: reader, task: 'List them, {word}.'}}
    - expect: 'I saw main[\\s\\S]*subsession 1'
      call: {tool: delegate_task, args: {agent: reader, task: Once more., subsession: 1}}
    - expect: 'Still there'
      call: {tool: delegate_task, args: {agent: reader, task: And again.}}
    - expect: 'delegated 2 times'
      say: I am done.
    - expect: 'final_response_tool'
      call: {tool: final_response_tool, args: {good: true, word: much too long a word}}
    - expect: 'too long'
      call: {tool: final_response_tool, args: {good: true, word: '{word}'}}
  reader:
    - expect: 'Look at the branches[\\s\\S]*List them, heron'
      call: {tool: list_branches, args: {}}
    - expect: 'main'
      say: I saw main.
    - expect: 'Once more'
      say: Still there.
  note:
    - expect: 'Note heron of [\\s\\S]*agent uses delegate_task'
      say: I only talk.
    - expect: 'calling a tool'
      call: {tool: todo_write, args: {items: [{text: heron, status: completed}]}}
"""

PLANNED = """
version: v1
environment: ambient
name: planned
components:
  - {name: planner, type: AgentComponent, prompt_id: plan, toolset: [todo_write]}
  - name: approve
    type: HumanInputComponent
    sends_response_to: planner
    message_template: "This is the plan: {{ plan }}"
    inputs: [{from: context:planner.final_answer, as: plan}]
routers:
  - {from: planner, to: approve}
  - {from: approve, condition: {input: context:approve.approval, routes: {approve: end, reject: planner}}}
flow: {entry_point: planner}
prompts:
  - {prompt_id: plan, prompt_template: {system: You plan., user: "{{ goal }}"}}
"""
PLANNED_SCRIPT = """
components:
  planner:
    - {say: First this.}
    - {expect: '^smaller$', say: Then less.}
"""

CHAT = """
version: v1
environment: chat-partial
name: memory
components:
  - name: friend
    type: AgentComponent
    prompt_id: friend
    toolset: [todo_write]
    compaction: {max_context_tokens: 120, trim_threshold: 0.5, max_recent_messages: 4}
routers: []
flow: {}
prompts:
  - {prompt_id: friend, prompt_template: {system: You remember., user: "{{ goal }}"}}
"""
TURNS = 40
CHAT_SCRIPT = "\n".join([
    "components:",
    "  friend:",
    "    - {capture: {name: 'called (\\w+)'}, say: 'Good day, {name}.'}",
    *(f"    - {{expect: '^message {n}\\b', say: 'Answer {n} with some words around it.'}}" for n in range(1, TURNS)),
    "    - {say: 'You are called {name}.'}",
])  # fmt: skip


@asynccontextmanager
async def at_work(app: App, brain: Brain | None = None) -> AsyncGenerator[None]:
    """A worker whose model answers from the session's own script."""
    stop = asyncio.Event()
    brain = brain or Brain(app, lambda name, script: ScriptedModel(name, script or ""))
    task = asyncio.create_task(Worker(app, brain, Desk(app), concurrency=4).run(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait((task,), timeout=60)


@pytest.fixture
async def working(app: App) -> AsyncGenerator[App]:
    async with at_work(app):
        yield app


async def begin(app: App, start: Start, flow: str, script: str, goal: str) -> int:
    request = sessions.StartSession(project="sample", flow_yaml=flow, goal=goal, model="scripted", script=script)
    return (await sessions.start(app, start.owner, request)).id


async def resting(app: App, start: Start, session_id: int, status: Status) -> SessionView:
    """The session when it stands there; fails with its reason when it ended elsewhere."""
    async with asyncio.timeout(60):
        while True:
            view = await sessions.show(app, start.owner, session_id)
            if view.status is status and not (view.waiting_for and view.waiting_for.on == "worker"):
                return view
            assert view.status not in (Status.FAILED, Status.PAUSED), view.reason
            await asyncio.sleep(0.05)


async def whole(app: App, start: Start, session_id: int) -> list[e.Event]:
    return await session_log.events(app, start.owner, session_id, limit=1_000)


def payloads(events: list[e.Event], kind: str) -> list[Any]:
    return [event.payload for event in events if event.kind == kind]


async def test_an_agent_asks_delegates_and_answers_in_the_form_that_is_asked_for(working: App, start: Start) -> None:
    session_id = await begin(working, start, SUPERVISOR, SUPERVISOR_SCRIPT, "the branches")
    asked = await resting(working, start, session_id, Status.INPUT_REQUIRED)
    assert [approval.question for approval in asked.approvals] == ["Which word?"]
    with pytest.raises(InvalidInputError, match="message"):
        await steering.approve(working, start.owner, session_id)
    await steering.reply(working, start.owner, session_id, "heron")
    ended = await resting(working, start, session_id, Status.FINISHED)
    assert [item.text for item in ended.plan] == ["heron"]

    events = await whole(working, start, session_id)
    started = [one.component for one in payloads(events, "delegation.started")]
    assert started == ["lead:reader:1", "lead:reader:1"]
    assert [bool(one.system) for one in payloads(events, "delegation.started")] == [True, False]
    answers = [one.component for one in payloads(events, "model.answered")]
    assert answers.count("lead:reader:1") == 3
    left = {one.component: one.outputs for one in payloads(events, "component.left")}
    assert left["lead"] == {"final_answer": {"good": True, "word": "heron"}}
    assert left["note"]["execution_result"] == "success"
    assert [one.about for one in payloads(events, "notice.added")] == ["correction", "correction"]
    assert len(conversation("lead:reader:1", events).messages) == 6
    assert fold(events).status is Status.FINISHED


class DyingBrain(Brain):
    """Dies behind each thing that it commits, and begins anew from the log alone: at most once at each event."""

    def __init__(self, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(app, lambda name, script: ScriptedModel(name, script or ""))
        self.deaths = 0
        seen: set[tuple[int, str]] = set()

        def dying(name: str) -> None:
            real = getattr(turns, name)

            async def and_die(app: App, turn: turns.Turn, *rest: Any) -> Any:
                came_to = await real(app, turn, *rest)
                async with app.database.transaction() as connection:
                    mine = select(rows.c.seq, rows.c.turn_no).where(rows.c.id == turn.session_id)
                    row = (await connection.execute(mine)).one()
                place = (row.seq - row.turn_no, name)  # a death adds the beginning of a turn to the log
                if place not in seen:
                    seen.add(place)
                    self.deaths += 1
                    raise UnavailableError("The worker died here.")
                return came_to

            monkeypatch.setattr(turns, name, and_die)

        dying("advance")
        dying("answered")


async def test_a_death_behind_each_commit_leaves_the_same_log(
    app: App, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at_once(self: object, *, exception: BaseException, job: object) -> RetryDecision:
        return RetryDecision(retry_in={"seconds": 0})

    monkeypatch.setattr("quarterdeck.engine.worker._Again.get_retry_decision", at_once)

    async def played() -> list[tuple[str, str]]:
        session_id = await begin(app, start, SUPERVISOR, SUPERVISOR_SCRIPT, "the branches")
        await resting(app, start, session_id, Status.INPUT_REQUIRED)
        await steering.reply(app, start.owner, session_id, "heron")
        await resting(app, start, session_id, Status.FINISHED)
        events = await whole(app, start, session_id)
        assert fold(events).status is Status.FINISHED
        return [
            (event.kind, getattr(event.payload, "component", ""))
            for event in events
            if event.kind not in ("turn.started", "turn.ended")
        ]

    async with at_work(app):
        undisturbed = await played()
    brain = DyingBrain(app, monkeypatch)
    async with at_work(app, brain):
        assert await played() == undisturbed
    assert brain.deaths > 20


async def say_it(app: App, start: Start, session_id: int) -> None:
    await steering.reply(app, start.owner, session_id, "smaller")


async def deny_with_it(app: App, start: Start, session_id: int) -> None:
    await steering.deny(app, start.owner, session_id, reason="smaller")


@pytest.mark.parametrize("change", [say_it, deny_with_it])
@pytest.mark.parametrize("approve", [True, False], ids=["approved", "rejected"])
async def test_a_plan_comes_back_changed_until_it_is_approved_or_rejected(
    change: Callable[[App, Start, int], Awaitable[None]], approve: bool, working: App, start: Start
) -> None:
    session_id = await begin(working, start, PLANNED, PLANNED_SCRIPT, "Do it.")
    first = await resting(working, start, session_id, Status.PLAN_APPROVAL_REQUIRED)
    assert first.approvals[0].question == "This is the plan: First this."
    await change(working, start, session_id)
    await resting(working, start, session_id, Status.PLAN_APPROVAL_REQUIRED)
    second = await resting(working, start, session_id, Status.PLAN_APPROVAL_REQUIRED)
    assert second.approvals[0].question == "This is the plan: Then less."
    decide = steering.approve if approve else steering.deny
    await decide(working, start.owner, session_id)
    ended = await resting(working, start, session_id, Status.FINISHED if approve else Status.STOPPED)
    assert ("rejected" in ended.reason) == (not approve)


async def test_a_long_chat_is_compacted_and_still_knows_its_first_fact(working: App, start: Start) -> None:
    session_id = await begin(working, start, CHAT, CHAT_SCRIPT, "I am called Ada.")
    for turn in range(1, TURNS + 1):
        await resting(working, start, session_id, Status.IDLE)
        await steering.reply(working, start.owner, session_id, f"message {turn} and what goes with it")
    await resting(working, start, session_id, Status.IDLE)
    events = await whole(working, start, session_id)
    answers = [one.text for one in payloads(events, "model.answered")]
    assert (len(answers), answers[-1]) == (TURNS + 1, "You are called Ada.")
    compactions = payloads(events, "context.compacted")
    assert len(compactions) > 5
    assert "Ada" in compactions[-1].text
    kept = conversation("friend", events[compactions[-1].through :])
    assert kept.messages == conversation("friend", events).messages, "nothing before the last cut is needed"
    assert len(kept.messages) < 20
