"""What one answer's calls bring fits into what its model reads at once."""

from quarterdeck.app import sessions, turns
from quarterdeck.app.application import App
from quarterdeck.app.calls import finished
from quarterdeck.app.change import change
from quarterdeck.core import limits
from quarterdeck.core.answer import Reply, RequestedCall
from quarterdeck.core.events import Outcome, ToolCallFinished
from quarterdeck.core.history import Results
from quarterdeck.core.usage import Usage
from quarterdeck.store import log
from tests.conftest import Start

FLOW = """
version: v1
environment: ambient
name: one
components: [{name: first, type: AgentComponent, prompt_id: p, inputs: ["context:goal"], toolset: [list_commits]}]
routers: [{from: first, to: end}]
flow: {entry_point: first}
prompts: [{prompt_id: p, name: p, prompt_template: {system: s, user: "{{ goal }}"}}]
"""


async def test_the_model_is_told_a_share_of_each_result_and_the_log_has_the_whole(app: App, start: Start) -> None:
    request = sessions.StartSession(
        project="sample", flow_yaml=FLOW, goal="g", model="scripted", script="components: {first: [{say: unused}]}"
    )
    session_id = (await sessions.start(app, start.owner, request)).id
    turn = await turns.claim(app, session_id, 1, job=1)
    assert turn is not None
    question = await turns.advance(app, turn)
    assert question is not None
    calls = tuple(RequestedCall("p", "list_commits", {"ref": "main"}) for _ in range(limits.CALLS_PER_ANSWER))
    await turns.answered(app, turn, question, Reply("", "", calls, "", "m", Usage(), 1))
    assert await turns.advance(app, turn) is None, "the calls are offered"
    async with change(app, session_id) as it:
        for call_id, call in it.state.calls.items():
            it.append(finished(call_id, call, Outcome.OK, "x" * limits.RESULT_CHARACTERS))
        context = it.state.created.context_tokens
    turn = await turns.claim(app, session_id, 2, job=2)
    assert turn is not None
    question = await turns.advance(app, turn)
    assert question is not None
    told = question.conversation.messages[-1]
    assert isinstance(told, Results)
    assert len(told.results) == limits.CALLS_PER_ANSWER
    assert sum(len(one.text) for one in told.results) < context * limits.CHARACTERS_PER_TOKEN // 3
    assert all("characters left out" in one.text for one in told.results)
    async with app.database.transaction() as connection:
        events = await log.read(connection, session_id, limit=1_000)
    ends = [event.payload for event in events if isinstance(event.payload, ToolCallFinished)]
    assert {len(end.text) for end in ends} == {limits.RESULT_CHARACTERS}
