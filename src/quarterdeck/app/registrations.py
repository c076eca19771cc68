"""How a distant runner gets its token: somebody who may manage runners makes a registration, which works once."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck import __version__
from quarterdeck.app import people
from quarterdeck.app.access import administrator, project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core import protocol as p
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    UnauthenticatedError,
    VersionMismatchError,
)
from quarterdeck.core.text import clean
from quarterdeck.store import clock
from quarterdeck.store.tables import projects, runners, tokens

HOURS = 1
"""How long a registration may be used."""


class AddRegistration(BaseModel):
    """For one runner: of the whole instance, or of one project."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    project: str | None = Field(
        default=None, max_length=255, description="The runner works for this project alone; without it for all."
    )
    tags: Annotated[tuple[p.Tag, ...], Field(max_length=p.TAGS)] | None = Field(
        default=None, description="The only tags that it may have; without them it names its own."
    )
    description: str = Field(default="", max_length=500, description="What people read beside its name.")


class RegistrationView(BaseModel):
    """A registration, shown once."""

    model_config = ConfigDict(frozen=True)
    token: str
    expires_at: datetime
    project: str
    tags: tuple[str, ...] | None


async def add(app: App, actor: Actor, request: AddRegistration) -> RegistrationView:
    """A token that registers one runner within an hour.

    Raises:
        ForbiddenError: only administrators register runners of the instance, only maintainers those of a project.
    """
    async with app.database.transaction() as connection:
        project = None
        if request.project is None:
            administrator(actor, "register runners of the whole instance")
        else:
            project = await project_for(connection, actor, request.project, Ability.MANAGE_RUNNER)
        lasts = timedelta(hours=HOURS)
        secret = await people.issue(
            connection,
            "registration",
            name=clean(request.description),
            user_id=actor.user_id,
            project_id=project.id if project else None,
            tags=request.tags,
            lasts=lasts,
        )
    return RegistrationView(
        token=secret,
        expires_at=clock.now() + lasts,
        project=project.path if project else "",
        tags=request.tags,
    )


async def register(app: App, secret: str, said: p.Register) -> p.Registered:
    """Exchanges a registration for a runner and its token, whole or not at all.

    Raises:
        UnauthenticatedError: it was used, has expired, or there was none.
        ForbiddenError: a tag is not among those that it allows.
        ConflictError: another runner has the name.
        VersionMismatchError: says both versions and which end to upgrade.
    """
    fitting(said.protocol, said.name, said.version)
    name, wanted = clean(said.name).strip(), None if said.tags is None else [clean(tag) for tag in said.tags]
    if not name:
        raise InvalidInputError("A runner needs a name.")
    async with app.database.transaction() as connection:
        used = (
            await connection.execute(
                delete(tokens)
                .where(tokens.c.hash == people.digest(secret), tokens.c.kind == "registration", people.valid())
                .returning(tokens.c.project_id, tokens.c.tags, tokens.c.name)
            )
        ).one_or_none()
        if used is None:
            raise UnauthenticatedError(
                "This registration token was used already, has expired or was never made. `qd runner invite` makes one."
            )
        tags = _tags(wanted, used.tags)
        runner_id = await _runner(connection, name, said, used, tags)
        token = await people.issue(connection, "runner", name=f"runner {name}", runner_id=runner_id)
        path = select(projects.c.path).where(projects.c.id == used.project_id)
        project: str | None = (await connection.execute(path)).scalar_one_or_none()
    return p.Registered(runner=runner_id, token=token, name=name, tags=tuple(tags), project=project or "")


def fitting(protocol: int, name: str, version: str) -> None:
    """Raises VersionMismatchError, with both versions, when an executor's protocol and ours are too far apart."""
    if not p.fits(protocol):
        older = "executor" if protocol < p.PROTOCOL_VERSION else "server"
        raise VersionMismatchError(
            f"The executor {clean(name)} ({clean(version)}) speaks protocol {protocol}, this server ({__version__}) "
            f"speaks {p.PROTOCOL_VERSION}; they may be {p.VERSIONS_APART} apart. Upgrade the {older}."
        )


def _tags(wanted: Sequence[str] | None, allowed: Sequence[str] | None) -> list[str]:
    if allowed is None or wanted is None:
        return sorted({*(wanted or ()), *(allowed or ())})
    if strange := sorted({*wanted} - {*allowed}):
        raise ForbiddenError(
            f"This registration allows the tags {', '.join(allowed) or '(none)'}, not {', '.join(strange)}."
        )
    return sorted({*wanted})


async def _runner(
    connection: AsyncConnection, name: str, said: p.Register, used: Row[*tuple[Any, ...]], tags: list[str]
) -> int:
    """The row of a new runner, or that of the same home and scope, whose tokens die."""
    values = {
        "instance": said.instance,
        "version": clean(said.version),
        "tags": tags,
        "registered": True,
        "project_id": used.project_id,
        "description": used.name,
    }
    again = (
        await connection.execute(
            update(runners)
            .where(runners.c.name == name, runners.c.instance == said.instance, runners.c.registered)
            .where(runners.c.project_id.is_not_distinct_from(used.project_id), runners.c.state != "removed")
            .values(values)
            .returning(runners.c.id)
        )
    ).scalar_one_or_none()
    if again is not None:
        await connection.execute(delete(tokens).where(tokens.c.runner_id == again))
        return again
    try:
        return (
            await connection.execute(insert(runners).values(name=name, kind="runner", **values).returning(runners.c.id))
        ).scalar_one()
    except IntegrityError:
        raise ConflictError(f"There is a runner {name!r} already. Choose another --name, or remove that one.") from None
