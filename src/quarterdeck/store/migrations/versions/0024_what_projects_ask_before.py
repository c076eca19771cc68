"""What each project has its sessions ask a person before, whatever their flow and their start say."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0024"
down_revision = "0022"


def upgrade() -> None:
    """Goes one step on."""
    op.add_column("projects", sa.Column("always_ask", JSONB(), nullable=False, server_default=sa.text("'[]'")))
