"""Issues, comments on lines, and which sessions are about which issue or merge request."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Goes one step on."""
    op.add_column("projects", sa.Column("issue_counter", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.create_table(
        "issues",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("iid", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("labels", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("author_id", sa.BigInteger(), nullable=False),
        sa.Column("session_id", sa.BigInteger(), nullable=True),
        sa.Column("call_id", sa.Text(), nullable=True),
        sa.Column("closed_by_id", sa.BigInteger(), nullable=True),
        sa.Column("closed_reason", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["author_id"], ["users.id"], name=op.f("fk_issues_author_id")),
        sa.ForeignKeyConstraint(["closed_by_id"], ["users.id"], name=op.f("fk_issues_closed_by_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_issues_project_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_issues")),
        sa.UniqueConstraint("call_id", name=op.f("uq_issues_call_id")),
        sa.UniqueConstraint("project_id", "iid", name=op.f("uq_issues_project_id_iid")),
    )
    op.create_table(
        "issue_assignees",
        sa.Column("issue_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["issue_id"], ["issues.id"], name=op.f("fk_issue_assignees_issue_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_issue_assignees_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("issue_id", "user_id", name=op.f("pk_issue_assignees")),
    )
    op.create_index(op.f("ix_issue_assignees_user_id"), "issue_assignees", ["user_id"], unique=False)
    op.create_table(
        "session_subjects",
        sa.Column("session_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("issue_id", sa.BigInteger(), nullable=True),
        sa.Column("merge_request_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["issue_id"], ["issues.id"], name=op.f("fk_session_subjects_issue_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["merge_request_id"],
            ["merge_requests.id"],
            name=op.f("fk_session_subjects_merge_request_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_session_subjects")),
    )
    op.create_index(op.f("ix_session_subjects_issue_id"), "session_subjects", ["issue_id"], unique=False)
    op.create_index(
        op.f("ix_session_subjects_merge_request_id"), "session_subjects", ["merge_request_id"], unique=False
    )
    _comments()


def _comments() -> None:
    op.alter_column("comments", "merge_request_id", existing_type=sa.BigInteger(), nullable=True)
    op.add_column("comments", sa.Column("issue_id", sa.BigInteger(), nullable=True))
    op.add_column("comments", sa.Column("path", sa.Text(), nullable=True))
    op.add_column("comments", sa.Column("new_line", sa.Integer(), nullable=True))
    op.add_column("comments", sa.Column("old_line", sa.Integer(), nullable=True))
    op.add_column("comments", sa.Column("commit", sa.Text(), nullable=True))
    op.create_foreign_key(op.f("fk_comments_issue_id"), "comments", "issues", ["issue_id"], ["id"], ondelete="CASCADE")
    op.create_check_constraint(op.f("ck_comments_subject"), "comments", "num_nonnulls(merge_request_id, issue_id) = 1")
    op.create_index(op.f("ix_comments_issue_id"), "comments", ["issue_id"], unique=False)
