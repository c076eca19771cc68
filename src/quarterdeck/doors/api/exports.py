"""A session as a file: exported in three formats, and imported again."""

from dataclasses import dataclass
from typing import Annotated, Any

from litestar import Request, Router, get, post
from litestar.openapi.spec import OpenAPIFormat, OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import QueryParameter
from litestar.response import Stream

from quarterdeck.app import imports
from quarterdeck.app.actor import Actor
from quarterdeck.app.session_views import SessionView
from quarterdeck.core import limits
from quarterdeck.core.events import Level
from quarterdeck.doors.api.parameters import Caller, IdempotencyKey, SessionId, TheApp
from quarterdeck.doors.export.download import Format, download


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
    return await download(app, actor, session_id, format_, redacted=redacted, files=files, level=level)


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


ROUTES = Router("/", route_handlers=[export, import_], tags=["exports"])
