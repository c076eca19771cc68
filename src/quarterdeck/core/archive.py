"""A session as a file: the lines of an export, how they are written, and how a file of a stranger is read.

Header, documents, attachments, events, outputs, blobs, footer, one JSON object on each line. The footer counts the
others and has the SHA-256 of every byte before it, so that a file that was cut off or changed is known as such. Numbers
that belong to one server stay out: blobs are numbered in the order of the log, attachments in that of the file, 0 is
one that is not in it. Attachments stand before the events: what these say of them is then told by the bytes.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from quarterdeck.core.attachment import NAME_CHARACTERS, Attachment
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.events import Event, Level
from quarterdeck.core.text import clean_value, deeper, finite

FORMAT = "quarterdeck-session"
VERSION = 2
"""2 has attachments."""
LINE_BYTES = 8 * 1024 * 1024
LINE_VALUES = 100_000
"""Values in lists and fields of objects of one line: with more it would hold the server up, short as it is."""
LEVELS = 90
"""How far lists and objects of a line may lie in one another."""
BLOB_FIELDS = ("bundle_blob", "step_diff_blob", "whole_diff_blob")


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Exported(_Line):
    """The session as it stood where it was exported."""

    number: int
    title: str
    status: str
    flow: str
    model: str
    scripted: bool
    initiator: str
    project: str
    origin: str
    created_at: AwareDatetime
    ended_at: AwareDatetime | None = None


class Header(_Line):
    """The first line."""

    line: Literal["header"] = "header"
    format: Literal["quarterdeck-session"] = FORMAT
    version: int = VERSION
    quarterdeck: str
    """The version of the program that wrote it."""
    exported_at: AwareDatetime
    redacted: bool
    files: bool
    """Whether attachments, diffs and snapshots are in it."""
    events: int
    session: Exported


class DocumentLine(_Line):
    """A piece of a pinned document: the flow, and the answers of a session whose model is scripted."""

    line: Literal["document"] = "document"
    document: Literal["flow", "script", "replay"]
    text: str


class EventLine(_Line):
    """An event of the log, without the session's number."""

    line: Literal["event"] = "event"
    seq: int
    at: AwareDatetime
    level: Level
    v: int
    payload: dict[str, JsonValue]


class OutputLine(_Line):
    """What a call printed, from `offset` on."""

    line: Literal["output"] = "output"
    call_id: str = Field(max_length=64)
    offset: int
    data: str

    @property
    def bytes(self) -> bytes:
        """The bytes. Raises InvalidInputError."""
        return _decoded(self.data)


class _Bytes(_Line):
    """Some of the bytes of one thing; the last line of each has its size and hash."""

    offset: int
    data: str
    size: int | None = None
    sha256: str | None = None

    @property
    def bytes(self) -> bytes:
        """The bytes. Raises InvalidInputError."""
        return _decoded(self.data)


class AttachmentLine(_Bytes):
    """Bytes of a file that somebody gave to the session."""

    line: Literal["attachment"] = "attachment"
    attachment: int = Field(ge=1)
    name: str = Field(max_length=NAME_CHARACTERS)
    category: str = Field(default="", max_length=NAME_CHARACTERS)


class BlobLine(_Bytes):
    """Bytes of a snapshot or a diff."""

    line: Literal["blob"] = "blob"
    blob: int


class Footer(_Line):
    """The last line."""

    line: Literal["footer"] = "footer"
    attachments: int = 0
    """Lines, as of the others: not files."""
    events: int
    outputs: int
    blobs: int
    sha256: str


Content = DocumentLine | AttachmentLine | EventLine | OutputLine | BlobLine
Line = Header | Content | Footer
_LINE: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="line")])
_ORDER = ("header", "document", "attachment", "event", "output", "blob", "footer")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
"""One that nothing closes goes to the end: else each quote within it would be looked behind that far again."""


def encoded(data: bytes) -> str:
    """Bytes as a line holds them."""
    return base64.b64encode(data).decode()


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInputError("its data is no base64") from None


class Writer:
    """Makes the bytes of a file, line after line."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._counts = dict.fromkeys(_ORDER, 0)

    def line(self, line: Header | Content) -> bytes:
        """The bytes of one line."""
        shown = line.model_dump(mode="json", exclude_none=not isinstance(line, EventLine))
        data = json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        self._digest.update(data)
        self._counts[line.line] += 1
        return data

    def footer(self) -> bytes:
        """The last line; nothing comes behind it."""
        counts = self._counts
        footer = Footer(
            attachments=counts["attachment"], events=counts["event"], outputs=counts["output"], blobs=counts["blob"],
            sha256=self._digest.hexdigest(),
        )  # fmt: skip
        return footer.model_dump_json().encode() + b"\n"


class Reader:
    """Reads a file line by line and refuses whatever is not one of ours, naming the line."""

    def __init__(self) -> None:
        self.number = 0
        """The line that was read last, from 1."""
        self.ended = False
        self._digest = hashlib.sha256()
        self._counts = dict.fromkeys(_ORDER, 0)
        self._place = -1

    def line(self, data: bytes) -> Line:
        """The next line, with its line feed.

        Raises:
            InvalidInputError: what is wrong with it, and which line it is.
        """
        self.number += 1
        if self.ended:
            raise self.fault("there is something behind the footer")
        if len(data) > LINE_BYTES:
            raise self.fault(f"it has more than {LINE_BYTES:,} bytes")
        if not data.endswith(b"\n"):
            raise self.fault("the file is cut off here")
        line = self._parsed(data)
        place = _ORDER.index(line.line)
        if place < self._place or (place == 0) != (self._place == -1):
            raise self.fault(f"a {line.line} can't stand here")
        self._place = place
        if isinstance(line, Footer):
            self._check(line)
        self._counts[line.line] += 1
        self._digest.update(data)
        return line

    def close(self) -> None:
        """Raises InvalidInputError when the file has no footer."""
        if not self.ended:
            raise InvalidInputError(f"The file is cut off: it ends behind line {self.number}, without a footer.")

    def fault(self, what: str) -> InvalidInputError:
        """An error about the line that was read last."""
        return InvalidInputError(f"Line {self.number} can't be imported: {what}.")

    def _parsed(self, data: bytes) -> Line:
        if _too_many(data):
            raise self.fault(f"it has more than {LINE_VALUES:,} values")
        try:
            value: JsonValue = json.loads(data, parse_constant=finite, parse_float=finite)
        except (ValueError, RecursionError):
            raise self.fault("it is no JSON") from None
        if not isinstance(value, dict) or deeper(value, LEVELS):
            raise self.fault(f"it is no JSON object, or nests deeper than {LEVELS} levels")
        version = value.get("version")
        if value.get("format") == FORMAT and isinstance(version, int) and version > VERSION:
            raise self.fault(f"the file is of version {version} of the format; this server reads {VERSION}")
        try:
            return _LINE.validate_python(clean_value(value))
        except ValidationError as error:
            raise self.fault(told(error)) from None

    def _check(self, footer: Footer) -> None:
        counts = tuple(self._counts[name] for name in ("attachment", "event", "output", "blob"))
        told = (footer.attachments, footer.events, footer.outputs, footer.blobs)
        if counts != told or footer.sha256 != self._digest.hexdigest():
            raise self.fault("the footer doesn't fit the file; it was changed or lines are missing")
        self.ended = True


def _too_many(data: bytes) -> bool:
    """Whether a text of JSON has more values than a line may have, without reading it; also where it is no JSON."""
    if _marks(data, 0, len(data)) <= LINE_VALUES:
        return False
    found = place = 0
    for number, text in enumerate(_STRING.finditer(data)):  # what stands in a text marks no value
        found += _marks(data, place, text.start())
        place = text.end()
        if max(found, number // 2) > LINE_VALUES:
            return True
    return found + _marks(data, place, len(data)) > LINE_VALUES


def _marks(data: bytes, start: int, end: int) -> int:
    """Each value in a list and each field stands behind one of these; in an empty one there is none."""
    marks, none = (b",", b"[", b"{"), (b"[]", b"{}")
    return sum(data.count(one, start, end) for one in marks) - sum(data.count(one, start, end) for one in none)


def told(error: ValidationError) -> str:
    """The first fault of a value that doesn't fit, without the value."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return ": ".join(part for part in (".".join(map(str, first["loc"])), first["msg"]) if part)


def event_line(event: Event, blobs: Callable[[int], int], attachments: Callable[[int], int]) -> EventLine:
    """An event as it stands in a file of its session; `blobs` and `attachments` number what is in the file."""
    payload = _with_ids(event.payload.model_dump(mode="json"), lambda name: name.removeprefix(f"{event.session}."))
    _change_bytes(payload, blobs, lambda number: {"id": attachments(number)})
    return EventLine(seq=event.seq, at=event.at, level=event.level, v=event.v, payload=payload)


def brought(
    line: EventLine, session_id: int, blobs: Callable[[int], int], attachments: Mapping[int, Attachment]
) -> Event:
    """The event of a line as one of session `session_id`, with its `attachments` as they were found to be.

    Its calls and approvals get the session's number before their names: two imports of one file stay apart.

    Raises:
        InvalidInputError: it is none that this version knows.
    """
    payload = _with_ids(line.payload, lambda name: local_id(session_id, name))
    _change_bytes(
        payload, blobs, lambda number: attachments[number].model_dump() if number in attachments else {"id": 0}
    )
    try:
        event = Event.model_validate(
            {"session": session_id, "seq": line.seq, "at": line.at, "level": line.level, "v": line.v,
             "payload": payload}
        )  # fmt: skip
    except ValidationError as error:
        raise InvalidInputError(told(error)) from None
    if event.v > event.payload.version or event.v < 1:
        raise InvalidInputError(f"{event.kind} has version {event.v}; this server knows {event.payload.version}")
    return event


def _change_bytes(
    payload: dict[str, JsonValue], blobs: Callable[[int], int], attachments: Callable[[int], dict[str, JsonValue]]
) -> None:
    """Has other numbers for the bytes that a payload speaks of."""
    for field in BLOB_FIELDS:
        if isinstance(number := payload.get(field), int):
            payload[field] = blobs(number)
    if isinstance(given := payload.get("attachments"), list):
        payload["attachments"] = [
            {**one, **attachments(number)}
            if isinstance(one, dict) and isinstance(number := one.get("id"), int)
            else one
            for one in given
        ]


def local_id(session_id: int, name: str) -> str:
    """How a call or approval of an imported session is called here."""
    return f"{session_id}.{name}"


def _with_ids(payload: dict[str, JsonValue], change: Callable[[str], str]) -> dict[str, JsonValue]:
    """A payload with its calls and approvals under other names; what a model or tool said is not looked into."""
    changed = dict(payload)
    for field in ("call_id", "approval_id"):
        if isinstance(name := changed.get(field), str):
            changed[field] = change(name)
    if isinstance(names := changed.get("call_ids"), list):
        changed["call_ids"] = [change(name) if isinstance(name, str) else name for name in names]
    if isinstance(calls := changed.get("calls"), list):
        changed["calls"] = [
            {**call, "call_id": change(str(call["call_id"]))} if isinstance(call, dict) and "call_id" in call else call
            for call in calls
        ]
    return changed
