"""Limits that projects ask for, and when calls began, for the time of those whose executor is lost."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Goes one step on."""
    op.add_column("projects", sa.Column("limits", JSONB(), nullable=False, server_default=sa.text("'{}'")))
    op.add_column("offers", sa.Column("started_at", sa.DateTime(timezone=True), nullable=True))
