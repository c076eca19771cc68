"""Files and images that are given to sessions."""

from typing import Annotated
from urllib.parse import quote

from litestar import Response, Router, get, post
from litestar.openapi.spec import OpenAPIFormat, OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import QueryParameter, RawBody

from quarterdeck.app import attachments
from quarterdeck.app.attachments import AttachmentView
from quarterdeck.core import limits
from quarterdeck.core.attachment import NAME_CHARACTERS
from quarterdeck.doors.api.log import plain
from quarterdeck.doors.api.parameters import Caller, RowId, SessionId, TheApp


class _RawBody(Operation):
    """Says in the API's description that the body is bytes as they are."""

    def __post_init__(self) -> None:
        schema = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        self.request_body = RequestBody({"application/octet-stream": OpenAPIMediaType(schema)}, required=True)


@post(
    "/attachments",
    request_max_body_size=limits.ATTACHMENT_BYTES,
    operation_class=_RawBody,
    summary="Upload a file for a session",
)
async def upload(
    app: TheApp,
    actor: Caller,
    body: RawBody,
    name: Annotated[str, QueryParameter(min_length=1, max_length=NAME_CHARACTERS, description="What it is called.")],
) -> AttachmentView:
    """Raw bytes: text, or an image (PNG, JPEG, GIF, WebP). Name its number to a start or message within a day."""
    return await attachments.upload(app, actor, name, body)


@get("/sessions/{session_id:int}/attachments", summary="List the files of a session")
async def of_session(app: TheApp, actor: Caller, session_id: SessionId) -> tuple[AttachmentView, ...]:
    """What it was started with, and what came with messages."""
    return await attachments.of_session(app, actor, session_id)


@get(
    "/sessions/{session_id:int}/attachments/{attachment_id:int}",
    media_type="application/octet-stream",
    summary="Fetch a file of a session",
)
async def read(app: TheApp, actor: Caller, session_id: SessionId, attachment_id: RowId) -> Response[bytes]:
    """Its bytes; of a text without the secrets that it held."""
    found, data = await attachments.read(app, actor, session_id, attachment_id)
    answer = plain(data)
    answer.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(found.name, safe='')}"
    return answer


ROUTES = Router("/", route_handlers=[upload, of_session, read], tags=["attachments"])
