"""A session as one page that plays it: everything is in it, it loads nothing, and no text in it is ever code.

The page's own policy forbids all but this one script and this one style, by their hashes.
"""

import base64
import hashlib
from collections.abc import AsyncIterator
from importlib.resources import files as resources

from jinja2 import Environment, PackageLoader, StrictUndefined

from quarterdeck.app.exports import Export
from quarterdeck.core.attachment import Attachment
from quarterdeck.core.status import Status, human
from quarterdeck.core.text import cut
from quarterdeck.doors.export.entries import Entry, attached, clock, entry
from quarterdeck.doors.export.terminal import Span, coloured, diff, plain, visible

OUTPUT_BYTES = 128 * 1024
"""The end of a call's output; NDJSON has all of it."""
DIFF_BYTES = 256 * 1024
IMAGE_BYTES = 1024 * 1024
"""A larger image is only named."""
IMAGES_BYTES = 8 * 1024 * 1024
"""Of all images of a page; those behind them are only named."""
TEXT_CHARACTERS = 128 * 1024

_FOLDER = resources("quarterdeck.doors.export")
SCRIPT = (_FOLDER / "player.js").read_text(encoding="utf-8")
STYLE = (_FOLDER / "player.css").read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


POLICY = (
    f"default-src 'none'; script-src {_hash(SCRIPT)}; style-src {_hash(STYLE)}; img-src data:; base-uri 'none';"
    " form-action 'none'"
)
_TEMPLATES = Environment(
    loader=PackageLoader("quarterdeck.doors.export"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True,
)  # fmt: skip
_TEMPLATES.filters |= {"clock": clock, "plain": plain, "attached": attached}


async def document(export: Export, *, files: bool) -> AsyncIterator[bytes]:
    """The page, entry by entry."""
    head = _TEMPLATES.get_template("head.html")
    session, state = export.session(), export.state
    yield head.render(
        session=session,
        status=human(Status(session.status)),
        group=session.status,
        reason=export.text(state.reason),
        state=state,
        imported_from=export.text(state.imported.initiator) if state.imported else "",
        events=export.seq,
        policy=POLICY,
        style=STYLE,
        redacted=export.redacted,
    ).encode()
    one, images = _TEMPLATES.get_template("entry.html"), _Images(export)
    async for event in export.events():
        made = entry(event, state.created_at)
        output = await _output(export, made) if made.kind == "tool_call.finished" else []
        changes = diff(await _text(export, made.diff)) if made.diff and files else []
        text = cut(made.verbatim, TEXT_CHARACTERS)
        verbatim = [Span("", visible(text))] if made.kind == "tool_call.requested" else coloured(text)
        shots = {file.id: await images.url(file) for file in made.files} if files else {}
        yield one.render(entry=made, verbatim=verbatim, output=output, changes=changes, images=shots).encode()
    yield _TEMPLATES.get_template("tail.html").render(script=SCRIPT).encode()


class _Images:
    """The images of one page, as long as they are not too much for it."""

    def __init__(self, export: Export) -> None:
        self._export = export
        self._room = IMAGES_BYTES

    async def url(self, file: Attachment) -> str:
        """The image within its URL; empty for what is none, is too large, or is not there."""
        found = self._export.attachments.get(file.id)
        if found is None or not found.about.image or found.about.size > min(self._room, IMAGE_BYTES):
            return ""
        self._room -= found.about.size
        data = b"".join([piece async for piece in self._export.blob(found.blob_id)])
        return f"data:{found.about.media_type};base64,{base64.b64encode(data).decode()}"


async def _output(export: Export, made: Entry) -> list[Span]:
    data = b"".join([piece async for piece in export.output(made.call_id, most=OUTPUT_BYTES)])
    return coloured(data.decode("utf-8", "replace"))


async def _text(export: Export, blob_id: int) -> str:
    data = b"".join([piece async for piece in export.blob(blob_id, most=DIFF_BYTES)])
    more = f"\n… more than {DIFF_BYTES:,} bytes; the rest is left out\n" if len(data) > DIFF_BYTES else ""
    return data[:DIFF_BYTES].decode("utf-8", "replace") + more
