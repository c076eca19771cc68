"""Deletion: everything of a session goes at once, by whoever it is deleted; a tombstone without content stays.

A table whose rows are of one session has a column `session_id` that is never null; whatever it is, its rows go. Where
the column may be null the thing is the project's (a merge request, a comment), or is told by `subject`.
"""

from collections.abc import Sequence

from sqlalchemy import CTE, BigInteger, ColumnElement, Table, Text, any_, delete, func, insert, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import leftovers
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.change import changing
from quarterdeck.app.children import stop_children
from quarterdeck.app.pipelines import cancel_of_session
from quarterdeck.app.session_access import may
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import ConflictError
from quarterdeck.core.status import Transition
from quarterdeck.store.doorbell import CHANNEL, LAST
from quarterdeck.store.tables import (
    artifacts,
    blobs,
    documents,
    leases,
    metadata,
    offers,
    outputs,
    sessions,
    tombstones,
)
from quarterdeck.store.tables import leftovers as leftover_rows

OWN: tuple[Table, ...] = tuple(
    table
    for table in metadata.sorted_tables
    if table is not tombstones and "session_id" in table.c and not table.c.session_id.nullable
)
"""The tables whose rows are of one session."""


async def delete_session(app: App, actor: Actor, session_id: int) -> None:
    """Deletes the session and all of its content at once; what runs is stopped first. A tombstone stays.

    Raises:
        ConflictError: it is held.
    """
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.DELETE_SESSION)
        async with changing(app, connection, session_id) as it:
            if it.state.held:
                raise ConflictError(f"Session #{session_id} is held. Release it before you delete it.")
            if not it.state.final:
                it.move(Transition.STOP, reason=f"deleted by {actor.username}", by=actor.username)
            children = await stop_children(app, it, actor)
        await erase(connection, [session_id], by=actor.username)
    for one in (session_id, *children):
        await cancel_of_session(app, one)
    await drop_documents(app, [one for one in (it.session.flow_hash, it.session.script_hash) if one])
    await leftovers.clear(app, prune=False)


async def erase(connection: AsyncConnection, session_ids: Sequence[int], *, by: str) -> None:
    """Deletes all rows of these sessions, which are locked and have ended, in one statement.

    What lies elsewhere is left to `leftovers` (branches), `drop_documents`, and the executors that are told here.
    """
    ids = literal(list(session_ids), ARRAY(BigInteger))
    subjects = literal([f"session:{one}" for one in session_ids], ARRAY(Text))
    # Whoever writes output has its offer locked; what is in the air is there before the statement looks.
    theirs = select(offers.c.call_id).where(offers.c.subject == any_(subjects)).order_by(offers.c.call_id)
    calls = literal(list((await connection.execute(theirs.with_for_update())).scalars()), ARRAY(Text))
    gone = (
        delete(sessions)
        .where(sessions.c.id == any_(ids))
        .returning(sessions.c.id, sessions.c.project_id, sessions.c.created_at)
        .cte("gone")
    )
    parts = [
        delete(offers).where(offers.c.subject == any_(subjects)).cte("gone_offers"),
        # By name, not by a join: however many there are of others, they are not looked at.
        delete(outputs).where(outputs.c.call_id == any_(calls)).cte("gone_outputs"),
        *(delete(table).where(table.c.session_id == any_(ids)).cte(f"gone_{table.name}") for table in OWN),
        delete(blobs).where(blobs.c.subject == any_(subjects)).cte("gone_blobs"),
        delete(leases).where(leases.c.subject == any_(subjects), leases.c.runner_id.is_(None)).cte("gone_leases"),
        _branches(ids),
        insert(tombstones)
        .from_select(
            ["session_id", "project_id", "created_at", "deleted_by"],
            select(gone.c.id, gone.c.project_id, gone.c.created_at, literal(by)),
        )
        .cte("made_tombstones"),
    ]
    rung = select(func.pg_notify(CHANNEL, "session:" + gone.c.id.cast(Text) + f" {LAST}")).select_from(gone)
    await connection.execute(rung.add_cte(gone, *parts))


def _branches(ids: ColumnElement[Sequence[int]]) -> CTE:
    """Notes the branches that the sessions pushed, or began with, by the last commit that is known to be theirs."""
    head = (
        select(artifacts.c.name)
        .where(artifacts.c.session_id == sessions.c.id, artifacts.c.kind == "commit")
        .order_by(artifacts.c.seq.desc())
        .limit(1)
        .scalar_subquery()
    )
    branch = sessions.c.state[("created", "branch")].as_string()
    began = func.coalesce(sessions.c.state[("created", "branch_commit")].as_string(), "")  # a fork's is there at once
    theirs = select(sessions.c.project_id, branch.label("branch"), func.coalesce(head, began).label("head"))
    known = theirs.where(sessions.c.id == any_(ids), sessions.c.project_id.is_not(None), branch != "").subquery()
    pushed = select(known, func.now()).where(known.c.head != "")
    noted = upsert(leftover_rows).from_select(["project_id", "branch", "head", "due_at"], pushed)
    return noted.on_conflict_do_nothing().cte("noted_branches")


async def drop_documents(app: App, digests: Sequence[str] | None = None) -> None:
    """Deletes the flows and scripts that no session has any more: of these, or of all."""
    used = select(sessions.c.id).where(sessions.c.flow_hash == documents.c.hash).exists()
    scripts = select(sessions.c.id).where(sessions.c.script_hash == documents.c.hash).exists()
    unused = select(documents.c.hash).where(~used, ~scripts)
    if digests is not None:
        unused = unused.where(documents.c.hash.in_(digests))
    async with app.database.transaction() as connection:
        found = (await connection.execute(unused)).scalars().all()
        if not found:
            return
        # A start takes its document and only then has its session: it is waited for here, and seen below.
        locked = select(documents.c.hash).where(documents.c.hash.in_(found)).order_by(documents.c.hash)
        await connection.execute(locked.with_for_update())
        await connection.execute(delete(documents).where(documents.c.hash.in_(found), ~used, ~scripts))
