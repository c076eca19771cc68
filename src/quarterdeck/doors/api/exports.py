"""A session as a file: exported in three formats, and imported again."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, assert_never

from litestar import Request, Router, get, post
from litestar.openapi.spec import OpenAPIFormat, OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import QueryParameter
from litestar.response import Stream

from quarterdeck.app import exports, imports
from quarterdeck.app.actor import Actor
from quarterdeck.app.export_lines import lines
from quarterdeck.app.exports import Export
from quarterdeck.app.session_views import SessionView
from quarterdeck.core import limits
from quarterdeck.core.events import Level
from quarterdeck.doors.api.parameters import Caller, IdempotencyKey, SessionId, TheApp
from quarterdeck.doors.export import markdown, page

Format = Literal["ndjson", "markdown", "html"]
_KINDS: dict[Format, tuple[str, str]] = {
    "ndjson": ("application/x-ndjson", "ndjson"),
    "markdown": ("text/markdown; charset=utf-8", "md"),
    "html": ("text/html; charset=utf-8", "html"),
}


@get("/sessions/{session_id:int}/export", media_type="application/x-ndjson", summary="Export a session")
async def export(
    app: TheApp,
    actor: Caller,
    session_id: SessionId,
    format_: Annotated[
        Format, QueryParameter(name="format", description="NDJSON can be imported again; the others are for people.")
    ] = "ndjson",
    redacted: Annotated[bool, QueryParameter(description="Without people and places.")] = False,
    files: Annotated[bool, QueryParameter(description="With attachments, diffs, and in NDJSON snapshots.")] = True,
    level: Annotated[Level, QueryParameter(description="How much of it Markdown tells.")] = Level.CONCISE,
) -> Stream:
    """The log up to now with output and diffs: as NDJSON, as Markdown, or as one page that plays it offline."""
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


@dataclass
class _TakesFile(Operation):
    """Describes the body, which is read as it comes."""

    def __post_init__(self) -> None:
        text = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        self.request_body = RequestBody(content={"application/x-ndjson": OpenAPIMediaType(schema=text)}, required=True)


@post(
    "/sessions/import",
    operation_class=_TakesFile,
    request_max_body_size=limits.IMPORT_BYTES,
    summary="Import a session",
)
async def import_(
    app: TheApp,
    actor: Caller,
    request: Request[Actor, None, Any],
    project: Annotated[
        str | None, QueryParameter(max_length=255, description="Number or path; a chat needs none, nor what had none.")
    ] = None,
    idempotency_key: IdempotencyKey = None,
) -> SessionView:
    """The body is an export as NDJSON; a new session of yours has its log, and nothing of it runs.

    With the same `Idempotency-Key` again it answers the session that it made.
    """
    return await imports.bring(app, actor, request.stream(), project=project, idempotency_key=idempotency_key)


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


ROUTES = Router("/", route_handlers=[export, import_], tags=["exports"])
