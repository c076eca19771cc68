"""Projects that are connected to a repository at a forge: what comes from there, and what goes there."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """Goes one step on."""
    op.create_table(
        "connections",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("forge", sa.Text(), nullable=False),
        sa.Column("api_url", sa.Text(), nullable=False),
        sa.Column("web_url", sa.Text(), nullable=False),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("git_url", sa.Text(), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("hook_secret", sa.LargeBinary(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("run_pipelines", sa.Boolean(), nullable=False),
        sa.Column("connected_by", sa.Text(), nullable=False),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fault", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("fault_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("waits_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_connections_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connections")),
        sa.UniqueConstraint("project_id", name=op.f("uq_connections_project_id")),
    )
    op.create_table(
        "connection_people",
        sa.Column("connection_id", sa.BigInteger(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], name=op.f("fk_connection_people_connection_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_connection_people_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("connection_id", "login", name=op.f("pk_connection_people")),
        sa.UniqueConstraint("connection_id", "user_id", name=op.f("uq_connection_people_connection_id_user_id")),
    )
    op.create_table(
        "forge_deliveries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("connection_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("fault", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], name=op.f("fk_forge_deliveries_connection_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forge_deliveries")),
        sa.UniqueConstraint("connection_id", "digest", name=op.f("uq_forge_deliveries_connection_id_digest")),
        sa.UniqueConstraint("connection_id", "key", name=op.f("uq_forge_deliveries_connection_id_key")),
    )
    op.create_index(
        "ix_forge_deliveries_waiting",
        "forge_deliveries",
        ["connection_id", "id"],
        unique=False,
        postgresql_where=sa.text("applied_at is null"),
    )
    op.create_table(
        "forge_writes",
        sa.Column("connection_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("wanted", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("done", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("fault", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("refused", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], name=op.f("fk_forge_writes_connection_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("connection_id", "kind", "subject", name=op.f("pk_forge_writes")),
    )
    op.create_index(
        "ix_forge_writes_waiting",
        "forge_writes",
        ["connection_id", "created_at"],
        unique=False,
        postgresql_where=sa.text("wanted > done and not refused"),
    )
    op.add_column("comments", sa.Column("external_id", sa.Text(), nullable=True))
    op.add_column("comments", sa.Column("external_url", sa.Text(), nullable=True))
    op.add_column("comments", sa.Column("external_updated_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("comments", sa.Column("external_author", sa.Text(), nullable=True))
    op.alter_column("comments", "author_id", existing_type=sa.BIGINT(), nullable=True)
    op.create_index("uq_comments_external_issue", "comments", ["issue_id", "external_id"], unique=True)
    op.create_index("uq_comments_external_merge_request", "comments", ["merge_request_id", "external_id"], unique=True)
    op.add_column("issues", sa.Column("external_id", sa.Text(), nullable=True))
    op.add_column("issues", sa.Column("external_url", sa.Text(), nullable=True))
    op.add_column("issues", sa.Column("external_updated_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("issues", sa.Column("external_author", sa.Text(), nullable=True))
    op.alter_column("issues", "author_id", existing_type=sa.BIGINT(), nullable=True)
    op.create_index("uq_issues_external", "issues", ["project_id", "external_id"], unique=True)
    op.add_column("merge_requests", sa.Column("external_id", sa.Text(), nullable=True))
    op.add_column("merge_requests", sa.Column("external_url", sa.Text(), nullable=True))
    op.add_column("merge_requests", sa.Column("external_updated_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("merge_requests", sa.Column("external_author", sa.Text(), nullable=True))
    op.alter_column("merge_requests", "author_id", existing_type=sa.BIGINT(), nullable=True)
    op.create_index("uq_merge_requests_external", "merge_requests", ["project_id", "external_id"], unique=True)
    op.add_column("pipeline_jobs", sa.Column("external_id", sa.Text(), nullable=True))
    op.add_column("pipeline_jobs", sa.Column("external_url", sa.Text(), nullable=True))
    op.add_column("pipeline_jobs", sa.Column("external_updated_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("uq_pipeline_jobs_external", "pipeline_jobs", ["pipeline_id", "external_id"], unique=True)
    op.add_column("pipelines", sa.Column("external_id", sa.Text(), nullable=True))
    op.add_column("pipelines", sa.Column("external_url", sa.Text(), nullable=True))
    op.add_column("pipelines", sa.Column("external_updated_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("uq_pipelines_external", "pipelines", ["project_id", "external_id"], unique=True)
