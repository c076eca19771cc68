"""What becomes of the calls that a model asks for, before anybody is offered them."""

from pydantic import JsonValue

from quarterdeck.app.calls import intents
from quarterdeck.app.toolbox import toolbox
from quarterdeck.core import events as e
from quarterdeck.core import limits
from quarterdeck.core.answer import RequestedCall
from quarterdeck.core.flow import Flow
from quarterdeck.core.fold import apply, begin
from quarterdeck.core.redaction import Redactor
from quarterdeck.core.state import SessionState
from quarterdeck.core.status import Transition
from tests.unit.world import CREATED, agent, event, flow, moved

FORMAL = flow(
    [agent("a", response_schema_id="s")],
    [],
    response_schemas=[{"schema_id": "s", "definition": {"type": "object"}}],
)
LEADING = flow([agent("lead", subagents=[{"name": "reader"}], max_delegations=2), agent("reader")], [])


def at(component: str) -> SessionState:
    state = begin(event(1, CREATED))
    apply(state, event(2, moved(state, Transition.START)))
    apply(state, event(3, e.ComponentEntered(component=component, system="s", user="u")))
    return state


def made(its_flow: Flow, state: SessionState, *calls: tuple[str, dict[str, JsonValue]]) -> list[e.ToolCallFinished]:
    """The ends of those that can't be; `state` has the intents of all."""
    asked = tuple((f"c_{place}", RequestedCall("p", tool, args)) for place, (tool, args) in enumerate(calls))
    answer = tuple(e.AnswerCall(call_id=i, provider_id="p", tool=c.tool, args=c.args) for i, c in asked)
    path = state.component
    drafts = intents(its_flow.component(path), toolbox(its_flow, path, state), state, Redactor([]), asked)
    apply(state, event(state.seq + 1, e.ModelAnswered(component=path, text="", calls=answer, model="m")))
    for draft in drafts:
        apply(state, event(state.seq + 1, draft.payload))
    return [draft.payload for draft in drafts if isinstance(draft.payload, e.ToolCallFinished)]


def test_one_answer_delegates_no_more_often_than_all_may() -> None:
    state = at("lead")
    task: dict[str, JsonValue] = {"agent": "reader", "task": "Look."}
    refused = made(LEADING, state, *[("delegate_task", task)] * 4)
    assert [one.call_id for one in refused] == ["c_2", "c_3"]
    assert "2 times" in refused[0].text


def test_a_subsession_has_a_whole_number_however_a_model_writes_it() -> None:
    state = at("lead")
    state.subsessions["lead:reader"] = 1
    number: JsonValue = 1.0
    assert made(LEADING, state, ("delegate_task", {"agent": "reader", "task": "On.", "subsession": number})) == []
    assert str(state.calls["c_0"].args["subsession"]) == "1"
    beyond = made(LEADING, state, ("delegate_task", {"agent": "reader", "task": "On.", "subsession": 2.0}))
    assert "no subsession 2" in beyond[0].text


def test_what_an_agent_waits_for_is_heard_before_its_final_answer() -> None:
    state = at("lead")
    task: dict[str, JsonValue] = {"agent": "reader", "task": "Look."}
    final: dict[str, JsonValue] = {"final_response": "All is well."}
    refused = made(LEADING, state, ("final_response_tool", final), ("delegate_task", task))
    assert [(one.call_id, one.outcome) for one in refused] == [("c_0", e.Outcome.ERROR)]
    assert state.response is None
    assert [one.outcome for one in made(LEADING, at("lead"), ("final_response_tool", final))] == [e.Outcome.OK]


def test_a_final_answer_is_no_longer_than_what_is_kept_of_it() -> None:
    words: list[JsonValue] = ["word"] * (limits.STATE_CONTEXT_CHARACTERS // 4)
    long: dict[str, JsonValue] = {"words": words}
    assert "65,536 characters" in made(FORMAL, at("a"), ("final_response_tool", long))[0].text
    assert made(FORMAL, at("a"), ("final_response_tool", {"words": []}))[0].outcome is e.Outcome.OK


def test_the_arguments_of_one_answer_together_are_bounded() -> None:
    large: dict[str, JsonValue] = {"agent": "reader", "task": "x" * 500_000}
    state = at("lead")
    refused = made(LEADING, state, *[("delegate_task", large)] * 4, ("no_such_tool", large))
    beyond = [one.call_id for one in refused if "1,048,576 characters. Make this call in your next" in one.text]
    assert beyond == ["c_2", "c_3"]
    assert "There is no tool" in refused[-1].text
    assert [bool(call.args) for call in state.calls.values()] == [True, True, False, False, False]
    assert sum(len(str(call.args)) for call in state.calls.values()) < limits.ANSWER_ARGUMENT_CHARACTERS


def test_what_a_model_is_told_of_its_faults_is_bounded() -> None:
    wrong: dict[str, JsonValue] = {f"unknown_{n}": n for n in range(10_000)}
    (refused,) = made(LEADING, at("lead"), ("final_response_tool", wrong))
    assert len(refused.text) < limits.RESULT_CHARACTERS + 100
