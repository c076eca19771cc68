"""The files that people gave to a session that is imported: each is what its bytes are, and as one that is uploaded."""

import hashlib
from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import attachments
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core import archive, limits
from quarterdeck.core.attachment import Attachment
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.text import clean

OF_AN_EVENT = limits.ATTACHMENTS + limits.CONTEXTS
"""So many come with a start of ours; each mention is shown to the model."""


class ImportedAttachments:
    """Keeps the attachments of a session."""

    def __init__(self, app: App, connection: AsyncConnection, actor: Actor, session_id: int) -> None:
        self._app, self._connection, self._actor, self._session_id = app, connection, actor, session_id
        self.kept: dict[int, Attachment] = {}
        """Those that are whole, by their numbers in the file."""
        self._unnamed: set[int] = set()
        self._open: archive.AttachmentLine | None = None
        """The first line of the one that is being read, and all of its bytes so far."""
        self._data = bytearray()

    async def take(self, line: archive.AttachmentLine) -> None:
        """The next piece. Raises InvalidInputError, TooLargeError."""
        if line.attachment in self.kept:
            raise InvalidInputError(f"attachment {line.attachment} was here before")
        self.close(line.attachment)
        self._open = self._open or line
        if line.offset != len(self._data):
            raise InvalidInputError(f"attachment {line.attachment} goes on at {len(self._data)}, not at {line.offset}")
        self._data += line.bytes
        if len(self._data) > limits.ATTACHMENT_BYTES:
            raise InvalidInputError(f"attachment {line.attachment} has more than {limits.ATTACHMENT_BYTES:,} bytes")
        if line.size is not None:
            await self._end(line, self._open)

    def close(self, number: int = 0) -> None:
        """Raises InvalidInputError when one is not whole, unless it is this one."""
        if self._open is not None and self._open.attachment != number:
            raise InvalidInputError(f"attachment {self._open.attachment} is not whole")

    def named(self, given: Iterable[Attachment]) -> None:
        """An event speaks of these."""
        self._unnamed -= {one.id for one in given}

    def check(self) -> None:
        """Raises InvalidInputError when the log doesn't speak of one of them."""
        if self._unnamed:
            raise InvalidInputError("an attachment is none of the log's")

    async def _end(self, line: archive.AttachmentLine, first: archive.AttachmentLine) -> None:
        data = bytes(self._data)
        if (line.size, line.sha256) != (len(data), hashlib.sha256(data).hexdigest()):
            raise InvalidInputError(f"attachment {line.attachment} is not what its size and hash say")
        name, category = first.name, self._app.redactor.text(clean(first.category))
        kept = await attachments.bring(self._app, self._connection, self._actor, self._session_id, category, name, data)
        self.kept[line.attachment] = kept
        self._unnamed.add(kept.id)
        self._open, self._data = None, bytearray()
