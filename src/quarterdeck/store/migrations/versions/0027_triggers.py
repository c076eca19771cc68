"""Triggers and their deliveries, service accounts, who a pipeline is of, and what sessions' checks came to."""

import json

import sqlalchemy as sa
import zstandard
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0027"
down_revision = "0026"

_TIME = sa.DateTime(timezone=True)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default=sa.text("''"), nullable=False)


def _key(name: str, target: str, *, cascade: bool = False) -> sa.Column[int]:
    return sa.Column(
        name, sa.BigInteger(), sa.ForeignKey(f"{target}.id", ondelete="CASCADE" if cascade else None), nullable=False
    )


def upgrade() -> None:
    """Goes one step on."""
    op.add_column("users", sa.Column("service_project_id", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_users_service", "users", ["service_project_id"], postgresql_where=sa.text("service_project_id is not null")
    )
    op.add_column("pipelines", sa.Column("user_id", sa.BigInteger(), nullable=True))
    op.add_column("sessions", sa.Column("verified", sa.Boolean(), nullable=True))
    op.create_table(
        "triggers",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        _key("project_id", "projects", cascade=True),
        _text("description"),
        _key("account_id", "users"),
        sa.Column("flow", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        _text("goal"),
        sa.Column("events", postgresql.JSONB(), nullable=False),
        _text("filter"),
        _text("cron"),
        _text("timezone"),
        sa.Column("next_at", _TIME, nullable=True),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        _key("owner_id", "users"),
        sa.Column("created_at", _TIME, server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", _TIME, server_default=sa.func.now(), nullable=False),
    )
    op.create_index("ix_triggers_project_id", "triggers", ["project_id"])
    op.create_index("ix_triggers_next_at", "triggers", ["next_at"], postgresql_where=sa.text("next_at is not null"))
    op.create_table(
        "deliveries",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        _key("trigger_id", "triggers", cascade=True),
        _key("project_id", "projects", cascade=True),
        sa.Column("event", sa.Text(), nullable=False),
        _text("action"),
        sa.Column("key", sa.Text(), nullable=False),
        _key("user_id", "users"),
        sa.Column("payload", sa.JSON(), nullable=False),
        _text("text"),
        sa.Column("about", postgresql.JSONB(), nullable=True),
        sa.Column("status", sa.Text(), server_default=sa.text("'waiting'"), nullable=False),
        _text("reason"),
        sa.Column("session_id", sa.BigInteger(), nullable=True),
        sa.Column("again_of", sa.BigInteger(), nullable=True),
        sa.Column("created_at", _TIME, server_default=sa.func.now(), nullable=False),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.UniqueConstraint("trigger_id", "key"),
    )
    op.create_index("ix_deliveries_project_id_id", "deliveries", ["project_id", "id"])
    op.create_index("ix_deliveries_trigger_id_id", "deliveries", ["trigger_id", "id"])
    op.create_index(
        "ix_deliveries_waiting", "deliveries", ["project_id", "id"], postgresql_where=sa.text("status = 'waiting'")
    )
    op.create_index(
        "ix_deliveries_ended_at",
        "deliveries",
        ["project_id", "ended_at"],
        postgresql_where=sa.text("status = 'started'"),
    )
    op.create_index("ix_deliveries_session_id", "deliveries", ["session_id"])
    _verify(op.get_bind())


def _verify(connection: sa.Connection) -> None:
    """What the last check of each session's work came to, which its log has told and its state did not hold."""
    checks = "coalesce((state->>'checks_passed')::int, 0) + coalesce((state->>'checks_failed')::int, 0)"
    checked = f"select id, state::text from sessions where {checks} > 0"  # noqa: S608 our own words
    change = sa.text("update sessions set verified = :passed, state = cast(:state as json) where id = :id")
    for number, text in connection.execute(sa.text(checked)).all():
        passed = _last_check(connection, number)
        if passed is not None:
            state = json.dumps(json.loads(text) | {"verified": passed}, ensure_ascii=False, separators=(",", ":"))
            connection.execute(change, {"passed": passed, "state": state, "id": number})


def _last_check(connection: sa.Connection, number: int) -> bool | None:
    passed: bool | None = None
    rows = sa.text("select data from event_batches where session_id = :id order by first_seq")
    unpack = zstandard.ZstdDecompressor()
    for (data,) in connection.execute(rows, {"id": number}):
        whole = unpack.decompress(data)
        if b'"check.recorded"' not in whole and b'"artifact.created"' not in whole:
            continue
        for line in whole.splitlines():
            payload = json.loads(line)["payload"]
            if payload["kind"] == "check.recorded":
                passed = payload["passed"]
            elif payload["kind"] == "artifact.created" and payload["artifact"] == "commit":
                passed = None
    return passed
