"""Editors carry calls out: whose they are, what they have open, and which sessions are theirs."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Goes one step on."""
    op.add_column("runners", sa.Column("user_id", sa.BigInteger(), nullable=True))
    op.add_column("runners", sa.Column("folder", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.create_foreign_key(op.f("fk_runners_user_id"), "runners", "users", ["user_id"], ["id"], ondelete="CASCADE")
    op.create_index(
        "ix_runners_user_id", "runners", ["user_id"], unique=False, postgresql_where=sa.text("user_id is not null")
    )
    op.add_column("sessions", sa.Column("executor_id", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_sessions_executor_id",
        "sessions",
        ["executor_id", "last_activity", "id"],
        unique=False,
        postgresql_where=sa.text("executor_id is not null"),
    )
