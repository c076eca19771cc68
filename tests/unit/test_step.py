from typing import Any

import pytest

from quarterdeck.core import events as e
from quarterdeck.core import limits, step
from quarterdeck.core.flow import Flow
from quarterdeck.core.fold import apply, begin
from quarterdeck.core.state import SessionState
from quarterdeck.core.status import Transition
from tests.unit.world import CREATED, agent, deterministic, event, finished, flow, moved

Happening = e.AnyPayload | Transition
ENTERED = e.ComponentEntered(component="a", system="s", user="u")
LEFT = e.ComponentLeft(component="a", outputs={"final_answer": "maybe", "sure": True})
SAID = e.MessageAdded(text="and then?", by="ada", component="a")


def after(*happened: Happening) -> SessionState:
    state = begin(event(1, CREATED))
    for payload in (Transition.START, *happened):
        whole = moved(state, payload) if isinstance(payload, Transition) else payload
        apply(state, event(state.seq + 1, whole))
    return state


def next_(its_flow: Flow, *happened: Happening) -> step.Step:
    return step.next_step(its_flow, after(*happened))


def call(call_id: str, *, asks: bool = False, parallel: bool = False, component: str = "a") -> e.ToolCallRequested:
    return e.ToolCallRequested(
        call_id=call_id, component=component, tool="t", args={}, side="server", asks=asks, parallel=parallel
    )


def ask(call_id: str) -> e.ApprovalRequested:
    return e.ApprovalRequested(approval_id=f"a_{call_id}", ask="tool_call", call_ids=(call_id,), question="?")


def grant(call_id: str) -> e.ApprovalGranted:
    return e.ApprovalGranted(approval_id=f"a_{call_id}", by="ada", door="web")


def answer(text: str = "", seen: int | None = None) -> e.ModelAnswered:
    return e.ModelAnswered(component="a", text=text, model="m", seen=seen)


def routed(**router: Any) -> Flow:
    return flow([agent("a"), deterministic("d")], [{"from": "a", **router}])


def by(path: str, **routes: str) -> Flow:
    return routed(condition={"input": {"from": path}, "routes": routes})


ALONE = flow([agent("a", max_cycles=2)], [])


def test_an_agent_answers_until_it_has_nothing_more_to_answer() -> None:
    assert step.next_step(ALONE, begin(event(1, CREATED))) == step.Start()
    assert next_(ALONE) == step.Enter("a")
    assert next_(ALONE, ENTERED) == step.AskModel("a")
    assert next_(ALONE, ENTERED, answer("done")) == step.Leave("a", {"final_answer": "done"})
    assert next_(ALONE, ENTERED, answer("done"), LEFT) == step.End(Transition.FINISH)
    assert next_(ALONE, ENTERED, answer("done"), SAID) == step.AskModel("a")
    dropped = next_(ALONE, ENTERED, answer("1"), SAID, answer("2"), SAID)
    assert isinstance(dropped, step.End)
    assert dropped.transition is Transition.DROP
    assert "max_cycles" in dropped.reason


def test_a_message_that_came_while_the_model_thought_is_answered() -> None:
    thought_of = after(ENTERED).seq
    assert next_(ALONE, ENTERED, SAID, answer("to the prompt", seen=thought_of)) == step.AskModel("a")
    assert next_(ALONE, ENTERED, SAID, answer("to both", seen=thought_of + 1)) == step.Leave(
        "a", {"final_answer": "to both"}
    )


def test_a_message_behind_the_last_answer_is_answered_before_the_end() -> None:
    both = flow([agent("a"), deterministic("d")], [{"from": "a", "to": "d"}, {"from": "d", "to": "end"}])
    at_step = (ENTERED, answer("done"), LEFT, e.ComponentEntered(component="d"), call("c1", component="d"))
    ended = (finished("c1", e.Outcome.OK), e.ComponentLeft(component="d"))
    assert next_(both, *at_step, *ended) == step.End(Transition.FINISH)
    assert next_(both, *at_step, SAID, *ended) == step.Enter("a", follow_up=True)


def test_an_idle_session_goes_on_with_its_agent_and_ends_when_there_is_nothing_to_say() -> None:
    opened = e.ArtifactCreated(artifact="merge_request", name="!1")
    done = (ENTERED, answer("done"), opened, LEFT)
    assert next_(ALONE, *done) == step.End(Transition.IDLE)
    assert next_(ALONE, *done, Transition.IDLE) == step.Rest()
    assert next_(ALONE, *done, Transition.IDLE, SAID, Transition.RESUME) == step.Enter("a", follow_up=True)
    assert next_(ALONE, *done, Transition.IDLE, Transition.RESUME) == step.End(Transition.IDLE)
    merged = e.MergeRequestEnded(name="!1", status="merged")
    assert next_(ALONE, *done, Transition.IDLE, merged, Transition.RESUME) == step.End(Transition.FINISH)
    follow_up = e.ComponentEntered(component="a")
    assert next_(ALONE, *done, Transition.IDLE, SAID, Transition.RESUME, follow_up) == step.AskModel("a")


@pytest.mark.parametrize(
    ("its_flow", "expected"),
    [
        (routed(to="d"), step.Enter("d")),
        (routed(to="end"), step.End(Transition.FINISH)),
        (routed(), step.End(Transition.FINISH)),
        (flow([agent("a")], [{"from": "other", "to": "a"}]), step.End(Transition.FINISH)),
        (routed(to="abort"), step.End(Transition.DROP, "The flow aborted after 'a'.")),
        (by("context:a.final_answer", maybe="d"), step.Enter("d")),
        (by("context:a.final_answer", default_route="d"), step.Enter("d")),
        (by("context:a.sure", true="d", default_route="end"), step.Enter("d")),
        (by("status", running="d"), step.Enter("d")),
        (
            by("context:a.final_answer", yes="d"),
            step.End(Transition.DROP, "The router after 'a' has no route for 'maybe'."),
        ),
        (
            by("context:a.none", x="d"),
            step.End(Transition.DROP, "The flow reads 'context:a.none', but there is no 'none' in it yet."),
        ),
    ],
)
def test_where_the_flow_goes_from_a_component(its_flow: Flow, expected: step.Step) -> None:
    assert next_(its_flow, ENTERED, answer("maybe"), LEFT) == expected


def test_calls_that_ask_nobody_come_first_side_by_side_as_far_as_they_may() -> None:
    batch = (
        ENTERED,
        answer(),
        call("ask1", asks=True),
        call("read1", parallel=True),
        call("read2", parallel=True),
        call("write"),
        call("read3", parallel=True),
        call("ask2", asks=True),
    )
    first = e.ToolCallsOffered(call_ids=("read1", "read2"))
    assert next_(ALONE, *batch) == step.OfferCalls(first.call_ids)
    assert next_(ALONE, *batch, first, finished("read2", e.Outcome.OK)) == step.Rest()
    reads = (first, finished("read2", e.Outcome.OK), finished("read1", e.Outcome.ERROR))
    assert next_(ALONE, *batch, *reads) == step.OfferCalls(("write",))
    write = (e.ToolCallsOffered(call_ids=("write",)), finished("write", e.Outcome.OK))
    assert next_(ALONE, *batch, *reads, *write) == step.OfferCalls(("read3",))
    last = (e.ToolCallsOffered(call_ids=("read3",)), finished("read3", e.Outcome.OK))
    asking = (*batch, *reads, *write, *last)
    assert next_(ALONE, *asking) == step.AskPerson(("ask1", "ask2"))
    asked = (*asking, ask("ask1"), ask("ask2"), Transition.REQUIRE_TOOL_CALL_APPROVAL)
    assert next_(ALONE, *asked) == step.Rest()
    assert next_(ALONE, *asked, Transition.RESUME) == step.AskPerson(())
    assert next_(ALONE, *asked, grant("ask2"), Transition.RESUME) == step.OfferCalls(("ask2",))
    denied = e.ApprovalDenied(approval_id="a_ask1", by="ada", door="web")
    assert next_(ALONE, *asked, denied, Transition.RESUME) == step.AskPerson(("ask1",))
    over = (denied, finished("ask1", e.Outcome.DENIED), grant("ask2"), Transition.RESUME)
    offer = (e.ToolCallsOffered(call_ids=("ask2",)), finished("ask2", e.Outcome.OK))
    assert next_(ALONE, *asked, *over, *offer) == step.AskModel("a")


STEP = flow(
    [
        deterministic(
            "d",
            inputs=[
                {"from": "context:goal", "as": "text"},
                {"from": "context:goal", "as": "fast"},
                {"from": "context:none", "optional": True},
            ],
            toolset=[{"name": "run_pipeline", "fixed": {"fast": True}}, {"name": "other", "fixed": {"x": 1}}],
        )
    ],
    [],
)
AT_STEP = e.ComponentEntered(component="d")


@pytest.mark.parametrize("outcome", e.Outcome)
def test_a_step_uses_its_tool_once_and_says_how_it_went(outcome: e.Outcome) -> None:
    use = step.CallTool("d", "run_pipeline", {"text": "mend it", "fast": True})
    assert next_(STEP, AT_STEP) == use
    text = f"it was {outcome}"
    error = "" if outcome is e.Outcome.OK else text
    leave = step.Leave(
        "d",
        {"tool_responses": text, "execution_result": "failed" if error else "success", "error": error},
    )
    went = next_(STEP, AT_STEP, call("c1", component="d"), finished("c1", outcome))
    assert went == (use if outcome is e.Outcome.INTERRUPTED else leave)


def test_a_step_whose_executor_dies_is_repeated_a_few_times() -> None:
    tries: list[Happening] = [AT_STEP]
    for n in range(limits.INTERRUPTED_REPEATS + 1):
        assert isinstance(next_(STEP, *tries), step.CallTool)
        tries += [call(f"c{n}", component="d"), finished(f"c{n}", e.Outcome.INTERRUPTED)]
    assert isinstance(next_(STEP, *tries), step.Leave)
    again = (AT_STEP, call("c_again", component="d"), finished("c_again", e.Outcome.INTERRUPTED))
    assert isinstance(next_(STEP, *tries, *again), step.CallTool)


def test_a_step_that_reads_what_is_not_there_fails_with_the_reason() -> None:
    blind = flow([deterministic("d", inputs=[{"from": "context:none"}])], [])
    ended = next_(blind, AT_STEP)
    assert isinstance(ended, step.End)
    assert "context:none" in ended.reason


def test_a_flow_that_goes_round_and_round_is_dropped() -> None:
    state = after(*[AT_STEP] * limits.NODE_TRANSITIONS)
    assert isinstance(step.next_step(STEP, state), step.CallTool)
    apply(state, event(state.seq + 1, AT_STEP))
    ended = step.next_step(STEP, state)
    assert isinstance(ended, step.End)
    assert ended.transition is Transition.DROP
    assert str(limits.NODE_TRANSITIONS) in ended.reason
