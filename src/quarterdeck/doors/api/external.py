"""Sessions whose work is done elsewhere: begun here, and told of by their source."""

from dataclasses import dataclass
from typing import Any

from litestar import Request, Router, post
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.params import JSONBody

from quarterdeck.app import appends, external
from quarterdeck.app.actor import Actor
from quarterdeck.app.appended import Appended
from quarterdeck.app.external import StartExternal
from quarterdeck.app.session_views import SessionView
from quarterdeck.core import limits
from quarterdeck.core.source_events import SourceBatch, read
from quarterdeck.doors.api.parameters import Caller, IdempotencyKey, SessionId, TheApp


@dataclass
class _TakesBatch(Operation):
    """Describes the body, which is read in one pass over its bytes."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(content={"application/json": OpenAPIMediaType(schema=Schema())}, required=True)


@post("/external", summary="Record a session from elsewhere")
async def start(
    app: TheApp, actor: Caller, data: JSONBody[StartExternal], idempotency_key: IdempotencyKey = None
) -> SessionView:
    """Makes a session that nobody here works on; its events come by `POST /sessions/{id}/events`."""
    return await external.start(app, actor, data, idempotency_key)


@post(
    "/{session_id:int}/events",
    status_code=200,
    operation_class=_TakesBatch,
    opt={"body": SourceBatch},
    request_max_body_size=limits.SOURCE_BYTES,
    summary="Append to a session from elsewhere",
)
async def append(app: TheApp, actor: Caller, session_id: SessionId, request: Request[Actor, None, Any]) -> Appended:
    """Stores events that their source numbers from 1: all of a batch or none, each once however often it is sent.

    The answer comes when they are committed. A batch that begins behind the next number is a 409 whose `expected` is
    that number, an event that doesn't fit is a 422 whose `index` is its place, and a session that was stopped or has
    ended answers 409, `session_ended`.
    """
    body = await request.body()
    return await appends.append(app, actor, session_id, read(body), len(body))


ROUTES = Router("/sessions", route_handlers=[start, append], tags=["external"])
