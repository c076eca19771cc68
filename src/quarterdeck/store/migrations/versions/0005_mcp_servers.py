"""The MCP servers of projects and of people, and the projects where none is used."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Goes one step on."""
    op.create_table(
        "mcp_servers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=True),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("command", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("secret_names", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("allow", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("num_nonnulls(project_id, user_id) = 1", name=op.f("ck_mcp_servers_one_owner")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_mcp_servers_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_mcp_servers_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mcp_servers")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_mcp_servers_project_id_name")),
        sa.UniqueConstraint("user_id", "name", name=op.f("uq_mcp_servers_user_id_name")),
    )
    op.create_table(
        "mcp_blocks",
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("blocked_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_mcp_blocks_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_mcp_blocks")),
    )
