"""What webhooks have not told: all of a forge's repository at first, and what changed since when somebody asks."""

from datetime import timedelta

from sqlalchemy import select, update

from quarterdeck.app import connections, forge_writes, mirror, repositories
from quarterdeck.app.application import App
from quarterdeck.app.mirroring import Mirror
from quarterdeck.core.errors import QuarterdeckError, RateLimitedError, UnavailableError
from quarterdeck.core.remote import Delivery
from quarterdeck.core.text import clean, cut
from quarterdeck.store import clock
from quarterdeck.store.tables import connections as rows
from quarterdeck.store.tables import projects

OVERLAP = timedelta(minutes=5)
"""What the forge's clock may differ by."""
AGAIN = timedelta(minutes=1)


async def sync(app: App, connection_id: int) -> None:
    """Reads what is there; a fault is kept for people to see, and what passes by itself is tried again."""
    async with app.database.transaction() as connection:
        row = await connections.load(connection, connection_id)
    if row is None:
        return
    begun = clock.now()
    try:
        there = await app.remotes[row.forge].repository(connections.remote_of(app, row))
        first = row.synced_at is None
        moved = await Mirror(app, row, None).fetch(None)
        await _default(app, row.project_id, there.default_branch)
        if not first:
            await repositories.pushed(app, row.project_id, tuple(moved), away=False)
        since = None if first else row.synced_at - OVERLAP
        async for fact in app.remotes[row.forge].changed(connections.remote_of(app, row), since):
            await mirror.apply(app, row, Delivery(facts=(fact,)), quiet=first)
    except QuarterdeckError as error:
        async with app.database.transaction() as connection:
            await connections.note_fault(connection, connection_id, cut(clean(error.message), 1000))
            if isinstance(error, RateLimitedError):
                await app.dispatch.forge(connection, "sync", connection_id, clock.now() + error.wait)
            elif isinstance(error, UnavailableError):
                await app.dispatch.forge(connection, "sync", connection_id, clock.now() + AGAIN)
        return
    async with app.database.transaction() as connection:
        await connection.execute(update(rows).where(rows.c.id == connection_id).values(synced_at=begun))
        await connections.note_fault(connection, connection_id, "")
    await forge_writes.again(app, connection_id)
    await forge_writes.write(app, connection_id)


async def _default(app: App, project_id: int, branch: str) -> None:
    """The project's default branch is the one there, once it is here."""
    async with app.database.transaction() as connection:
        known = select(projects.c.default_branch).where(projects.c.id == project_id)
        if (await connection.execute(known)).scalar_one() == branch:
            return
    if branch in await app.forge.branches(project_id):
        await app.forge.set_default_branch(project_id, branch)
        async with app.database.transaction() as connection:
            await connection.execute(update(projects).where(projects.c.id == project_id).values(default_branch=branch))
