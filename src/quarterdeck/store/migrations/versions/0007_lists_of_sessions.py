"""What lists of sessions read: columns, the texts that are looked for, kept counts, and the orders of the list."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_TRIGRAMS = """
do $$
begin
    create extension if not exists pg_trgm;
    create index ix_session_texts_text on session_texts using gin (text gin_trgm_ops);
exception when insufficient_privilege or undefined_file or feature_not_supported then
    raise notice 'without pg_trgm a text is looked for in every session that the other filters leave';
end $$
"""
_FUNCTIONS = (
    """
create function fold_session_counts() returns void language plpgsql as $$
begin
    -- Whoever folds is alone: nobody waits for a row of session_counts.
    if not pg_try_advisory_xact_lock(7433002) then
        return;
    end if;
    with changes as (
        delete from session_count_changes returning *
    )
    insert into session_counts as kept (project_id, initiator_id, private, status_group, n)
    select project_id, of, private, status_group, sum(n)
    from changes cross join lateral (values (initiator_id), (0)) whose (of)  -- 0: all of the project together
    group by project_id, of, private, status_group
    on conflict (project_id, initiator_id, private, status_group) do update set n = kept.n + excluded.n;
    delete from session_counts where n = 0;
end $$
""",
    """
create function session_group(status_order integer) returns text language sql immutable as $$
    select (array['canceled', 'failed', 'completed', 'awaiting_input', 'paused', 'active'])[status_order]
$$
""",
    """
create function sessions_came() returns trigger language plpgsql as $$
begin
    insert into session_count_changes (project_id, initiator_id, private, status_group, n)
    select coalesce(project_id, 0), initiator_id, origin in ('chat', 'ide'), session_group(status_order), count(*)
    from came group by 1, 2, 3, 4;
    insert into session_texts (session_id, text)
    select id, title || E'\\n' || left(state->'created'->>'goal', 4000) from came;
    return null;
end $$
""",
    """
create function sessions_went() returns trigger language plpgsql as $$
begin
    insert into session_count_changes (project_id, initiator_id, private, status_group, n)
    select coalesce(project_id, 0), initiator_id, origin in ('chat', 'ide'), session_group(status_order), -count(*)
    from went group by 1, 2, 3, 4;
    return null;
end $$
""",
    """
create function session_moved() returns trigger language plpgsql as $$
begin
    insert into session_count_changes (project_id, initiator_id, private, status_group, n)
    values
        (coalesce(old.project_id, 0), old.initiator_id, old.origin in ('chat', 'ide'),
            session_group(old.status_order), -1),
        (coalesce(new.project_id, 0), new.initiator_id, new.origin in ('chat', 'ide'),
            session_group(new.status_order), 1);
    if random() < 0.002 then
        perform fold_session_counts();
    end if;
    return null;
end $$
""",
    """
create function session_renamed() returns trigger language plpgsql as $$
begin
    update session_texts set text = new.title || E'\\n' || left(new.state->'created'->>'goal', 4000)
    where session_id = new.id;
    return null;
end $$
""",
)
_TRIGGERS = (
    "create trigger sessions_came after insert on sessions referencing new table as came"
    " for each statement execute function sessions_came()",
    "create trigger sessions_went after delete on sessions referencing old table as went"
    " for each statement execute function sessions_went()",
    "create trigger session_moved after update on sessions for each row"
    " when (old.status_order is distinct from new.status_order"
    " or old.project_id is distinct from new.project_id or old.initiator_id is distinct from new.initiator_id)"
    " execute function session_moved()",
    "create trigger session_renamed after update on sessions for each row"
    " when (old.title is distinct from new.title) execute function session_renamed()",
)
_FILL = (
    """
update sessions set
    held = coalesce((state->>'held')::boolean, false),
    scripted = coalesce((state->'created'->>'scripted')::boolean, false),
    reason = coalesce(state->>'reason', ''),
    status_order = case
        when status in ('created', 'running') then 6
        when status = 'paused' then 5
        when status in ('input_required', 'plan_approval_required', 'tool_call_approval_required') then 4
        when status in ('idle', 'finished') then 3
        when status = 'failed' then 2
        else 1
    end
""",
    """
insert into session_texts (session_id, text)
select id, title || E'\\n' || left(state->'created'->>'goal', 4000) from sessions
""",
    """
insert into session_counts (project_id, initiator_id, private, status_group, n)
select coalesce(project_id, 0), of, origin in ('chat', 'ide'), session_group(status_order), count(*)
from sessions cross join lateral (values (initiator_id), (0)) whose (of) group by 1, 2, 3, 4
""",
)
_EXPIRES = "coalesce(expires_on, '9999-12-31'::date)"
_COST = "coalesce(cost, '-1'::numeric)"
_ORDERS: dict[str, tuple[str | sa.TextClause, ...]] = {
    "ix_sessions_project_id_status_last_activity_id": ("project_id", "status", "last_activity", "id"),
    "ix_sessions_project_id_flow_last_activity_id": ("project_id", "flow", "last_activity", "id"),
    "ix_sessions_project_id_model_last_activity_id": ("project_id", "model", "last_activity", "id"),
    "ix_sessions_project_id_initiator_id_last_activity_id": ("project_id", "initiator_id", "last_activity", "id"),
    "ix_sessions_project_id_created_at_id": ("project_id", "created_at", "id"),
    "ix_sessions_project_id_status_order_id": ("project_id", "status_order", "id"),
    "ix_sessions_project_id_expires": ("project_id", sa.text(_EXPIRES), "id"),
    "ix_sessions_project_id_cost": ("project_id", sa.text(_COST), "id"),
    "ix_sessions_last_activity_id": ("last_activity", "id"),
    "ix_sessions_created_at_id": ("created_at", "id"),
    "ix_sessions_status_order_id": ("status_order", "id"),
    "ix_sessions_expires": (sa.text(_EXPIRES), "id"),
    "ix_sessions_cost": (sa.text(_COST), "id"),
}


def upgrade() -> None:
    """Goes one step on."""
    op.add_column("sessions", sa.Column("held", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("sessions", sa.Column("scripted", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("sessions", sa.Column("reason", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("sessions", sa.Column("status_order", sa.SmallInteger(), server_default=sa.text("6"), nullable=False))
    op.create_table(
        "session_texts",
        sa.Column("session_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name=op.f("fk_session_texts_session_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_session_texts")),
    )
    key = ("project_id", "initiator_id", "private", "status_group")
    for name in ("session_counts", "session_count_changes"):
        op.create_table(
            name,
            sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
            sa.Column("initiator_id", sa.BigInteger(), autoincrement=False, nullable=False),
            sa.Column("private", sa.Boolean(), nullable=False),
            sa.Column("status_group", sa.Text(), nullable=False),
            sa.Column("n", sa.BigInteger(), nullable=False),
            *([sa.PrimaryKeyConstraint(*key, name=op.f("pk_session_counts"))] if name == "session_counts" else []),
        )
    op.create_index(op.f("ix_session_counts_initiator_id"), "session_counts", ["initiator_id"])
    for statement in (*_FUNCTIONS, *_FILL):
        op.execute(statement)
    for name, columns in _ORDERS.items():
        op.create_index(name, "sessions", list(columns))
    op.create_index(
        "ix_sessions_held", "sessions", ["project_id", "last_activity", "id"], postgresql_where=sa.text("held")
    )
    op.create_index(
        "ix_sessions_awaiting",
        "sessions",
        ["initiator_id", "last_activity", "id"],
        postgresql_where=sa.text(
            "status in ('input_required', 'plan_approval_required', 'tool_call_approval_required')"
        ),
    )
    op.execute(_TRIGRAMS)
    for statement in _TRIGGERS:
        op.execute(statement)
