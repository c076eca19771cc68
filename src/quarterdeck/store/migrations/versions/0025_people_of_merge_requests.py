"""Assignees and reviewers of merge requests, what reviewers say, and which sessions were started on which pipeline."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

_KNOWN = """
insert into session_subjects (session_id, pipeline_id)
select sessions.id, pipelines.id from sessions join pipelines
on pipelines.project_id = sessions.project_id
and pipelines.id::text = sessions.state -> 'created' -> 'inputs' -> 'pipeline' ->> 'id'
on conflict (session_id) do update set pipeline_id = excluded.pipeline_id
"""


def upgrade() -> None:
    """Goes one step on."""
    op.create_table(
        "merge_request_people",
        sa.Column("merge_request_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("commit", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["merge_request_id"],
            ["merge_requests.id"],
            name=op.f("fk_merge_request_people_merge_request_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_merge_request_people_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("merge_request_id", "user_id", "part", name=op.f("pk_merge_request_people")),
    )
    op.create_index(op.f("ix_merge_request_people_user_id"), "merge_request_people", ["user_id"], unique=False)
    op.add_column("session_subjects", sa.Column("pipeline_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(
        op.f("fk_session_subjects_pipeline_id"),
        "session_subjects",
        "pipelines",
        ["pipeline_id"],
        ["id"],
        ondelete="SET NULL",
    )
    op.create_index(op.f("ix_session_subjects_pipeline_id"), "session_subjects", ["pipeline_id"], unique=False)
    op.execute(_KNOWN)
