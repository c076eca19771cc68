"""How a session begins: documents, first events, row and first turn, in the caller's transaction."""

import hashlib
from typing import cast

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.change import redacted, settle, without_secrets
from quarterdeck.app.model_choice import Choice
from quarterdeck.core import events as e
from quarterdeck.core.errors import ConflictError
from quarterdeck.core.status import FINAL, Status, human
from quarterdeck.store import log
from quarterdeck.store.tables import documents, sessions
from quarterdeck.tools.tool import Privilege

RUNNER_PRIVILEGES = (
    Privilege.READ_ONLY_FILES,
    Privilege.READ_WRITE_FILES,
    Privilege.READ_ONLY_GITLAB,
    Privilege.READ_WRITE_GITLAB,
    Privilege.RUN_COMMANDS,
    Privilege.USE_GIT,
)
"""What a flow on a runner may do without asking, unless its start says otherwise; the same as GitLab's."""
CHAT_PRIVILEGES = (Privilege.READ_ONLY_FILES, Privilege.READ_ONLY_GITLAB)
"""What a chat, and a flow in an editor, may do without asking: there a person is at hand."""


async def begin(
    app: App,
    connection: AsyncConnection,
    created: e.SessionCreated,
    *opening: e.LinkAdded | e.ComponentEntered | e.ExecutorAssigned,
    flow_text: str,
    choice: Choice,
    idempotency_key: str | None,
    session_id: int | None = None,
) -> int:
    """Makes the session, under the number that was reserved for it if there is one, and answers its number.

    Raises:
        ConflictError: the session that it is to be a child of has ended.
    """
    if created.parent_id is not None:
        await _living(connection, created.parent_id)
    session = await make(
        app, connection, created, flow_text=flow_text, choice=choice, idempotency_key=idempotency_key,
        session_id=session_id,
    )  # fmt: skip
    log.append(session, *without_secrets(app.redactor, opening))
    await log.flush(connection, session)
    await settle(app, connection, session, before=None, wanted=False)
    return session.id


async def make(
    app: App,
    connection: AsyncConnection,
    created: e.SessionCreated,
    *,
    flow_text: str,
    choice: Choice,
    idempotency_key: str | None,
    session_id: int | None = None,
) -> log.Locked:
    """Its documents, its first event and its row; nobody works on it until it is settled."""
    return await log.create(
        connection,
        cast("e.SessionCreated", redacted(app.redactor, created)),
        flow_hash=await keep_document(connection, "flow", flow_text),
        script_hash=None if choice.document is None else await keep_document(connection, choice.kind, choice.document),
        idempotency_key=idempotency_key,
        session_id=session_id,
    )


async def by_key(connection: AsyncConnection, actor: Actor, key: str) -> int | None:
    """The session that the actor started with this key before."""
    # Taken before the look, so that two starts with one key come one after the other.
    await connection.exec_driver_sql("select pg_advisory_xact_lock(hashtext(%s))", (f"{actor.user_id}:{key}",))
    return (
        await connection.execute(
            select(sessions.c.id).where(sessions.c.initiator_id == actor.user_id, sessions.c.idempotency_key == key)
        )
    ).scalar_one_or_none()


async def _living(connection: AsyncConnection, parent_id: int) -> None:
    """Waits for whoever changes the parent: a child begins before its parent's stop, and is stopped by it, or not."""
    status = (
        await connection.execute(select(sessions.c.status).where(sessions.c.id == parent_id).with_for_update(read=True))
    ).scalar_one_or_none()
    if status is None or Status(status) in FINAL:
        standing = "gone" if status is None else human(Status(status))
        raise ConflictError(f"Session #{parent_id} is {standing}; it starts nothing any more.")


async def keep_document(connection: AsyncConnection, kind: str, text: str) -> str:
    """Keeps a text that sessions pin, and answers its hash."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    mine = select(documents.c.hash).where(documents.c.hash == digest).with_for_update(read=True, key_share=True)
    kept = (await connection.execute(mine)).scalar_one_or_none()
    while kept is None:  # until nobody can delete it as unused before the session is there
        await connection.execute(upsert(documents).values(hash=digest, kind=kind, text=text).on_conflict_do_nothing())
        kept = (await connection.execute(mine)).scalar_one_or_none()
    return digest
