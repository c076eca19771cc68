"""Where a session stands: what the fold of its events holds, and what can be read off it."""

from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, JsonValue

from quarterdeck.core import events as e
from quarterdeck.core import limits
from quarterdeck.core.budget import Budget
from quarterdeck.core.imported import SessionImported
from quarterdeck.core.mcp import McpPin
from quarterdeck.core.session_limits import Reached, Used
from quarterdeck.core.status import AWAITING, FINAL, Status, human
from quarterdeck.core.usage import Usage

EXTERNAL = "external"
"""The origin of a session whose work is done elsewhere."""


class CallStatus(StrEnum):
    """Where a tool call of the present batch stands."""

    REQUESTED = "requested"
    ASKED = "asked"
    APPROVED = "approved"
    OFFERED = "offered"
    RUNNING = "running"
    FINISHED = "finished"


class Call(BaseModel):
    """A tool call of the present batch."""

    model_config = ConfigDict(validate_assignment=False, extra="forbid", defer_build=True)
    tool: str
    args: dict[str, JsonValue]
    component: str
    side: e.Side
    asks: bool
    parallel: bool
    level: e.Level = e.Level.FULL
    failure_level: e.Level = e.Level.CONCISE
    listing: bool = False
    status: CallStatus = CallStatus.REQUESTED
    outcome: e.Outcome | None = None
    text: str = ""
    seq: int = 0
    """The event that asked for it."""
    exhausted: bool = False
    """It ended because a total of the session was used up."""

    def end_level(self, outcome: e.Outcome) -> e.Level:
        """The level of its end."""
        return self.level if outcome is e.Outcome.OK else self.failure_level


class PendingApproval(BaseModel):
    """A question that waits for a person."""

    model_config = ConfigDict(extra="forbid", defer_build=True)
    ask: e.Ask
    call_ids: tuple[str, ...]
    question: str
    choices: tuple[str, ...] = ()
    component: str = ""


class Frame(BaseModel):
    """An agent that waits for its subagent: what it goes on from."""

    model_config = ConfigDict(extra="forbid", defer_build=True)
    call_id: str
    component: str
    calls: dict[str, Call]
    answer: str
    response: dict[str, JsonValue] | None = None
    noticed: tuple[str, ...] = ()
    corrections: int = 0


class Compacted(BaseModel):
    """How far a conversation was compacted last."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    through: int
    answers: int
    """The agent's answers up to then."""


class Waiting(BaseModel):
    """What a session waits for, for its row, the lists and the CLI."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    on: Literal["worker", "runner", "editor", "tool", "model", "person"]
    detail: str = ""
    until: AwareDatetime | None = None


class LinkRef(BaseModel):
    """Something that the session belongs together with."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    relation: str
    target: str
    name: str
    url: str = ""


class Editor(BaseModel):
    """The editor that carries a session's calls out, in a folder of its person."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    id: int
    name: str
    kind: Literal["ide", "client"]
    folder: str


class ArtifactRef(BaseModel):
    """An artifact as the state remembers it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    artifact: str
    name: str
    url: str = ""


class SessionState(BaseModel):
    """The fold of a session's events. Bounded: it holds where the session stands, not what was said."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    created: e.SessionCreated
    title: str
    status: Status = Status.CREATED
    reason: str = ""
    """Why it is paused, failed or stopped; empty otherwise."""
    seq: int = 0
    turn_no: int = 0
    turn_open: bool = False
    turn_job: int = 0
    component: str = ""
    """Where the flow is; empty before its entry point and after its end."""
    component_done: bool = False
    """The present component has been left and the router is next."""
    agent: str = ""
    """The agent entered last: it takes a follow-up."""
    ended: bool = False
    """The flow came to its end; an idle session may go on from there."""
    nodes: int = 0
    cycles: dict[str, int] = {}
    """Each agent's answers since a person last spoke."""
    answers: dict[str, int] = {}
    """Each agent's answers in all."""
    visit_calls: int = 0
    """Calls that the present visit of a component has made."""
    visit_answers: int = 0
    corrections: int = 0
    """How often the agent was told that its answer can't be taken."""
    noticed: tuple[str, ...] = ()
    """What the agent was told about its limits, and need not be told again."""
    addressed: str = ""
    """The component that a person spoke to and that has not answered yet."""
    verdict: Literal["", "approve", "reject"] = ""
    """What a person said to the human input component that the flow is at."""
    response: dict[str, JsonValue] | None = None
    """The final answer in the form that the agent's schema asks for."""
    stack: list[Frame] = []
    """The agents that wait for their subagents, the flow's own first."""
    subsessions: dict[str, int] = {}
    """How many subagents of a name an agent has had, by the path without the number."""
    delegations: dict[str, int] = {}
    unanswered: bool = False
    """The agent has something to answer: its prompt, a message, results."""
    last_message: int = 0
    """The `seq` of the newest message."""
    seen: int = 0
    """The `seq` of the last event that the newest answer knew of."""
    answer: str = ""
    calls: dict[str, Call] = {}
    approvals: dict[str, PendingApproval] = {}
    session_approvals: tuple[str, ...] = ()
    """`tool` and canonical arguments approved for the session, as `core.approval.fingerprint` makes them."""
    session_patterns: dict[str, tuple[str, ...]] = {}
    """By tool, the patterns of commands that a person has approved for the session."""
    context: dict[str, dict[str, JsonValue]] = {}
    sizes: dict[str, int] = {}
    """The characters of each conversation, as far as it isn't compacted."""
    tokens: dict[str, int] = {}
    """The tokens that a provider counted for each, last time."""
    compacted: dict[str, Compacted] = {}
    plan: tuple[e.PlanItem, ...] = ()
    mcp: dict[str, McpPin] = {}
    """The MCP servers that were asked for their tools, by name."""
    retry: e.ModelRetried | None = None
    editor: Editor | None = None
    """Who carries its calls out; None when any runner does."""
    executor: str = ""
    """Who had its last lease."""
    lease_epoch: int = 0
    isolation: str = ""
    base_commit: str = ""
    step: int = 0
    snapshot_commit: str = ""
    start_commit: str = ""
    """The snapshot of what an editor's folder held before the first call."""
    bundle_blob: int | None = None
    whole_diff_blob: int | None = None
    artifacts: tuple[ArtifactRef, ...] = ()
    links: tuple[LinkRef, ...] = ()
    open_merge_request: str = ""
    checks_passed: int = 0
    checks_failed: int = 0
    verified: bool | None = None
    """Whether the last check of its work passed; None when none has been since its last commit."""
    usage: Usage = Usage()
    children_usage: Usage = Usage()
    """What all sessions below it had used when its model was asked last."""
    budget: Budget | None = None
    budget_neared: bool = False
    """The session has said that most of its budget is used."""
    used: Used = Used()
    """What its commands have taken, on all runners."""
    exhausted: Reached | None = None
    """The total that is used up; a person who resumes the session has had it raised."""
    warnings: int = 0
    errors: int = 0
    held: bool = False
    kept_days: int | None = None
    """How long it is kept after its last activity, where the project has changed that since its start."""
    torn_down: bool = False
    teardown_missed: Literal["", "unreachable", "removed"] = ""
    """Why the proof of its end has not come."""
    imported: SessionImported | None = None
    """The file that it was brought by; its log was written elsewhere."""
    created_at: AwareDatetime
    started_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    last_activity: AwareDatetime

    @property
    def spent(self) -> Usage:
        """What counts towards its budget."""
        return self.usage + self.children_usage

    @property
    def final(self) -> bool:
        """Nothing more is done in it."""
        return self.status in FINAL

    @property
    def retention_days(self) -> int:
        """How many days after its last activity it is deleted."""
        return self.created.retention_days if self.kept_days is None else self.kept_days

    @property
    def expires_at(self) -> datetime | None:
        """From when on the sweep may delete it; None while it is held."""
        return None if self.held else self.last_activity + timedelta(days=self.retention_days)

    @property
    def expires_on(self) -> date | None:
        """The day of that, which is what people are shown."""
        return self.expires_at.date() if self.expires_at else None

    @property
    def elsewhere(self) -> bool:
        """Whether its work is done outside: it has no turns, and its source says what happens."""
        return self.created.origin == EXTERNAL

    @property
    def works(self) -> bool:
        """Whether somebody works on it now: a turn, or whoever carries out a call. The sweep never touches it then."""
        return self.turn_open or any(call.status is CallStatus.RUNNING for call in self.calls.values())

    @property
    def batch_open(self) -> bool:
        """Whether a call of the present batch has not come to its end."""
        return any(call.status is not CallStatus.FINISHED for call in self.calls.values())

    @property
    def ready(self) -> dict[str, Call]:
        """The calls of the present batch that may be offered now: they ask nobody, or were approved."""
        return {
            call_id: call
            for call_id, call in self.calls.items()
            if call.status is CallStatus.APPROVED or (call.status is CallStatus.REQUESTED and not call.asks)
        }

    @property
    def in_flight(self) -> bool:
        """Whether somebody is carrying out a call now."""
        return any(call.status in (CallStatus.OFFERED, CallStatus.RUNNING) for call in self.calls.values())

    @property
    def wants_turn(self) -> bool:
        """Whether the brain has something to do and nobody is doing it."""
        if self.elsewhere:
            return False
        return self.status in (Status.CREATED, Status.RUNNING) and not self.turn_open and not self.in_flight

    @property
    def waiting(self) -> Waiting | None:
        """What it waits for; None when a turn or somebody elsewhere works on it, or it has ended."""
        if self.status in AWAITING:
            question = next(iter(self.approvals.values()), None)
            return Waiting(
                on="person",
                detail=question.question if question else human(self.status),
            )
        if self.status in (Status.PAUSED, Status.IDLE):
            return Waiting(on="person", detail=self.reason or human(self.status))
        if self.status not in (Status.CREATED, Status.RUNNING) or self.turn_open or self.elsewhere:
            return None
        if self.retry is not None:
            return Waiting(on="model", detail=self.retry.error, until=self.retry.retry_at)
        if any(call.status is CallStatus.RUNNING for call in self.calls.values()):
            return Waiting(on="tool", detail=", ".join(self._tools(CallStatus.RUNNING)))
        if self.in_flight:
            sides = {call.side for call in self.calls.values() if call.status is CallStatus.OFFERED}
            on = "runner" if "executor" in sides else "tool"
            return Waiting(on=on, detail=", ".join(self._tools(CallStatus.OFFERED)))
        return Waiting(on="worker")

    def context_tokens(self, component: str) -> int:
        """How long a conversation is, as counted by its provider or by the rule of thumb, whichever is more."""
        return max(self.tokens.get(component, 0), self.sizes.get(component, 0) // limits.CHARACTERS_PER_TOKEN)

    def _tools(self, status: CallStatus) -> list[str]:
        return [call.tool for call in self.calls.values() if call.status is status]
