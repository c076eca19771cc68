"""An executor introduces itself: which runner it is, and what of its subjects is gone."""

from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.application import App
from quarterdeck.app.executors import NO_TOKEN, Hands, renew
from quarterdeck.app.registrations import fitting
from quarterdeck.app.runner_choice import alive
from quarterdeck.core import protocol as p
from quarterdeck.core.errors import ConflictError, InvalidInputError, UnauthenticatedError
from quarterdeck.store.tables import leases, runners, tokens


async def hello(app: App, hands: Hands, said: p.Hello) -> p.Welcome:
    """Knows the token's runner again, or takes the runner of the name, and names the subjects that are gone.

    Raises:
        VersionMismatchError: says both versions and which end to upgrade.
        ConflictError: another runner that is alive has the name, or the token.
    """
    fitting(said.protocol, said.name, said.version)
    async with app.database.transaction() as connection:
        runner_id = await _registered(connection, hands, said) or await _named(connection, hands, said)
        await renew(connection, runner_id)
        held = (
            await connection.execute(
                select(leases.c.subject).where(leases.c.runner_id == runner_id, leases.c.torn_down.is_(False))
            )
        ).scalars()
        known = set(held)
    return p.Welcome(
        runner=runner_id,
        protocol=p.PROTOCOL_VERSION,
        wipe=tuple(subject for subject in said.subjects if subject not in known),
    )


def _told(said: p.Hello) -> dict[str, Any]:
    return {
        "instance": said.instance,
        "version": said.version,
        "isolation": said.isolation,
        "capacity": said.capacity,
        "capabilities": dict(said.capabilities),
        "last_contact": func.now(),
    }


async def _registered(connection: AsyncConnection, hands: Hands, said: p.Hello) -> int | None:
    """The registered runner of the token, whose name, tags and scope stay what they are; None when it is not one."""
    row = (
        await connection.execute(
            select(runners.c.id, runners.c.name, runners.c.instance, alive().label("alive"))
            .join(tokens, tokens.c.runner_id == runners.c.id)
            .where(tokens.c.id == hands.token_id, runners.c.registered)
        )
    ).one_or_none()
    if row is None:
        return None
    if row.alive and row.instance != said.instance:
        raise ConflictError(f"The runner {row.name!r} is alive in another home. Register this one for itself.")
    await connection.execute(update(runners).where(runners.c.id == row.id).values(_told(said)))
    return row.id


async def _named(connection: AsyncConnection, hands: Hands, said: p.Hello) -> int:
    """The runner of that name, made if there is none, and from now on the token's."""
    if said.kind != "runner":
        raise InvalidInputError("An editor gets its token from its person: POST /api/v1/executors.")
    await _one_of_a_name(connection, hands, said)
    values = {**_told(said), "kind": "runner", "tags": list(said.tags)}
    row = upsert(runners).values(name=said.name, **values)
    taken = row.on_conflict_do_update(
        index_elements=[runners.c.name], set_=values, where=runners.c.registered.is_(False)
    )
    runner_id = (await connection.execute(taken.returning(runners.c.id))).scalar_one_or_none()
    if runner_id is None:
        raise ConflictError(f"A registered runner is called {said.name!r}. Give this one another --name.")
    mine = update(tokens).where(tokens.c.id == hands.token_id, tokens.c.kind == "runner").values(runner_id=runner_id)
    if not (await connection.execute(mine)).rowcount:
        raise UnauthenticatedError(NO_TOKEN)
    return runner_id


async def _one_of_a_name(connection: AsyncConnection, hands: Hands, said: p.Hello) -> None:
    """Raises ConflictError when the name is that of another executor that is alive: both would get every call."""
    row = (
        await connection.execute(
            select(runners.c.id, runners.c.instance, tokens.c.id.label("token_id"))
            .outerjoin(tokens, tokens.c.runner_id == runners.c.id)
            .where(runners.c.name == said.name, alive())
        )
    ).first()
    if row is not None and (row.instance != said.instance or row.token_id not in (None, hands.token_id)):
        raise ConflictError(f"Another runner is called {said.name!r} and is alive. Give this one another --name.")
