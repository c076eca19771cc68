"""What an empty database gets at the first start: one administrator, the tokens of the files, the sample project."""

from pydantic import BaseModel, ConfigDict
from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import people, projects
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.store.tables import tokens, users

SAMPLE = "sample"
"""The path of the sample project."""
_ADMINISTRATOR = select(users).where(users.c.admin).order_by(users.c.id).limit(1)


class FirstStart(BaseModel):
    """Whether this start was the first, and who was made."""

    model_config = ConfigDict(frozen=True)
    first: bool
    administrator: Actor


async def ensure(app: App, *, administrator: str, token: str, runner_token: str) -> FirstStart:
    """Makes what is missing, and only that; the second start finds everything and costs one query.

    `token` and `runner_token` are the secrets that lie in files beside the database; a database that was made anew
    takes them over, so that the CLI and the runner go on.
    """
    async with app.database.transaction() as connection:
        row = (await connection.execute(_ADMINISTRATOR)).one_or_none()
        if row is None:
            # Of servers that start at once on an empty database one makes what is missing, and the others find it.
            await connection.exec_driver_sql("select pg_advisory_xact_lock(hashtext('first start'))")
            row = (await connection.execute(_ADMINISTRATOR)).one_or_none()
        first = row is None
        if row is None:
            row = (
                await connection.execute(
                    insert(users).values(username=administrator, name=administrator, admin=True).returning(*users.c)
                )
            ).one()
        await _token(connection, token, kind="personal", name="the CLI of this server", user_id=row.id)
        await _token(connection, runner_token, kind="runner", name="the runner of this server", user_id=None)
        actor = Actor(row.id, row.username, row.name, row.email, row.admin, "server")
        if first:  # all in one transaction: a start that is killed before its end leaves the first one to the next
            await projects.add_sample(app, connection, actor, SAMPLE)
    return FirstStart(first=first, administrator=actor)


async def _token(connection: AsyncConnection, secret: str, *, kind: str, name: str, user_id: int | None) -> None:
    statement = upsert(tokens).values(hash=people.digest(secret), kind=kind, name=name, user_id=user_id)
    await connection.execute(statement.on_conflict_do_nothing(index_elements=[tokens.c.hash]))
