"""Files and images that people give to sessions: uploaded first, then named by a start or a message, gone with both."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_access import may
from quarterdeck.core import limits
from quarterdeck.core.access import Ability
from quarterdeck.core.attachment import IMAGES, NAME_CHARACTERS, TEXT, Attachment, fenced, media_type
from quarterdeck.core.errors import InvalidInputError, NotFoundError, TooLargeError, TooManyRequestsError
from quarterdeck.core.history import Conversation, Image, Message, Said
from quarterdeck.core.text import clean, line
from quarterdeck.store import blobs
from quarterdeck.store.tables import attachments as rows
from quarterdeck.store.tables import blobs as blob_rows
from quarterdeck.store.tables import users


class AttachmentView(BaseModel):
    """A file as its person or its session knows it."""

    model_config = ConfigDict(frozen=True)
    id: int
    name: str
    media_type: str
    size: int
    category: str
    created_at: datetime


async def upload(app: App, actor: Actor, name: str, data: bytes) -> AttachmentView:
    """Keeps a file for a session that its person will name it to; within a day, else it is deleted.

    Raises:
        InvalidInputError: it is empty, or neither text nor an image.
        TooLargeError: for what it is.
        TooManyRequestsError: too many wait to be named already.
    """
    if not data:
        raise InvalidInputError("The file is empty.")
    kind = _kind(data)
    async with app.database.transaction() as connection:
        # One file of a person after the other: each is counted before the next is weighed.
        mine = select(users.c.id).where(users.c.id == actor.user_id)
        await connection.execute(mine.with_for_update(key_share=True))
        waiting = await connection.execute(
            select(func.count(), func.coalesce(func.sum(rows.c.size), 0)).where(
                rows.c.user_id == actor.user_id, rows.c.session_id.is_(None)
            )
        )
        count, size = waiting.one()
        if count >= limits.ATTACHMENTS_WAITING or size + len(data) > limits.ATTACHMENTS_WAITING_BYTES:
            raise TooManyRequestsError(
                f"{count} files of yours wait for a session; name them to one, or wait until they are deleted (a day)."
            )
        number = await _keep(app, connection, actor, f"attachments:{actor.user_id}", name, data, kind)
        row = (await connection.execute(select(rows).where(rows.c.id == number))).one()
        return AttachmentView.model_validate(row, from_attributes=True)


async def claim(
    connection: AsyncConnection, actor: Actor, session_id: int, ids: Sequence[int], *, room: int
) -> tuple[Attachment, ...]:
    """The person's files are the session's from now on. `room` is how many characters they may come to.

    Raises:
        NotFoundError: one is not there, is somebody else's, or was given to a session before.
        InvalidInputError: they are too many, or come to too much for the model.
    """
    if not ids:
        return ()
    if len(set(ids)) > limits.ATTACHMENTS:
        raise InvalidInputError(f"One message brings at most {limits.ATTACHMENTS} files.")
    waiting = select(rows).where(rows.c.id.in_(ids), rows.c.user_id == actor.user_id, rows.c.session_id.is_(None))
    found = {row.id: row for row in await connection.execute(waiting.with_for_update())}
    if missing := [str(one) for one in ids if one not in found]:
        raise NotFoundError(f"There is no file {', '.join(missing)} of yours that waits to be given to a session.")
    await connection.execute(update(rows).where(rows.c.id.in_(found)).values(session_id=session_id))
    mine = [row.blob_id for row in found.values()]
    await connection.execute(update(blob_rows).where(blob_rows.c.id.in_(mine)).values(subject=f"session:{session_id}"))
    taken = tuple(_of(found[one]) for one in dict.fromkeys(ids))
    check_room(taken, room)
    return taken


async def copy(
    connection: AsyncConnection, source_id: int, session_id: int, files: Iterable[Attachment]
) -> dict[int, int]:
    """Gives files of one session to another too, as copies that outlive it, and answers their numbers there."""
    named = {one.id for one in files}
    mine = select(rows).where(rows.c.session_id == source_id, rows.c.id.in_(named)).order_by(rows.c.id)
    found = (await connection.execute(mine)).mappings().all()
    bytes_of = await blobs.copy(connection, [row["blob_id"] for row in found], f"session:{session_id}")
    copies: dict[int, int] = {}
    for row in found:
        kept = {name: value for name, value in row.items() if name != "id"}
        values = {**kept, "session_id": session_id, "blob_id": bytes_of[row["blob_id"]]}
        copies[row["id"]] = (await connection.execute(insert(rows).values(values).returning(rows.c.id))).scalar_one()
    return copies


async def note(
    app: App, connection: AsyncConnection, actor: Actor, session_id: int, category: str, name: str, text: str
) -> Attachment:
    """Keeps a text that came with the start itself as a file of the session."""
    data = clean(text).encode()
    return await _give(app, connection, actor, session_id, category, name or category, data, TEXT)


async def bring(
    app: App, connection: AsyncConnection, actor: Actor, session_id: int, category: str, name: str, data: bytes
) -> Attachment:
    """Keeps a file that comes with a session which is imported.

    Raises:
        InvalidInputError: it is neither text nor an image.
        TooLargeError: for what it is.
    """
    return await _give(app, connection, actor, session_id, category, name, data, _kind(data))


def check_room(given: Iterable[Attachment], room: int) -> None:
    """Raises InvalidInputError when the files come to more than the model can be given of them."""
    characters = sum(one.characters for one in given)
    if characters > room:
        raise InvalidInputError(
            f"The files come to {characters:,} characters; with this model at most {room:,} can be given at once."
        )


async def told(connection: AsyncConnection, session_id: int, talk: Conversation) -> Conversation:
    """The conversation with what was attached in it: texts between fences, images as images."""
    named = {one.id: one for message in talk.messages if isinstance(message, Said) for one in message.attachments}
    if not named:
        return talk
    files: dict[int, bytes] = {}
    for one in named.values():
        query = select(rows.c.blob_id).where(rows.c.id == one.id, rows.c.session_id == session_id)
        blob = (await connection.execute(query)).scalar_one_or_none()
        if blob is not None:
            files[one.id] = await blobs.whole(connection, blob)
    return replace(talk, messages=[_with_files(message, files) for message in talk.messages])


def _with_files(message: Message, files: dict[int, bytes]) -> Message:
    if not isinstance(message, Said) or not message.attachments:
        return message
    parts = [message.text] if message.text else []
    images: list[Image] = []
    for one in message.attachments:
        data = files.get(one.id)
        if data is None:
            parts.append(f"Attached file `{one.name}`: it is not there any more.")
            continue
        text = "" if one.image else data.decode("utf-8", "replace")
        parts.append(fenced(one, text, most=limits.ATTACHED_CHARACTERS))
        if one.image:
            images.append(Image(one.name, one.media_type, data))
    return Said("\n\n".join(parts), images=tuple(images))


async def given(connection: AsyncConnection, session_id: int) -> tuple[Attachment, ...]:
    """The files that a session has, for whoever has asked already whether they may be looked at."""
    found = await connection.execute(select(rows).where(rows.c.session_id == session_id).order_by(rows.c.id))
    return tuple(map(_of, found))


async def of_session(app: App, actor: Actor, session_id: int) -> tuple[AttachmentView, ...]:
    """The files that a session was given."""
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        found = await connection.execute(select(rows).where(rows.c.session_id == session_id).order_by(rows.c.id))
        return tuple(AttachmentView.model_validate(row, from_attributes=True) for row in found)


async def read(app: App, actor: Actor, session_id: int, attachment_id: int) -> tuple[AttachmentView, bytes]:
    """One of them, with its bytes. Raises NotFoundError."""
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        query = select(rows).where(rows.c.id == attachment_id, rows.c.session_id == session_id)
        row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFoundError(f"Session #{session_id} was given no file {attachment_id}.")
        return AttachmentView.model_validate(row, from_attributes=True), await blobs.whole(connection, row.blob_id)


async def sweep(app: App) -> int:
    """Deletes files that no session was given within a day, some at a time; answers how many."""
    async with app.database.transaction() as connection:
        old = select(rows.c.blob_id).where(
            rows.c.session_id.is_(None), rows.c.created_at < func.now() - timedelta(days=1)
        )
        # Locked first: one that is being given to a session at this moment is passed over.
        free = (await connection.execute(old.limit(20).with_for_update(skip_locked=True))).scalars().all()
        await connection.execute(delete(blob_rows).where(blob_rows.c.id.in_(free)))
        return len(free)


def _kind(data: bytes) -> str:
    kind = media_type(data)
    most = limits.IMAGE_BYTES if kind in IMAGES else limits.ATTACHMENT_BYTES
    if len(data) > most:
        raise TooLargeError(f"{'An image' if kind in IMAGES else 'A file'} may have {most:,} bytes.")
    return kind


async def _give(
    app: App,
    connection: AsyncConnection,
    actor: Actor,
    session_id: int,
    category: str,
    name: str,
    data: bytes,
    kind: str,
) -> Attachment:
    number = await _keep(app, connection, actor, f"session:{session_id}", name, data, kind, category)
    given = update(rows).where(rows.c.id == number).values(session_id=session_id).returning(rows)
    return _of((await connection.execute(given)).one())


async def _keep(
    app: App,
    connection: AsyncConnection,
    actor: Actor,
    subject: str,
    name: str,
    data: bytes,
    kind: str,
    category: str = "",
) -> int:
    """A text is kept without its secrets and as UTF-8 without a mark; of an image every byte is."""
    if kind == TEXT:
        # In a thread: a large one takes seconds, in which nobody else would be served.
        text = await asyncio.to_thread(lambda: app.redactor.text(clean(data.decode("utf-8-sig"))))
        data, characters = text.encode(), min(len(text), limits.ATTACHED_CHARACTERS)
    else:
        characters = limits.IMAGE_CHARACTERS
    blob_id = await blobs.write(connection, subject, _pieces(data))
    shown = line(app.redactor.text(clean(name.replace("\\", "/").rpartition("/")[2])), NAME_CHARACTERS)
    kept = await connection.execute(
        insert(rows)
        .values(
            user_id=actor.user_id,
            blob_id=blob_id,
            name=shown or "file",
            media_type=kind,
            size=len(data),
            characters=characters,
            category=category,
        )
        .returning(rows.c.id)
    )
    return kept.scalar_one()


def _of(row: object) -> Attachment:
    return Attachment.model_validate(row, from_attributes=True)


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data
