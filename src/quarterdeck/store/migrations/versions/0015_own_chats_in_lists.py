"""An index of the sessions that are their initiator's alone, which every list looks for beside the others."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Goes one step on."""
    op.create_index(
        "ix_sessions_private",
        "sessions",
        ["initiator_id", "project_id", "last_activity", "id"],
        postgresql_where=sa.text("origin in ('chat', 'ide')"),
    )
