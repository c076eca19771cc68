"""How long sessions are kept, what deletion leaves to be done, sweeps, and the outbox of status changes."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

LARGE = ("event_batches", "outputs", "blob_chunks", "offers", "sessions")
"""Where a sweep leaves the most room: given back after a fiftieth is dead, not after a fifth."""


def upgrade() -> None:
    """Goes one step on."""
    op.add_column("projects", sa.Column("retention_changed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "projects", sa.Column("retention_changed_by", sa.Text(), server_default=sa.text("''"), nullable=False)
    )
    op.add_column("sessions", sa.Column("retention_days", sa.Integer(), server_default=sa.text("30"), nullable=False))
    op.execute(
        "update sessions set retention_days = (state #>> '{created,retention_days}')::integer"
        " where (state #>> '{created,retention_days}')::integer <> 30"
    )
    op.create_index(op.f("ix_sessions_flow_hash"), "sessions", ["flow_hash"])
    op.create_index(
        "ix_sessions_script_hash", "sessions", ["script_hash"], postgresql_where=sa.text("script_hash is not null")
    )
    op.create_index(op.f("ix_pipeline_waits_session_id"), "pipeline_waits", ["session_id"])
    op.create_table(
        "sweeps",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sweeps")),
    )
    op.create_table(
        "leftovers",
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("branch", sa.Text(), nullable=False),
        sa.Column("head", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_leftovers_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "branch", name=op.f("pk_leftovers")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("session_id", sa.BigInteger(), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index(op.f("ix_outbox_session_id_id"), "outbox", ["session_id", "id"])
    op.create_index("ix_outbox_waiting", "outbox", ["id"], postgresql_where=sa.text("delivered_at is null"))
    for table in LARGE:
        op.execute(f"alter table {table} set (autovacuum_vacuum_scale_factor = 0.02)")
    for table in ("event_batches", "outputs", "blob_chunks"):  # what is long lies in a table behind them
        op.execute(f"alter table {table} set (toast.autovacuum_vacuum_scale_factor = 0.02)")
