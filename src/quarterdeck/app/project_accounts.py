"""Service accounts of a project: what triggers act as. People mention and assign them; nobody signs in as one."""

import re

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.access import project_for
from quarterdeck.app.accounts import TAKEN, USERNAME
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.access import Ability, Role
from quarterdeck.core.errors import ConflictError, InvalidInputError, NotFoundError
from quarterdeck.core.text import clean, line
from quarterdeck.store.tables import members, triggers, users

MOST = 50
"""Of a project."""
_MENTION = re.compile(r"(?<![\w@./-])@([A-Za-z0-9_][A-Za-z0-9_.-]{0,62})")


class AddServiceAccount(BaseModel):
    """What a service account is made of."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    username: str = Field(max_length=63, description="By which it is mentioned and assigned: `@username`.")
    name: str = Field(default="", max_length=255, description="What people call it; the username if absent.")


class ServiceAccountView(BaseModel):
    """A service account."""

    model_config = ConfigDict(frozen=True)
    id: int
    username: str
    name: str


async def find(app: App, actor: Actor, project: int | str) -> list[ServiceAccountView]:
    """A project's, by username; whoever may start sessions sees whom to mention."""
    async with app.database.reading() as connection:
        found = await project_for(connection, actor, project, Ability.START_SESSION)
        query = select(users).join(members, members.c.user_id == users.c.id).order_by(users.c.username)
        query = query.where(users.c.service_project_id == found.id, members.c.project_id == found.id)
        return [ServiceAccountView.model_validate(row, from_attributes=True) for row in await connection.execute(query)]


async def add(app: App, actor: Actor, project: int | str, request: AddServiceAccount) -> ServiceAccountView:
    """Makes one, a Developer of the project.

    Raises:
        InvalidInputError: the username is none, or there are too many.
        ConflictError: somebody has it.
    """
    if not USERNAME.fullmatch(request.username) or request.username.lower() in TAKEN:
        raise InvalidInputError(
            "A username has letters, digits, `_`, `.` and `-`, 63 at most, and begins with no sign."
        )
    taken = ConflictError(f"There is somebody called {request.username!r} already.")
    values = {"username": request.username, "name": line(clean(request.name), 255) or request.username}
    try:
        async with app.database.transaction() as connection:
            found = await project_for(connection, actor, project, Ability.MANAGE_TRIGGERS)
            count = select(func.count()).where(users.c.service_project_id == found.id)
            if (await connection.execute(count)).scalar_one() >= MOST:
                raise InvalidInputError(f"{found.path} has {MOST} service accounts, which is as many as it may.")
            account_id = await _made(connection, found.id, values)
            if account_id is None:
                raise taken
            joined = {"project_id": found.id, "user_id": account_id, "role": int(Role.DEVELOPER)}
            await connection.execute(insert(members).values(joined))
    except IntegrityError:
        raise taken from None
    return ServiceAccountView(id=account_id, **values)


async def _made(connection: AsyncConnection, project_id: int, values: dict[str, str]) -> int | None:
    """The account, also one that was removed; None where the name is another's, or the account is there."""
    same = select(users.c.id, users.c.service_project_id, members.c.user_id).outerjoin(
        members, members.c.user_id == users.c.id
    )
    same = same.where(func.lower(users.c.username) == values["username"].lower())
    before = (await connection.execute(same)).first()
    if before is None:
        made = insert(users).values(service_project_id=project_id, **values).returning(users.c.id)
        return (await connection.execute(made)).scalar_one()
    return before.id if before.service_project_id == project_id and before.user_id is None else None


async def of_project(connection: AsyncConnection, project_id: int, username: str) -> int:
    """The account's number. Raises InvalidInputError where the project has none of that name."""
    query = select(users.c.id).join(members, members.c.user_id == users.c.id)
    query = query.where(users.c.service_project_id == project_id, members.c.project_id == project_id)
    query = query.where(users.c.username == clean(username))
    found = (await connection.execute(query)).scalar_one_or_none()
    if found is None:
        raise InvalidInputError(f"The project has no service account {username!r}. Make it first.")
    return found


async def remove(app: App, actor: Actor, project: int | str, username: str) -> None:
    """Takes its membership away: it is mentioned and assigned no more, and its name stays on what it wrote.

    Raises:
        NotFoundError: the project has none of that name.
        ConflictError: a trigger acts as it.
    """
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.MANAGE_TRIGGERS)
        mine = users.c.service_project_id == found.id, users.c.username == clean(username)
        account_id = (await connection.execute(select(users.c.id).where(*mine))).scalar_one_or_none()
        if account_id is None:
            raise NotFoundError(f"{found.path} has no service account {username!r}.")
        used = select(triggers.c.id).where(triggers.c.account_id == account_id).limit(1)
        if (await connection.execute(used)).one_or_none():
            raise ConflictError(f"A trigger of {found.path} acts as {username}. Give it another account first.")
        await connection.execute(delete(members).where(members.c.user_id == account_id))


def mentioned(text: str) -> list[str]:
    """The usernames that a text mentions; addresses of mail are none, and what is quoted as code is not looked at."""
    bare = re.sub(r"```.*?(?:```|\Z)|`[^`\n]*`", " ", text, flags=re.DOTALL)
    return list(dict.fromkeys(name.rstrip(".-") for name in _MENTION.findall(bare)))
