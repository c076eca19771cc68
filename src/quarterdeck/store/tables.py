"""All tables. The log (`event_batches`) is the truth of a session; `sessions` is its fold, the rest what lists need.

Why this module is long: the tables refer to each other, and are read as one picture of the database.
"""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

_TIME = DateTime(timezone=True)

EXPIRES_ORDER = "coalesce(expires_on, '9999-12-31'::date)"
"""How lists are ordered by the day of deletion: held sessions come last. The indexes have exactly this."""
AWAITING = "status in ('input_required', 'plan_approval_required', 'tool_call_approval_required')"
COST_ORDER = "coalesce(cost, '-1'::numeric)"
"""How lists are ordered by cost: what is unknown is less than nothing."""


def _id() -> Column[int]:
    return Column("id", BigInteger, Identity(), primary_key=True)


def _created() -> Column[object]:
    return Column("created_at", _TIME, nullable=False, server_default=func.now())


def _text(name: str, default: str | None = "") -> Column[str]:
    server = None if default is None else text(f"'{default}'")
    return Column(name, Text, nullable=False, server_default=server)


users = Table(
    "users",
    metadata,
    _id(),
    Column("username", Text, nullable=False, unique=True),
    _text("name"),
    _text("email"),
    Column("admin", Boolean, nullable=False, server_default=text("false")),
    Column("service_project_id", BigInteger),  # of a service account: its project; nobody signs in as one
    _created(),
    Index("ix_users_service", "service_project_id", postgresql_where=text("service_project_id is not null")),
)

tokens = Table(
    "tokens",
    metadata,
    _id(),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("kind", Text, nullable=False),  # personal, sign_in, browser, code, runner, registration, workspace
    _text("name"),
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE")),
    Column("runner_id", BigInteger, ForeignKey("runners.id", ondelete="CASCADE")),
    Column("project_id", BigInteger, ForeignKey("projects.id", ondelete="CASCADE")),
    Column("subject", Text),  # workspace tokens: the session or job that may fetch; codes: whose verifier redeems them
    Column("tags", JSONB),  # registration tokens: the only tags that the runner may have, if there is a limit
    Column("expires_at", _TIME),
    Column("last_used_at", _TIME),
    _created(),
)

projects = Table(
    "projects",
    metadata,
    _id(),
    Column("path", Text, nullable=False, unique=True),
    _text("name"),
    _text("description"),
    _text("default_branch", "main"),
    Column("retention_days", Integer, nullable=False, server_default=text("30")),
    Column("retention_changed_at", _TIME),
    _text("retention_changed_by"),
    Column("merge_request_counter", Integer, nullable=False, server_default=text("0")),
    Column("issue_counter", Integer, nullable=False, server_default=text("0")),
    Column("runner_tags", JSONB, nullable=False, server_default=text("'[]'")),  # its sessions' runners have them all
    Column("limits", JSONB, nullable=False, server_default=text("'{}'")),  # of what its sessions use of a runner
    Column(
        "network_hosts", JSONB, nullable=False, server_default=text("'[\"server\"]'")
    ),  # what of the server's they reach
    Column("always_ask", JSONB, nullable=False, server_default=text("'[]'")),  # privileges whose tools ask a person
    _created(),
)

members = Table(
    "members",
    metadata,
    Column("project_id", BigInteger, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("role", Integer, nullable=False),
    _created(),
    PrimaryKeyConstraint("project_id", "user_id"),
    Index(None, "user_id"),
)

documents = Table(
    "documents",
    metadata,
    Column("hash", Text, primary_key=True),  # sha256 of the text
    Column("kind", Text, nullable=False),  # flow, script, replay
    Column("text", Text, nullable=False),
    _created(),
)

sessions = Table(
    "sessions",
    metadata,
    _id(),
    Column("project_id", BigInteger, ForeignKey("projects.id", ondelete="CASCADE")),
    Column("initiator_id", BigInteger, ForeignKey("users.id"), nullable=False),
    Column("origin", Text, nullable=False),
    Column("flow", Text, nullable=False),
    Column("flow_hash", Text, nullable=False),
    Column("script_hash", Text),
    Column("model", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("turn_no", Integer, nullable=False),
    Column("turn_open", Boolean, nullable=False),
    Column("waiting_for", JSONB),
    Column(
        "state", JSON, nullable=False
    ),  # not JSONB, which loses the order of keys, and with it that of an answer's calls
    Column("cost", Numeric),
    Column("warnings", Integer, nullable=False),
    Column("errors", Integer, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("started_at", _TIME),
    Column("ended_at", _TIME),
    Column("last_activity", _TIME, nullable=False),
    Column("expires_on", Date),
    Column("retention_days", Integer, nullable=False, server_default=text("30")),
    Column("idempotency_key", Text),
    Column("parent_id", BigInteger),  # the session that started it
    Column("source_seq", BigInteger),  # the last event of its source; null when its work is done here
    Column("held", Boolean, nullable=False, server_default=text("false")),
    Column("scripted", Boolean, nullable=False, server_default=text("false")),
    _text("reason"),
    Column("executor_id", BigInteger),  # the editor that carries its calls out; null when any runner does
    Column("verified", Boolean),  # whether the last check of its work passed
    Column("status_order", SmallInteger, nullable=False, server_default=text("6")),  # the larger the earlier in lists
    UniqueConstraint("initiator_id", "idempotency_key"),
    Index(
        "ix_sessions_executor_id",
        "executor_id",
        "last_activity",
        "id",
        postgresql_where=text("executor_id is not null"),
    ),
    Index("ix_sessions_parent_id", "parent_id", postgresql_where=text("parent_id is not null")),
    Index(None, "project_id", "last_activity", "id"),
    Index(None, "initiator_id", "last_activity", "id"),
    Index(None, "expires_on"),
    Index(None, "flow_hash"),
    Index("ix_sessions_script_hash", "script_hash", postgresql_where=text("script_hash is not null")),
    Index("ix_sessions_live", "last_activity", postgresql_where=text("status in ('created', 'running')")),
    # The orders of lists, and the filters that are rare in a project.
    Index(None, "project_id", "status", "last_activity", "id"),
    Index(None, "project_id", "flow", "last_activity", "id"),
    Index(None, "project_id", "model", "last_activity", "id"),
    Index(None, "project_id", "initiator_id", "last_activity", "id"),
    Index("ix_sessions_held", "project_id", "last_activity", "id", postgresql_where=text("held")),
    Index("ix_sessions_awaiting", "initiator_id", "last_activity", "id", postgresql_where=text(AWAITING)),
    Index(
        "ix_sessions_private",
        "initiator_id",
        "project_id",
        "last_activity",
        "id",
        postgresql_where=text("origin in ('chat', 'ide')"),
    ),
    Index(None, "project_id", "created_at", "id"),
    Index(None, "project_id", "status_order", "id"),
    Index("ix_sessions_project_id_expires", "project_id", text(EXPIRES_ORDER), "id"),
    Index("ix_sessions_project_id_cost", "project_id", text(COST_ORDER), "id"),
    Index(None, "last_activity", "id"),
    Index(None, "created_at", "id"),
    Index(None, "status_order", "id"),
    Index("ix_sessions_expires", text(EXPIRES_ORDER), "id"),
    Index("ix_sessions_cost", text(COST_ORDER), "id"),
    postgresql_with={"fillfactor": 70},
)

event_batches = Table(
    "event_batches",
    metadata,
    Column("session_id", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("n", Integer, nullable=False),
    Column("results", Integer, nullable=False),  # how many of the n have level result
    Column("concise", Integer, nullable=False),  # … level concise
    Column("data", LargeBinary, nullable=False),  # zstd of JSON lines
    PrimaryKeyConstraint("session_id", "first_seq"),
)

outputs = Table(
    "outputs",
    metadata,
    Column("call_id", Text, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("call_id", "offset"),
)

partials = Table(
    "partials",
    metadata,
    Column("session_id", BigInteger, primary_key=True),
    Column("turn_no", Integer, nullable=False),
    Column("text", Text, nullable=False),
    prefixes=["UNLOGGED"],
)

blobs = Table(
    "blobs",
    metadata,
    _id(),
    Column("subject", Text, nullable=False),  # whose it is: deleted with it
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    _created(),
    Index(None, "subject"),
)

blob_chunks = Table(
    "blob_chunks",
    metadata,
    Column("blob_id", BigInteger, ForeignKey("blobs.id", ondelete="CASCADE"), nullable=False),
    Column("n", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("blob_id", "n"),
)

offers = Table(
    "offers",
    metadata,
    Column("call_id", Text, primary_key=True),
    Column("subject", Text, nullable=False),  # session:12, job:7
    Column("session_id", BigInteger),
    Column("job_id", BigInteger),
    Column("turn_no", Integer, nullable=False, server_default=text("0")),
    Column("side", Text, nullable=False),  # executor, server
    Column("tool", Text, nullable=False),
    Column("args", JSONB, nullable=False),
    Column("tags", JSONB, nullable=False, server_default=text("'[]'")),  # a runner needs all of them
    Column("status", Text, nullable=False),  # waiting, offered, running, cancelling, finished, cancelled
    Column("output_bytes", BigInteger, nullable=False, server_default=text("0")),
    Column("started_at", _TIME),  # of one that an executor has told of while it ran
    _created(),
    Index(None, "subject"),
    Index(
        "ix_offers_open",
        "status",
        postgresql_where=text("status in ('waiting', 'offered', 'running')"),
    ),
    Index("ix_offers_cancelling", "subject", postgresql_where=text("status = 'cancelling'")),
)

leases = Table(
    "leases",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("runner_id", BigInteger, ForeignKey("runners.id", ondelete="CASCADE")),
    Column("epoch", Integer, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    Column(
        "cancelled", Boolean, nullable=False, server_default=text("false")
    ),  # the subject has ended: kill, then report the teardown
    Column("torn_down", Boolean, nullable=False, server_default=text("false")),  # reported; wipe, then forget the lease
    Index(None, "runner_id"),
)

runners = Table(
    "runners",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True),
    _text("instance"),  # of one home: another living executor can't take the name
    Column("kind", Text, nullable=False),
    _text("version"),
    _text("isolation"),
    Column("capacity", Integer, nullable=False, server_default=text("1")),
    Column("tags", JSONB, nullable=False, server_default=text("'[]'")),
    Column("capabilities", JSONB, nullable=False, server_default=text("'{}'")),
    Column("last_contact", _TIME),
    _created(),
    Column("registered", Boolean, nullable=False, server_default=text("false")),  # the server knows its name and tags
    Column("project_id", BigInteger, ForeignKey("projects.id", ondelete="CASCADE")),  # works for this one alone
    _text("description"),
    _text("state", "active"),  # active, paused, draining, removed
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE")),  # an editor's person; null of a runner
    _text("folder"),  # what the editor has open, as its person knows it
    Index("ix_runners_user_id", "user_id", postgresql_where=text("user_id is not null")),
)

usage = Table(
    "usage",
    metadata,
    Column("session_id", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("model", Text, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost", Numeric),
    Column("at", _TIME, nullable=False),
    Column("requests", BigInteger, nullable=False, server_default=text("1")),
    Column("cache_read_tokens", BigInteger, nullable=False, server_default=text("0")),
    Column("cache_write_tokens", BigInteger, nullable=False, server_default=text("0")),
    _text("component"),
    Column("estimated", Boolean, nullable=False, server_default=text("false")),
    PrimaryKeyConstraint("session_id", "seq"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("id", Text, primary_key=True),
    Column("session_id", BigInteger, nullable=False),
    Column("ask", Text, nullable=False),
    Column("question", Text, nullable=False),
    Column("decision", Text),  # granted, denied, answered; null while it waits, and when nobody decided
    Column("decided_by", Text),
    Column("requested_at", _TIME, nullable=False),
    Column("decided_at", _TIME),
    Index(None, "session_id"),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("session_id", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("url", Text, nullable=False),
    PrimaryKeyConstraint("session_id", "seq"),
)

merge_requests = Table(
    "merge_requests",
    metadata,
    _id(),
    Column("project_id", BigInteger, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("iid", Integer, nullable=False),
    Column("title", Text, nullable=False),
    _text("description"),
    Column("source_branch", Text, nullable=False),
    Column("target_branch", Text, nullable=False),
    Column("status", Text, nullable=False),  # opened, merged, closed
    Column("author_id", BigInteger, ForeignKey("users.id")),  # null: nobody here, see external_author
    Column("session_id", BigInteger),
    Column("call_id", Text, unique=True),  # the tool call that made it: a repeated call finds it
    Column("merge_commit", Text),
    _created(),
    Column("ended_at", _TIME),
    Column("external_id", Text),  # of one that is also at the forge that its project is connected to
    Column("external_url", Text),
    Column("external_updated_at", _TIME),  # what the forge said last; older words of it change nothing
    Column("external_author", Text),  # their name there
    UniqueConstraint("project_id", "iid"),
    Index("uq_merge_requests_external", "project_id", "external_id", unique=True),
)

merge_request_people = Table(
    "merge_request_people",
    metadata,
    Column("merge_request_id", BigInteger, ForeignKey("merge_requests.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("part", Text, nullable=False),  # assignee, reviewer
    Column("verdict", Text),  # of a reviewer: approved, changes_requested
    Column("commit", Text),  # that the verdict is about
    PrimaryKeyConstraint("merge_request_id", "user_id", "part"),
    Index(None, "user_id"),
)

issues = Table(
    "issues",
    metadata,
    _id(),
    Column("project_id", BigInteger, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("iid", Integer, nullable=False),
    Column("title", Text, nullable=False),
    _text("description"),
    Column("status", Text, nullable=False),  # opened, closed
    Column("labels", JSONB, nullable=False, server_default=text("'[]'")),
    Column("author_id", BigInteger, ForeignKey("users.id")),  # null: nobody here, see external_author
    Column("session_id", BigInteger),
    Column("call_id", Text, unique=True),  # the tool call that made it: a repeated call finds it
    Column("closed_by_id", BigInteger, ForeignKey("users.id")),
    _text("closed_reason"),  # what closed it when that was not its closing by hand: the merge of !3
    _created(),
    Column("updated_at", _TIME, nullable=False, server_default=func.now()),
    Column("closed_at", _TIME),
    Column("external_id", Text),  # of one that is also at the forge that its project is connected to
    Column("external_url", Text),
    Column("external_updated_at", _TIME),  # what the forge said last; older words of it change nothing
    Column("external_author", Text),  # their name there
    UniqueConstraint("project_id", "iid"),
    Index("uq_issues_external", "project_id", "external_id", unique=True),
)

issue_assignees = Table(
    "issue_assignees",
    metadata,
    Column("issue_id", BigInteger, ForeignKey("issues.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    PrimaryKeyConstraint("issue_id", "user_id"),
    Index(None, "user_id"),
)

comments = Table(
    "comments",
    metadata,
    _id(),
    Column("merge_request_id", BigInteger, ForeignKey("merge_requests.id", ondelete="CASCADE")),
    Column("issue_id", BigInteger, ForeignKey("issues.id", ondelete="CASCADE")),
    Column("author_id", BigInteger, ForeignKey("users.id")),  # null: nobody here, see external_author
    Column("session_id", BigInteger),
    Column("call_id", Text, unique=True),  # of a review only the first comment has it: all of it or nothing is there
    Column("text", Text, nullable=False),
    Column("path", Text),  # of a comment on a line; new_line, old_line or both are there then
    Column("new_line", Integer),
    Column("old_line", Integer),
    Column("commit", Text),  # whose diff it stands on
    _created(),
    Column("external_id", Text),  # of one that is also at the forge that its project is connected to
    Column("external_url", Text),
    Column("external_updated_at", _TIME),  # what the forge said last; older words of it change nothing
    Column("external_author", Text),  # their name there
    CheckConstraint("num_nonnulls(merge_request_id, issue_id) = 1", name="ck_comments_subject"),
    Index(None, "merge_request_id"),
    Index(None, "issue_id"),
    Index("uq_comments_external_issue", "issue_id", "external_id", unique=True),
    Index("uq_comments_external_merge_request", "merge_request_id", "external_id", unique=True),
)

session_subjects = Table(
    "session_subjects",
    metadata,
    Column("session_id", BigInteger, primary_key=True, autoincrement=False),  # started on one of the first two
    Column("issue_id", BigInteger, ForeignKey("issues.id", ondelete="CASCADE")),
    Column("merge_request_id", BigInteger, ForeignKey("merge_requests.id", ondelete="CASCADE")),
    Column("pipeline_id", BigInteger, ForeignKey("pipelines.id", ondelete="SET NULL")),
    Index(None, "issue_id"),
    Index(None, "merge_request_id"),
    Index(None, "pipeline_id"),
)

pipelines = Table(
    "pipelines",
    metadata,
    _id(),
    Column("project_id", BigInteger, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("ref", Text, nullable=False),
    Column("sha", Text, nullable=False),
    Column("source", Text, nullable=False),  # push, api, session
    Column("status", Text, nullable=False),
    Column("definition", JSONB, nullable=False),  # core.pipeline.CiPipeline
    _text("error"),  # why the file could not be made into a pipeline
    Column("session_id", BigInteger),
    Column("user_id", BigInteger),  # who pushed or started it
    _created(),
    Column("started_at", _TIME),
    Column("ended_at", _TIME),
    Column("external_id", Text),  # of one that is also at the forge that its project is connected to
    Column("external_url", Text),
    Column("external_updated_at", _TIME),  # what the forge said last; older words of it change nothing
    Index(None, "project_id", "id"),
    Index(None, "project_id", "sha"),
    Index("uq_pipelines_external", "project_id", "external_id", unique=True),
)

pipeline_jobs = Table(
    "pipeline_jobs",
    metadata,
    _id(),
    Column("pipeline_id", BigInteger, ForeignKey("pipelines.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("allow_failure", Boolean, nullable=False),
    Column("attempt", Integer, nullable=False, server_default=text("1")),
    Column("exit_code", Integer),
    _text("reason"),
    Column("call_id", Text),
    Column("artifacts_blob", BigInteger),
    _created(),
    Column("started_at", _TIME),
    Column("ended_at", _TIME),
    Column("external_id", Text),
    Column("external_url", Text),
    Column("external_updated_at", _TIME),
    Index(None, "pipeline_id"),
    Index("uq_pipeline_jobs_external", "pipeline_id", "external_id", unique=True),
)

pipeline_waits = Table(
    "pipeline_waits",
    metadata,
    Column("call_id", Text, primary_key=True),  # a session's tool call that ends with the pipeline
    Column("session_id", BigInteger, nullable=False),
    Column("pipeline_id", BigInteger, ForeignKey("pipelines.id", ondelete="CASCADE"), nullable=False),
    Index(None, "pipeline_id"),
    Index(None, "session_id"),
)

connections = Table(
    "connections",
    metadata,
    _id(),
    Column("project_id", BigInteger, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("forge", Text, nullable=False),  # github, gitlab
    Column("api_url", Text, nullable=False),
    Column("web_url", Text, nullable=False),
    Column("repository", Text, nullable=False),  # its path there
    Column("git_url", Text, nullable=False),
    Column("token", LargeBinary, nullable=False),  # encrypted by store.vault, as the next
    Column("hook_secret", LargeBinary, nullable=False),
    Column("login", Text, nullable=False),  # whose token it is, there
    Column("private", Boolean, nullable=False),  # may be in the server's own network: an administrator connected it
    Column("run_pipelines", Boolean, nullable=False),  # what is pushed gets pipelines here, too
    Column("connected_by", Text, nullable=False),
    Column("heard_at", _TIME),  # of a delivery
    Column("synced_at", _TIME),
    _text("fault"),  # why the forge was not reached last
    Column("fault_at", _TIME),
    Column("waits_until", _TIME),  # it asked for a pause
    _created(),
)

connection_people = Table(
    "connection_people",
    metadata,
    Column("connection_id", BigInteger, ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    Column("login", Text, nullable=False),  # small letters
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    _created(),
    PrimaryKeyConstraint("connection_id", "login"),
    UniqueConstraint("connection_id", "user_id"),
)

forge_deliveries = Table(
    "forge_deliveries",
    metadata,
    _id(),
    Column("connection_id", BigInteger, ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    Column("key", Text, nullable=False),  # the forge's id of it
    Column("digest", LargeBinary, nullable=False),  # of the body: sent again under another id it is the same
    Column("event", Text, nullable=False),
    Column("body", LargeBinary),  # until it is applied
    Column("received_at", _TIME, nullable=False, server_default=func.now()),
    Column("applied_at", _TIME),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("due_at", _TIME, nullable=False, server_default=func.now()),
    _text("fault"),
    UniqueConstraint("connection_id", "key"),
    UniqueConstraint("connection_id", "digest"),
    Index("ix_forge_deliveries_waiting", "connection_id", "id", postgresql_where=text("applied_at is null")),
)

forge_writes = Table(
    "forge_writes",
    metadata,
    Column("connection_id", BigInteger, ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),  # branch, issue, merge_request, comment, status
    Column("subject", Text, nullable=False),  # a branch's name, or the id of a row here
    Column("wanted", BigInteger, nullable=False, server_default=text("1")),  # goes up with each change here
    Column("done", BigInteger, nullable=False, server_default=text("0")),  # what of that is at the forge
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("due_at", _TIME, nullable=False, server_default=func.now()),
    _text("fault"),
    Column("refused", Boolean, nullable=False, server_default=text("false")),  # not tried again until it changes here
    _created(),
    PrimaryKeyConstraint("connection_id", "kind", "subject"),
    Index(
        "ix_forge_writes_waiting",
        "connection_id",
        "created_at",
        postgresql_where=text("wanted > done and not refused"),
    ),
)

mcp_servers = Table(
    "mcp_servers",
    metadata,
    _id(),
    Column("project_id", BigInteger, ForeignKey("projects.id", ondelete="CASCADE")),
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE")),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),  # http, stdio
    _text("url"),  # without what stands behind its `?`, which is secret
    Column("command", JSONB, nullable=False, server_default=text("'[]'")),
    Column("secret_names", JSONB, nullable=False, server_default=text("'[]'")),  # of headers or variables
    Column("secret", LargeBinary, nullable=False),  # encrypted: their values, and the rest of the URL
    Column("allow", JSONB, nullable=False, server_default=text("'[]'")),  # globs of its tools; none allow all
    Column("enabled", Boolean, nullable=False),
    Column("added_by", Text, nullable=False),
    _created(),
    UniqueConstraint("project_id", "name"),
    UniqueConstraint("user_id", "name"),
    CheckConstraint("num_nonnulls(project_id, user_id) = 1", name="one_owner"),
)

mcp_blocks = Table(
    "mcp_blocks",
    metadata,
    Column("project_id", BigInteger, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("blocked_by", Text, nullable=False),
    _created(),
)

model_keys = Table(
    "model_keys",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("secret", LargeBinary, nullable=False),  # encrypted by store.vault
    Column("base_url", Text),
    Column("set_by", Text, nullable=False),
    Column("set_at", _TIME, nullable=False, server_default=func.now()),
    _text("tested_with"),
)

model_rules = Table(
    "model_rules",
    metadata,
    _id(),
    Column("project_id", BigInteger, ForeignKey("projects.id", ondelete="CASCADE")),  # null: of the instance
    _text("flow"),  # a flow's name; empty: of all
    Column("default_model", Text),
    Column("allowed", JSONB(none_as_null=True)),  # patterns; null: all
    Column("tags", JSONB, nullable=False, server_default=text("'{}'")),
    Column("fallbacks", JSONB, nullable=False, server_default=text("'{}'")),
    UniqueConstraint("project_id", "flow", postgresql_nulls_not_distinct=True),
)

agents = Table(
    "agents",
    metadata,
    _id(),
    Column("project_id", BigInteger, ForeignKey("projects.id", ondelete="CASCADE")),
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE")),
    Column("name", Text, nullable=False),
    _text("description"),
    Column("prompt", Text, nullable=False),
    Column("tools", JSONB, nullable=False),
    Column("model", Text),
    _created(),
    Column("updated_at", _TIME, nullable=False, server_default=func.now()),
    CheckConstraint("(project_id is null) <> (user_id is null)", name="one_owner"),
    UniqueConstraint("project_id", "name"),
    UniqueConstraint("user_id", "name"),
)

notifications_wanted = Table(
    "notifications_wanted",
    metadata,
    _id(),
    Column("session_id", BigInteger, nullable=False),
    Column("call_id", Text, nullable=False, unique=True),
    Column("target", Text, nullable=False),  # time, session, pipeline
    Column("target_id", BigInteger),
    _text("note"),
    Column("due_at", _TIME),  # null until what it waits for has happened
    Column("sent_at", _TIME),
    _created(),
    Index(None, "session_id"),
    Index("ix_notifications_wanted_target", "target", "target_id", postgresql_where=text("due_at is null")),
    Index("ix_notifications_wanted_due_at", "due_at", postgresql_where=text("sent_at is null")),
)

questions = Table(
    "questions",
    metadata,
    _id(),
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("project_id", BigInteger, ForeignKey("projects.id", ondelete="SET NULL")),
    Column("model", Text, nullable=False),
    Column("input_tokens", BigInteger, nullable=False, server_default=text("0")),
    Column("output_tokens", BigInteger, nullable=False, server_default=text("0")),
    Column("cost", Numeric),
    Column("at", _TIME, nullable=False, server_default=func.now()),
    Index(None, "user_id", "at"),
)

project_flows = Table(
    "project_flows",
    metadata,
    Column("project_id", BigInteger, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),  # 3 is 3.0.0 to people
    Column("text", Text, nullable=False),
    Column("stored_by", Text, nullable=False),
    Column("stored_at", _TIME, nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("project_id", "name", "version"),
)

user_rules = Table(
    "user_rules",
    metadata,
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
    Column("changed_at", _TIME, nullable=False, server_default=func.now()),
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("session_id", BigInteger, primary_key=True),
    Column("project_id", BigInteger),
    Column("created_at", _TIME, nullable=False),
    Column("deleted_at", _TIME, nullable=False, server_default=func.now()),
    Column("deleted_by", Text, nullable=False),
)

session_texts = Table(
    "session_texts",
    metadata,
    Column(
        "session_id", BigInteger, ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    Column("text", Text, nullable=False),  # title and goal, kept by triggers of `sessions`
    Index("ix_session_texts_text", "text", postgresql_using="gin", postgresql_ops={"text": "gin_trgm_ops"}),
)


def _counts(name: str, *more: Any) -> Table:
    return Table(
        name,
        metadata,
        Column("project_id", BigInteger, nullable=False, autoincrement=False),  # 0: of no project
        Column("initiator_id", BigInteger, nullable=False, autoincrement=False),  # 0 in session_counts: everybody
        Column("private", Boolean, nullable=False),  # chats and IDE sessions
        Column("status_group", Text, nullable=False),
        Column("n", BigInteger, nullable=False),
        *more,
    )


session_counts = _counts(
    "session_counts",
    PrimaryKeyConstraint("project_id", "initiator_id", "private", "status_group"),
    Index(None, "initiator_id"),
)
"""How many sessions there are, together with `session_count_changes`; both are kept by triggers of `sessions`."""
session_count_changes = _counts("session_count_changes")
"""What is not yet in `session_counts`: writers only add rows here, so that they never wait for each other."""
search_pieces = Table(
    "search_pieces",
    metadata,
    _id(),
    Column("session_id", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),  # the first event of the piece; of output that which asked for the call
    Column("last_seq", BigInteger, nullable=False),
    Column("call_id", Text),  # of output; null: a piece of the log
    Column("start", BigInteger, nullable=False),  # bytes of the output, or which of the events' texts
    Column("stop", BigInteger, nullable=False),
    Column("line", Integer, nullable=False),  # the number of its first line
    Column("words", TSVECTOR, nullable=False),  # without places; also whose it is, see store/search.py
    Index(None, "session_id", "seq", "id"),
    Index(
        "ix_search_pieces_words",
        "words",
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 1024},
    ),
)

search_dues = Table(
    "search_dues",
    metadata,
    _id(),
    Column("session_id", BigInteger, nullable=False),
    Column("call_id", Text, unique=True),  # whose output is to be indexed; null: the log of a session from before
    Column("seq", BigInteger, nullable=False),  # the event that asked for the call; of a log the last one to index
    Column("place", BigInteger, nullable=False, server_default=text("0")),  # bytes or events that are indexed
    Column("lines", Integer, nullable=False, server_default=text("0")),  # in those bytes
    Column("quiet", Integer, nullable=False, server_default=text("0")),  # looks in vain since the call was cancelled
    Index(None, "session_id"),
)

sweeps = Table(
    "sweeps",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # one row, number 1
    Column("due_at", _TIME, nullable=False),
    Column("ended_at", _TIME),
    Column("deleted", BigInteger, nullable=False, server_default=text("0")),  # by the last one
)

leftovers = Table(
    "leftovers",
    metadata,
    Column("project_id", BigInteger, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("branch", Text, nullable=False),  # of a deleted session; empty: what its branches leave in the repository
    Column("head", Text, nullable=False),  # the session's last commit: a branch that has others is not deleted
    Column("due_at", _TIME, nullable=False),
    PrimaryKeyConstraint("project_id", "branch"),
)

outbox = Table(
    "outbox",
    metadata,
    _id(),
    Column("at", _TIME, nullable=False),
    Column("session_id", BigInteger, nullable=False),
    Column("project_id", BigInteger),
    Column("seq", BigInteger, nullable=False),
    Column("status", Text, nullable=False),  # empty: the event is an artifact
    Column("delivered_at", _TIME),
    Index(None, "session_id", "id"),
    Index("ix_outbox_waiting", "id", postgresql_where=text("delivered_at is null")),
)

session_steps = Table(
    "session_steps",
    metadata,
    Column("session_id", BigInteger, nullable=False),
    Column("step", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),  # of its snapshot.taken
    Column("call_id", Text, nullable=False),
    Column("commit", Text, nullable=False),
    Column("files", JSON, nullable=False),  # what it changed
    Column("bundle_blob", BigInteger, nullable=False),
    Column("step_diff_blob", BigInteger, nullable=False),
    Column("whole_diff_blob", BigInteger, nullable=False),
    PrimaryKeyConstraint("session_id", "step"),
)

attachments = Table(
    "attachments",
    metadata,
    _id(),
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("session_id", BigInteger),  # null until a start or a message names it
    Column("blob_id", BigInteger, ForeignKey("blobs.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("characters", Integer, nullable=False),
    _text("category"),
    _created(),
    Index(None, "session_id"),
    Index("ix_attachments_unclaimed", "user_id", postgresql_where=text("session_id is null")),
)
triggers = Table(
    "triggers",
    metadata,
    _id(),
    Column("project_id", BigInteger, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    _text("description"),
    Column("account_id", BigInteger, ForeignKey("users.id"), nullable=False),
    Column("flow", Text, nullable=False),
    Column("model", Text),
    _text("goal"),
    Column("events", JSONB, nullable=False),  # core.trigger.EventType -> the actions that it waits for
    _text("filter"),  # core.trigger_filter, as it was written
    _text("cron"),
    _text("timezone"),
    Column("next_at", _TIME),  # of the schedule; null when it has none or is disabled
    Column("secret", LargeBinary),  # of the inbound webhook, encrypted by the vault
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("owner_id", BigInteger, ForeignKey("users.id"), nullable=False),  # whose rights it has where nobody did it
    _created(),
    Column("updated_at", _TIME, nullable=False, server_default=func.now()),
    Index(None, "project_id"),
    Index("ix_triggers_next_at", "next_at", postgresql_where=text("next_at is not null")),
)
deliveries = Table(
    "deliveries",
    metadata,
    _id(),
    Column("trigger_id", BigInteger, ForeignKey("triggers.id", ondelete="CASCADE"), nullable=False),
    Column("project_id", BigInteger, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("event", Text, nullable=False),
    _text("action"),
    Column("key", Text, nullable=False),  # of the occurrence: told again it is no other delivery
    Column("user_id", BigInteger, ForeignKey("users.id"), nullable=False),  # in whose name
    Column("payload", JSON, nullable=False),  # not JSONB: as it came
    _text("text"),
    Column("about", JSONB),  # core.trigger.Subject
    Column("status", Text, nullable=False, server_default=text("'waiting'")),  # waiting, started, told, refused
    _text("reason"),
    Column("session_id", BigInteger),
    Column("again_of", BigInteger),  # the delivery that this one repeats
    _created(),
    Column("ended_at", _TIME),
    UniqueConstraint("trigger_id", "key"),
    Index(None, "project_id", "id"),
    Index(None, "trigger_id", "id"),
    Index(None, "session_id"),
    Index("ix_deliveries_waiting", "project_id", "id", postgresql_where=text("status = 'waiting'")),
    Index("ix_deliveries_ended_at", "project_id", "ended_at", postgresql_where=text("status = 'started'")),
)

webhooks = Table(
    "webhooks",
    metadata,
    _id(),
    Column("project_id", BigInteger, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    _text("description"),
    Column("url", Text, nullable=False),  # without what stands behind its `?`
    Column("secret", LargeBinary, nullable=False),  # encrypted: the whole URL, and the keys
    Column("old_key_until", _TIME),  # until when it signs with its last key, too
    Column("events", JSONB, nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("failing_since", _TIME),  # null when the last delivery was taken
    Column("disabled_until", _TIME),  # by itself, because it has failed for too long
    _text("added_by"),
    _created(),
    Index(None, "project_id"),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    _id(),
    Column("webhook_id", BigInteger, ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    Column("message_id", Text, nullable=False, unique=True),
    Column("session_id", BigInteger, nullable=False),  # 0 for a test
    Column("type", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'waiting'")),  # waiting, delivered, failed
    Column("next_at", _TIME, nullable=False, server_default=func.now()),  # while a worker sends it, when it is lost
    Column("tries", Integer, nullable=False, server_default=text("0")),  # since it was made or sent again by hand
    Column("attempts", JSONB, nullable=False, server_default=text("'[]'")),  # the log: what each try came to
    _created(),
    Index(None, "webhook_id", "id"),
    Index(None, "session_id"),
    Index("ix_webhook_deliveries_waiting", "next_at", postgresql_where=text("status = 'waiting'")),
    Index("ix_webhook_deliveries_due", "webhook_id", "next_at", postgresql_where=text("status = 'waiting'")),
    Index("ix_webhook_deliveries_order", "webhook_id", "session_id", "id", postgresql_where=text("status = 'waiting'")),
)

to_dos = Table(
    "to_dos",
    metadata,
    _id(),
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("session_id", BigInteger, nullable=False),  # 0 when it is about a webhook
    Column("seq", BigInteger, nullable=False),
    Column("webhook_id", BigInteger, ForeignKey("webhooks.id", ondelete="CASCADE")),
    Column("done_at", _TIME),
    _created(),
    Index(None, "user_id", "id"),
    Index("ix_to_dos_open", "user_id", "id", postgresql_where=text("done_at is null")),
    Index(None, "session_id"),
)

notices = Table(
    "notices",
    metadata,
    _id(),
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("channel", Text, nullable=False),  # slack, email
    Column("kind", Text, nullable=False),
    Column("session_id", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("session_status", Text, nullable=False),
    Column("webhook_id", BigInteger, ForeignKey("webhooks.id", ondelete="CASCADE")),
    Column("status", Text, nullable=False, server_default=text("'waiting'")),  # waiting, sent, dropped, failed
    Column("next_at", _TIME, nullable=False, server_default=func.now()),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    _text("fault"),
    _created(),
    Index(None, "user_id", "id"),
    Index(None, "session_id"),
    Index("ix_notices_waiting", "next_at", postgresql_where=text("status = 'waiting'")),
)

notice_rules = Table(
    "notice_rules",
    metadata,
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("rules", JSONB, nullable=False),
    Column("slack", LargeBinary),  # the encrypted address
    Column("email", Boolean, nullable=False, server_default=text("false")),
)
