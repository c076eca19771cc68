"""The kinds of events of a session's log, each a versioned payload.

`work` events are what a session does; after its end none is accepted. `record` events are what is noted about it and
may come at any time. A payload's class names its kind, its class, and the level that it has unless its maker knows
better.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from quarterdeck.core import limits
from quarterdeck.core.agent_config import AgentConfig
from quarterdeck.core.agent_events import (
    ContextCompacted,
    DelegationEnded,
    DelegationStarted,
    ModelInterrupted,
    NoticeAdded,
    QuestionAnswered,
)
from quarterdeck.core.attachment import Attachment
from quarterdeck.core.budget import Budget, BudgetChanged, BudgetNeared
from quarterdeck.core.fork_events import ForkedFrom, HistoryCopied
from quarterdeck.core.imported import SessionImported
from quarterdeck.core.mcp import McpToolsPinned
from quarterdeck.core.payload import EventClass, Level, Payload
from quarterdeck.core.record_events import (
    CheckRecorded,
    ChildrenUsed,
    LinkAdded,
    MergeRequestEnded,
    NetworkRefused,
    RetentionChanged,
    SessionHeld,
    SessionReleased,
    SessionRenamed,
    TeardownMissed,
    UsageRecorded,
    WorkspaceTornDown,
)
from quarterdeck.core.session_limits import Reached, Used
from quarterdeck.core.status import Status, Transition
from quarterdeck.core.trigger import Triggered


class SessionCreated(Payload):
    """The first event of every log: what the session is for, and all that stays with it for life."""

    kind: Literal["session.created"] = "session.created"
    default_level: ClassVar[Level] = Level.RESULT
    goal: str
    title: str
    flow: str
    """`name/version`, pinned."""
    model: str
    """`provider:name`."""
    scripted: bool
    """No language model answers, a script or a recorded session does; every view says so."""
    project_id: int | None
    initiator_id: int
    initiator: str
    origin: str
    ref: str = ""
    """The branch or tag that the workspace starts from."""
    commit: str = ""
    """The full commit that it stood at."""
    branch: str = ""
    """Where the session's own work is pushed to."""
    branch_commit: str = ""
    """Where a fork's branch begins: what the other session had pushed by then."""
    inputs: dict[str, JsonValue] = Field(default={})
    facts: dict[str, JsonValue] = Field(default={})
    """What else its flow may read in the context: where its project and its server are."""
    pre_approved: tuple[str, ...] = ()
    """Privileges whose tools ask nobody."""
    pre_approved_patterns: dict[str, tuple[str, ...]] = Field(default={})
    """By tool, commands that ask nobody: globs with `*`."""
    always_ask: tuple[str, ...] = ()
    """Privileges whose tools ask a person whatever the flow and the start say: the project's, as of the start."""
    privileges: tuple[str, ...] | None = None
    """Privileges whose tools there are at all; None is every one."""
    may_ask: bool = True
    """Whether its agents may ask the person a question."""
    agent: str = ""
    """The agent that a chat is with; empty for flows."""
    context_tokens: int = limits.CONTEXT_TOKENS
    """How much its model reads at once; long conversations are compacted to fit."""
    retention_days: int = 30
    parent_id: int | None = None
    component_models: dict[str, str] = Field(default={})
    """The models of the components that have another one, by their tags."""
    forked_from: ForkedFrom | None = None
    agent_config: AgentConfig | None = None
    budget: Budget | None = None
    """What it may use; None is without end."""
    attachments: tuple[Attachment, ...] = ()
    """Files and texts that its agents are shown with their prompts."""
    runner_tags: tuple[str, ...] = ()
    """What its runners must have, beside what its project asks of them."""
    triggered: Triggered | None = None


class StatusChanged(Payload):
    """The machine moved."""

    kind: Literal["status.changed"] = "status.changed"
    default_level: ClassVar[Level] = Level.RESULT
    transition: Transition
    from_status: Status
    to_status: Status
    reason: str = ""
    by: str = ""
    """The person who did it; empty when the server did."""


class TurnStarted(Payload):
    """A worker claimed a turn."""

    kind: Literal["turn.started"] = "turn.started"
    turn_no: int
    job: int
    """The worker's job; the same job coming again means that its worker died."""
    recovery: bool = False


class TurnEnded(Payload):
    """A turn came to where nothing can be done without somebody else."""

    kind: Literal["turn.ended"] = "turn.ended"
    turn_no: int


class MessageAdded(Payload):
    """Somebody said something to the session."""

    kind: Literal["message.added"] = "message.added"
    default_level: ClassVar[Level] = Level.RESULT
    text: str
    by: str
    component: str = ""
    """Whose conversation it belongs to."""
    attachments: tuple[Attachment, ...] = ()


class ComponentEntered(Payload):
    """The flow came to a component; for an agent with the prompt as it was rendered."""

    kind: Literal["component.entered"] = "component.entered"
    default_level: ClassVar[Level] = Level.CONCISE
    component: str
    system: str = ""
    user: str = ""
    converses: bool = True
    """Whether a person's message may be for it: an agent's conversation goes on, that of a one-off does not."""
    attachments: tuple[Attachment, ...] = ()
    """What the session was started with, shown behind the prompt."""


class ComponentLeft(Payload):
    """A component is done; `outputs` are what others may read of it under its name."""

    kind: Literal["component.left"] = "component.left"
    component: str
    outputs: dict[str, JsonValue] = Field(default={})


class AnswerCall(BaseModel):
    """A tool call as the model put it; `call_id` is ours, `provider_id` the provider's."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    call_id: str
    provider_id: str
    tool: str
    args: dict[str, JsonValue]


class ModelAnswered(Payload):
    """The model's whole answer; `opaque` holds what its provider wants back unread (signatures of thinking)."""

    kind: Literal["model.answered"] = "model.answered"
    default_level: ClassVar[Level] = Level.RESULT
    component: str
    text: str
    thinking: str = ""
    calls: tuple[AnswerCall, ...] = ()
    model: str
    opaque: str = ""
    duration_ms: int = 0
    seen: int | None = None
    """The last event that the question was made from; a message behind it is not answered. None: all before it."""
    role: Literal["agent", "tool"] = "agent"
    """As whose words views show the text; the flow's `ui_role_as`."""


class ModelRetried(Payload):
    """A model call failed in a way that passes; it is asked again at `retry_at`."""

    kind: Literal["model.retried"] = "model.retried"
    default_level: ClassVar[Level] = Level.CONCISE
    component: str
    attempt: int
    since: AwareDatetime
    """When the first of these failures in a row happened."""
    retry_at: AwareDatetime
    error: str


class Outcome(StrEnum):
    """How a tool call ended."""

    OK = "ok"
    ERROR = "error"
    TIMED_OUT = "timed_out"
    INTERRUPTED = "interrupted"
    DENIED = "denied"
    CANCELLED = "cancelled"


Side = Literal["executor", "server", "brain"]
"""Who carries a call out: hands, a job of the server, or the turn itself (delegation, questions, final answers)."""


class ToolCallRequested(Payload):
    """The intent to use a tool, committed before anybody is offered it."""

    kind: Literal["tool_call.requested"] = "tool_call.requested"
    call_id: str
    component: str
    tool: str
    args: dict[str, JsonValue]
    side: Side
    asks: bool
    """Whether a person has to approve it first."""
    parallel: bool = False
    """Whether it may be offered beside others of the same answer."""
    level: Level = Level.FULL
    """Of its start, and of its end when it goes well."""
    failure_level: Level = Level.CONCISE
    """Of its end when it doesn't."""
    listing: bool = False
    """An MCP server is asked for its tools, so that the component can be given them; it is no call of its own."""


class ToolCallsOffered(Payload):
    """These calls are given out to be carried out."""

    kind: Literal["tool_call.offered"] = "tool_call.offered"
    call_ids: tuple[str, ...]


class ToolCallStarted(Payload):
    """An executor began a call."""

    kind: Literal["tool_call.started"] = "tool_call.started"
    call_id: str
    executor: str


class ToolCallFinished(Payload):
    """A call ended; `text` is what the model is told, the whole output is kept under the call's id."""

    kind: Literal["tool_call.finished"] = "tool_call.finished"
    call_id: str
    tool: str
    outcome: Outcome
    text: str
    exit_code: int | None = None
    duration_ms: int = 0
    output_bytes: int = 0
    output_sha256: str = ""
    truncated: bool = False
    used: Used | None = None
    """What commands took of the session's totals since a call told of that last; None of a call that starts none."""
    limit: Reached | None = None
    """The limit that ended it."""


Ask = Literal["tool_call", "plan", "input"]


class ApprovalRequested(Payload):
    """A person is asked."""

    kind: Literal["approval.requested"] = "approval.requested"
    default_level: ClassVar[Level] = Level.RESULT
    approval_id: str
    ask: Ask
    call_ids: tuple[str, ...] = ()
    question: str
    choices: tuple[str, ...] = ()
    """Answers to pick from; any other is as good."""
    component: str = ""
    """The human input component that asks; empty when calls do."""


class ApprovalGranted(Payload):
    """A person said yes; `args` replace those of a single call where the person changed them."""

    kind: Literal["approval.granted"] = "approval.granted"
    default_level: ClassVar[Level] = Level.RESULT
    approval_id: str
    by: str
    door: str
    for_session: bool = False
    pattern: str = ""
    """Commands of the same tool that match it ask nobody again in this session."""
    args: dict[str, JsonValue] | None = None


class ApprovalDenied(Payload):
    """A person said no; the reason goes to the model."""

    kind: Literal["approval.denied"] = "approval.denied"
    default_level: ClassVar[Level] = Level.RESULT
    approval_id: str
    by: str
    door: str
    reason: str = ""


class PlanItem(BaseModel):
    """One line of a session's plan."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    text: str = Field(max_length=1_000)
    status: Literal["pending", "in_progress", "completed", "cancelled"] = "pending"


class PlanChanged(Payload):
    """The whole plan as it is now."""

    kind: Literal["plan.changed"] = "plan.changed"
    default_level: ClassVar[Level] = Level.CONCISE
    items: tuple[PlanItem, ...]


class ExecutorAttached(Payload):
    """An executor took the session; what it holds is fenced by `lease_epoch`."""

    kind: Literal["executor.attached"] = "executor.attached"
    executor: str
    executor_kind: Literal["runner", "ide", "client"]
    lease_epoch: int


class ExecutorAssigned(Payload):
    """Who carries the calls out from here on: a person's own editor, or any runner when no number is given."""

    kind: Literal["executor.assigned"] = "executor.assigned"
    default_level: ClassVar[Level] = Level.CONCISE
    executor_id: int | None
    executor: str = ""
    executor_kind: Literal["runner", "ide", "client"] = "runner"
    folder: str = ""
    """What the editor has open, as its person knows it."""
    by: str = ""


class WorkspacePrepared(Payload):
    """The session's files are there."""

    kind: Literal["workspace.prepared"] = "workspace.prepared"
    default_level: ClassVar[Level] = Level.CONCISE
    executor: str
    base_commit: str
    isolation: Literal["full", "reduced", "none"]
    duration_ms: int = 0
    notes: tuple[str, ...] = ()
    """What of the project's `agent-config.yml` this executor can't give."""


class SetupFinished(Payload):
    """The project's setup script ended in the fresh workspace, before the first call; `text` is what it printed."""

    kind: Literal["setup.finished"] = "setup.finished"
    default_level: ClassVar[Level] = Level.CONCISE
    outcome: Outcome
    text: str
    exit_code: int | None = None
    duration_ms: int = 0


class FileChange(BaseModel):
    """One file of a diff, lines added and removed; binary files count none."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    path: str
    change: Literal["added", "modified", "deleted", "renamed"]
    added: int = 0
    removed: int = 0


class SnapshotTaken(Payload):
    """The workspace as a call left it; the blobs hold its bundle, the diff of the step and the whole diff.

    Without a call it is what an editor's folder held before the first one.
    """

    kind: Literal["snapshot.taken"] = "snapshot.taken"
    default_level: ClassVar[Level] = Level.RESULT
    call_id: str
    step: int
    commit: str
    files: tuple[FileChange, ...]
    bundle_blob: int
    step_diff_blob: int
    whole_diff_blob: int


class ArtifactCreated(Payload):
    """Something the session made outside its workspace."""

    kind: Literal["artifact.created"] = "artifact.created"
    default_level: ClassVar[Level] = Level.RESULT
    artifact: Literal["branch", "commit", "merge_request", "patch", "file", "comment"]
    name: str
    url: str = ""
    ref: dict[str, JsonValue] = Field(default={})


AnyPayload = Annotated[
    SessionCreated
    | StatusChanged
    | TurnStarted
    | TurnEnded
    | MessageAdded
    | ComponentEntered
    | ComponentLeft
    | ModelAnswered
    | ModelRetried
    | ToolCallRequested
    | ToolCallsOffered
    | ToolCallStarted
    | ToolCallFinished
    | ApprovalRequested
    | ApprovalGranted
    | ApprovalDenied
    | QuestionAnswered
    | DelegationStarted
    | DelegationEnded
    | NoticeAdded
    | ContextCompacted
    | ModelInterrupted
    | McpToolsPinned
    | HistoryCopied
    | BudgetChanged
    | BudgetNeared
    | PlanChanged
    | ExecutorAssigned
    | ExecutorAttached
    | WorkspacePrepared
    | SetupFinished
    | SnapshotTaken
    | ArtifactCreated
    | SessionRenamed
    | SessionHeld
    | SessionReleased
    | SessionImported
    | RetentionChanged
    | WorkspaceTornDown
    | TeardownMissed
    | UsageRecorded
    | ChildrenUsed
    | CheckRecorded
    | LinkAdded
    | MergeRequestEnded
    | NetworkRefused,
    Field(discriminator="kind"),
]


class Event(BaseModel):
    """One entry of a session's log; `seq` counts from 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    session: int
    seq: int
    at: AwareDatetime
    level: Level
    v: int = 1
    payload: AnyPayload

    @property
    def kind(self) -> str:
        """`noun.past_verb`."""
        return self.payload.kind

    @property
    def event_class(self) -> EventClass:
        """Whether the end of the session refuses it."""
        return self.payload.event_class
