"""What opens the server for a person: tokens for programs, and the browsers that they are signed in with."""

from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Select, delete, func, select

from quarterdeck.app import people
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.errors import ConflictError, InvalidInputError, NotFoundError
from quarterdeck.core.text import clean, line
from quarterdeck.store.tables import tokens

TOKENS = 100
"""How many a person may have."""
NAME_CHARACTERS = 100
DAYS, DAYS_MOST = 90, 3_650
"""How long a token is good for, when nobody says, and at most."""


class AddToken(BaseModel):
    """A token for a program of yours."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = Field(max_length=NAME_CHARACTERS, description="What it is for; people read it in the list.")
    days: int | None = Field(
        default=DAYS, ge=1, le=DAYS_MOST, description="How long it is good for; null until it is revoked."
    )


class TokenView(BaseModel):
    """A token, without its secret, which is kept nowhere."""

    model_config = ConfigDict(frozen=True)
    id: int
    name: str
    created_at: datetime
    last_used_at: datetime | None
    """To some minutes."""
    expires_at: datetime | None


class NewToken(TokenView):
    """A token with its secret, which is shown here alone."""

    token: str


class SignInView(TokenView):
    """A browser that somebody is signed in with; `name` is what it said of itself."""

    here: bool
    """It is the one that asks."""


async def list_tokens(app: App, actor: Actor) -> list[TokenView]:
    """Those of the person who asks, that are good still; the newest first."""
    async with app.database.reading() as connection:
        rows = (await connection.execute(_mine(actor, "personal"))).all()
    return [TokenView.model_validate(row, from_attributes=True) for row in rows]


async def list_sign_ins(app: App, actor: Actor, secret: str) -> list[SignInView]:
    """The browsers of the person who asks; `secret` is that of the one that asks."""
    async with app.database.reading() as connection:
        rows = (await connection.execute(_mine(actor, "browser"))).all()
    here = people.digest(secret)
    return [SignInView(**_fields(row), here=bytes(row.hash) == here) for row in rows]


async def add_token(app: App, actor: Actor, request: AddToken) -> NewToken:
    """Makes a token that does whatever its person may.

    Raises:
        InvalidInputError: it has no name.
        UnauthenticatedError: the person was shut out meanwhile.
        ConflictError: the person has as many as one may have.
    """
    name = line(clean(request.name), NAME_CHARACTERS)
    if not name:
        raise InvalidInputError("A token needs a name, by which you know it again.")
    async with app.database.transaction() as connection:
        await people.demand_in(connection, actor)
        mine = _mine(actor, "personal").order_by(None).subquery()
        if (await connection.execute(select(func.count()).select_from(mine))).scalar_one() >= TOKENS:
            raise ConflictError(f"You have {TOKENS} tokens already. Revoke one that nothing needs any more.")
        lasts = None if request.days is None else timedelta(days=request.days)
        secret = await people.issue(connection, "personal", name=name, user_id=actor.user_id, lasts=lasts)
        row = (await connection.execute(select(tokens).where(tokens.c.hash == people.digest(secret)))).one()
    return NewToken(**_fields(row), token=secret)


async def revoke(app: App, actor: Actor, token_id: int) -> None:
    """Ends a token or a sign-in of the person who asks; whoever has it is let in no more.

    Raises:
        NotFoundError: they have none of that number.
    """
    mine = tokens.c.user_id == actor.user_id, tokens.c.kind.in_(("personal", "browser"))
    async with app.database.transaction() as connection:
        if (await connection.execute(delete(tokens).where(tokens.c.id == token_id, *mine))).rowcount == 0:
            raise NotFoundError(f"You have no token {token_id}; it may have been revoked already.")


def _mine(actor: Actor, kind: str) -> Select[Any]:
    mine = tokens.c.user_id == actor.user_id, tokens.c.kind == kind, people.valid()
    return select(tokens).where(*mine).order_by(tokens.c.id.desc())


def _fields(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in TokenView.model_fields}
