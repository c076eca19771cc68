"""Users and their tokens: who is it that speaks."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from pydantic import BaseModel, ConfigDict
from sqlalchemy import delete, insert, null, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.actor import Actor, Door
from quarterdeck.app.application import App
from quarterdeck.core.errors import UnauthenticatedError
from quarterdeck.store import clock
from quarterdeck.store.tables import tokens, users

SIGN_IN_MINUTES = 60
BROWSER_DAYS = 30
USED_EVERY = timedelta(minutes=10)
"""When a token was last used is written down no more often."""
_PREFIXES = {"registration": "qdg", "code": "qde"}
"""Where it is not the kind's first letter."""
_KNOWN = (  # as the driver takes it: every request asks this
    "select hash, kind, users.id, username, users.name, email, admin, last_used_at from tokens"
    " join users on users.id = user_id where hash = any(%b) and (expires_at is null or expires_at > %s)"
)
_USED_NOW = (  # whoever writes the same down just now need not be waited for
    "update tokens set last_used_at = %s where id in"
    " (select id from tokens where hash = any(%b) for no key update skip locked)"
)


class PersonView(BaseModel):
    """A person as doors show it."""

    model_config = ConfigDict(frozen=True)
    id: int
    username: str
    name: str
    email: str
    admin: bool


@dataclass(frozen=True)
class WorkspaceToken:
    """What a workspace's token may do: fetch one project's repository."""

    project_id: int
    subject: str


def digest(secret: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(secret.encode()).digest()


async def issue(
    connection: AsyncConnection,
    kind: str,
    *,
    name: str = "",
    user_id: int | None = None,
    project_id: int | None = None,
    subject: str | None = None,
    runner_id: int | None = None,
    tags: Sequence[str] | None = None,
    lasts: timedelta | None = None,
) -> str:
    """Makes a token and answers its secret, which is kept nowhere."""
    secret = f"{_PREFIXES.get(kind, f'qd{kind[0]}')}_{secrets.token_urlsafe(32)}"
    await connection.execute(
        insert(tokens).values(
            hash=digest(secret),
            kind=kind,
            name=name,
            user_id=user_id,
            project_id=project_id,
            subject=subject,
            runner_id=runner_id,
            tags=list(tags) if tags is not None else null(),
            expires_at=clock.now() + lasts if lasts else None,
        )
    )
    return secret


async def authenticate(app: App, secret: str, door: Door = "api") -> Actor:
    """The person behind a browser's token at the web door, and behind a personal one at all others.

    Raises:
        UnauthenticatedError: no such token, or it has expired.
    """
    return await app.asking.ask((secret, door), partial(_known, app))


async def _known(app: App, asking: Sequence[tuple[str, Door]]) -> Sequence[Actor | Exception]:
    """Looks up the tokens of all who ask at the same time."""
    wanted = [(digest(secret), "browser" if door == "web" else "personal") for secret, door in asking]
    now = clock.now()
    async with app.database.reading() as connection:
        rows = await connection.exec_driver_sql(_KNOWN, ([hash_ for hash_, _ in wanted], now))
        found = {(bytes(row.hash), row.kind): row for row in rows}
        used = [found[token].last_used_at for token in wanted if token in found]
        if any(at is None or at < now - USED_EVERY for at in used):
            await connection.exec_driver_sql(_USED_NOW, (now, [token[0] for token in wanted if token in found]))
    unknown = "The token is not known here or has expired. Sign in again, or pass a valid token."
    return [
        Actor(row.id, row.username, row.name, row.email, row.admin, door)
        if (row := found.get(token)) is not None
        else UnauthenticatedError(unknown)
        for token, (_, door) in zip(wanted, asking, strict=True)
    ]


async def authenticate_workspace(app: App, secret: str) -> WorkspaceToken:
    """The workspace behind a token that an executor fetches with. Raises UnauthenticatedError."""
    async with app.database.transaction() as connection:
        row = (
            await connection.execute(
                select(tokens.c.project_id, tokens.c.subject).where(
                    tokens.c.hash == digest(secret), tokens.c.kind == "workspace", valid()
                )
            )
        ).one_or_none()
    if row is None:
        raise UnauthenticatedError
    return WorkspaceToken(row.project_id, row.subject)


async def signs_in(app: App, secret: str) -> str:
    """The username of whom a sign-in link's token would sign in; it stays good.

    Raises:
        UnauthenticatedError: the link was used or is too old.
    """
    async with app.database.reading() as connection:
        query = select(users.c.username).join(tokens, tokens.c.user_id == users.c.id).where(*_link(secret))
        username = (await connection.execute(query)).scalar_one_or_none()
    if username is None:
        raise UnauthenticatedError(_USED)
    return username


async def sign_in(app: App, secret: str, browser: str = "") -> str:
    """Takes a sign-in link's token, once, and answers a browser token; `browser` is by what its person knows it.

    Raises:
        UnauthenticatedError: the link was used or is too old.
    """
    async with app.database.transaction() as connection:
        user_id = (await connection.execute(select(tokens.c.user_id).where(*_link(secret)))).scalar_one_or_none()
        await keep_in(connection, user_id)
        if (await connection.execute(delete(tokens).where(*_link(secret)))).rowcount == 0:
            raise UnauthenticatedError(_USED)
        lasts = timedelta(days=BROWSER_DAYS)
        return await issue(connection, "browser", name=browser, user_id=user_id, lasts=lasts)


def _link(secret: str):
    return tokens.c.hash == digest(secret), tokens.c.kind == "sign_in", valid()


_USED = "This sign-in link was used already or is too old. `qd sign-in-link` makes one."


async def sign_out(app: App, secret: str) -> None:
    """Deletes a browser token; one that is gone already is no error."""
    async with app.database.transaction() as connection:
        await connection.execute(delete(tokens).where(tokens.c.hash == digest(secret), tokens.c.kind == "browser"))


async def sign_in_link(app: App, actor: Actor) -> str:
    """A link that signs `actor` in, once, within an hour. Raises UnauthenticatedError for who was shut out."""
    async with app.database.transaction() as connection:
        await demand_in(connection, actor)
        return await link_for(app, connection, actor.user_id)


async def link_for(app: App, connection: AsyncConnection, user_id: int) -> str:
    """The same within a transaction that is open already, for anybody: the caller has checked who asks."""
    secret = await issue(connection, "sign_in", user_id=user_id, lasts=timedelta(minutes=SIGN_IN_MINUTES))
    return f"{app.public_url}/sign-in?token={secret}"


async def keep_in(connection: AsyncConnection, user_id: int | None) -> None:
    """Lets nobody shut the person out until the transaction is over: what it makes for them ends with all else then."""
    await connection.execute(select(users.c.id).where(users.c.id == user_id).with_for_update(read=True))


async def demand_in(connection: AsyncConnection, actor: Actor) -> None:
    """The same. Raises UnauthenticatedError for who was shut out since they were let in."""
    await keep_in(connection, actor.user_id)
    ways = tokens.c.user_id == actor.user_id, tokens.c.kind.in_(("personal", "browser")), valid()
    if (await connection.execute(select(tokens.c.id).where(*ways).limit(1))).first() is None:
        raise UnauthenticatedError("You have been shut out. Ask an administrator for a link.")


async def whoami(app: App, actor: Actor) -> PersonView:
    """The person who asks."""
    del app
    return PersonView(id=actor.user_id, username=actor.username, name=actor.name, email=actor.email, admin=actor.admin)


def valid():
    """Whether a token has not expired."""
    return tokens.c.expires_at.is_(None) | (tokens.c.expires_at > clock.now())
