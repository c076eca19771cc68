"""What each step of a session changed, files that are given to sessions, and more of what each model call used."""

import json

import sqlalchemy as sa
import zstandard
from alembic import op

revision = "0012"
down_revision = "0009"

TAKEN = b'"kind":"snapshot.taken"'


def upgrade() -> None:
    """Goes one step on; the steps of sessions that are there already are read off their logs."""
    steps = op.create_table(
        "session_steps",
        sa.Column("session_id", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("commit", sa.Text(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("bundle_blob", sa.BigInteger(), nullable=False),
        sa.Column("step_diff_blob", sa.BigInteger(), nullable=False),
        sa.Column("whole_diff_blob", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", "step", name=op.f("pk_session_steps")),
    )
    op.create_table(
        "attachments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("session_id", sa.BigInteger(), nullable=True),
        sa.Column("blob_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("characters", sa.Integer(), nullable=False),
        sa.Column("category", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_attachments_user_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["blob_id"], ["blobs.id"], name=op.f("fk_attachments_blob_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachments")),
        sa.UniqueConstraint("blob_id", name=op.f("uq_attachments_blob_id")),
    )
    op.create_index(op.f("ix_attachments_session_id"), "attachments", ["session_id"])
    op.create_index(
        "ix_attachments_unclaimed", "attachments", ["user_id"], postgresql_where=sa.text("session_id is null")
    )
    for column in ("requests", "cache_read_tokens", "cache_write_tokens"):
        default = sa.text("1" if column == "requests" else "0")
        op.add_column("usage", sa.Column(column, sa.BigInteger(), server_default=default, nullable=False))
    op.add_column("usage", sa.Column("component", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("usage", sa.Column("estimated", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    _read_steps(steps)


def _read_steps(steps: sa.Table) -> None:
    connection, unpack = op.get_bind(), zstandard.ZstdDecompressor()
    batches = sa.table("event_batches", sa.column("session_id"), sa.column("results"), sa.column("data"))
    living = sa.table("sessions", sa.column("id"))
    found = connection.execute(
        sa.select(batches.c.session_id, batches.c.data)
        .join(living, living.c.id == batches.c.session_id)
        .where(batches.c.results > 0),
        execution_options={"stream_results": True, "yield_per": 500},
    )
    rows: list[dict[str, object]] = []  # written behind the loop: the cursor has the connection
    for session_id, data in found:
        for line in unpack.decompress(data).splitlines():
            if TAKEN in line and (event := json.loads(line))["payload"]["kind"] == "snapshot.taken":
                taken = {name: value for name, value in event["payload"].items() if name != "kind"}
                rows.append({"session_id": session_id, "seq": event["seq"], **taken})
    for first in range(0, len(rows), 1_000):
        connection.execute(steps.insert(), rows[first : first + 1_000])
