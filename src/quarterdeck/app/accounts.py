"""The people of the instance, as administrators see them, let them in, and shut them out."""

import re
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import people
from quarterdeck.app.access import administrator
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.people import PersonView
from quarterdeck.core.errors import ConflictError, InvalidInputError, NotFoundError
from quarterdeck.core.text import clean, line
from quarterdeck.store.tables import members, tokens, users

TAKEN = {"session"}
"""What git says in place of a username when a workspace fetches; see `app/repositories.py`."""
USERNAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")


class AddPerson(BaseModel):
    """Somebody who shall be let in."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    username: str = Field(max_length=63, description="Letters, digits, `_`, `.` and `-`; it stays.")
    name: str = Field(default="", max_length=255, description="What people call them; the username if absent.")
    email: str = Field(default="", max_length=255, description="What stands in commits.")
    admin: bool = Field(default=False, description="Whether they administer the instance.")


class AccountView(PersonView):
    """A person as administrators see them."""

    created_at: datetime
    last_seen: datetime | None
    """When a token or a browser of theirs was last used, to some minutes; none that is still good was before."""
    projects: int
    """Of how many they are a member."""
    ways_in: int
    """How many tokens and browsers of theirs are good now; without any they need a link."""


class Invitation(BaseModel):
    """A person, and the link that lets them in, once, within an hour; it is shown here alone."""

    model_config = ConfigDict(frozen=True)
    person: PersonView
    url: str


async def find(app: App, actor: Actor) -> list[AccountView]:
    """All people, by username. For administrators."""
    administrator(actor, "see all people")
    theirs = tokens.c.user_id == users.c.id, tokens.c.kind.in_(("personal", "browser")), people.valid()
    joined = select(func.count()).select_from(members).where(members.c.user_id == users.c.id)
    query = (
        select(
            users,
            joined.scalar_subquery().label("projects"),
            select(func.count()).select_from(tokens).where(*theirs).scalar_subquery().label("ways_in"),
            select(func.max(tokens.c.last_used_at)).where(*theirs).scalar_subquery().label("last_seen"),
        )
        .where(users.c.service_project_id.is_(None))
        .order_by(users.c.username)
    )
    async with app.database.reading() as connection:
        return [AccountView.model_validate(row, from_attributes=True) for row in await connection.execute(query)]


async def add(app: App, actor: Actor, request: AddPerson) -> Invitation:
    """Makes an account and the link that lets its person in. For administrators.

    Raises:
        InvalidInputError: the username is none.
        ConflictError: somebody has it, whatever the case of its letters.
    """
    administrator(actor, "let people in")
    if not USERNAME.fullmatch(request.username):
        raise InvalidInputError(
            "A username has letters, digits, `_`, `.` and `-`, 63 at most, and begins with no sign."
        )
    if request.username.lower() in TAKEN:
        raise InvalidInputError(
            f"The username {request.username!r} is kept for the server's own use. Take another one."
        )
    email = line(clean(request.email), 255)
    if email and ("@" not in email or set(email) & set(" <>")):
        raise InvalidInputError(f"{email!r} is no address of e-mail.")
    name = line(clean(request.name), 255) or request.username
    taken = ConflictError(f"There is somebody called {request.username!r} already.")
    try:
        async with app.database.transaction() as connection:
            same = select(users.c.id).where(func.lower(users.c.username) == request.username.lower())
            if (await connection.execute(same)).first():
                raise taken
            values = {"username": request.username, "name": name, "email": email, "admin": request.admin}
            row = (await connection.execute(insert(users).values(values).returning(*users.c))).one()
            person = PersonView.model_validate(row, from_attributes=True)
            return Invitation(person=person, url=await people.link_for(app, connection, person.id))
    except IntegrityError:
        raise taken from None


async def invite(app: App, actor: Actor, username: str) -> Invitation:
    """Another link for somebody who can't get in any more. For administrators.

    Raises:
        NotFoundError: there is no such person.
    """
    administrator(actor, "let people in")
    async with app.database.transaction() as connection:
        person = await _person(connection, username)
        return Invitation(person=person, url=await people.link_for(app, connection, person.id))


async def shut_out(app: App, actor: Actor, username: str) -> int:
    """Ends all tokens, sign-ins and links of somebody, and answers how many; only a new link lets them in again.

    What their sessions do goes on. For administrators.

    Raises:
        NotFoundError: there is no such person.
        ConflictError: it is the person who asks.
    """
    administrator(actor, "shut people out")
    async with app.database.transaction() as connection:
        # Whoever makes a way in for them just now comes before this lock, and then its end is here, or behind it.
        await connection.execute(select(users.c.id).where(users.c.username == username).with_for_update(key_share=True))
        person = await _person(connection, username)
        if person.id == actor.user_id:
            raise ConflictError("You would shut yourself out. Revoke your own tokens one by one instead.")
        kinds = ("personal", "browser", "sign_in", "code", "registration", "runner")  # of runners: their editors' alone
        theirs = tokens.c.user_id == person.id, tokens.c.kind.in_(kinds)
        return (await connection.execute(delete(tokens).where(*theirs))).rowcount


async def _person(connection: AsyncConnection, username: str) -> PersonView:
    query = select(users).where(users.c.username == username, users.c.service_project_id.is_(None))
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFoundError(f"There is nobody called {username!r}.")
    return PersonView.model_validate(row, from_attributes=True)
