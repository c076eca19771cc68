"""Webhooks out, what people have to do and are told of, and artifacts in the outbox."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0029"
down_revision = "0028"


def _time(name: str, *, null: bool = True, now: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=null, server_default=sa.text("now()") if now else None)


def _text(name: str, default: str | None = None) -> sa.Column[str]:
    server = None if default is None else sa.text(f"'{default}'")
    return sa.Column(name, sa.Text(), nullable=False, server_default=server)


def _number(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=null)


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False)


def _refers(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=op.f(f"fk_{table}_{column}"), ondelete="CASCADE")


def upgrade() -> None:
    """Goes one step on."""
    op.execute("update outbox set delivered_at = now() where delivered_at is null")  # old news is told to nobody
    op.create_table(
        "webhooks",
        _id(),
        _number("project_id"),
        _text("description", ""),
        _text("url"),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        _time("old_key_until"),
        sa.Column("events", JSONB(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        _time("failing_since"),
        _time("disabled_until"),
        _text("added_by", ""),
        _time("created_at", null=False, now=True),
        _refers("webhooks", "project_id", "projects"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    op.create_index(op.f("ix_webhooks_project_id"), "webhooks", ["project_id"])
    op.create_table(
        "webhook_deliveries",
        _id(),
        _number("webhook_id"),
        _text("message_id"),
        _number("session_id"),
        _text("type"),
        _text("body"),
        _text("status", "waiting"),
        _time("next_at", null=False, now=True),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", JSONB(), server_default=sa.text("'[]'"), nullable=False),
        _time("created_at", null=False, now=True),
        _refers("webhook_deliveries", "webhook_id", "webhooks"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
        sa.UniqueConstraint("message_id", name=op.f("uq_webhook_deliveries_message_id")),
    )
    waiting = sa.text("status = 'waiting'")
    op.create_index(op.f("ix_webhook_deliveries_webhook_id_id"), "webhook_deliveries", ["webhook_id", "id"])
    op.create_index(op.f("ix_webhook_deliveries_session_id"), "webhook_deliveries", ["session_id"])
    op.create_index("ix_webhook_deliveries_waiting", "webhook_deliveries", ["next_at"], postgresql_where=waiting)
    op.create_index(
        "ix_webhook_deliveries_due", "webhook_deliveries", ["webhook_id", "next_at"], postgresql_where=waiting
    )
    op.create_index(
        "ix_webhook_deliveries_order",
        "webhook_deliveries",
        ["webhook_id", "session_id", "id"],
        postgresql_where=waiting,
    )
    op.create_table(
        "to_dos",
        _id(),
        _number("user_id"),
        _text("kind"),
        _number("session_id"),
        _number("seq"),
        _number("webhook_id", null=True),
        _time("done_at"),
        _time("created_at", null=False, now=True),
        _refers("to_dos", "user_id", "users"),
        _refers("to_dos", "webhook_id", "webhooks"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_to_dos")),
    )
    op.create_index(op.f("ix_to_dos_user_id_id"), "to_dos", ["user_id", "id"])
    op.create_index("ix_to_dos_open", "to_dos", ["user_id", "id"], postgresql_where=sa.text("done_at is null"))
    op.create_index(op.f("ix_to_dos_session_id"), "to_dos", ["session_id"])
    op.create_table(
        "notices",
        _id(),
        _number("user_id"),
        _text("channel"),
        _text("kind"),
        _number("session_id"),
        _number("seq"),
        _text("session_status"),
        _number("webhook_id", null=True),
        _text("status", "waiting"),
        _time("next_at", null=False, now=True),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        _text("fault", ""),
        _time("created_at", null=False, now=True),
        _refers("notices", "user_id", "users"),
        _refers("notices", "webhook_id", "webhooks"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
    )
    op.create_index(op.f("ix_notices_user_id_id"), "notices", ["user_id", "id"])
    op.create_index(op.f("ix_notices_session_id"), "notices", ["session_id"])
    op.create_index("ix_notices_waiting", "notices", ["next_at"], postgresql_where=waiting)
    op.create_table(
        "notice_rules",
        _number("user_id"),
        sa.Column("rules", JSONB(), nullable=False),
        sa.Column("slack", sa.LargeBinary(), nullable=True),
        sa.Column("email", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        _refers("notice_rules", "user_id", "users"),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_notice_rules")),
    )
