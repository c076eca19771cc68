"""Runners that were registered: their scope, tags and state are the server's, and work says which tags it needs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0020"
down_revision = "0015"


def upgrade() -> None:
    """Goes one step on."""
    none = sa.text("'[]'")
    op.add_column("tokens", sa.Column("tags", JSONB(), nullable=True))
    op.add_column("projects", sa.Column("runner_tags", JSONB(), nullable=False, server_default=none))
    op.add_column("offers", sa.Column("tags", JSONB(), nullable=False, server_default=none))
    op.execute("update offers set tags = args -> 'tags', args = '{}' where tool = 'pipeline_job' and args ? 'tags'")
    op.add_column("runners", sa.Column("registered", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.add_column("runners", sa.Column("project_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(
        "fk_runners_project_id_projects", "runners", "projects", ["project_id"], ["id"], ondelete="CASCADE"
    )
    op.add_column("runners", sa.Column("description", sa.Text(), nullable=False, server_default=sa.text("''")))
    op.add_column("runners", sa.Column("state", sa.Text(), nullable=False, server_default=sa.text("'active'")))
