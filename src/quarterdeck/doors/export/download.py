"""An export as an answer of HTTP: a file, whatever asks for it."""

from collections.abc import AsyncIterator
from typing import Literal, assert_never

from litestar.response import Stream

from quarterdeck.app import exports
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.export_lines import lines
from quarterdeck.app.exports import Export
from quarterdeck.core.events import Level
from quarterdeck.doors.export import markdown, page

Format = Literal["ndjson", "markdown", "html"]
_KINDS: dict[Format, tuple[str, str]] = {
    "ndjson": ("application/x-ndjson", "ndjson"),
    "markdown": ("text/markdown; charset=utf-8", "md"),
    "html": ("text/html; charset=utf-8", "html"),
}


async def download(
    app: App,
    actor: Actor,
    session_id: int,
    format_: Format,
    *,
    redacted: bool = False,
    files: bool = True,
    level: Level = Level.CONCISE,
) -> Stream:
    """The session in one of the formats, as it is written; `level` is for Markdown."""
    begun = await exports.begin(app, actor, session_id, redacted=redacted)
    kind, suffix = _KINDS[format_]
    return Stream(
        await _begun(_pieces(begun, format_, files=files, level=level)),
        media_type=kind,
        headers={
            "Content-Disposition": f'attachment; filename="session-{session_id}.{suffix}"',
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox",  # a page for a disk, none of ours
            "Cache-Control": "no-store",
        },
    )


def _pieces(begun: Export, format_: Format, *, files: bool, level: Level) -> AsyncIterator[bytes]:
    match format_:
        case "ndjson":
            return lines(begun, files=files)
        case "markdown":
            return markdown.document(begun, level=level, files=files)
        case "html":
            return page.document(begun, files=files)
        case _:
            assert_never(format_)


async def _begun(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same pieces, with the first one fetched: what is wrong shows before the answer begins."""
    first = await anext(pieces, b"")

    async def all_pieces() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return all_pieces()
