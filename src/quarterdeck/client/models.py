"""What the API answers. Written by `python3 dev.py client`: change the API instead.

Why this module is long: it has an entry for each part of the API.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from quarterdeck.client.model import Model

EventType = Literal[
    "mention",
    "assign",
    "assign_reviewer",
    "pipeline_hooks",
    "merge_request",
    "work_item",
    "commit_to_default_branch",
    "schedule",
    "webhook",
]
"""What a trigger may wait for; the names are GitLab's, besides `webhook`."""


JobStatus = Literal["created", "pending", "running", "success", "failed", "canceled", "skipped", "manual"]
"""Where a job stands; the words are GitLab's."""


Level = Literal["result", "concise", "full"]
"""How dense a view must be to show an event: `result` views show only the first, `full` views show all."""


NoticeKind = Literal["needs_input", "failed", "over_budget", "paused", "finished", "webhook_disabled"]
"""Why somebody is told."""


Outcome = Literal["ok", "error", "timed_out", "interrupted", "denied", "cancelled"]
"""How a tool call ended."""


PipelineStatus = Literal["created", "running", "success", "failed", "canceled", "skipped"]
"""What a pipeline has come to."""


Privilege = Literal[
    "read_write_files",
    "read_only_gitlab",
    "read_write_gitlab",
    "run_commands",
    "use_git",
    "run_mcp_tools",
    "start_flows",
    "read_only_files",
]
"""What a session may be trusted with; the words are GitLab's."""


Status = Literal[
    "created",
    "running",
    "paused",
    "input_required",
    "plan_approval_required",
    "tool_call_approval_required",
    "idle",
    "finished",
    "failed",
    "stopped",
]
"""Where a session stands."""


StatusGroup = Literal["active", "paused", "awaiting_input", "completed", "failed", "canceled"]
"""What lists group and sort by, in this order."""


Transition = Literal[
    "start",
    "pause",
    "resume",
    "require_input",
    "require_plan_approval",
    "require_tool_call_approval",
    "idle",
    "finish",
    "drop",
    "stop",
]
"""An event of the machine."""


WebhookEvent = Literal[
    "session.active",
    "session.paused",
    "session.awaiting_input",
    "session.completed",
    "session.failed",
    "session.canceled",
    "artifact.created",
]
"""What a webhook may be told of; the type of what it is sent."""


class AccountView(Model):
    """A person as administrators see them."""

    id: int
    username: str
    name: str
    email: str
    admin: bool
    created_at: datetime
    last_seen: datetime | None
    projects: int
    ways_in: int


class AgentConfig(Model):
    """Of the default branch and never of the session's own, so that no merge request widens what its session may do."""

    path: str
    commit: str
    setup_script: list[str] = Field(default_factory=lambda: [])
    network: NetworkPolicy | None = None
    cache: CacheConfig | None = None
    notes: list[str] = Field(default_factory=lambda: [])


class AgentView(Model):
    """An agent as doors show it."""

    id: int
    name: str
    owner: Literal["project", "person"]
    project_path: str
    description: str
    prompt: str
    tools: list[str]
    model: str | None
    created_at: datetime
    updated_at: datetime


class Answer(Model):
    """What the model said, and what it cost."""

    answer: str
    model: str
    scripted: bool
    usage: Usage


class AnswerCall(Model):
    """A tool call as the model put it; `call_id` is ours, `provider_id` the provider's."""

    call_id: str
    provider_id: str
    tool: str
    args: dict[str, JsonValue]


class Appended(Model):
    """What became of a batch: its events are stored."""

    taken: int
    next: int
    seq: int
    status: Status


class ApprovalDenied(Model):
    """A person said no; the reason goes to the model."""

    kind: Literal["approval.denied"] = "approval.denied"
    approval_id: str
    by: str
    door: str
    reason: str = ""


class ApprovalGranted(Model):
    """A person said yes; `args` replace those of a single call where the person changed them."""

    kind: Literal["approval.granted"] = "approval.granted"
    approval_id: str
    by: str
    door: str
    for_session: bool = False
    pattern: str = ""
    args: dict[str, JsonValue] | None = None


class ApprovalRequested(Model):
    """A person is asked."""

    kind: Literal["approval.requested"] = "approval.requested"
    approval_id: str
    ask: Literal["tool_call", "plan", "input"]
    call_ids: list[str] = Field(default_factory=lambda: [])
    question: str
    choices: list[str] = Field(default_factory=lambda: [])
    component: str = ""


class ApprovalView(Model):
    """An open question."""

    id: str
    ask: Literal["tool_call", "plan", "input"]
    question: str
    choices: list[str] = Field(default_factory=lambda: [])
    calls: list[CallView]


class ArtifactCreated(Model):
    """Something the session made outside its workspace."""

    kind: Literal["artifact.created"] = "artifact.created"
    artifact: Literal["branch", "commit", "merge_request", "patch", "file", "comment"]
    name: str
    url: str = ""
    ref: dict[str, JsonValue] = Field(default_factory=lambda: {})


class ArtifactRef(Model):
    """An artifact as the state remembers it."""

    artifact: str
    name: str
    url: str = ""


class ArtifactView(Model):
    """Something that a session made, and the event that says so."""

    seq: int
    artifact: str
    name: str
    url: str


class Artifacts(Model):
    """A page of them; `next` is what `after` of the following page is."""

    items: list[ArtifactView]
    next: int | None


class AttachedEditor(Model):
    """Its number, and the token with which it speaks the executor protocol, which is shown here alone."""

    executor: int
    token: str
    name: str


class Attachment(Model):
    """One of them, as the log knows it; the bytes lie in a blob of the session."""

    id: int
    name: str
    media_type: str
    size: int
    characters: int
    category: str = ""


class AttachmentView(Model):
    """A file as its person or its session knows it."""

    id: int
    name: str
    media_type: str
    size: int
    category: str
    created_at: datetime


class Attempt(Model):
    """One try to send it."""

    at: datetime
    status: int
    text: str
    ms: int


class BranchView(Model):
    """A branch."""

    name: str
    commit: str
    default: bool


class Budget(Model):
    """US dollars, tokens read and written, or both; whichever is spent first counts."""

    cost: str | None = None
    tokens: int | None = None


class BudgetChanged(Model):
    """A person gave the session another budget, or none."""

    kind: Literal["budget.changed"] = "budget.changed"
    budget: Budget | None
    by: str


class BudgetNeared(Model):
    """Most of the budget is used; when it is spent, the session pauses before it asks a model again."""

    kind: Literal["budget.neared"] = "budget.neared"
    budget: Budget
    usage: Usage


class BulkPreview(Model):
    """What an action would do."""

    action: Literal["cancel", "delete", "hold", "release"]
    ids: list[int]
    first: list[SessionRow]
    not_allowed: int
    nothing_to_do: int
    more: bool


class BulkResult(Model):
    """What came of it for one session."""

    id: int
    done: bool
    why: str = ""


class BulkResults(Model):
    """What came of it."""

    results: list[BulkResult]


class CacheConfig(Model):
    """What of a setup script's work is kept for the next sessions."""

    key: str
    files: list[str] = Field(default_factory=lambda: [])
    paths: list[str]


class CallUsage(Model):
    """What one model call used; `cost` is None where the price is not known."""

    seq: int
    at: datetime
    component: str
    model: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost: str | None
    estimated: bool


class CallView(Model):
    """A tool call that a person is asked about."""

    call_id: str
    tool: str
    args: dict[str, JsonValue]


class Changes(Model):
    """What a session changed in all, and by steps; `next` is what `after` of the following page is."""

    files: list[FileChange]
    added: int
    removed: int
    steps: list[StepView]
    next: int | None


class CheckRecorded(Model):
    """Something verified the session's work, or found it wrong."""

    kind: Literal["check.recorded"] = "check.recorded"
    name: str
    passed: bool
    url: str = ""


class ChildView(Model):
    """A session that another one started."""

    id: int
    title: str
    flow: str
    status: Status
    created_at: datetime
    url: str


class ChildrenUsed(Model):
    """What all sessions below this one have used by now: its budget is theirs, too."""

    kind: Literal["children.used"] = "children.used"
    usage: Usage


class CommentView(Model):
    """What somebody said."""

    id: int
    author: str
    session_id: int | None
    text: str
    created_at: datetime
    position: Position | None = None
    external_url: str | None = None


class CommitDetailsView(Model):
    """A commit with what it changed; the diff of a large one is cut off."""

    sha: str
    title: str
    message: str
    author: str
    at: datetime
    parents: list[str]
    diff: str
    diff_cut_off: bool


class CommitView(Model):
    """A commit as lists show it."""

    sha: str
    title: str
    author: str
    at: datetime


class ComponentEntered(Model):
    """The flow came to a component; for an agent with the prompt as it was rendered."""

    kind: Literal["component.entered"] = "component.entered"
    component: str
    system: str = ""
    user: str = ""
    converses: bool = True
    attachments: list[Attachment] = Field(default_factory=lambda: [])


class ComponentLeft(Model):
    """A component is done; `outputs` are what others may read of it under its name."""

    kind: Literal["component.left"] = "component.left"
    component: str
    outputs: dict[str, JsonValue] = Field(default_factory=lambda: {})


class ConnectionView(Model):
    """A connection, without its secrets."""

    forge: Literal["github", "gitlab"]
    repository: str
    web_url: str
    api_url: str
    git_url: str
    login: str
    run_pipelines: bool
    connected_by: str
    created_at: datetime
    hook_url: str
    hook_secret: str | None = None
    heard_at: datetime | None
    synced_at: datetime | None
    fault: str
    fault_at: datetime | None
    waits_until: datetime | None
    people: list[LinkedPerson] = Field(default_factory=lambda: [])
    deliveries: list[ForgeDelivery] = Field(default_factory=lambda: [])
    writes: list[ForgeWrite] = Field(default_factory=lambda: [])


class Context(Model):
    """Something more to go by, of a category, as GitLab's `additional_context` has it."""

    category: str
    """What it is: `file`, `snippet`, `terminal`, or the category of one of the flow's inputs."""
    content: str
    """A JSON object is that input of the flow; any other text is shown to its agents."""
    name: str = ""
    """Of the file, where it is one."""


class ContextCompacted(Model):
    """A conversation was near its model's limit; `text` stands for all of it up to event `through`."""

    kind: Literal["context.compacted"] = "context.compacted"
    component: str
    text: str
    through: int
    answers: int
    system: str
    size: int


class ContextView(Model):
    """What a session was started with beside its goal: for good, it never changes."""

    inputs: dict[str, JsonValue]
    facts: dict[str, JsonValue]
    pre_approved_patterns: dict[str, list[str]]
    always_ask: list[str] = Field(default_factory=lambda: [])
    context_tokens: int
    retention_days: int


class DecisionView(Model):
    """A question to a person and what became of it; without a decision it waits, or nobody decided."""

    id: str
    ask: str
    question: str
    decision: Literal["granted", "denied", "answered"] | None
    decided_by: str | None
    requested_at: datetime
    decided_at: datetime | None


class DelegationEnded(Model):
    """The subagent is done, or gave up; what it came to is the result of the call."""

    kind: Literal["delegation.ended"] = "delegation.ended"
    call_id: str
    component: str


class DelegationStarted(Model):
    """An agent gave a part of its work to a subagent, whose own events carry `component` from here on."""

    kind: Literal["delegation.started"] = "delegation.started"
    call_id: str
    component: str
    system: str = ""
    user: str


class DeliveryDetails(Model):
    """The same with what it was told."""

    id: int
    trigger_id: int
    event: EventType
    action: str
    by: str
    subject: Subject | None
    status: Literal["waiting", "started", "told", "refused"]
    reason: str
    session_id: int | None
    again_of: int | None
    created_at: datetime
    ended_at: datetime | None
    text: str
    payload: dict[str, JsonValue]


class DeliveryView(Model):
    """A firing of a trigger, and what came of it."""

    id: int
    trigger_id: int
    event: EventType
    action: str
    by: str
    subject: Subject | None
    status: Literal["waiting", "started", "told", "refused"]
    reason: str
    session_id: int | None
    again_of: int | None
    created_at: datetime
    ended_at: datetime | None


class Done(Model):
    """How many were open, and are done now."""

    done: int


class Editor(Model):
    """The editor that carries a session's calls out, in a folder of its person."""

    id: int
    name: str
    kind: Literal["ide", "client"]
    folder: str


class EditorView(Model):
    """An editor of yours."""

    id: int
    kind: Literal["ide", "client"]
    name: str
    folder: str
    instance: str
    alive: bool
    last_contact: datetime | None
    sessions: int


class EntryView(Model):
    """What lies in a folder; only files have a size."""

    path: str
    kind: Literal["file", "folder", "submodule"]
    size: int | None


class Event(Model):
    """One entry of a session's log; `seq` counts from 1."""

    session: int
    seq: int
    at: datetime
    level: Level
    v: int = 1
    payload: Annotated[
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


class EventPage(Model):
    """Events in order; `next` is `after` of the following page, newest first its `before`, None at the end.

    A page of kinds or words may come out short while there is a `next`: one request looks through 20,000
    events.
    """

    items: list[Event]
    next: int | None


class ExecutorAssigned(Model):
    """Who carries the calls out from here on: a person's own editor, or any runner when no number is given."""

    kind: Literal["executor.assigned"] = "executor.assigned"
    executor_id: int | None
    executor: str = ""
    executor_kind: Literal["runner", "ide", "client"] = "runner"
    folder: str = ""
    by: str = ""


class ExecutorAttached(Model):
    """An executor took the session; what it holds is fenced by `lease_epoch`."""

    kind: Literal["executor.attached"] = "executor.attached"
    executor: str
    executor_kind: Literal["runner", "ide", "client"]
    lease_epoch: int


class FileChange(Model):
    """One file of a diff, lines added and removed; binary files count none."""

    path: str
    change: Literal["added", "modified", "deleted", "renamed"]
    added: int = 0
    removed: int = 0


class FlowEntry(Model):
    """A flow that a session may be started with."""

    id: str
    description: str
    scripted: bool


class FlowText(Model):
    """A flow's YAML, and where it comes from."""

    name: str
    version: str
    origin: Literal["shipped", "project", "repository", "given"]
    path: str = ""
    text: str


class FlowView(Model):
    """A flow that a project's sessions can be started with."""

    name: str
    start_as: str
    version: str
    origin: Literal["shipped", "project", "repository", "given"]
    path: str = ""
    description: str
    scripted: bool = False
    environment: str = ""
    workspace: bool = False
    faults: list[str] = Field(default_factory=lambda: [])
    stored_by: str = ""
    stored_at: datetime | None = None


class ForgeDelivery(Model):
    """A webhook's delivery that came."""

    id: int
    key: str
    event: str
    received_at: datetime
    applied_at: datetime | None
    fault: str


class ForgeWrite(Model):
    """What is to be written at the forge, and isn't yet."""

    kind: str
    subject: str
    attempts: int
    refused: bool
    fault: str


class ForkedFrom(Model):
    """An event of another session."""

    session: int
    seq: int


class HealthView(Model):
    """The parts of the server, each as seen just now."""

    version: str
    database: str
    workers: int
    runners: list[RunnerView]
    models: list[str]
    default_model: str | None


class HistoryCopied(Model):
    """All events before this but the first are another session's, as of its event `seq`; from here on it is a fork.

    Nothing that was under way or allowed there is so here: no question waits, and no approval for the session
    holds.
    """

    kind: Literal["history.copied"] = "history.copied"
    session: int
    seq: int
    status: Status


class Hit(Model):
    """A text that fits: of the event `seq`, or what the call `call_id`, which that event asked for, printed there."""

    session_id: int
    session_title: str
    project_path: str
    seq: int
    part: Literal["title", "goal", "message", "arguments", "result", "error", "output"]
    call_id: str | None
    lines: list[HitLine]
    more_lines: int
    url: str


class HitLine(Model):
    """A line of a hit; `marks` are the places of what was looked for, in characters from the line's beginning."""

    line: int
    text: str
    marks: list[tuple[int, int]]


class HitPage(Model):
    """Some hits; `next` is the cursor of the page behind, None at the end. Any page may have fewer than asked for."""

    items: list[Hit]
    next: str | None


class Invitation(Model):
    """A person, and the link that lets them in, once, within an hour; it is shown here alone."""

    person: PersonView
    url: str


class IssueView(Model):
    """An issue; comments and sessions are there when it was asked for alone."""

    id: int
    iid: int
    project_id: int
    project_path: str
    title: str
    description: str
    status: Literal["opened", "closed"]
    labels: list[str]
    assignees: list[str]
    author: str
    session_id: int | None
    closed_by: str | None
    closed_reason: str
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None
    url: str
    external_url: str | None = None
    comments: list[CommentView] = Field(default_factory=lambda: [])
    comments_left_out: int = 0
    sessions: list[SessionRef] = Field(default_factory=lambda: [])


class JobView(Model):
    """One attempt at a job."""

    id: int
    pipeline_id: int
    name: str
    stage: str
    status: JobStatus
    allow_failure: bool
    attempt: int
    exit_code: int | None
    reason: str
    call_id: str | None
    artifacts_blob: int | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    external_url: str | None = None
    waiting_for: Waiting | None = None


class KeyView(Model):
    """What is told of a key: never the key, nor a part of it."""

    provider: str
    source: str
    base_url: str | None = None
    set_by: str = ""
    set_at: datetime | None = None
    tested_with: str = ""
    problem: str = ""


class Line(Model):
    """A line of a merge request's diff, by its number on a side of it."""

    path: str
    """The file's path."""
    new_line: int | None = None
    """Its number after the change."""
    old_line: int | None = None
    """Before: of a removed line."""


class LineComment(Model):
    """What somebody says to a line."""

    path: str
    """The file's path."""
    new_line: int | None = None
    """Its number after the change."""
    old_line: int | None = None
    """Before: of a removed line."""
    text: str


class LinkAdded(Model):
    """The session belongs together with something else."""

    kind: Literal["link.added"] = "link.added"
    relation: Literal["source", "created", "parent", "child", "forked_from", "fork"]
    target: Literal["issue", "merge_request", "pipeline", "session"]
    name: str
    url: str = ""


class LinkRef(Model):
    """Something that the session belongs together with."""

    relation: str
    target: str
    name: str
    url: str = ""


class LinkedPerson(Model):
    """Who a name at the forge is here."""

    login: str
    username: str


class LintView(Model):
    """What is wrong with a pipeline file, or what it comes to."""

    valid: bool
    faults: list[str]
    jobs: list[LintedJob]
    nothing: str = ""


class LintedJob(Model):
    """A job that a push would run."""

    name: str
    stage: str


class MadeTrigger(Model):
    """A trigger, and the secret of its webhook, which is shown here alone."""

    trigger: TriggerView
    secret: str


class MatchView(Model):
    """A line that a search found; a long one is cut."""

    path: str
    line: int
    text: str


class McpServerView(Model):
    """A server as doors show it: of its secrets the names."""

    id: int
    name: str
    scope: Literal["project", "person"]
    kind: str
    url: str
    command: list[str]
    secret_names: list[str]
    allow: list[str]
    enabled: bool
    added_by: str
    created_at: datetime


class McpServersView(Model):
    """All servers of a project or a person."""

    blocked: bool
    servers: list[McpServerView]


class McpTest(Model):
    """What a server answered."""

    tools: list[McpToolView]
    left_out: int


class McpTool(Model):
    """A tool as it was listed; `remote` is its name there."""

    name: str
    remote: str
    description: str
    form: dict[str, JsonValue]
    read_only: bool = False


class McpToolView(Model):
    """A tool that a server offers, as sessions would get it."""

    name: str
    description: str
    read_only: bool


class McpToolsPinned(Model):
    """An MCP server told its tools; they stay as they are for the session's life."""

    kind: Literal["mcp_tools.pinned"] = "mcp_tools.pinned"
    server: str
    server_id: int
    side: Literal["executor", "server"]
    tools: list[McpTool]
    left_out: int = 0


class MemberView(Model):
    """A member of a project."""

    username: str
    name: str
    role: str


class MergeRequestEnded(Model):
    """The session's merge request was merged or closed by somebody."""

    kind: Literal["merge_request.ended"] = "merge_request.ended"
    name: str
    status: Literal["merged", "closed"]


class MergeRequestView(Model):
    """A merge request; head, comments, sessions and pipeline are there when it was asked for alone."""

    id: int
    iid: int
    project_id: int
    project_path: str
    title: str
    description: str
    source_branch: str
    target_branch: str
    status: Literal["opened", "merged", "closed"]
    author: str
    assignees: list[str]
    reviewers: list[ReviewerView]
    session_id: int | None
    merge_commit: str | None
    created_at: datetime
    ended_at: datetime | None
    url: str
    external_url: str | None = None
    head: str | None = None
    pipeline: PipelineView | None = None
    comments: list[CommentView] = Field(default_factory=lambda: [])
    comments_left_out: int = 0
    sessions: list[SessionRef] = Field(default_factory=lambda: [])


class MessageAdded(Model):
    """Somebody said something to the session."""

    kind: Literal["message.added"] = "message.added"
    text: str
    by: str
    component: str = ""
    attachments: list[Attachment] = Field(default_factory=lambda: [])


class ModelAnswered(Model):
    """The model's whole answer; `opaque` holds what its provider wants back unread (signatures of thinking)."""

    kind: Literal["model.answered"] = "model.answered"
    component: str
    text: str
    thinking: str = ""
    calls: list[AnswerCall] = Field(default_factory=lambda: [])
    model: str
    opaque: str = ""
    duration_ms: int = 0
    seen: int | None = None
    role: Literal["agent", "tool"] = "agent"


class ModelInterrupted(Model):
    """A person interrupted the answer; `text` is what there was of it, and stays in the conversation."""

    kind: Literal["model.interrupted"] = "model.interrupted"
    component: str
    text: str
    by: str


class ModelRetried(Model):
    """A model call failed in a way that passes; it is asked again at `retry_at`."""

    kind: Literal["model.retried"] = "model.retried"
    component: str
    attempt: int
    since: datetime
    retry_at: datetime
    error: str


class ModelsView(Model):
    """What models there are to ask."""

    providers: list[ProviderView]
    default: str | None
    rules: list[RulesView]


class NetworkPolicy(Model):
    """What a repository asks for, and what it may ask for; nothing is reached that doesn't stand in all of them."""

    allowed: list[str] = Field(default_factory=lambda: [])
    denied: list[str] = Field(default_factory=lambda: [])
    within: list[list[str]] = Field(default_factory=lambda: [])
    named: list[str] = Field(default_factory=lambda: [])


class NetworkRefused(Model):
    """A command asked for a host that the session may not reach."""

    kind: Literal["network.refused"] = "network.refused"
    host: str
    port: int
    reason: str
    count: int = 1
    call_id: str


class NetworkView(Model):
    """What a repository's `agent-config.yml` may ask for."""

    hosts: list[str]
    groups: dict[str, list[str]]


class NewToken(Model):
    """A token with its secret, which is shown here alone."""

    id: int
    name: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    token: str


class NewWebhook(Model):
    """The same with its secret, which is not shown again."""

    id: int
    project: str
    url: str
    description: str
    events: list[WebhookEvent]
    enabled: bool
    disabled_until: datetime | None
    failing_since: datetime | None
    old_key_until: datetime | None
    added_by: str
    created_at: datetime
    secret: str


class NoticeAdded(Model):
    """The server told an agent something, as a message of its conversation."""

    kind: Literal["notice.added"] = "notice.added"
    component: str
    about: Literal["iterations", "wrap_up", "correction"]
    text: str


class NoticeRulesView(Model):
    """Your rules, and where messages go."""

    rules: Rules
    slack: str
    email: bool
    address: str
    mails: bool
    last_fault: str


class PersonView(Model):
    """A person as doors show it."""

    id: int
    username: str
    name: str
    email: str
    admin: bool


class PipelineView(Model):
    """A pipeline; its jobs are there when it was asked for alone."""

    id: int
    project_id: int
    project_path: str
    ref: str
    sha: str
    source: str
    status: PipelineStatus
    error: str
    session_id: int | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    url: str
    external_url: str | None = None
    jobs: list[JobView] = Field(default_factory=lambda: [])
    earlier: list[JobView] = Field(default_factory=lambda: [])
    sessions: list[SessionRef] = Field(default_factory=lambda: [])


class PlanChanged(Model):
    """The whole plan as it is now."""

    kind: Literal["plan.changed"] = "plan.changed"
    items: list[PlanItem]


class PlanItem(Model):
    """One line of a session's plan."""

    text: str
    status: Literal["pending", "in_progress", "completed", "cancelled"] = "pending"


class Position(Model):
    """The line that a comment stands on; an added line has no old number, a removed one no new number."""

    path: str
    new_line: int | None
    old_line: int | None
    commit: str


class ProjectFlows(Model):
    """All of a project's flows."""

    flows: list[FlowView]
    left_out: int


class ProjectLimits(Model):
    """What a project asks for its sessions and jobs; of this and a runner's own the stricter holds."""

    memory: int | None = None
    processes: int | None = None
    workspace: int | None = None
    files: int | None = None
    output: int | None = None
    call: int | None = None
    session: int | None = None


class ProjectNetworkView(Model):
    """The same, and what of it the project allows its sessions."""

    hosts: list[str]
    groups: dict[str, list[str]]
    project_hosts: list[str]


class ProjectView(Model):
    """A project as doors show it."""

    id: int
    path: str
    name: str
    description: str
    default_branch: str
    retention_days: int
    runner_tags: list[str]
    limits: ProjectLimits
    always_ask: list[Privilege]
    role: str
    clone_url: str
    url: str


class ProviderView(Model):
    """A provider of models, and what opens it."""

    provider: str
    source: str


class QuestionAnswered(Model):
    """A person answered a question of an agent or of the flow."""

    kind: Literal["question.answered"] = "question.answered"
    approval_id: str
    text: str
    by: str
    door: str


class Reached(Model):
    """A limit that a session has reached: which, its bound as people write it, and whose it is."""

    name: Literal["memory", "processes", "workspace", "files", "output", "call", "session"]
    bound: str
    of: Literal["runner", "project"] = "runner"


class RegistrationView(Model):
    """A registration, shown once."""

    token: str
    expires_at: datetime
    project: str
    tags: list[str] | None


class RetentionChanged(Model):
    """The project keeps its sessions for another number of days; the only event that is no activity."""

    kind: Literal["retention.changed"] = "retention.changed"
    days: int
    by: str


class RetentionView(Model):
    """What the next sweep finds, and when."""

    project_id: int | None
    retention_days: int | None
    next_sweep: datetime
    last_sweep: datetime | None
    last_deleted: int
    sessions: int
    waiting: int
    events: int
    held: int
    items: list[SessionView]


class ReviewerView(Model):
    """Who was asked for a review, or gave one."""

    username: str
    verdict: Literal["approved", "changes_requested"] | None
    commit: str | None


class Rules(Model):
    """Which kinds a person is told of."""

    flows: list[NoticeKind] = Field(default_factory=lambda: ["needs_input", "failed", "over_budget", "paused"])
    """Of sessions of flows, and of those from elsewhere."""
    chats: list[NoticeKind] = Field(default_factory=lambda: [])
    """Of chats and sessions in editors; nothing at first."""


class RulesText(Model):
    """A person's rules."""

    text: str
    changed_at: datetime | None = None


class RulesView(Model):
    """One scope's rules."""

    project: str | None
    flow: str
    default: str | None
    allowed: list[str] | None
    tags: dict[str, str]
    fallbacks: dict[str, list[str]]


class RunnerDetailView(Model):
    """A runner with what it does now, as far as the reader may see it."""

    id: int
    name: str
    description: str
    project: str
    tags: list[str]
    state: Literal["active", "paused", "draining"]
    registered: bool
    version: str
    isolation: str
    capacity: int
    subjects: int
    alive: bool
    last_contact: datetime | None
    sandbox: str
    capabilities: dict[str, JsonValue]
    work: list[RunnerWorkView]
    hidden: int


class RunnerView(Model):
    """A runner, and whether it was heard of lately."""

    id: int
    name: str
    description: str
    project: str
    tags: list[str]
    state: Literal["active", "paused", "draining"]
    registered: bool
    version: str
    isolation: str
    capacity: int
    subjects: int
    alive: bool
    last_contact: datetime | None
    sandbox: str
    capabilities: dict[str, JsonValue]


class RunnerWorkView(Model):
    """A session or job that a runner holds, and the tools that it carries out for it just now."""

    session_id: int | None
    job_id: int | None
    title: str
    tools: list[str]
    ending: bool


class ServiceAccountView(Model):
    """A service account."""

    id: int
    username: str
    name: str


class SessionCounts(Model):
    """Numbers of sessions, by status group; a group without any is 0."""

    all: dict[str, int]
    mine: dict[str, int]
    needs_me: int


class SessionCreated(Model):
    """The first event of every log: what the session is for, and all that stays with it for life."""

    kind: Literal["session.created"] = "session.created"
    goal: str
    title: str
    flow: str
    model: str
    scripted: bool
    project_id: int | None
    initiator_id: int
    initiator: str
    origin: str
    ref: str = ""
    commit: str = ""
    branch: str = ""
    branch_commit: str = ""
    inputs: dict[str, JsonValue] = Field(default_factory=lambda: {})
    facts: dict[str, JsonValue] = Field(default_factory=lambda: {})
    pre_approved: list[str] = Field(default_factory=lambda: [])
    pre_approved_patterns: dict[str, list[str]] = Field(default_factory=lambda: {})
    always_ask: list[str] = Field(default_factory=lambda: [])
    privileges: list[str] | None = None
    may_ask: bool = True
    agent: str = ""
    context_tokens: int = 128000
    retention_days: int = 30
    parent_id: int | None = None
    component_models: dict[str, str] = Field(default_factory=lambda: {})
    forked_from: ForkedFrom | None = None
    agent_config: AgentConfig | None = None
    budget: Budget | None = None
    attachments: list[Attachment] = Field(default_factory=lambda: [])
    runner_tags: list[str] = Field(default_factory=lambda: [])
    triggered: Triggered | None = None


class SessionFilter(Model):
    """What to find; what is absent says nothing."""

    project: int | str | None = None
    """A project's number or path."""
    mine: bool = False
    """Only those that you started."""
    needs_me: bool = False
    """Only those that wait for an answer of yours."""
    kind: Literal["chat", "flow"] | None = None
    """Chats alone, or all others."""
    status: Status | None = None
    status_group: StatusGroup | None = None
    flow: str | None = None
    """`name/1.0.0`, all of `name/v1`, or all of `name`."""
    initiator: str | None = None
    """A username."""
    origin: str | None = None
    """`api`, `cli`, `web`, `chat`, `ide`, …."""
    model: str | None = None
    """As it was asked for: `provider:model`."""
    created_after: datetime | None = None
    created_before: datetime | None = None
    updated_after: datetime | None = None
    """By the last activity."""
    updated_before: datetime | None = None
    expiring: int | None = None
    """Deleted within so many days."""
    held: bool | None = None
    """Only those that are kept for good, or only the others."""
    parent: int | None = None
    """The session that started them."""
    executor: int | None = None
    """The editor that carries it out."""
    text: str | None = None
    """Words that are all in the title or the beginning of the goal; a number finds that session too."""


class SessionHeld(Model):
    """Somebody keeps the session from being deleted by age."""

    kind: Literal["session.held"] = "session.held"
    by: str
    reason: str = ""


class SessionImported(Model):
    """The session was read from a file; nobody here has seen what the log says before this event."""

    kind: Literal["session.imported"] = "session.imported"
    number: int
    initiator: str
    project: str = ""
    exported_at: datetime
    redacted: bool = False
    by: str


class SessionPage(Model):
    """Some sessions; `next` and `previous` are the cursors of the pages behind and before, None where there is none."""

    items: list[SessionRow]
    next: str | None
    previous: str | None


class SessionRef(Model):
    """A session in a few words."""

    id: int
    title: str
    status: Status
    url: str


class SessionReleased(Model):
    """The hold is gone; the retention clock counts again."""

    kind: Literal["session.released"] = "session.released"
    by: str


class SessionRenamed(Model):
    """The title changed."""

    kind: Literal["session.renamed"] = "session.renamed"
    title: str
    by: str


class SessionRow(Model):
    """A session in a list."""

    id: int
    project_id: int | None
    project_path: str
    title: str
    flow: str
    model: str
    scripted: bool
    initiator: str
    origin: str
    status: Status
    status_group: StatusGroup
    reason: str
    waiting_for: Waiting | None
    needs_me: bool
    seq: int
    cost: str | None
    warnings: int
    errors: int
    held: bool
    verified: bool | None
    parent_id: int | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    duration_seconds: float | None
    last_activity: datetime
    expires_on: date | None
    expires_soon: bool
    url: str


class SessionView(Model):
    """A session's row and where it stands."""

    id: int
    project_id: int | None
    project_path: str
    title: str
    goal: str
    flow: str
    model: str
    scripted: bool
    initiator: str
    origin: str
    agent: str
    parent_id: int | None
    privileges: list[str] | None
    pre_approved: list[str]
    patterns: dict[str, list[str]]
    may_ask: bool
    runner_tags: list[str]
    component_models: dict[str, str]
    status: Status
    status_group: StatusGroup
    reason: str
    waiting_for: Waiting | None
    turn_no: int
    seq: int
    component: str
    plan: list[PlanItem]
    approvals: list[ApprovalView]
    artifacts: list[ArtifactRef]
    links: list[LinkRef]
    merge_request: str | None
    branch: str
    ref: str
    forked_from: ForkedFrom | None
    base_commit: str
    isolation: str
    executor: str
    editor: Editor | None
    steps: int
    torn_down: bool
    teardown_missed: Literal["", "unreachable", "removed"]
    used: Used
    limits: ProjectLimits
    usage: Usage
    budget: Budget | None
    warnings: int
    errors: int
    checks_passed: int
    checks_failed: int
    verified: bool | None
    held: bool
    imported: SessionImported | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    last_activity: datetime
    expires_on: date | None
    retention_days: int
    days_left: int | None
    expires_soon: bool
    url: str


class SetupFinished(Model):
    """The project's setup script ended in the fresh workspace, before the first call; `text` is what it printed."""

    kind: Literal["setup.finished"] = "setup.finished"
    outcome: Outcome
    text: str
    exit_code: int | None = None
    duration_ms: int = 0


class ShippedText(Model):
    """A flow's YAML."""

    name: str
    version: str
    text: str


class ShutOut(Model):
    """What let somebody in until now."""

    ended: int


class SignInLink(Model):
    """Signs you in, once, within an hour."""

    url: str


class SignedIn(Model):
    """A token for the editor, which is shown here alone."""

    token: str
    username: str


class SnapshotTaken(Model):
    """The workspace as a call left it; the blobs hold its bundle, the diff of the step and the whole diff.

    Without a call it is what an editor's folder held before the first one.
    """

    kind: Literal["snapshot.taken"] = "snapshot.taken"
    call_id: str
    step: int
    commit: str
    files: list[FileChange]
    bundle_blob: int
    step_diff_blob: int
    whole_diff_blob: int


class SourceAnswer(Model):
    """The model's whole answer; each of its calls follows as `tool_call.requested`."""

    seq: int
    """The source's own number: from 1, one after the other."""
    at: datetime | None = None
    """When it was: at most a day ago, and never before what is in the log."""
    level: Level | None = None
    """The least dense view that shows it, if not the kind's own."""
    kind: Literal["model.answered"]
    text: str = ""
    thinking: str = ""
    calls: list[SourceCall] = Field(default_factory=lambda: [])
    model: str = ""
    duration_ms: int = 0


class SourceArtifact(Model):
    """Something that the work made."""

    seq: int
    """The source's own number: from 1, one after the other."""
    at: datetime | None = None
    """When it was: at most a day ago, and never before what is in the log."""
    level: Level | None = None
    """The least dense view that shows it, if not the kind's own."""
    kind: Literal["artifact.created"]
    artifact: Literal["branch", "commit", "merge_request", "patch", "file", "comment"]
    name: str
    url: str = ""


class SourceCall(Model):
    """A tool call of an answer."""

    call_id: str
    tool: str
    args: dict[str, JsonValue] = Field(default_factory=lambda: {})


class SourceCheck(Model):
    """Something verified the work, or found it wrong."""

    seq: int
    """The source's own number: from 1, one after the other."""
    at: datetime | None = None
    """When it was: at most a day ago, and never before what is in the log."""
    level: Level | None = None
    """The least dense view that shows it, if not the kind's own."""
    kind: Literal["check.recorded"]
    name: str
    passed: bool
    url: str = ""


class SourceLink(Model):
    """What the work came from, or what it made."""

    seq: int
    """The source's own number: from 1, one after the other."""
    at: datetime | None = None
    """When it was: at most a day ago, and never before what is in the log."""
    level: Level | None = None
    """The least dense view that shows it, if not the kind's own."""
    kind: Literal["link.added"]
    relation: Literal["source", "created"]
    target: Literal["issue", "merge_request", "pipeline", "session"]
    name: str
    url: str = ""


class SourceMessage(Model):
    """Somebody said something to the agent."""

    seq: int
    """The source's own number: from 1, one after the other."""
    at: datetime | None = None
    """When it was: at most a day ago, and never before what is in the log."""
    level: Level | None = None
    """The least dense view that shows it, if not the kind's own."""
    kind: Literal["message.added"]
    text: str
    by: str = "person"


class SourcePlan(Model):
    """The whole plan as it is now."""

    seq: int
    """The source's own number: from 1, one after the other."""
    at: datetime | None = None
    """When it was: at most a day ago, and never before what is in the log."""
    level: Level | None = None
    """The least dense view that shows it, if not the kind's own."""
    kind: Literal["plan.changed"]
    items: list[PlanItem]


class SourceResult(Model):
    """A tool call ended."""

    seq: int
    """The source's own number: from 1, one after the other."""
    at: datetime | None = None
    """When it was: at most a day ago, and never before what is in the log."""
    level: Level | None = None
    """The least dense view that shows it, if not the kind's own."""
    kind: Literal["tool_call.finished"]
    call_id: str
    outcome: Outcome = "ok"
    text: str = ""
    exit_code: int | None = None
    duration_ms: int = 0


class SourceStatus(Model):
    """The session's status changes by an event of its machine."""

    seq: int
    """The source's own number: from 1, one after the other."""
    at: datetime | None = None
    """When it was: at most a day ago, and never before what is in the log."""
    level: Level | None = None
    """The least dense view that shows it, if not the kind's own."""
    kind: Literal["status.changed"]
    transition: Transition
    reason: str = ""


class SourceToolCall(Model):
    """The agent uses a tool."""

    call_id: str
    tool: str
    args: dict[str, JsonValue] = Field(default_factory=lambda: {})
    seq: int
    """The source's own number: from 1, one after the other."""
    at: datetime | None = None
    """When it was: at most a day ago, and never before what is in the log."""
    level: Level | None = None
    """The least dense view that shows it, if not the kind's own."""
    kind: Literal["tool_call.requested"]


class SourceUsage(Model):
    """What a model call used; a cost that is not given is not known."""

    seq: int
    """The source's own number: from 1, one after the other."""
    at: datetime | None = None
    """When it was: at most a day ago, and never before what is in the log."""
    level: Level | None = None
    """The least dense view that shows it, if not the kind's own."""
    kind: Literal["usage.recorded"]
    model: str
    requests: int = 1
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost: float | str | None = None


class StatusChanged(Model):
    """The machine moved."""

    kind: Literal["status.changed"] = "status.changed"
    transition: Transition
    from_status: Status
    to_status: Status
    reason: str = ""
    by: str = ""


class StepView(Model):
    """One step: the call that it came of, and what it changed."""

    step: int
    seq: int
    call_id: str
    commit: str
    files: list[FileChange]


class Subject(Model):
    """The issue, merge request or pipeline that an occurrence is about."""

    kind: Literal["issue", "merge_request", "pipeline"]
    id: int
    number: int
    url: str = ""


class TeardownMissed(Model):
    """The proof of a stop has not come: its runner is not heard of and brings it when it is back, or was removed."""

    kind: Literal["teardown.missed"] = "teardown.missed"
    executor: str
    why: Literal["unreachable", "removed"]


class ToDoView(Model):
    """One thing to do."""

    id: int
    kind: NoticeKind
    title: str
    project: str | None
    session: int | None
    seq: int | None
    status: Status | None
    path: str
    url: str
    created_at: datetime
    done_at: datetime | None


class ToDosView(Model):
    """A page of them, the newest first."""

    open: int
    items: list[ToDoView]


class TokenView(Model):
    """A token, without its secret, which is kept nowhere."""

    id: int
    name: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None


class ToolCallFinished(Model):
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
    limit: Reached | None = None


class ToolCallRequested(Model):
    """The intent to use a tool, committed before anybody is offered it."""

    kind: Literal["tool_call.requested"] = "tool_call.requested"
    call_id: str
    component: str
    tool: str
    args: dict[str, JsonValue]
    side: Literal["executor", "server", "brain"]
    asks: bool
    parallel: bool = False
    level: Level = "full"
    failure_level: Level = "concise"
    listing: bool = False


class ToolCallStarted(Model):
    """An executor began a call."""

    kind: Literal["tool_call.started"] = "tool_call.started"
    call_id: str
    executor: str


class ToolCallsOffered(Model):
    """These calls are given out to be carried out."""

    kind: Literal["tool_call.offered"] = "tool_call.offered"
    call_ids: list[str]


class Tried(Model):
    """What came of a message that was sent to try a channel."""

    slack: str
    email: str


class TriggerView(Model):
    """A trigger as doors show it."""

    id: int
    project_id: int
    description: str
    account: str
    flow: str
    model: str | None
    goal: str
    events: dict[str, list[str]]
    filter: str
    cron: str
    timezone: str
    enabled: bool
    owner: str
    next_runs: list[datetime]
    hook_url: str
    created_at: datetime


class Triggered(Model):
    """What started a session by itself, and by which service account it acts for its initiator."""

    trigger: int
    delivery: int
    source: Literal["human", "system", "scheduled"]
    account_id: int
    account: str


class TurnEnded(Model):
    """A turn came to where nothing can be done without somebody else."""

    kind: Literal["turn.ended"] = "turn.ended"
    turn_no: int


class TurnStarted(Model):
    """A worker claimed a turn."""

    kind: Literal["turn.started"] = "turn.started"
    turn_no: int
    job: int
    recovery: bool = False


class Usage(Model):
    """Tokens and cost of one model call, or a sum of them.

    `cost` is in US dollars; None means that the price is not known, never 0 (promise 10). A sum with one
    unknown part is unknown.
    """

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost: str | None = "0"
    estimated: bool = False


class UsageRecorded(Model):
    """What one model call used, also one whose answer was thrown away."""

    kind: Literal["usage.recorded"] = "usage.recorded"
    component: str
    model: str
    usage: Usage


class UsageView(Model):
    """The sum, the sums by model, and one page of calls; `next` is what `after` of the following page is."""

    total: Usage
    models: dict[str, Usage]
    calls: list[CallUsage]
    next: int | None


class Used(Model):
    """What a session's commands took of its totals."""

    ms: int = 0
    output: int = 0


class Waiting(Model):
    """What a session waits for, for its row, the lists and the CLI."""

    on: Literal["worker", "runner", "editor", "tool", "model", "person"]
    detail: str = ""
    until: datetime | None = None


class WebhookDelivery(Model):
    """The same with what is sent."""

    id: int
    message_id: str
    type: str
    session: int | None
    status: Literal["waiting", "delivered", "failed"]
    attempts: list[Attempt]
    next_at: datetime | None
    created_at: datetime
    body: str


class WebhookDeliveryRow(Model):
    """A delivery as lists show it."""

    id: int
    message_id: str
    type: str
    session: int | None
    status: Literal["waiting", "delivered", "failed"]
    attempts: list[Attempt]
    next_at: datetime | None
    created_at: datetime


class WebhookView(Model):
    """A webhook as doors show it."""

    id: int
    project: str
    url: str
    description: str
    events: list[WebhookEvent]
    enabled: bool
    disabled_until: datetime | None
    failing_since: datetime | None
    old_key_until: datetime | None
    added_by: str
    created_at: datetime


class WorkspacePrepared(Model):
    """The session's files are there."""

    kind: Literal["workspace.prepared"] = "workspace.prepared"
    executor: str
    base_commit: str
    isolation: Literal["full", "reduced", "none"]
    duration_ms: int = 0
    notes: list[str] = Field(default_factory=lambda: [])


class WorkspaceTornDown(Model):
    """The proof of a stop: how many processes were killed, how many are left, how long it took and how."""

    kind: Literal["workspace.torn_down"] = "workspace.torn_down"
    executor: str
    killed: int
    left: int
    duration_ms: float
    method: str
