"""Search: pieces of logs and outputs by their words, and what is to be indexed yet."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"

FROM_BEFORE = (
    "insert into search_dues (session_id, seq) select id, seq from sessions order by id desc",
    # Of calls that print now; of those that have ended the logs tell.
    "insert into search_dues (session_id, call_id, seq) select o.session_id, o.call_id, s.seq"
    " from offers o join sessions s on s.id = o.session_id"
    " where o.output_bytes > 0 and o.status in ('offered', 'running', 'cancelling')",
)
"""What the workers index by and by."""


def upgrade() -> None:
    """Goes one step on."""
    op.create_table(
        "search_pieces",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("session_id", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=True),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("stop", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("words", postgresql.TSVECTOR(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_pieces")),
    )
    op.create_index(op.f("ix_search_pieces_session_id_seq_id"), "search_pieces", ["session_id", "seq", "id"])
    op.create_index(
        "ix_search_pieces_words",
        "search_pieces",
        ["words"],
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 1024},
    )
    op.create_table(
        "search_dues",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("session_id", sa.BigInteger(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("lines", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("quiet", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_dues")),
        sa.UniqueConstraint("call_id", name=op.f("uq_search_dues_call_id")),
    )
    op.create_index(op.f("ix_search_dues_session_id"), "search_dues", ["session_id"])
    for statement in FROM_BEFORE:
        op.execute(statement)
