"""What a person says reaches the agent that acts on it."""

from typing import Any

import pytest
from pydantic import JsonValue
from sqlalchemy import select

from quarterdeck.app import server_calls, sessions, steering, turns
from quarterdeck.app.application import App
from quarterdeck.app.change import change
from quarterdeck.core import events as e
from quarterdeck.core.answer import Reply, RequestedCall
from quarterdeck.core.errors import ConflictError, InvalidInputError
from quarterdeck.core.events import Outcome
from quarterdeck.core.history import Said
from quarterdeck.core.status import Status
from quarterdeck.core.usage import Usage
from quarterdeck.store.tables import offers
from tests.conftest import Start

FLOW = """
version: v1
environment: ambient
name: two
components:
  - {name: first, type: AgentComponent, prompt_id: p, inputs: ["context:goal"], toolset: [todo_write]}
  - {name: between, type: DeterministicStepComponent, tool_name: list_pipelines}
  - {name: second, type: AgentComponent, prompt_id: p, inputs: ["context:goal"], toolset: [todo_write]}
routers: [{from: first, to: between}, {from: between, to: second}, {from: second, to: end}]
flow: {entry_point: first}
prompts: [{prompt_id: p, name: p, prompt_template: {system: s, user: "{{ goal }}"}}]
"""


async def test_a_message_between_two_agents_is_for_the_next(app: App, start: Start) -> None:
    request = sessions.StartSession(
        project="sample", flow_yaml=FLOW, goal="g", model="scripted", script="components: {first: [{say: unused}]}"
    )
    session_id = (await sessions.start(app, start.owner, request)).id
    turn = await turns.claim(app, session_id, 1, job=1)
    assert turn is not None
    question = await turns.advance(app, turn)
    assert question is not None
    await turns.answered(app, turn, question, Reply("done", "", (), "", "m", Usage(), 1))
    assert await turns.advance(app, turn) is None, "the step's tool is offered"
    view = await steering.reply(app, start.owner, session_id, "mind the gap")
    assert view.component == "between"
    async with app.database.transaction() as connection:
        mine = select(offers.c.call_id).where(offers.c.session_id == session_id)
        call_id = (await connection.execute(mine)).scalar_one()
    await server_calls.begin(app, session_id, call_id)
    await server_calls.finish(app, session_id, call_id, outcome=Outcome.OK, text="none")
    turn = await turns.claim(app, session_id, 2, job=2)
    assert turn is not None
    question = await turns.advance(app, turn)
    assert question is not None
    assert question.component == "second"
    assert Said("mind the gap") in question.conversation.messages


ASKING = FLOW.replace("toolset: [todo_write]", "toolset: [list_commits], require_tool_approval: true")


async def test_changed_arguments_are_kept_as_a_models_are(app: App, start: Start) -> None:
    request = sessions.StartSession(
        project="sample", flow_yaml=ASKING, goal="g", model="scripted", script="components: {first: [{say: unused}]}"
    )
    session_id = (await sessions.start(app, start.owner, request)).id
    turn = await turns.claim(app, session_id, 1, job=1)
    assert turn is not None
    question = await turns.advance(app, turn)
    assert question is not None
    call = RequestedCall("p", "list_commits", {"ref": "main"})
    await turns.answered(app, turn, question, Reply("", "", (call,), "", "m", Usage(), 1))
    assert await turns.advance(app, turn) is None, "a person is asked"
    deep: JsonValue = "main"
    for _ in range(100):
        deep = [deep]
    with pytest.raises(InvalidInputError, match="levels"):
        await steering.approve(app, start.owner, session_id, args={"ref": deep})
    await steering.approve(app, start.owner, session_id, args={"ref": "ma\x00in"})
    turn = await turns.claim(app, session_id, 2, job=2)
    assert turn is not None
    assert await turns.advance(app, turn) is None, "the call is offered"
    async with app.database.transaction() as connection:
        args = (await connection.execute(select(offers.c.args).where(offers.c.session_id == session_id))).scalar_one()
    assert args == {"ref": "ma\ufffdin"}


@pytest.mark.parametrize("how", [{"for_session": True}, {"pattern": "git status*"}], ids=["exactly", "pattern"])
async def test_the_same_call_twice_in_one_answer_is_asked_once(app: App, start: Start, how: dict[str, Any]) -> None:
    asking = FLOW.replace("toolset: [todo_write]", "toolset: [run_command], require_tool_approval: true")
    request = sessions.StartSession(
        project="sample", flow_yaml=asking, goal="g", model="scripted", script="components: {first: [{say: unused}]}"
    )
    session_id = (await sessions.start(app, start.owner, request)).id
    turn = await turns.claim(app, session_id, 1, job=1)
    assert turn is not None
    question = await turns.advance(app, turn)
    assert question is not None
    commands = ("git status", "git status", "git push")
    calls = tuple(RequestedCall(f"p{n}", "run_command", {"command": one}) for n, one in enumerate(commands))
    await turns.answered(app, turn, question, Reply("", "", calls, "", "m", Usage(), 1))
    assert await turns.advance(app, turn) is None, "a person is asked"
    asked = (await sessions.show(app, start.owner, session_id)).approvals
    view = await steering.approve(app, start.owner, session_id, asked[0].id, **how)
    assert [approval.id for approval in view.approvals] == [asked[2].id], "the other command is still asked for"
    view = await steering.approve(app, start.owner, session_id, asked[2].id)
    assert view.status is Status.RUNNING


CHAT = """
version: v1
environment: chat-partial
name: talk
components: [{name: friend, type: AgentComponent, prompt_id: p, toolset: [create_merge_request]}]
routers: []
flow: {}
prompts: [{prompt_id: p, name: p, prompt_template: {system: s, user: "{{ goal }}"}}]
"""
ALONE = (
    CHAT.replace("chat-partial", "ambient")
    .replace("routers: []", "routers: [{from: friend, to: end}]")
    .replace("flow: {}", "flow: {entry_point: friend}")
)


@pytest.mark.parametrize(("flow", "status"), [(CHAT, Status.IDLE), (ALONE, Status.FINISHED)], ids=["chat", "flow"])
async def test_a_flow_is_finished_with_its_merge_request_and_a_chat_lives_on(
    flow: str, status: Status, app: App, start: Start
) -> None:
    request = sessions.StartSession(
        project="sample", flow_yaml=flow, goal="g", model="scripted", script="components: {first: [{say: unused}]}"
    )
    session_id = (await sessions.start(app, start.owner, request)).id
    turn = await turns.claim(app, session_id, 1, job=1)
    assert turn is not None
    question = await turns.advance(app, turn)
    assert question is not None
    async with change(app, session_id) as it:
        it.append(e.ArtifactCreated(artifact="merge_request", name="!1"))
    await turns.answered(app, turn, question, Reply("done", "", (), "", "m", Usage(), 1))
    assert await turns.advance(app, turn) is None
    assert (await sessions.show(app, start.owner, session_id)).status is Status.IDLE
    async with app.database.transaction() as connection:
        await steering.merge_request_ended(connection, app, session_id, "!1", "merged")
    assert (await sessions.show(app, start.owner, session_id)).status is status


STEPS = """
version: v1
environment: ambient
name: steps
components:
  - {name: first, type: DeterministicStepComponent, tool_name: list_pipelines}
  - {name: asked, type: HumanInputComponent, sends_response_to: once, interaction_type: input, message_template: "How?"}
  - {name: once, type: OneOffComponent, prompt_id: p, inputs: ["context:goal"], toolset: [list_commits]}
routers: [{from: first, to: asked}, {from: asked, to: once}, {from: once, to: end}]
flow: {entry_point: first}
prompts: [{prompt_id: p, name: p, prompt_template: {system: s, user: "{{ goal }}"}}]
"""


async def test_a_message_that_nobody_would_read_is_refused_and_an_answer_is_not(app: App, start: Start) -> None:
    request = sessions.StartSession(
        project="sample", flow_yaml=STEPS, goal="g", model="scripted", script="components: {once: [{say: unused}]}"
    )
    session_id = (await sessions.start(app, start.owner, request)).id
    turn = await turns.claim(app, session_id, 1, job=1)
    assert turn is not None
    assert await turns.advance(app, turn) is None, "the step's tool is offered"
    before = (await sessions.show(app, start.owner, session_id)).seq
    with pytest.raises(ConflictError, match="no agent that could read"):
        await steering.reply(app, start.owner, session_id, "hello?")
    assert (await sessions.show(app, start.owner, session_id)).seq == before
    async with app.database.transaction() as connection:
        mine = select(offers.c.call_id).where(offers.c.session_id == session_id)
        call_id = (await connection.execute(mine)).scalar_one()
    await server_calls.begin(app, session_id, call_id)
    await server_calls.finish(app, session_id, call_id, outcome=Outcome.OK, text="none")
    turn = await turns.claim(app, session_id, 2, job=2)
    assert turn is not None
    assert await turns.advance(app, turn) is None, "the person is asked"
    await steering.reply(app, start.owner, session_id, "carefully")
    turn = await turns.claim(app, session_id, 3, job=3)
    assert turn is not None
    question = await turns.advance(app, turn)
    assert question is not None
    assert Said("carefully") in question.conversation.messages
