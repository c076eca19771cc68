"""A session on its way out: its log page by page, and the bytes that belong to it, as a file or as something to read.

No transaction is open while a page is written to whoever asked for it, however slow they read. What is added to the log
after the export began is not in it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue
from sqlalchemy import select

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.pseudonyms import pseudonyms
from quarterdeck.app.session_access import may
from quarterdeck.core import archive
from quarterdeck.core.access import Ability
from quarterdeck.core.anonymous import Anonymizer, Stream
from quarterdeck.core.attachment import Attachment
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.events import Event
from quarterdeck.core.state import SessionState
from quarterdeck.store import blobs, log
from quarterdeck.store import output as outputs
from quarterdeck.store.tables import attachments as attachment_rows
from quarterdeck.store.tables import blobs as blob_rows
from quarterdeck.store.tables import documents, offers, projects, sessions

PAGE_EVENTS, PAGE_BYTES = 500, 4 * 1024 * 1024
PIECE_BYTES = 256 * 1024
PIECE_CHARACTERS = 256 * 1024


@dataclass(frozen=True)
class Attached:
    """A file that the session was given."""

    about: Attachment
    blob_id: int


class Export:
    """One session for one reader; `redacted` replaces people and places, so that it has no snapshots and no images."""

    def __init__(
        self,
        app: App,
        actor: Actor,
        session_id: int,
        state: SessionState,
        attachments: Mapping[int, Attached],
        *,
        project: str,
        redacted: bool,
    ) -> None:
        self.session_id = session_id
        self.project = project
        self.redacted = redacted
        self.state = state
        self.attachments = {number: one for number, one in attachments.items() if not (redacted and one.about.image)}
        """By the numbers that the log knows them by."""
        self._app = app
        self._actor = actor
        self._anonymous: Anonymizer | None = None

    @property
    def seq(self) -> int:
        """The last event that is in it."""
        return self.state.seq

    def text(self, text: str) -> str:
        """A text of the session, without people and places if it is to be so."""
        return self._anonymous.text(text) if self._anonymous else text

    def session(self) -> archive.Exported:
        """Where the session stands."""
        state, created = self.state, self.state.created
        return archive.Exported(
            number=self.session_id,
            title=self.text(state.title),
            status=state.status.value,
            flow=created.flow,
            model=created.model,
            scripted=created.scripted,
            initiator=self.text(created.initiator),
            project=self.text(self.project),
            origin=created.origin,
            created_at=state.created_at,
            ended_at=state.ended_at,
        )

    async def events(self) -> AsyncGenerator[Event]:
        """The log from its first event to `seq`."""
        async for page in self._pages():
            shown = page
            if self._anonymous is not None:  # in a thread: with much to replace others wait for long
                shown = await asyncio.to_thread(_without_people, self._anonymous, page)
            for event in shown:
                yield event

    async def documents(self) -> AsyncGenerator[archive.DocumentLine]:
        """What the session has pinned, in pieces."""
        async with self._app.database.transaction() as connection:
            await may(connection, self._actor, self.session_id, Ability.READ_SESSION)
            row = sessions.c.id == self.session_id
            hashes = select(sessions.c.flow_hash, sessions.c.script_hash).where(row)
            flow, script = (await connection.execute(hashes)).one()
            query = select(documents.c.hash, documents.c.kind, documents.c.text).where(
                documents.c.hash.in_([flow, script])
            )
            found = {one.hash: one for one in await connection.execute(query)}
        for one in (found[digest] for digest in (flow, script) if digest in found):
            text = one.text if self._ships(one.text) else self.text(one.text)
            for start in range(0, max(1, len(text)), PIECE_CHARACTERS):
                yield archive.DocumentLine(document=one.kind, text=text[start : start + PIECE_CHARACTERS])

    async def output(self, call_id: str, *, most: int | None = None) -> AsyncGenerator[bytes]:
        """What a call printed, in pieces; with `most` only the end of it, so many bytes."""
        total, start = await self._size(call_id), 0
        if most is not None and total > most:
            start = total - most
        pieces = self._output(call_id, start, total)
        async for piece in self._through(pieces):
            yield piece

    async def blob(self, blob_id: int, *, most: int | None = None) -> AsyncGenerator[bytes]:
        """A diff or a snapshot; nothing when it is gone. With `most` about so many bytes of its beginning."""
        pieces = self._blob(blob_id, most)
        async for piece in self._through(pieces):
            yield piece

    async def blob_ids(self) -> set[int]:
        """The snapshots and diffs that are there."""
        async with self._app.database.transaction() as connection:
            query = select(blob_rows.c.id).where(blob_rows.c.subject == f"session:{self.session_id}")
            return set((await connection.execute(query)).scalars())

    async def printing(self) -> set[str]:
        """The calls that printed anything."""
        async with self._app.database.transaction() as connection:
            query = select(offers.c.call_id).where(offers.c.session_id == self.session_id, offers.c.output_bytes > 0)
            return set((await connection.execute(query)).scalars())

    async def prepare(self) -> None:
        """Learns whom and what to leave out; before anything else is asked for."""
        if self.redacted:
            created = self.state.created
            self._anonymous = await pseudonyms(self._app, created, self.project)
            async for page in self._pages():
                await asyncio.to_thread(_learn, self._anonymous, page)

    def _ships(self, text: str) -> bool:
        """Whether a document is one that everybody has."""
        try:
            return text in self._app.flows.shipped(self.state.created.flow)
        except NotFoundError:
            return False

    async def _through(self, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
        if self._anonymous is None:
            async for piece in pieces:
                yield piece
            return
        stream = Stream(self._anonymous)
        async for piece in pieces:
            if anonymous := await asyncio.to_thread(stream.feed, piece):  # what is hostile takes its time
                yield anonymous
        if rest := stream.close():
            yield rest

    async def _pages(self) -> AsyncGenerator[list[Event]]:
        after = 0
        while after < self.seq:
            async with self._app.database.transaction() as connection:
                await may(connection, self._actor, self.session_id, Ability.READ_SESSION)
                found = await log.read(
                    connection,
                    self.session_id,
                    after=after,
                    before=self.seq + 1,
                    limit=PAGE_EVENTS,
                    most_bytes=PAGE_BYTES,
                )
            yield found
            after = found[-1].seq

    async def _size(self, call_id: str) -> int:
        async with self._app.database.transaction() as connection:
            query = select(offers.c.output_bytes).where(
                offers.c.call_id == call_id, offers.c.session_id == self.session_id
            )
            return (await connection.execute(query)).scalar_one_or_none() or 0

    async def _output(self, call_id: str, offset: int, total: int) -> AsyncGenerator[bytes]:
        while offset < total:
            async with self._app.database.transaction() as connection:
                await may(connection, self._actor, self.session_id, Ability.READ_SESSION)
                piece = await outputs.read(connection, call_id, offset, min(PIECE_BYTES, total - offset))
            if not piece:
                return
            offset += len(piece)
            yield piece

    async def _blob(self, blob_id: int, most: int | None) -> AsyncGenerator[bytes]:
        subject, size = f"session:{self.session_id}", 0
        n = 0
        while most is None or size < most:
            async with self._app.database.transaction() as connection:
                await may(connection, self._actor, self.session_id, Ability.READ_SESSION)
                piece = await blobs.chunk(connection, blob_id, n, subject=subject)
            if piece is None:
                return
            n += 1
            size += len(piece)
            yield piece


def _learn(anonymous: Anonymizer, page: Sequence[Event]) -> None:
    for event in page:
        payload: dict[str, JsonValue] = event.payload.model_dump(mode="json")
        for name in ("by", "initiator"):
            if isinstance(person := payload.get(name), str):
                anonymous.person(person)
        if isinstance(executor := payload.get("executor"), str) and executor != "server":
            anonymous.runner(executor)
        anonymous.learn(payload)


def _without_people(anonymous: Anonymizer, page: Sequence[Event]) -> list[Event]:
    payloads = (anonymous.payload(event.payload.model_dump(mode="json")) for event in page)
    return [
        Event.model_validate({**event.model_dump(exclude={"payload"}), "payload": payload})
        for event, payload in zip(page, payloads, strict=True)
    ]


async def begin(app: App, actor: Actor, session_id: int, *, redacted: bool) -> Export:
    """The export of a session, as far as its log goes now.

    Raises:
        NotFoundError: there is no such session that the actor may see.
    """
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        # Read before the state, whose log then speaks of each of them.
        mine = select(attachment_rows).where(attachment_rows.c.session_id == session_id).order_by(attachment_rows.c.id)
        attachments = {
            one.id: Attached(Attachment.model_validate(one, from_attributes=True), one.blob_id)
            for one in await connection.execute(mine)
        }
        row = (
            await connection.execute(
                select(sessions.c.state, projects.c.path)
                .outerjoin(projects, projects.c.id == sessions.c.project_id)
                .where(sessions.c.id == session_id)
            )
        ).one()
    state = SessionState.model_validate(row.state)
    export = Export(app, actor, session_id, state, attachments, project=row.path or "", redacted=redacted)
    await export.prepare()
    return export
