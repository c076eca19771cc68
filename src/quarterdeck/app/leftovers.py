"""What a deletion can't do in its transaction: branches in repositories, their pipelines, and what was in the air.

A branch that a session pushed goes with it, with its pipelines; it stays, and belongs to the project, when there is a
merge request of it, when it has commits that are not the session's, or when a living session started from it. What
git keeps of a deleted branch goes an hour later, because a push that is under way may count on any object.
"""

from collections import defaultdict
from contextlib import suppress
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import pipelines
from quarterdeck.app.application import App
from quarterdeck.core.errors import NotFoundError, QuarterdeckError
from quarterdeck.core.status import FINAL
from quarterdeck.store import clock
from quarterdeck.store.tables import leftovers, merge_requests, partials, projects, sessions
from quarterdeck.store.tables import pipelines as pipeline_rows

AT_ONCE = 1_000
AGAIN = timedelta(minutes=5)
OBJECTS_KEPT = timedelta(hours=1)
"""How old what nothing refers to must be before git forgets it."""

_log = structlog.get_logger(__name__)


async def note(app: App, project_id: int, branch: str, head: str) -> None:
    """A branch that came behind the deletion of its session."""
    row = upsert(leftovers).values(project_id=project_id, branch=branch, head=head, due_at=func.now())
    async with app.database.transaction() as connection:
        await connection.execute(row.on_conflict_do_nothing())


async def clear(
    app: App, *, now: datetime | None = None, objects_kept: timedelta = OBJECTS_KEPT, prune: bool = True
) -> int:
    """Does what is due, and answers how much; what fails is tried again later. May be called by several at a time.

    Without `prune` git's own tidying, which can take minutes, is left to the next.
    """
    now = now or clock.now()
    async with app.database.transaction() as connection:
        await connection.execute(
            delete(partials).where(~select(sessions.c.id).where(sessions.c.id == partials.c.session_id).exists())
        )
        due = select(leftovers.c.project_id, leftovers.c.branch, leftovers.c.head).where(leftovers.c.due_at <= now)
        due = due if prune else due.where(leftovers.c.branch != "")
        rows = (await connection.execute(due.order_by(leftovers.c.due_at).limit(AT_ONCE))).all()
    by_project: dict[int, dict[str, str]] = defaultdict(dict)
    for row in rows:
        by_project[row.project_id][row.branch] = row.head
    for project_id, heads in by_project.items():
        try:
            objects = heads.pop("", None) is not None
            gone = await _branches(app, project_id, heads)
            if objects:
                await app.forge.prune(project_id, objects_kept)
            again = now + objects_kept + AGAIN if gone else None
            await _done(app, project_id, [*heads, *([""] if objects else [])], prune_at=again)
        except Exception as error:
            reason = error.message if isinstance(error, QuarterdeckError) else repr(error)
            _log.warning("branches of deleted sessions are left", project=project_id, reason=reason)
            await _later(app, project_id, now + AGAIN)
    return len(rows)


async def _branches(app: App, project_id: int, heads: dict[str, str]) -> bool:
    """Deletes those that may go, with their pipelines; whether a branch was there."""
    if not heads:
        return False
    standing = await app.forge.branches(project_id)
    async with app.database.transaction() as connection:
        kept = await _kept(connection, project_id, heads)
    going = {
        branch: standing[branch]
        for branch, head in heads.items()
        if branch in standing and branch not in kept and head == standing[branch]
    }
    if going:
        await app.forge.delete_branches(project_id, going)
    for branch in heads.keys() - kept:
        if branch in going or branch not in standing:
            await _pipelines(app, project_id, branch)
    return bool(going)


async def _kept(connection: AsyncConnection, project_id: int, heads: dict[str, str]) -> set[str]:
    """The branches that are the project's by now."""
    asked = select(merge_requests.c.source_branch).where(
        merge_requests.c.project_id == project_id, merge_requests.c.source_branch.in_(heads)
    )
    ref = sessions.c.state[("created", "ref")].as_string()
    started_from = select(ref).where(
        sessions.c.project_id == project_id, sessions.c.status.not_in(FINAL), ref.in_(heads)
    )
    default = select(projects.c.default_branch).where(projects.c.id == project_id)
    rows = await connection.execute(asked.union(started_from, default))
    return set(rows.scalars())


async def _pipelines(app: App, project_id: int, branch: str) -> None:
    mine = select(pipeline_rows.c.id).where(pipeline_rows.c.project_id == project_id, pipeline_rows.c.ref == branch)
    async with app.database.transaction() as connection:
        found = (await connection.execute(mine.order_by(pipeline_rows.c.id))).scalars().all()
    for pipeline_id in found:
        with suppress(NotFoundError):  # another who clears was first
            async with app.database.transaction() as connection:
                await pipelines.erase(connection, app, pipeline_id, "its session was deleted")


async def _done(app: App, project_id: int, branches: list[str], *, prune_at: datetime | None) -> None:
    async with app.database.transaction() as connection:
        keys = [(project_id, branch) for branch in branches]
        await connection.execute(delete(leftovers).where(tuple_(leftovers.c.project_id, leftovers.c.branch).in_(keys)))
        if prune_at is not None:
            objects = upsert(leftovers).values(project_id=project_id, branch="", head="", due_at=prune_at)
            await connection.execute(
                objects.on_conflict_do_update(
                    index_elements=[leftovers.c.project_id, leftovers.c.branch], set_={"due_at": prune_at}
                )
            )


async def _later(app: App, project_id: int, at: datetime) -> None:
    async with app.database.transaction() as connection:
        mine = (leftovers.c.project_id == project_id) & (leftovers.c.due_at <= at)
        await connection.execute(update(leftovers).where(mine).values(due_at=at))
