"""Projects that are connected to a repository at GitHub or GitLab: made, looked at, ended, and who is who there."""

import re
import secrets
from base64 import b64encode
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.access import Project, project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.outside import GitRemote
from quarterdeck.app.remote_forge import Remote
from quarterdeck.core.access import Ability, allows
from quarterdeck.core.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from quarterdeck.core.remote import ForgeName
from quarterdeck.core.text import clean
from quarterdeck.store.tables import connection_people, connections, forge_deliveries, forge_writes, projects, users
from quarterdeck.store.vault import VaultError

SHOWN = 20
"""Of deliveries and of writes that wait."""
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+")
_API: dict[str, str] = {"github": "https://api.github.com", "gitlab": "https://gitlab.com/api/v4"}
_WEB: dict[str, str] = {"github": "https://github.com", "gitlab": "https://gitlab.com"}


class Connect(BaseModel):
    """A repository at a forge, and what it is reached with."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    forge: ForgeName
    repository: str = Field(max_length=500, description="Its path there, `owner/name`.")
    token: SecretStr = Field(max_length=2_000, description="Stored encrypted, never shown; no runner gets it.")
    api_url: str = Field(default="", max_length=500, description="Of another server than github.com or gitlab.com.")
    git_url: str = Field(default="", max_length=500, description="Where git finds it, if not where the forge says.")
    run_pipelines: bool | None = Field(
        default=None,
        description="Whether what is pushed gets pipelines here, too; if absent not for GitLab, which runs its own.",
    )


class LinkPerson(BaseModel):
    """Who you are there."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    login: str = Field(min_length=1, max_length=255, description="Your name at the forge, without `@`.")


class ForgeDelivery(BaseModel):
    """A webhook's delivery that came."""

    model_config = ConfigDict(frozen=True)
    id: int
    key: str
    event: str
    received_at: datetime
    applied_at: datetime | None
    fault: str


class ForgeWrite(BaseModel):
    """What is to be written at the forge, and isn't yet."""

    model_config = ConfigDict(frozen=True)
    kind: str
    subject: str
    attempts: int
    refused: bool
    """It is not tried again until it changes here."""
    fault: str


class LinkedPerson(BaseModel):
    """Who a name at the forge is here."""

    model_config = ConfigDict(frozen=True)
    login: str
    username: str


class ConnectionView(BaseModel):
    """A connection, without its secrets."""

    model_config = ConfigDict(frozen=True)
    forge: ForgeName
    repository: str
    web_url: str
    api_url: str
    git_url: str
    login: str
    """Whose token it is, there."""
    run_pipelines: bool
    connected_by: str
    created_at: datetime
    hook_url: str
    """Where the forge is to send its webhooks."""
    hook_secret: str | None = None
    """Only in the answer that made it."""
    heard_at: datetime | None
    synced_at: datetime | None
    fault: str
    fault_at: datetime | None
    waits_until: datetime | None
    people: tuple[LinkedPerson, ...] = ()
    deliveries: tuple[ForgeDelivery, ...] = ()
    """The newest."""
    writes: tuple[ForgeWrite, ...] = ()
    """The oldest that wait."""


async def connect(app: App, actor: Actor, project: int | str, request: Connect) -> ConnectionView:
    """Connects a project, once the token has shown it the repository; what is there comes by a job.

    The answer is the only one with the webhook's secret.

    Raises:
        InvalidInputError: the address or path is none, or the forge refuses.
        UnauthenticatedError, NotFoundError: the forge doesn't take the token, or shows it no such repository.
        ForbiddenError: a forge in the server's own network is for administrators.
        ConflictError: the project is connected already.
    """
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.MANAGE_CONNECTIONS)
        await _demand_none(connection, found)
    api_url, path = _api_url(request), _path(request)
    token = request.token.get_secret_value().strip()
    if not token or not token.isascii() or not token.isprintable():
        raise InvalidInputError("A token is a word of letters, digits and signs; that is none.")
    app.redactor.learn([token])  # before anything can be said of it
    remote = Remote(request.forge, api_url, path, token, private=actor.admin)
    # The forge may take a while to answer: no transaction is held open for it.
    there = await app.remotes[request.forge].repository(remote)
    if there.may_push is False:
        raise ForbiddenError(f"The token may only read {path}; give one that may also write. How-to: connect a forge.")
    git_url = request.git_url or there.git_url
    _demand_git(git_url, actor)
    secret = f"whsec_{_base64_key()}" if request.forge == "gitlab" else secrets.token_urlsafe(32)
    app.redactor.learn([secret])
    runs = request.forge == "github" if request.run_pipelines is None else request.run_pipelines
    try:
        async with app.database.transaction() as connection:
            made = await connection.execute(
                insert(connections)
                .values(
                    project_id=found.id,
                    forge=request.forge,
                    api_url=api_url,
                    web_url=clean(there.web_url),
                    repository=path,
                    git_url=git_url,
                    token=app.vault.encrypt(token),
                    hook_secret=app.vault.encrypt(secret),
                    login=clean(there.login),
                    private=actor.admin,
                    run_pipelines=runs,
                    connected_by=actor.username,
                )
                .returning(*connections.c)
            )
            row = made.one()
            await app.dispatch.forge(connection, "sync", row.id, None)
            return (await _view(app, connection, row)).model_copy(update={"hook_secret": secret})
    except IntegrityError as error:
        raise _connected(found) from error


def _demand_git(url: str, actor: Actor) -> None:
    """Administrators may name a path on the server, too; a user in a URL would be shown with it."""
    web = url.startswith(("https://", "http://"))
    if not (web or (actor.admin and url.startswith(("/", "file:///")))) or not url.isprintable():
        raise InvalidInputError("Git's address there is a URL of https or http.")
    if web and "@" in urlsplit(url).netloc:
        raise InvalidInputError(
            "Git's address has a user or password in it; leave it out, the token is sent by itself."
        )


def _base64_key() -> str:
    return b64encode(secrets.token_bytes(32)).decode()


async def _demand_none(connection: AsyncConnection, project: Project) -> None:
    if (await connection.execute(select(connections.c.id).where(connections.c.project_id == project.id))).first():
        raise _connected(project)


def _connected(project: Project) -> ConflictError:
    return ConflictError(f"{project.path} is connected to a forge already. Disconnect it first.")


def _api_url(request: Connect) -> str:
    url = (request.api_url or _API[request.forge]).rstrip("/")
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("https", "http") and parts.hostname and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        fits = False
    if not fits or not url.isascii() or not url.isprintable() or "?" in url or "#" in url:
        raise InvalidInputError("The API's address is a URL of https (or http) without user, query and fragment.")
    return url


def _path(request: Connect) -> str:
    web = _WEB[request.forge]
    path = request.repository.strip().removeprefix(web).strip("/").removesuffix(".git")
    if not _REPOSITORY.fullmatch(path) or any(part in (".", "..") for part in path.split("/")):
        raise InvalidInputError(f"{request.repository!r} is no path of a repository; it looks like owner/name.")
    return path


async def show(app: App, actor: Actor, project: int | str) -> ConnectionView:
    """A project's connection, with what came last and what waits. Raises NotFoundError when there is none."""
    async with app.database.transaction() as connection:
        row, _ = await _row(connection, actor, project, Ability.READ_REPOSITORY)
        return await _view(app, connection, row)


async def find(app: App, actor: Actor, project: int | str) -> ConnectionView | None:
    """The same, None when there is none."""
    try:
        return await show(app, actor, project)
    except NotFoundError:
        return None


async def disconnect(app: App, actor: Actor, project: int | str) -> None:
    """Ends a connection with its secrets; what came from there stays, and so does all that is there."""
    async with app.database.transaction() as connection:
        row, _ = await _row(connection, actor, project, Ability.MANAGE_CONNECTIONS)
        await connection.execute(delete(connections).where(connections.c.id == row.id))


async def sync(app: App, actor: Actor, project: int | str) -> ConnectionView:
    """Asks the forge, by a job, for all that changed: what a webhook that never came would have told."""
    async with app.database.transaction() as connection:
        row, _ = await _row(connection, actor, project, Ability.MANAGE_CONNECTIONS)
        await app.dispatch.forge(connection, "sync", row.id, None)
        await app.dispatch.forge(connection, "write", row.id, None)
        return await _view(app, connection, row)


async def link(app: App, actor: Actor, project: int | str, request: LinkPerson) -> ConnectionView:
    """Says who the actor is at the forge: what that name does there is then theirs, with their role here.

    Nobody says so for somebody else: the name's words start sessions with the rights of whom it is linked to.

    Raises:
        ConflictError: somebody else is linked to that name.
    """
    login = clean(request.login.strip().removeprefix("@")).lower()
    async with app.database.transaction() as connection:
        row, _ = await _row(connection, actor, project, Ability.READ_REPOSITORY)
        mine = connection_people.c.connection_id == row.id
        await connection.execute(delete(connection_people).where(mine, connection_people.c.user_id == actor.user_id))
        known = select(connection_people.c.user_id).where(mine, connection_people.c.login == login)
        if (await connection.execute(known)).first():
            raise ConflictError(f"{login} is linked to somebody else here. A maintainer can unlink them.")
        values = {"connection_id": row.id, "login": login, "user_id": actor.user_id}
        await connection.execute(insert(connection_people).values(values))
        return await _view(app, connection, row)


async def unlink(app: App, actor: Actor, project: int | str, login: str) -> ConnectionView:
    """Ends a link: one's own, or as a maintainer anybody's."""
    async with app.database.transaction() as connection:
        row, found = await _row(connection, actor, project, Ability.READ_REPOSITORY)
        of = connection_people.c
        gone = delete(connection_people).where(of.connection_id == row.id, of.login == login.lower())
        if not allows(found.role, Ability.MANAGE_CONNECTIONS):
            gone = gone.where(of.user_id == actor.user_id)
        if (await connection.execute(gone)).rowcount == 0:
            raise NotFoundError(f"{login} is linked to nobody here that you may unlink.")
        return await _view(app, connection, row)


async def _row(
    connection: AsyncConnection, actor: Actor, project: int | str, ability: Ability
) -> tuple[Row[Any], Project]:
    found = await project_for(connection, actor, project, ability)
    row = (await connection.execute(select(connections).where(connections.c.project_id == found.id))).one_or_none()
    if row is None:
        raise NotFoundError(f"{found.path} is not connected to a forge.")
    return row, found


async def _view(app: App, connection: AsyncConnection, row: Row[Any]) -> ConnectionView:
    of = forge_deliveries.c
    newest = select(of.id, of.key, of.event, of.received_at, of.applied_at, of.fault)
    deliveries = await connection.execute(newest.where(of.connection_id == row.id).order_by(of.id.desc()).limit(SHOWN))
    open_writes = forge_writes.c.connection_id == row.id, forge_writes.c.wanted > forge_writes.c.done
    writes = await connection.execute(
        select(forge_writes).where(*open_writes).order_by(forge_writes.c.created_at).limit(SHOWN)
    )
    people = await connection.execute(
        select(connection_people.c.login, users.c.username)
        .join(users, users.c.id == connection_people.c.user_id)
        .where(connection_people.c.connection_id == row.id)
        .order_by(connection_people.c.login)
    )
    shown = [name for name in ConnectionView.model_fields if name in connections.c and name != "hook_secret"]
    values = {name: getattr(row, name) for name in shown}
    return ConnectionView(
        **values,
        hook_url=f"{app.public_url}/hooks/forges/{row.id}",
        people=tuple(LinkedPerson(login=one.login, username=one.username) for one in people),
        deliveries=tuple(ForgeDelivery.model_validate(one, from_attributes=True) for one in deliveries),
        writes=tuple(ForgeWrite.model_validate(one, from_attributes=True) for one in writes),
    )


async def load(connection: AsyncConnection, connection_id: int) -> Row[Any] | None:
    """A connection's row with its project's default branch; None when it is gone."""
    query = select(connections, projects.c.default_branch).join(projects, projects.c.id == connections.c.project_id)
    return (await connection.execute(query.where(connections.c.id == connection_id))).one_or_none()


def remote_of(app: App, row: Row[Any]) -> Remote:
    """How the forge's API is reached. Raises VaultError."""
    token = _learnt(app, row.token)
    return Remote(row.forge, row.api_url, row.repository, token, private=row.private)


def git_of(app: App, row: Row[Any]) -> GitRemote:
    """How git reaches it. Raises VaultError."""
    username = app.remotes[row.forge].git_username()
    return GitRemote(row.git_url, username, _learnt(app, row.token), private=row.private)


def hook_secret(app: App, row: Row[Any]) -> str:
    """What signs its webhooks. Raises VaultError."""
    return _learnt(app, row.hook_secret)


def _learnt(app: App, stored: bytes) -> str:
    secret = app.vault.decrypt(stored)
    app.redactor.learn([secret])
    return secret


async def learn(app: App) -> None:
    """From now on no token or secret of a connection gets into a log of this process."""
    async with app.database.transaction() as connection:
        rows = (await connection.execute(select(connections.c.token, connections.c.hook_secret))).all()
    for row in rows:
        for stored in row:
            try:
                _learnt(app, stored)
            except VaultError:
                continue


async def note_fault(connection: AsyncConnection, connection_id: int, fault: str) -> None:
    """What the forge was not reached for; empty when it was."""
    same = connections.c.id == connection_id, connections.c.fault != fault
    await connection.execute(
        update(connections).where(*same).values(fault=fault, fault_at=func.now() if fault else None)
    )
