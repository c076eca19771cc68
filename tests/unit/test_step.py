from typing import Any

import pytest
from pydantic import JsonValue

from quarterdeck.core import events as e
from quarterdeck.core import limits, step
from quarterdeck.core.budget import Budget
from quarterdeck.core.flow import Flow
from quarterdeck.core.fold import FINAL_RESPONSE, apply, begin
from quarterdeck.core.session_limits import Limits, Used
from quarterdeck.core.state import SessionState
from quarterdeck.core.status import Transition
from quarterdeck.core.usage import Usage
from tests.unit.world import CREATED, agent, deterministic, event, finished, flow, human_input, moved, one_off

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


def test_an_agent_is_told_of_its_limit_and_then_has_to_come_to_an_end() -> None:
    its_flow = flow([agent("a", max_cycles=3, iteration_warning_offset=1, max_wrap_up_retries=2)], [])
    busy = (answer(), call("c1"), finished("c1", e.Outcome.OK))

    def told(*happened: Happening) -> step.Notify:
        notice = next_(its_flow, *happened)
        assert isinstance(notice, step.Notify)
        return notice

    def notice(of: step.Notify) -> e.NoticeAdded:
        return e.NoticeAdded(component=of.component, about=of.about, text=of.text)

    twice: tuple[Happening, ...] = (ENTERED, *busy, *busy)
    warning = told(*twice)
    assert (warning.about, "1 answers" in warning.text) == ("iterations", True)
    warned = (*twice, notice(warning))
    assert next_(its_flow, *warned) == step.AskModel("a")
    out = (*warned, *busy)
    wrap_up = told(*out)
    assert wrap_up.about == "wrap_up"
    last = (*out, notice(wrap_up), *busy)
    assert next_(its_flow, *last) == step.AskModel("a")
    ended = next_(its_flow, *last, *busy)
    assert isinstance(ended, step.End)
    assert (ended.transition, "max_cycles" in ended.reason) == (Transition.DROP, True)
    assert next_(its_flow, *last, *busy, SAID) == step.AskModel("a"), "a person's message begins the count anew"
    assert next_(its_flow, *out, notice(wrap_up), answer("all")) == step.Leave("a", {"final_answer": "all"})


def test_an_answer_without_words_is_asked_for_again_a_few_times() -> None:
    its_flow = flow([agent("a", max_wrap_up_retries=1)], [])
    empty = next_(its_flow, ENTERED, answer(" \n"))
    assert isinstance(empty, step.Notify)
    assert (empty.about, "empty" in empty.text) == ("correction", True)
    again = (ENTERED, answer(), e.NoticeAdded(component="a", about="correction", text=empty.text))
    assert next_(its_flow, *again) == step.AskModel("a")
    assert next_(its_flow, *again, answer("done")) == step.Leave("a", {"final_answer": "done"})
    assert next_(its_flow, *again, answer()) == step.Leave("a", {"final_answer": ""})


def test_a_spent_budget_pauses_before_the_model_is_asked_and_more_of_it_goes_on() -> None:
    used = e.UsageRecorded(component="a", model="m", usage=Usage(input_tokens=8, output_tokens=2))
    given = e.BudgetChanged(budget=Budget(tokens=10), by="ada")
    assert next_(ALONE, ENTERED, given) == step.AskModel("a")
    spent = next_(ALONE, ENTERED, given, used)
    assert isinstance(spent, step.End)
    assert (spent.transition, "10 tokens is spent" in spent.reason) == (Transition.PAUSE, True)
    paused = (ENTERED, given, used, Transition.PAUSE)
    assert next_(ALONE, *paused) == step.Rest()
    assert next_(ALONE, *paused, Transition.RESUME) == spent, "it pauses again"
    for more in (Budget(tokens=11), None):
        changed = e.BudgetChanged(budget=more, by="ada")
        assert next_(ALONE, *paused, changed, Transition.RESUME) == step.AskModel("a")
    assert next_(ALONE, ENTERED, given, answer("done"), used) == step.Leave("a", {"final_answer": "done"})
    once = flow([one_off("o")], [])
    entered = e.ComponentEntered(component="o", user="u", converses=False)
    assert isinstance(next_(once, entered, given, used), step.End)


def test_a_total_that_is_used_up_pauses_when_no_call_is_under_way_and_goes_on_when_resumed() -> None:
    reached = Limits(session=60).reached("session", of=Limits())
    used = Used(ms=60_000, output=7)
    calls = (call("c1", parallel=True), call("c2", parallel=True), e.ToolCallsOffered(call_ids=("c1", "c2")))
    over = finished("c1", e.Outcome.TIMED_OUT).model_copy(update={"limit": reached, "used": used})
    memory = finished("c1", e.Outcome.ERROR).model_copy(update={"limit": Limits().reached("memory"), "used": used})
    both: tuple[Happening, ...] = (finished("c2", e.Outcome.OK), over)
    started: tuple[Happening, ...] = (ENTERED, answer("go"), *calls)
    assert next_(ALONE, *started, memory, finished("c2", e.Outcome.OK)) == step.AskModel("a"), "the call alone ends"
    assert next_(ALONE, *started, over) == step.Rest(), "the other goes on to its end"
    assert next_(ALONE, *started, *both) == step.End(Transition.PAUSE, reached.pause)
    assert next_(ALONE, *started, *both, Transition.PAUSE, Transition.RESUME) == step.AskModel("a")
    state = after(*started, *both)
    assert (state.used, state.exhausted) == (used, reached)
    apply(state, event(state.seq + 1, e.HistoryCopied(session=1, seq=2, status=state.status)))
    assert (state.used, state.exhausted) == (Used(), None), "a fork begins anew"

    fixed = flow([deterministic("d")], [])
    entered = e.ComponentEntered(component="d")
    tried: tuple[Happening, ...] = (
        entered,
        call("c1", component="d"),
        e.ToolCallsOffered(call_ids=("c1",)),
        over,
        Transition.PAUSE,
    )
    again = next_(fixed, *tried, Transition.RESUME)
    assert isinstance(again, step.CallTool), "the step had no fault of its own"


def test_what_sessions_below_have_used_is_of_the_budget_too() -> None:
    below = e.ChildrenUsed(usage=Usage(requests=2, input_tokens=7))
    used = e.UsageRecorded(component="a", model="m", usage=Usage(input_tokens=3))
    given = e.BudgetChanged(budget=Budget(tokens=10), by="ada")
    assert next_(ALONE, ENTERED, given, below) == step.AskModel("a")
    spent = next_(ALONE, ENTERED, given, below, used)
    assert isinstance(spent, step.End)
    assert "10 tokens is spent ($0, 10 tokens)" in spent.reason
    more = e.ChildrenUsed(usage=Usage(requests=3, input_tokens=8))
    assert after(ENTERED, given, below, more).spent.input_tokens == 8, "it is a sum already"


FORMAL = flow(
    [agent("a", response_schema_id="s", max_wrap_up_retries=1)],
    [],
    response_schemas=[{"schema_id": "s", "definition": {"type": "object"}}],
)


def final(call_id: str, outcome: e.Outcome, **args: JsonValue) -> tuple[Happening, ...]:
    asked = e.ToolCallRequested(
        call_id=call_id, component="a", tool=FINAL_RESPONSE, args=args, side="brain", asks=False
    )
    return asked, finished(call_id, outcome, FINAL_RESPONSE)


def test_a_final_answer_has_the_form_that_the_flow_asks_for() -> None:
    given = final("c1", e.Outcome.OK, good=True)
    taken = step.Leave("a", {"final_answer": {"good": True}})
    assert next_(FORMAL, ENTERED, answer(), *given) == taken
    beside = (call("c2"), e.ToolCallsOffered(call_ids=("c2",)), finished("c2", e.Outcome.OK))
    assert next_(FORMAL, ENTERED, answer(), *given, *beside) == taken
    assert next_(FORMAL, ENTERED, SAID, answer(seen=3), *given) == step.AskModel("a"), "the message is not answered"
    left = e.ComponentLeft(component="a", outputs={})
    assert next_(FORMAL, ENTERED, answer(), *given, *beside, left) == step.End(Transition.FINISH)
    assert next_(FORMAL, ENTERED, answer(), *given, SAID) == step.AskModel("a")


def test_an_answer_of_another_form_is_corrected_once_or_twice() -> None:
    wrong = (answer("words"),)
    corrected = next_(FORMAL, ENTERED, *wrong)
    assert isinstance(corrected, step.Notify)
    assert corrected.about == "correction"
    again = (ENTERED, *wrong, e.NoticeAdded(component="a", about="correction", text=corrected.text))
    assert next_(FORMAL, *again) == step.AskModel("a")
    assert isinstance(next_(FORMAL, *again, *wrong), step.Notify)
    misfit = (answer(), *final("c1", e.Outcome.ERROR))
    assert next_(FORMAL, ENTERED, *misfit) == step.AskModel("a")
    ended = next_(FORMAL, *again, *misfit)
    assert isinstance(ended, step.End)
    assert "schema" in ended.reason


LEAD = flow(
    [
        agent("a", subagents=[{"name": "b"}]),
        agent("b", max_cycles=1, max_wrap_up_retries=0, response_schema_id="s"),
    ],
    [],
    response_schemas=[{"schema_id": "s", "definition": {"type": "object"}}],
)
DELEGATED = (
    ENTERED,
    answer(),
    e.ToolCallRequested(call_id="d", component="a", tool="delegate_task", args={}, side="brain", asks=False),
)
AT_WORK = (
    *DELEGATED,
    e.ToolCallsOffered(call_ids=("d",)),
    e.DelegationStarted(call_id="d", component="a:b:1", system="s", user="u"),
)


def of_b(payload: e.AnyPayload) -> e.AnyPayload:
    return payload.model_copy(update={"component": "a:b:1"})


def test_a_subagent_has_the_floor_until_it_returns() -> None:
    assert next_(LEAD, *DELEGATED) == step.Delegate("d")
    assert next_(LEAD, *AT_WORK) == step.AskModel("a:b:1")
    given = tuple(of_b(one) for one in (answer(), *final("c1", e.Outcome.OK, n=1)) if not isinstance(one, Transition))
    assert next_(LEAD, *AT_WORK, *given) == step.Return("d", '{"n": 1}')
    back = (*AT_WORK, *given, e.DelegationEnded(call_id="d", component="a:b:1"), finished("d", e.Outcome.OK))
    assert next_(LEAD, *back) == step.AskModel("a")
    assert next_(LEAD, *back, answer("all done")) == step.Leave("a", {"final_answer": "all done"})
    formless = final("f", e.Outcome.OK, final_response="done")
    assert next_(LEAD, *back, answer(), *formless) == step.Leave("a", {"final_answer": "done"})


def test_a_subagent_that_gets_nowhere_is_a_failed_call_and_no_failed_session() -> None:
    busy = tuple(of_b(one) for one in (answer(), call("c1"), finished("c1", e.Outcome.OK)) if one.kind)
    ended = next_(LEAD, *AT_WORK, *busy)
    assert isinstance(ended, step.Return)
    assert (ended.outcome, "max_cycles" in ended.text) == (e.Outcome.ERROR, True)


def test_questions_to_the_person_come_after_approvals() -> None:
    question = e.ToolCallRequested(call_id="q", component="a", tool="t", args={}, side="brain", asks=True)
    both = (ENTERED, answer(), question, call("c1", asks=True))
    assert next_(ALONE, *both) == step.AskPerson(("c1",))
    denied = (
        ask("c1"),
        e.ApprovalDenied(approval_id="a_c1", by="ada", door="web"),
        finished("c1", e.Outcome.DENIED),
    )
    assert next_(ALONE, *both, *denied) == step.AskQuestions(("q",))
    put = e.ApprovalRequested(approval_id="a_q", ask="input", call_ids=("q",), question="?", choices=("x", "y"))
    asked = (*both, *denied, put, Transition.REQUIRE_INPUT)
    assert after(*asked).approvals["a_q"].choices == ("x", "y")
    assert next_(ALONE, *asked, Transition.RESUME) == step.AskQuestions(())
    said = e.QuestionAnswered(approval_id="a_q", text="x", by="ada", door="web")
    assert next_(ALONE, *asked, said, finished("q", e.Outcome.OK), Transition.RESUME) == step.AskModel("a")


def test_a_plan_is_approved_or_comes_back_changed() -> None:
    its_flow = flow(
        [agent("a"), human_input("h", "a")],
        [
            {"from": "a", "to": "h"},
            {
                "from": "h",
                "condition": {"input": {"from": "context:h.approval"}, "routes": {"approve": "end", "reject": "a"}},
            },
        ],
    )
    put = e.ApprovalRequested(approval_id="p", ask="plan", question="?", component="h")
    planned = (ENTERED, answer("a plan"), LEFT)
    assert next_(its_flow, *planned) == step.Enter("h")
    at = (*planned, e.ComponentEntered(component="h"))
    assert next_(its_flow, *at) == step.AskHuman("h")
    asked = (*at, put, Transition.REQUIRE_PLAN_APPROVAL)
    assert next_(its_flow, *asked) == step.Rest()
    yes = e.ApprovalGranted(approval_id="p", by="ada", door="web")
    approved = (*asked, yes, Transition.RESUME)
    assert next_(its_flow, *approved) == step.Leave("h", {"approval": "approve"})
    left = e.ComponentLeft(component="h", outputs={"approval": "approve"})
    assert next_(its_flow, *approved, left) == step.End(Transition.FINISH)
    no = e.ApprovalDenied(approval_id="p", by="ada", door="web", reason="smaller")
    changed = (*asked, no, SAID, Transition.RESUME)
    assert next_(its_flow, *changed) == step.Leave("h", {"approval": "reject"})
    rejected = e.ComponentLeft(component="h", outputs={"approval": "reject"})
    assert next_(its_flow, *changed, rejected) == step.Enter("a", follow_up=True)
    assert next_(its_flow, *changed, rejected, e.ComponentEntered(component="a")) == step.AskModel("a")


def test_a_round_of_tools_is_corrected_while_it_fails() -> None:
    its_flow = flow([one_off("o", max_correction_attempts=1)], [])
    entered = e.ComponentEntered(component="o", user="u", converses=False)

    def said(*calls: tuple[str, e.Outcome]) -> list[e.AnyPayload]:
        happened: list[e.AnyPayload] = [e.ModelAnswered(component="o", text="", model="m")]
        for call_id, outcome in calls:
            happened += [call(call_id, component="o"), finished(call_id, outcome)]
        return happened

    assert next_(its_flow, entered) == step.AskModel("o")
    well = next_(its_flow, entered, *said(("c1", e.Outcome.OK)))
    assert isinstance(well, step.Leave)
    assert well.outputs["execution_result"] == "success"
    assert well.outputs["tool_responses"] == ["it was ok"]
    assert well.outputs["tool_calls"] == [{"tool": "t", "args": {}}]
    failing = said(("c1", e.Outcome.OK), ("c2", e.Outcome.ERROR))
    assert next_(its_flow, entered, *failing) == step.AskModel("o")
    corrected = next_(its_flow, entered, *failing, *said(("c3", e.Outcome.ERROR)))
    assert isinstance(corrected, step.Leave)
    assert corrected.outputs["execution_result"] == "failed"
    notice = next_(its_flow, entered, *said())
    assert isinstance(notice, step.Notify)
    told = e.NoticeAdded(component="o", about="correction", text=notice.text)
    assert next_(its_flow, entered, *said(), told) == step.AskModel("o")
    assert isinstance(next_(its_flow, entered, *said(), told, *said()), step.Leave)
    message = e.MessageAdded(text="go on", by="ada")
    assert next_(its_flow, entered, *said(), told, message) == step.AskModel("o"), "it is told once"
    assert after(entered).agent == "", "a person's message is not for it"


def test_a_conversation_is_compacted_near_the_limit_of_its_model() -> None:
    short = {"max_context_tokens": 100, "trim_threshold": 0.5}
    its_flow = flow([agent("a", compaction=short)], [])
    long = "x" * 120
    full: tuple[Happening, ...] = (ENTERED, answer(long), SAID, answer(long), SAID)
    assert next_(its_flow, *full[:3]) == step.AskModel("a"), "one answer can't be made shorter"
    assert next_(its_flow, *full) == step.Compact("a")
    assert next_(ALONE, *full) == step.AskModel("a")
    off = flow([agent("a", compaction={**short, "enabled": False})], [])
    assert next_(off, *full) == step.AskModel("a")
    done = e.ContextCompacted(component="a", text="in short", through=4, answers=1, system="s", size=10)
    assert next_(its_flow, *full, done) == step.AskModel("a")
    counted = e.UsageRecorded(component="a", model="m", usage=Usage(input_tokens=40, output_tokens=20))
    little: tuple[Happening, ...] = (ENTERED, answer(), counted, SAID, answer(), counted, SAID)
    assert next_(its_flow, *little) == step.Compact("a"), "the provider's own count"


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
