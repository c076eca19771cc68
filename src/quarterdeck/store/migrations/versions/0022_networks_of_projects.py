"""What each project lets its sessions reach, of what the server lets."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Goes one step on."""
    as_the_server = sa.text("'[\"server\"]'")
    op.add_column("projects", sa.Column("network_hosts", JSONB(), nullable=False, server_default=as_the_server))
