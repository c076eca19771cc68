"""Keys of models' providers that people enter: stored encrypted, tried with one call, never shown again."""

from datetime import datetime

import structlog
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.access import administrator
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.model_access import StoredKey
from quarterdeck.core.errors import NotFoundError, UnavailableError
from quarterdeck.store.doorbell import ring
from quarterdeck.store.tables import model_keys
from quarterdeck.store.vault import VaultError

BELL = "model_keys:all"
_log = structlog.get_logger(__name__)


class SetKey(BaseModel):
    """A key and where it belongs."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    key: SecretStr | None = Field(default=None, description="None where the provider takes none.")
    base_url: str | None = Field(default=None, max_length=2_000, description="Another address than the provider's own.")
    model: str | None = Field(default=None, max_length=200, description="What to ask; a small model if absent.")
    test: bool = Field(default=True, description="Ask one short question first, and store nothing if it fails.")


class KeyView(BaseModel):
    """What is told of a key: never the key, nor a part of it."""

    model_config = ConfigDict(frozen=True)
    provider: str
    source: str
    """`environment` or `stored`."""
    base_url: str | None = None
    set_by: str = ""
    set_at: datetime | None = None
    tested_with: str = ""
    """The model that answered when the key was stored; empty when none was asked."""
    problem: str = ""
    """Why a stored one is not used."""


async def list_keys(app: App, actor: Actor) -> list[KeyView]:
    """All keys that there are, those of the environment too. For administrators."""
    administrator(actor, "see the keys of models")
    async with app.database.transaction() as connection:
        rows = (await connection.execute(select(model_keys).order_by(model_keys.c.provider))).all()
        stored = await _decrypted(app, connection)
    sources = {one.provider: one.source for one in app.models.reach(stored)}
    readable = {one.provider for one in stored}
    found = [KeyView(provider=name, source=source) for name, source in sources.items() if source == "environment"]
    for row in rows:
        problem = "" if row.provider in readable else str(VaultError())
        if sources.get(row.provider) == "environment":
            problem = "The environment has a key for this provider, which comes first."
        found.append(
            KeyView(
                provider=row.provider,
                source="stored",
                base_url=row.base_url,
                set_by=row.set_by,
                set_at=row.set_at,
                tested_with=row.tested_with,
                problem=problem,
            )
        )
    return sorted(found, key=lambda view: (view.provider, view.source))


async def set_key(app: App, actor: Actor, provider: str, request: SetKey) -> KeyView:
    """Stores a key, in place of the one that was stored before. For administrators.

    Raises:
        InvalidInputError: the provider refuses it, with its words; nothing is stored then.
    """
    administrator(actor, "store the keys of models")
    key = app.models.check_key(StoredKey(provider, request.key, request.base_url))
    secret = key.key.get_secret_value() if key.key else ""
    app.redactor.learn([secret])  # before anything can be said of it
    # The provider may take a while to answer: no transaction is held open for it.
    tested = await app.models.try_key(key, request.model) if request.test else ""
    async with app.database.transaction() as connection:
        values = {
            "secret": app.vault.encrypt(secret),
            "base_url": key.base_url,
            "set_by": actor.username,
            "tested_with": tested,
        }
        row = upsert(model_keys).values(provider=key.provider, **values)
        await connection.execute(
            row.on_conflict_do_update(index_elements=["provider"], set_={**values, "set_at": func.now()})
        )
        await ring(connection, BELL)
    return next(one for one in await list_keys(app, actor) if one.provider == key.provider and one.source == "stored")


async def try_stored(app: App, actor: Actor, provider: str) -> KeyView:
    """Asks one short question with the key that is stored, of the model that answered before or a small one.

    For administrators.

    Raises:
        NotFoundError: none is stored that can be read here.
        InvalidInputError: the provider refuses it, with its words; the key stays.
        UnavailableError: it can't be reached now.
    """
    administrator(actor, "test the keys of models")
    async with app.database.transaction() as connection:
        known = select(model_keys.c.tested_with, model_keys.c.secret).where(model_keys.c.provider == provider)
        row = (await connection.execute(known.with_for_update(read=True))).one_or_none()  # nobody replaces it here
        key = next((one for one in await _decrypted(app, connection) if one.provider == provider), None)
    if key is None or row is None:
        raise NotFoundError(f"No key is stored for {provider!r} that can be read here.")
    # The provider may take a while to answer: no transaction is held open for it.
    tested = await app.models.try_key(key, row.tested_with or None)
    async with app.database.transaction() as connection:
        # The one that was tried, and not another that was stored meanwhile.
        same = model_keys.c.provider == provider, model_keys.c.secret == row.secret
        if (await connection.execute(update(model_keys).where(*same).values(tested_with=tested))).rowcount == 0:
            raise NotFoundError(f"The key of {provider!r} was replaced or deleted while it was tested.")
    return next(one for one in await list_keys(app, actor) if one.provider == provider and one.source == "stored")


async def delete_key(app: App, actor: Actor, provider: str) -> None:
    """Deletes a stored key; sessions that need it are paused when they next ask. For administrators."""
    administrator(actor, "delete the keys of models")
    async with app.database.transaction() as connection:
        gone = await connection.execute(delete(model_keys).where(model_keys.c.provider == provider))
        if gone.rowcount == 0:
            raise NotFoundError(f"No key is stored for {provider!r}.")
        await ring(connection, BELL)


async def stored_keys(app: App, connection: AsyncConnection | None = None) -> list[StoredKey]:
    """The keys that were entered and can be read here; from now on none of them gets into a log."""
    if connection is not None:
        return await _decrypted(app, connection)
    async with app.database.transaction() as own:
        return await _decrypted(app, own)


async def follow(app: App) -> None:
    """Learns of keys that are entered while this process runs, so that it redacts them; never returns."""
    with app.doorbell.listener(BELL) as listener:
        while True:
            try:
                await stored_keys(app)
            except UnavailableError as error:
                _log.warning("the stored keys could not be looked at", reason=error.message)
            await listener.wait()


async def _decrypted(app: App, connection: AsyncConnection) -> list[StoredKey]:
    found: list[StoredKey] = []
    for row in await connection.execute(select(model_keys).order_by(model_keys.c.provider)):
        try:
            secret = app.vault.decrypt(row.secret)
        except VaultError as error:
            _log.warning("a stored key is not used", provider=row.provider, reason=error.message)
            continue
        found.append(StoredKey(row.provider, SecretStr(secret) if secret else None, row.base_url))
    app.redactor.learn([one.key.get_secret_value() for one in found if one.key])
    return found
