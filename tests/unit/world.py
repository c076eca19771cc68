"""A small world around one session: a brain, people and executors that do whatever the log allows, in any order."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Literal

from pydantic import JsonValue

from quarterdeck.core import events as e
from quarterdeck.core import step
from quarterdeck.core.approval import fingerprint
from quarterdeck.core.budget import Budget
from quarterdeck.core.component import AgentComponent, OneOffComponent
from quarterdeck.core.flow import Flow
from quarterdeck.core.fold import FINAL_RESPONSE, apply, begin
from quarterdeck.core.state import CallStatus, SessionState
from quarterdeck.core.status import AWAITING, TABLE, Status, Transition
from quarterdeck.core.usage import Usage

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
CREATED = e.SessionCreated(
    goal="mend it", title="Mend", flow="f/1.0.0", model="scripted:f", scripted=True, project_id=1, initiator_id=2,
    initiator="ada", origin="api",
    ref="main", commit="c" * 40, branch="quarterdeck/f-1", inputs={"a": {"b": [1, None]}},
)  # fmt: skip
PROMPT = {"prompt_template": {"system": "s", "user": "{{goal}}"}}


def agent(name: str, **more: object) -> dict[str, object]:
    return {"type": "AgentComponent", "name": name, "prompt_id": "p", **more}


def deterministic(name: str, **more: object) -> dict[str, object]:
    return {"type": "DeterministicStepComponent", "name": name, "tool_name": "run_pipeline", **more}


def one_off(name: str, **more: object) -> dict[str, object]:
    return {"type": "OneOffComponent", "name": name, "prompt_id": "p", "toolset": [{"name": "t"}], **more}


def human_input(name: str, to: str, **more: object) -> dict[str, object]:
    asks = {"sends_response_to": to, "message_template": "Is it right?"}
    return {"type": "HumanInputComponent", "name": name, **asks, **more}


def flow(
    components: Sequence[dict[str, object]], routers: Sequence[dict[str, object]], entry: str = "", **more: object
) -> Flow:
    return Flow.model_validate({
        "name": "f", "version": "1.0.0", "components": components, "routers": routers,
        "entry_point": entry or components[0]["name"], "prompts": [{"prompt_id": "p", **PROMPT}], **more,
    })  # fmt: skip


def event(seq: int, payload: e.AnyPayload, *, at: datetime | None = None, session: int = 1) -> e.Event:
    level = payload.default_level
    return e.Event(session=session, seq=seq, at=at or NOON + timedelta(hours=7 * seq), level=level, payload=payload)


def moved(state: SessionState, transition: Transition) -> e.StatusChanged:
    return e.StatusChanged(transition=transition, from_status=state.status, to_status=TABLE[transition][1])


class World:
    """One session; `chance` picks what happens, `watch` looks after each event."""

    def __init__(self, its_flow: Flow, chance: Random, watch: "Callable[[World], None]") -> None:
        self.flow = its_flow
        self.chance = chance
        self.watch = watch
        self.log = [event(1, CREATED)]
        self.state = begin(self.log[0])
        self.asking: step.AskModel | step.Compact | None = None
        self.seen = 0
        self.messages = 0
        self.retries = 0
        self.names = 0

    def append(self, *payloads: e.AnyPayload) -> None:
        for payload in payloads:
            late = timedelta(days=self.chance.choice([0, 0, 1, 20]))
            self.log.append(event(self.state.seq + 1, payload, at=self.state.last_activity + late))
            apply(self.state, self.log[-1])
            self.watch(self)

    def move(self, transition: Transition) -> None:
        self.append(moved(self.state, transition))

    def name(self, letter: str) -> str:
        self.names += 1
        return f"{letter}_{self.names}"

    def in_status(self, *statuses: CallStatus) -> list[str]:
        return [call_id for call_id, call in self.state.calls.items() if call.status in statuses]

    def chaos(self, happenings: int) -> None:
        """Lets anything happen that may."""
        for _ in range(happenings):
            self.chance.choice(self.possible())()

    def calm(self, happenings: int) -> int:
        """Everybody answers, nobody is odd; how much had to happen until the end."""
        for count in range(happenings):
            if self.state.final:
                return count
            self.answer_well()
        raise AssertionError(f"no end: {self.state!r}")

    def possible(self) -> "list[Callable[[], None]]":
        state = self.state
        records = [self.record]
        if state.final:
            return records
        odd = [self.steer, self.steer, self.report_again]
        if self.messages < 6:
            odd.append(self.message)
        if state.turn_open or state.wants_turn:
            odd += [self.brain] * 12
        if self.in_status(CallStatus.OFFERED, CallStatus.RUNNING):
            odd += [self.executor] * 8
        if state.approvals or state.status in AWAITING:
            odd += [self.person] * 4
        return [*odd, *records]

    def answer_well(self) -> None:
        state = self.state
        if state.turn_open or state.wants_turn:
            self.brain(well=True)
        elif self.in_status(CallStatus.OFFERED, CallStatus.RUNNING):
            self.executor(well=True)
        elif state.status is Status.IDLE and state.open_merge_request:
            self.append(e.MergeRequestEnded(name=state.open_merge_request, status="merged"))
            self.move(Transition.RESUME)
            self.move(Transition.FINISH)
        elif state.approvals:
            self.person(well=True)
        elif state.status is Status.IDLE and self.flow.chats:
            self.move(Transition.STOP)
        else:
            self.move(Transition.RESUME)

    # the brain

    def brain(self, *, well: bool = False) -> None:
        state = self.state
        if not state.turn_open:
            self.append(e.TurnStarted(turn_no=state.turn_no + 1, job=1))
        elif not well and self.chance.random() < 0.1:  # the worker dies, its job comes again
            self.asking = None
            self.append(e.TurnStarted(turn_no=state.turn_no + 1, job=1, recovery=True))
        elif self.asking is not None:
            asking, self.asking = self.asking, None
            self.model(asking, well=well)
        else:
            self.take(step.next_step(self.flow, state))

    def take(self, next_: step.Step) -> None:  # noqa: C901 one arm for each step
        match next_:
            case step.Start():
                self.move(Transition.START)
            case step.Enter(name, follow_up):
                prompted = isinstance(self.flow.component(name), AgentComponent) and not follow_up
                self.append(e.ComponentEntered(component=name, system="s" * prompted, user="u" * prompted))
            case step.Leave(name, outputs):
                self.append(e.ComponentLeft(component=name, outputs=outputs))
            case step.AskModel() | step.Compact():
                self.asking, self.seen = next_, self.state.seq
            case step.Notify(name, about, text):
                self.append(e.NoticeAdded(component=name, about=about, text=text))
            case step.Delegate(call_id):
                self.append(e.ToolCallsOffered(call_ids=(call_id,)))
                kind = f"{self.state.component}:{self.state.calls[call_id].args['agent']}"
                number = self.chance.choice([1, self.state.subsessions.get(kind, 0) + 1])
                self.append(e.DelegationStarted(call_id=call_id, component=f"{kind}:{number}", system="s", user="u"))
            case step.Return(call_id, _, outcome):
                self.append(e.DelegationEnded(call_id=call_id, component=self.state.component))
                self.append(finished(call_id, outcome))
            case step.AskQuestions(call_ids):
                self.append(*[self.question("input", call_id) for call_id in call_ids])
                self.move(Transition.REQUIRE_INPUT)
            case step.AskHuman(name):
                if not self.state.approvals:
                    self.append(self.question(self.chance.choice(["plan", "input"]), component=name))
                self.move(Transition.REQUIRE_PLAN_APPROVAL)
            case step.CallTool(name, tool, args):
                self.append(self.requested(self.name("c"), name, tool, dict(args), asks=self.chance.random() < 0.3))
            case step.OfferCalls(call_ids):
                self.append(e.ToolCallsOffered(call_ids=call_ids))
            case step.AskPerson(call_ids):
                self.append(*[self.question("tool_call", call_id) for call_id in call_ids])
                self.move(Transition.REQUIRE_TOOL_CALL_APPROVAL)
            case step.End(transition, _):
                self.move(transition)
                self.end_turn()
            case step.Rest():
                self.end_turn()

    def end_turn(self) -> None:
        if not self.state.final:
            self.append(e.TurnEnded(turn_no=self.state.turn_no))

    def question(self, ask: e.Ask, *call_ids: str, component: str = "") -> e.ApprovalRequested:
        return e.ApprovalRequested(
            approval_id=self.name("a"), ask=ask, call_ids=call_ids, question=f"{ask}?", component=component
        )

    def model(self, asking: step.AskModel | step.Compact, *, well: bool) -> None:
        component = asking.component
        chance = 1.0 if well else self.chance.random()
        if chance < 0.1 and self.state.status is Status.RUNNING:
            self.append(self.question("input"))
            self.move(self.chance.choice([Transition.REQUIRE_INPUT, Transition.REQUIRE_PLAN_APPROVAL]))
            self.end_turn()
        elif chance < 0.2:
            self.retries += 1
            again = NOON + timedelta(hours=1)
            self.append(
                e.ModelRetried(component=component, attempt=self.retries, since=NOON, retry_at=again, error="down")
            )
            self.end_turn()
        elif chance < 0.3 and self.state.status is Status.RUNNING:
            self.move(Transition.PAUSE)
            self.end_turn()
        elif isinstance(asking, step.Compact):
            self.append(
                e.ContextCompacted(component=component, text="so", through=self.seen, answers=1, system="s", size=8)
            )
        else:
            self.answer(component, 0 if well else self.chance.choice([0, 1, 2, 4]), well=well)

    def answer(self, component: str, calls: int, *, well: bool = False) -> None:
        args: dict[str, JsonValue] = {"n": self.chance.choice([1, 2])}
        made = tuple(e.AnswerCall(call_id=self.name("c"), provider_id="p", tool="t", args=args) for _ in range(calls))
        of = self.flow.component(component)
        text = self.chance.choice(["", "yes", "no", "done"])
        self.append(e.ModelAnswered(component=component, text=text, calls=made, model="m", seen=self.seen))
        self.append(e.UsageRecorded(component=component, model="m", usage=Usage(requests=1, cost=None)))
        for call in made:
            asks = self.chance.random() < 0.4 and fingerprint("t", args) not in self.state.session_approvals
            self.append(self.requested(call.call_id, component, "t", args, asks=asks))
            if not asks and self.chance.random() < 0.1:
                self.append(finished(call.call_id, e.Outcome.ERROR))
        if isinstance(of, AgentComponent):
            self.own_calls(of, component, well=well)
        elif well and isinstance(of, OneOffComponent):
            self.append(self.requested(self.name("c"), component, "t", args, asks=False))

    def own_calls(self, agent: AgentComponent, component: str, *, well: bool) -> None:
        """What an agent asks of the turn itself: a question, a subagent, or that its answer is taken."""
        if not well and self.chance.random() < 0.1:
            self.append(self.of_brain("clarification_question", component, {"question": "?"}, asks=True))
        if agent.subagents and not well and self.chance.random() < 0.5:
            self.append(self.of_brain("delegate_task", component, {"agent": agent.subagents[0].name}))
        if agent.response_schema_id and (well or self.chance.random() < 0.5):
            call = self.of_brain(FINAL_RESPONSE, component, {"good": True})
            outcome = e.Outcome.OK if well else self.chance.choice([e.Outcome.OK, e.Outcome.ERROR])
            self.append(call, finished(call.call_id, outcome, FINAL_RESPONSE))

    def of_brain(
        self, tool: str, component: str, args: dict[str, JsonValue], *, asks: bool = False
    ) -> e.ToolCallRequested:
        call_id = self.name("c")
        return e.ToolCallRequested(call_id=call_id, component=component, tool=tool, args=args, side="brain", asks=asks)

    def requested(
        self, call_id: str, component: str, tool: str, args: dict[str, JsonValue], *, asks: bool
    ) -> e.ToolCallRequested:
        return e.ToolCallRequested(
            call_id=call_id, component=component, tool=tool, args=args, side=self.chance.choice(["executor", "server"]),
            asks=asks, parallel=self.chance.random() < 0.6,
        )  # fmt: skip

    # people

    def message(self) -> None:
        self.messages += 1
        for approval_id in list(self.state.approvals):
            self.deny(approval_id)
        self.append(e.MessageAdded(text="and then?", by="ada", component=self.state.agent))
        if self.state.status in AWAITING or self.state.status is Status.IDLE:
            self.move(Transition.RESUME)

    def person(self, *, well: bool = False) -> None:
        if self.state.approvals:
            approval_id = self.chance.choice(list(self.state.approvals))
            if self.state.approvals[approval_id].ask == "input":
                self.answer_question(approval_id)
            elif well or self.chance.random() < 0.6:
                changed: dict[str, JsonValue] | None = self.chance.choice([None, {"n": 3}])
                for_session = self.chance.random() < 0.5
                self.append(
                    e.ApprovalGranted(
                        approval_id=approval_id, by="ada", door="web", for_session=for_session, args=changed
                    )
                )
            else:
                self.deny(approval_id)
        if not self.state.approvals and self.state.status in AWAITING:
            self.move(Transition.RESUME)

    def answer_question(self, approval_id: str) -> None:
        pending = self.state.approvals[approval_id]
        self.append(e.QuestionAnswered(approval_id=approval_id, text="so", by="ada", door="web"))
        for call_id in pending.call_ids:
            self.append(finished(call_id, e.Outcome.OK))
        if pending.component:
            self.append(e.MessageAdded(text="so", by="ada", component=self.state.agent))

    def deny(self, approval_id: str) -> None:
        call_ids = self.state.approvals[approval_id].call_ids
        self.append(e.ApprovalDenied(approval_id=approval_id, by="ada", door="cli"))
        for call_id in call_ids:
            self.append(finished(call_id, e.Outcome.DENIED))

    def steer(self) -> None:
        """Any status change by hand that the table has, the ends seldom."""
        hard = {Transition.STOP, Transition.DROP, Transition.FINISH}
        steering = (Transition.PAUSE, Transition.RESUME, Transition.IDLE)
        legal = [t for t in (*steering, *(hard if self.chance.random() < 0.1 else ())) if self.allows(t)]
        if legal:
            chosen = self.chance.choice(legal)
            if chosen is Transition.IDLE and self.asking is not None:
                self.append(e.ModelInterrupted(component=self.asking.component, text="half", by="ada"))
            self.move(chosen)
            if chosen is Transition.IDLE and self.state.turn_open:  # an interrupted answer is thrown away
                self.asking = None
                self.end_turn()

    def allows(self, transition: Transition) -> bool:
        return self.state.status in TABLE[transition][0] and self.state.status is not TABLE[transition][1]

    # executors, and what comes from elsewhere

    def executor(self, *, well: bool = False) -> None:
        call_id = self.chance.choice(self.in_status(CallStatus.OFFERED, CallStatus.RUNNING))
        call = self.state.calls[call_id]
        if call.side == "executor" and not self.state.executor:
            self.append(e.ExecutorAttached(executor="runner", executor_kind="runner", lease_epoch=1))
            self.append(e.WorkspacePrepared(executor="runner", base_commit="c" * 40, isolation="full"))
        elif call.status is CallStatus.OFFERED and self.chance.random() < 0.8:
            self.append(e.ToolCallStarted(call_id=call_id, executor="runner"))
        else:
            self.make(call_id)
            self.append(finished(call_id, e.Outcome.OK if well else self.chance.choice(list(e.Outcome))))

    def make(self, call_id: str) -> None:
        if self.chance.random() < 0.3:
            kind: Literal["commit", "merge_request"] = self.chance.choice(["commit", "merge_request"])
            self.append(
                e.SnapshotTaken(
                    call_id=call_id, step=self.state.step + 1, commit="d" * 40, files=(), bundle_blob=1,
                    step_diff_blob=2, whole_diff_blob=3,
                ),
                e.ArtifactCreated(artifact=kind, name=self.name("!")),
                e.PlanChanged(items=(e.PlanItem(text="mend"),)),
            )  # fmt: skip

    def report_again(self) -> None:
        """A report that comes twice, or for a call that is gone, changes nothing of the call."""
        done = self.in_status(CallStatus.FINISHED)
        before = {call_id: call.model_copy() for call_id, call in self.state.calls.items()}
        warnings = self.state.warnings
        self.append(e.ToolCallStarted(call_id=self.chance.choice([*done, "c_gone"]), executor="runner"))
        self.append(finished(self.chance.choice([*done, "c_gone"]), e.Outcome.INTERRUPTED))
        assert (self.state.calls, self.state.warnings) == (before, warnings)

    def record(self) -> None:
        self.append(self.chance.choice(RECORDS))


RECORDS: tuple[e.AnyPayload, ...] = (
    e.SessionRenamed(title="Another", by="ada"),
    e.SessionHeld(by="ada"),
    e.SessionReleased(by="ada"),
    e.RetentionChanged(days=7, by="ada"),
    e.WorkspaceTornDown(executor="runner", killed=3, left=0, duration_ms=1.5, method="pid namespace"),
    e.WorkspaceTornDown(executor="runner", killed=3, left=1, duration_ms=1.5, method="pid namespace"),
    e.TeardownMissed(executor="runner", why="unreachable"),
    e.ChildrenUsed(usage=Usage(requests=1, input_tokens=3)),
    e.UsageRecorded(component="a", model="m", usage=Usage(requests=1, input_tokens=3, cost=Decimal("0.1"))),
    e.CheckRecorded(name="pipeline", passed=True),
    e.CheckRecorded(name="pipeline", passed=False),
    e.LinkAdded(relation="created", target="merge_request", name="!1"),
    e.MergeRequestEnded(name="!1", status="closed"),
    e.NetworkRefused(host="a.test", port=443, reason="x", call_id="c"),
    e.BudgetNeared(budget=Budget(tokens=3), usage=Usage(input_tokens=3)),
)


def finished(call_id: str, outcome: e.Outcome, tool: str = "t") -> e.ToolCallFinished:
    return e.ToolCallFinished(call_id=call_id, tool=tool, outcome=outcome, text=f"it was {outcome}")
