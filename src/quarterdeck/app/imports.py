"""Importing a session from a file: a new session of the importer's with the same log, of which nothing runs.

A file comes from a stranger. Every line is read by the models, every event must follow from those before it, and what
is wrong names its line; nothing is kept then. The log says at its end that it was imported, and every view shows it.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import IO, TypeVar, assert_never, cast

from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import session_views as views
from quarterdeck.app.access import Project, project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.beginning import by_key, keep_document
from quarterdeck.app.change import redacted
from quarterdeck.app.imported_attachments import OF_AN_EVENT, ImportedAttachments
from quarterdeck.app.imported_bytes import ImportedBlobs, ImportedOutputs
from quarterdeck.app.session_views import SessionView
from quarterdeck.core import archive, limits
from quarterdeck.core import events as e
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import InvalidInputError, QuarterdeckError, TooLargeError
from quarterdeck.core.fold import apply, begin
from quarterdeck.core.imported import SessionImported
from quarterdeck.core.state import SessionState
from quarterdeck.core.status import Status, Transition, human
from quarterdeck.core.text import line as one_line
from quarterdeck.store import log
from quarterdeck.store.doorbell import ring

A = TypeVar("A")
R = TypeVar("R")

BATCH_EVENTS = 200
BATCH_BYTES = 1024 * 1024
"""What is stored at once, however few events they are."""
PATIENCE_BYTES = 64 * 1024
"""After so many bytes others are served; with a longer line all is done in a thread that needs no database."""
PRIVATE = ("chat", "ide")
"""These stay what they are: their initiator's alone, and that is who imports them."""
NAME_CHARACTERS = 255
FAULT_CHARACTERS = 300
_DOCUMENT_CHARACTERS = {
    "flow": limits.PINNED_FLOW_BYTES, "script": limits.SCRIPT_BYTES, "replay": limits.RECORDING_BYTES,
}  # fmt: skip
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_UNFIT = (QuarterdeckError, ValueError, LookupError, TypeError, ArithmeticError, AttributeError)
"""What the fold of an impossible log comes to."""


async def bring(
    app: App, actor: Actor, body: AsyncIterator[bytes], *, project: str | None, idempotency_key: str | None = None
) -> SessionView:
    """Makes a session of an exported file, in `project`; a chat needs none, nor what had none.

    The same `idempotency_key` of the same person answers the session that it made before, whatever the file is.

    Raises:
        InvalidInputError: the file can't be imported; says why, and at which line.
        TooLargeError: it has more than `IMPORT_BYTES`.
    """
    async with app.database.transaction() as connection:
        await _target(connection, actor, project)  # before anything is taken
    with tempfile.TemporaryFile(dir=app.home) as file:
        await _spool(body, file)
        file.seek(0)
        async with app.database.transaction() as connection:
            target = await _target(connection, actor, project)
            if idempotency_key is not None:
                before = await by_key(connection, actor, idempotency_key)
                if before is not None:
                    return await views.load(app, connection, before)
            session_id = await log.reserve(connection)
            await _Import(app, connection, actor, target, session_id, idempotency_key).read(file)
            return await views.load(app, connection, session_id)


async def _target(connection: AsyncConnection, actor: Actor, project: str | None) -> Project | None:
    return await project_for(connection, actor, project, Ability.START_SESSION) if project is not None else None


async def _spool(body: AsyncIterator[bytes], file: IO[bytes]) -> None:
    size = 0
    async for piece in body:
        size += len(piece)
        if size > limits.IMPORT_BYTES:
            raise TooLargeError(f"At most {limits.IMPORT_BYTES:,} bytes can be imported; the file is larger.")
        file.write(piece)


class _Import:
    """One file on its way in, within one transaction."""

    def __init__(
        self,
        app: App,
        connection: AsyncConnection,
        actor: Actor,
        target: Project | None,
        session_id: int,
        idempotency_key: str | None,
    ) -> None:
        self._app = app
        self._connection = connection
        self._actor = actor
        self._target = target
        self._session_id = session_id
        self._idempotency_key = idempotency_key
        self._now = datetime.now(UTC)
        self._header: archive.Header | None = None
        self._documents: dict[str, str] = {}
        self._state: SessionState | None = None
        self._waiting: list[e.Event] = []
        self._waiting_bytes = 0
        self._approvals: set[str] = set()
        self._unweighed = 0
        """Bytes of events since the state was last weighed."""
        self._attachments = ImportedAttachments(app, connection, actor, session_id)
        self._outputs = ImportedOutputs(connection, app.redactor, session_id)
        self._blobs = ImportedBlobs(connection, app.redactor, session_id)

    async def read(self, file: IO[bytes]) -> None:
        """Reads the whole file. Raises InvalidInputError."""
        reader, unserved = archive.Reader(), 0
        while data := file.readline(archive.LINE_BYTES + 1):
            line = await _calmly(len(data), reader.line, data)
            self._unweighed += len(data)
            unserved += len(data)
            if unserved > PATIENCE_BYTES:
                unserved = 0
                await asyncio.sleep(0)
            try:
                await self._take(line, len(data))
            except _UNFIT as error:
                what = error.message if isinstance(error, QuarterdeckError) else str(error) or type(error).__name__
                raise reader.fault(one_line(what, FAULT_CHARACTERS).removesuffix(".")) from error
        reader.close()

    async def _take(self, line: archive.Line, size: int) -> None:
        match line:
            case archive.Header():
                self._header = line
            case archive.DocumentLine():
                self._take_document(line)
            case archive.AttachmentLine():
                await self._attachments.take(line)
            case archive.EventLine():
                self._attachments.close()
                await self._blobs.named(line)
                await _calmly(size, self._take_event, line)
                self._waiting_bytes += size
                if len(self._waiting) >= BATCH_EVENTS or self._waiting_bytes >= BATCH_BYTES:
                    await self._flush()
            case archive.OutputLine():
                await self._flush()
                await self._outputs.take(line)
            case archive.BlobLine():
                await self._flush()
                await self._blobs.take(line)
            case archive.Footer():
                self._attachments.check()
                await self._outputs.close()
                self._blobs.close()
                await self._end(line)
            case _:
                assert_never(line)

    def _take_document(self, line: archive.DocumentLine) -> None:
        text = self._documents.get(line.document, "") + line.text
        if len(text) > _DOCUMENT_CHARACTERS[line.document]:
            raise InvalidInputError(f"the {line.document} is too long")
        self._documents[line.document] = text

    def _take_event(self, line: archive.EventLine) -> None:
        event = archive.brought(line, self._session_id, self._blobs.id, self._attachments.kept)
        payload = cast("e.AnyPayload", redacted(self._app.redactor, event.payload))
        if isinstance(payload, e.SessionCreated) and event.seq == 1:
            payload = self._created(payload)
        _check(payload)
        if isinstance(payload, e.SessionCreated | e.ComponentEntered | e.MessageAdded):
            self._attachments.named(payload.attachments)
        event = event.model_copy(update={"payload": payload})
        earliest = self._state.last_activity if self._state else _EARLIEST
        if not earliest <= event.at <= self._now + timedelta(days=1):
            raise InvalidInputError(f"event {event.seq} was at {event.at}, before the one before it or in the future")
        if self._state is None:
            self._state = begin(event)
        else:
            apply(self._state, event)
        if isinstance(payload, e.ToolCallRequested):
            self._outputs.requested(payload)
        if isinstance(payload, e.ApprovalRequested):
            if payload.approval_id in self._approvals:
                raise InvalidInputError(f"{payload.approval_id} is asked for twice")
            self._approvals.add(payload.approval_id)
        if self._unweighed > limits.IMPORT_STATE_CHARACTERS:
            self._weigh(self._state)
        self._waiting.append(event)

    def _created(self, created: e.SessionCreated) -> e.SessionCreated:
        """Its first event, as a session of this server."""
        private = created.origin in PRIVATE
        if self._target is None and not private and created.project_id is not None:
            raise InvalidInputError("its session was in a project, so say into which project it is imported")
        return created.model_copy(
            update={
                "project_id": self._target.id if self._target else None,
                "initiator_id": self._actor.user_id,
                "initiator": self._actor.username,
                "origin": created.origin if private else "import",
                "retention_days": self._target.retention_days if self._target else limits.RETENTION_DAYS,
                "parent_id": None,
                "triggered": None,
                "forked_from": None,
                # A branch of that name here is another's: it must not go with this session.
                "branch": "",
                "branch_commit": "",
            }
        )

    def _weigh(self, state: SessionState) -> None:
        self._unweighed = 0
        if len(state.model_dump_json()) > limits.IMPORT_STATE_CHARACTERS:
            raise InvalidInputError("the log comes to a larger state than a session of this server can have")

    async def _flush(self) -> None:
        if self._waiting and self._state is not None:
            events, self._waiting, self._waiting_bytes = self._waiting, [], 0
            await log.keep_events(self._connection, self._session_id, self._state.created, events)

    async def _end(self, footer: archive.Footer) -> None:
        """The file is whole: what the import itself does comes behind its events."""
        state, header = self._state, self._header
        if state is None or header is None or header.events != footer.events:
            raise InvalidInputError("the events that the header speaks of are not there")
        flow = await asyncio.to_thread(self._app.redactor.text, self._documents.get("flow", ""))
        if not flow:
            raise InvalidInputError("the flow of the session is missing")
        await asyncio.to_thread(self._app.flows.pinned, flow)
        if not state.final:
            reason = f"It was {human(state.status)} when it was exported; an imported session doesn't go on."
            self._add(
                state,
                e.StatusChanged(
                    transition=Transition.STOP, from_status=state.status, to_status=Status.STOPPED, reason=reason,
                    by=self._actor.username,
                ),
            )  # fmt: skip
        if state.held:
            self._add(state, e.SessionReleased(by=self._actor.username))
        if state.kept_days is not None:
            self._add(state, e.RetentionChanged(days=state.created.retention_days, by=self._actor.username))
        self._add(state, self._mark(header))
        await asyncio.to_thread(self._weigh, state)
        await self._flush()
        await self._keep(state, flow)

    def _mark(self, header: archive.Header) -> SessionImported:
        return SessionImported(
            number=header.session.number,
            initiator=self._name(header.session.initiator),
            project=self._name(header.session.project),
            exported_at=header.exported_at,
            redacted=header.redacted,
            by=self._actor.username,
        )

    def _name(self, text: str) -> str:
        return one_line(self._app.redactor.text(text), NAME_CHARACTERS)

    def _add(self, state: SessionState, payload: e.AnyPayload) -> None:
        at, level = max(self._now, state.last_activity), payload.default_level
        event = e.Event(session=self._session_id, seq=state.seq + 1, at=at, level=level, payload=payload)
        apply(state, event)
        self._waiting.append(event)

    async def _keep(self, state: SessionState, flow: str) -> None:
        kind = next((kind for kind in ("script", "replay") if kind in self._documents), None)
        script = await asyncio.to_thread(self._app.redactor.text, self._documents[kind]) if kind else None
        await log.keep_row(
            self._connection,
            self._session_id,
            state,
            flow_hash=await keep_document(self._connection, "flow", flow),
            script_hash=await keep_document(self._connection, kind, script) if kind and script is not None else None,
            idempotency_key=self._idempotency_key,
        )
        await ring(self._connection, f"session:{self._session_id}", state.seq)


async def _calmly(size: int, work: Callable[[A], R], given: A) -> R:
    """Does what takes long with much in a thread: meanwhile others are served."""
    return await asyncio.to_thread(work, given) if size > PATIENCE_BYTES else work(given)


def _check(payload: e.AnyPayload) -> None:
    """What no model bounds, because who writes it into a log of ours does."""
    match payload:
        case e.SessionCreated(title=title, attachments=given):
            fits = len(title) <= NAME_CHARACTERS and len(given) <= OF_AN_EVENT
        case e.SessionRenamed(title=title):
            fits = len(title) <= NAME_CHARACTERS
        case e.ComponentEntered(attachments=given) | e.MessageAdded(attachments=given):
            fits = len(given) <= OF_AN_EVENT
        case e.ArtifactCreated(url=url) | e.CheckRecorded(url=url) | e.LinkAdded(url=url):
            fits = not url or url.startswith(("http://", "https://")) or (url[:1] == "/" and url[:2] != "//")
        case _:
            fits = True
    if not fits:
        raise InvalidInputError(
            f"{payload.kind} has a title that is too long, too many attachments, or a link that leads nowhere"
        )
