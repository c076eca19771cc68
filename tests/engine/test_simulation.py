"""Simulations: whole flows from their first component to their end, with nothing touched."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import JsonValue

from quarterdeck import server
from quarterdeck.app.simulated import FACTS, Ending, Simulation
from quarterdeck.core import events as e
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.fold import fold
from quarterdeck.core.status import Status
from quarterdeck.flows import sources

FLOWS = Path(__file__).parents[1] / "unit" / "flows"


def wish(name: str, goal: str = "") -> Simulation:
    """A clean flow with its script."""
    script = FLOWS / "simulated" / f"{name}.script.yml"
    return Simulation(
        flow=(FLOWS / "clean" / f"{name}.yml").read_text(encoding="utf-8"),
        script=script.read_text(encoding="utf-8") if script.exists() else None,
        goal=goal,
    )


async def run(simulation: Simulation) -> tuple[Ending, list[e.AnyPayload]]:
    events: list[e.Event] = []
    ending = await server.simulate(simulation, events.append)
    assert fold(events).status is ending.status
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    return ending, [event.payload for event in events]


def test_the_linter_knows_the_facts_that_a_simulation_has() -> None:
    assert set(FACTS) == set(sources.FACTS)


async def test_agents_delegate_ask_and_come_to_an_end() -> None:
    asked = replace(wish("supervisor", goal="mend the shelf"), answers=("yes",))
    ending, log = await run(asked)
    assert ending == Ending(
        Status.FINISHED,
        "",
        ("lead", "lead:researcher:1", "lead:writer:1", "lead:writer:1:researcher:1"),
        well=True,
    )
    results = {p.tool: p.text for p in log if isinstance(p, e.ToolCallFinished)}
    assert (results["grep"], results["todo_write"]) == ("books.py:3:shelf", "Noted.")
    assert [p.outputs for p in log if isinstance(p, e.ComponentLeft)] == [{"final_answer": "Mended books."}]


async def test_a_question_that_nobody_answers_is_no_good_end() -> None:
    ending, _ = await run(wish("supervisor", goal="mend the shelf"))
    assert (ending.status, ending.reason, ending.well) == (Status.INPUT_REQUIRED, "Nobody answers: Mend books?", False)


async def test_a_plan_is_approved_changed_or_rejected() -> None:
    plan = wish("plan_approval")
    ending, log = await run(plan)
    assert ending.way == ("planner", "plan_approval", "executor")
    assert ending.well
    assert [p.error for p in log if isinstance(p, e.ModelRetried)] == ["The provider is away."] * 2
    assert "Two: mend." in next(p.question for p in log if isinstance(p, e.ApprovalRequested))
    rejected, _ = await run(replace(plan, denied=("plan_approval",)))
    assert (rejected.status, rejected.way) == (Status.STOPPED, ("planner", "plan_approval"))
    assert plan.script is not None
    more = plan.script.replace("  executor:", "    - {expect: '^shorter$', say: 'One: look.'}\n  executor:")
    changed, log = await run(replace(plan, denied=("plan_approval=shorter",), script=more))
    assert changed.way == ("planner", "plan_approval", "planner", "plan_approval", "executor")
    assert changed.well
    assert "One: look." in [p.question for p in log if isinstance(p, e.ApprovalRequested)][1]


async def test_a_refused_tool_is_told_to_the_agent() -> None:
    plan = wish("plan_approval")
    assert plan.script is not None
    told = plan.script.replace("'^ok$'", "'did not allow this call. The reason: Too risky'")
    ending, log = await run(replace(plan, denied=("run_command=Too risky",), script=told))
    assert ending.well
    assert e.Outcome.DENIED in [p.outcome for p in log if isinstance(p, e.ToolCallFinished)]


async def test_one_round_of_tools_is_corrected_and_its_end_routed_by() -> None:
    script = """
components:
  collect:
    - say: I would rather talk.
    - {call: {tool: grep, args: {pattern: x}, result: {outcome: error, text: no such folder}}}
    - {call: [{tool: grep, args: {pattern: x}, result: 'a.py:1:x'}, {tool: read_file, args: {file_path: a.py}}]}
  show:
    - {call: {tool: run_command, result: '{{shown}}'}}
  tell:
    - {expect: 'a.py:1:x[(]simulated[)]grep pattern="x"read_file file_path="a.py"success', say: All told.}
"""
    ending, log = await run(replace(wish("one_off"), script=script))
    assert ending.well, ending
    assert ending.way == ("collect", "show", "tell")
    assert len([p for p in log if isinstance(p, e.NoticeAdded)]) == 1
    assert "{shown}" in [p.text for p in log if isinstance(p, e.ToolCallFinished)]
    given_up = script.replace("result: 'a.py:1:x'", "result: {outcome: error, text: no}")
    ending, _ = await run(replace(wish("one_off"), script=given_up))
    assert (ending.status, ending.reason) == (Status.FAILED, "The flow aborted after 'collect'.")


async def test_an_answer_that_does_not_fit_its_schema_comes_back() -> None:
    final = "{call: {tool: final_response_tool, args: %s}}"
    right = final % "{kind: bug, reasons: [It breaks, All of it]}"
    script = f"""
components:
  sort:
    - say: It is a bug.
    - {final % "{kind: bug, reasons: [it breaks]}"}
    - {right}
  tell:
    - {{expect: '^1. All of it\\n2. It breaks', call: {{tool: final_response_tool, args: {{text: told}}}}}}
  last:
    - {{expect: '^told$', call: {{tool: final_response_tool, args: {{text: done}}}}}}
"""
    ending, log = await run(replace(wish("response_schema"), script=script))
    assert ending.well, ending
    outputs = {p.component: p.outputs["final_answer"] for p in log if isinstance(p, e.ComponentLeft)}
    assert outputs["sort"] == {"kind": "bug", "reasons": ["It breaks", "All of it"]}
    never = script.replace(right, "{say: No.}\n    - {say: No.}\n    - {say: No.}")
    ending, _ = await run(replace(wish("response_schema"), script=never))
    assert ending.status is Status.FAILED
    assert "no final answer that fits" in ending.reason


async def test_a_chat_rests_and_a_question_to_a_person_begins_it() -> None:
    script = "components: {talk: [{expect: A boat, say: I see.}]}"
    ending, log = await run(replace(wish("chat"), script=script, answers=("A boat.",)))
    assert (ending.status, ending.way, ending.well) == (Status.IDLE, ("ask", "talk"), True)
    assert "What is it about?" in [p.question for p in log if isinstance(p, e.ApprovalRequested)]
    talk = "components: {talk: [{expect: hi, say: ho}]}"
    ending, _ = await run(replace(wish("chat_partial"), script=talk, goal="hi"))
    assert ending.status is Status.IDLE


async def test_inputs_are_chosen_and_rendered() -> None:
    script = "components: {look: [{expect: 'go https://b 2026-01-01T00:00:00Z\\nred$', say: Seen.}]}"
    envelopes: JsonValue = [
        {"url": "https://a", "metadata": {"version": "1.1.0"}},
        {"url": "https://b", "since": "2026-01-01T00:00:00Z", "metadata": {"version": "1.2.0"}},
    ]
    inputs: dict[str, JsonValue] = {"merge_request": envelopes, "rules": {"texts": ["red"]}}
    looked = Simulation(flow=wish("inputs").flow, script=script, goal="go", inputs=inputs)
    ending, _ = await run(looked)
    assert ending.well, ending
    with pytest.raises(InvalidInputError, match=r"rules\.texts is missing"):
        await run(replace(looked, inputs={"merge_request": {"url": "https://a", "metadata": {"version": "1.1.0"}}}))


async def test_without_answers_it_pauses_as_a_real_session_would() -> None:
    talk = wish("chat_partial")
    ending, _ = await run(talk)
    assert ending.status is Status.PAUSED
    assert "no script" in ending.reason
    ending, _ = await run(replace(talk, script="components: {other: [{say: x}]}"))
    assert "no answers for 'talk'" in ending.reason
    away = "components: {talk: [{fail: {kind: rejected, message: 'No key.'}, say: x}]}"
    ending, _ = await run(replace(talk, script=away))
    assert (ending.status, ending.reason) == (Status.PAUSED, "No key.")


async def test_a_flow_that_goes_in_circles_ends() -> None:
    flow = """
version: v1
environment: ambient
components:
  - {name: a, type: DeterministicStepComponent, tool_name: run_pipeline}
routers:
  - {from: a, to: a}
flow: {entry_point: a}
"""
    ending, _ = await run(Simulation(flow=flow))
    assert (ending.status, "more than 600 components" in ending.reason) == (Status.FAILED, True)


@pytest.mark.parametrize("wrong", [{"flow": "x"}, {"script": "components: {}"}])
async def test_what_can_not_be_used_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError):
        await run(replace(wish("plan_approval"), **wrong))
