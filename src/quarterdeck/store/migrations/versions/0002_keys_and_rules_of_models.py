"""Keys that people enter for models' providers, and the rules for which model is asked."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Goes one step on."""
    op.create_table(
        "model_keys",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("base_url", sa.Text(), nullable=True),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("tested_with", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.PrimaryKeyConstraint("provider", name=op.f("pk_model_keys")),
    )
    op.create_table(
        "model_rules",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=True),
        sa.Column("flow", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("default_model", sa.Text(), nullable=True),
        sa.Column("allowed", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("tags", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("fallbacks", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_model_rules_project_id_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_rules")),
        sa.UniqueConstraint(
            "project_id", "flow", name=op.f("uq_model_rules_project_id_flow"), postgresql_nulls_not_distinct=True
        ),
    )
