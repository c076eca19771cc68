"""The parts of the API's answers that the commands show; what a newer server adds is ignored."""

from datetime import date, datetime

from pydantic import BaseModel, ConfigDict, JsonValue


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class McpServer(_Answer):
    """An MCP server."""

    name: str
    kind: str
    url: str
    command: tuple[str, ...]
    secret_names: tuple[str, ...]
    allow: tuple[str, ...]
    enabled: bool
    added_by: str


class McpServers(_Answer):
    """All servers of a project or a person."""

    blocked: bool
    servers: tuple[McpServer, ...]


class McpTool(_Answer):
    """A tool that a server offers."""

    name: str
    description: str
    read_only: bool


class McpTest(_Answer):
    """What a server answered."""

    tools: tuple[McpTool, ...]
    left_out: int


class Waiting(_Answer):
    """What a session waits for."""

    on: str
    detail: str = ""
    until: datetime | None = None


class AskedCall(_Answer):
    """A tool call that a person is asked about."""

    call_id: str
    tool: str
    args: dict[str, JsonValue]


class Approval(_Answer):
    """An open question."""

    id: str
    ask: str
    question: str
    calls: tuple[AskedCall, ...] = ()


class PlanLine(_Answer):
    """One line of a plan."""

    text: str
    status: str


class Artifact(_Answer):
    """Something that a session made."""

    artifact: str
    name: str
    url: str = ""


class Usage(_Answer):
    """Tokens, and money where the price is known."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: str | None = None
    estimated: bool = False


class Session(_Answer):
    """A session."""

    id: int
    project_path: str
    title: str
    goal: str
    flow: str
    model: str
    scripted: bool
    initiator: str
    status: str
    status_group: str
    reason: str = ""
    waiting_for: Waiting | None = None
    seq: int
    plan: tuple[PlanLine, ...] = ()
    approvals: tuple[Approval, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    merge_request: str | None = None
    branch: str
    ref: str
    isolation: str
    usage: Usage
    warnings: int
    errors: int
    checks_passed: int
    checks_failed: int
    held: bool
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    last_activity: datetime
    expires_on: date | None = None
    days_left: int | None = None
    expires_soon: bool = False
    url: str

    @property
    def ended(self) -> bool:
        """Nothing more is done in it."""
        return self.status in ("finished", "failed", "stopped")


class SessionRow(_Answer):
    """A session in a list."""

    id: int
    project_path: str
    title: str
    flow: str
    model: str
    scripted: bool
    initiator: str
    status: str
    needs_me: bool = False
    waiting_for: Waiting | None = None
    cost: str | None = None
    duration_seconds: float | None = None
    warnings: int = 0
    errors: int = 0
    held: bool = False
    last_activity: datetime
    expires_on: date | None = None


class SessionCounts(_Answer):
    """Numbers of sessions by status group."""

    all: dict[str, int]
    mine: dict[str, int]
    needs_me: int


class BulkPreview(_Answer):
    """What an action on many would do."""

    ids: tuple[int, ...]
    first: tuple[SessionRow, ...]
    not_allowed: int
    nothing_to_do: int
    more: bool


class BulkResult(_Answer):
    """What came of it for one session."""

    id: int
    done: bool
    why: str = ""


class HitLine(_Answer):
    """A line of a hit, and where in it something was found."""

    line: int
    text: str
    marks: tuple[tuple[int, int], ...]


class Hit(_Answer):
    """What a search found in one place."""

    session_id: int
    session_title: str
    project_path: str
    seq: int
    part: str
    lines: tuple[HitLine, ...]
    more_lines: int


class Preview(_Answer):
    """What the next sweep deletes."""

    retention_days: int | None = None
    next_sweep: datetime
    last_sweep: datetime | None = None
    last_deleted: int = 0
    sessions: int
    waiting: int
    events: int
    held: int
    items: tuple[Session, ...] = ()


class Person(_Answer):
    """A user."""

    username: str
    name: str
    admin: bool


class Link(_Answer):
    """A link for a browser."""

    url: str


class Flow(_Answer):
    """A flow that ships."""

    id: str
    description: str = ""
    scripted: bool = False


class ProjectFlow(_Answer):
    """A flow that a project's sessions can be started with."""

    name: str
    start_as: str
    version: str
    origin: str
    path: str = ""
    description: str = ""
    faults: tuple[str, ...] = ()
    stored_by: str = ""


class ProjectFlows(_Answer):
    """All flows of a project."""

    flows: tuple[ProjectFlow, ...]
    left_out: int = 0


class FlowText(_Answer):
    """A flow's YAML."""

    text: str


class Rules(_Answer):
    """A person's rules."""

    text: str


class Project(_Answer):
    """A project."""

    id: int
    path: str
    name: str
    description: str = ""
    default_branch: str
    retention_days: int = 30


class Member(_Answer):
    """A member of a project."""

    username: str
    name: str = ""
    role: str


class Job(_Answer):
    """A job of a pipeline."""

    id: int
    name: str
    stage: str
    status: str
    allow_failure: bool = False
    exit_code: int | None = None
    reason: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None


class Pipeline(_Answer):
    """A pipeline and its jobs."""

    id: int
    ref: str
    sha: str
    status: str
    source: str = ""
    error: str = ""
    jobs: tuple[Job, ...] = ()
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    url: str = ""

    @property
    def ended(self) -> bool:
        """Whether its jobs are done."""
        return self.status in ("success", "failed", "canceled", "skipped")


class Position(_Answer):
    """A line of a diff."""

    path: str
    new_line: int | None = None
    old_line: int | None = None

    @property
    def name(self) -> str:
        """As people write it."""
        return f"{self.path}:{self.new_line}" if self.new_line else f"{self.path}:{self.old_line} (removed)"


class Comment(_Answer):
    """What somebody said to an issue or a merge request."""

    author: str
    text: str
    created_at: datetime
    position: Position | None = None


class SessionRef(_Answer):
    """A session that was started on an issue or a merge request."""

    id: int
    status: str


class Issue(_Answer):
    """An issue."""

    iid: int
    title: str
    description: str = ""
    status: str
    labels: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()
    author: str = ""
    closed_by: str | None = None
    closed_reason: str = ""
    url: str = ""
    comments: tuple[Comment, ...] = ()
    sessions: tuple[SessionRef, ...] = ()


class LintedJob(_Answer):
    """A job that a pipeline file comes to."""

    name: str
    stage: str


class Lint(_Answer):
    """What is wrong with a pipeline file, or what it comes to."""

    valid: bool
    faults: tuple[str, ...] = ()
    jobs: tuple[LintedJob, ...] = ()


class MergeRequest(_Answer):
    """A merge request."""

    iid: int
    title: str
    description: str = ""
    source_branch: str
    target_branch: str
    status: str
    author: str = ""
    url: str = ""
    comments: tuple[Comment, ...] = ()
    sessions: tuple[SessionRef, ...] = ()


class ModelProvider(_Answer):
    """A provider of models."""

    provider: str
    source: str


class ModelRule(_Answer):
    """One scope's rules of which model is asked."""

    project: str | None
    flow: str
    default: str | None
    allowed: tuple[str, ...] | None
    tags: dict[str, str]
    fallbacks: dict[str, tuple[str, ...]]


class Models(_Answer):
    """What models there are to ask."""

    providers: tuple[ModelProvider, ...]
    default: str | None
    rules: tuple[ModelRule, ...]


class ModelKey(_Answer):
    """What is told of a key."""

    provider: str
    source: str
    base_url: str | None = None
    set_by: str = ""
    set_at: datetime | None = None
    tested_with: str = ""
    problem: str = ""
