"""Sessions whose work is done elsewhere: how far their source has come."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Goes one step on."""
    op.add_column("sessions", sa.Column("source_seq", sa.BigInteger(), nullable=True))
