"""`/hooks/triggers/{number}`: what others send to a trigger's webhook, signed or with its secret."""

from typing import Any

from litestar import Request, Router, post
from litestar.params import FromPath
from pydantic import BaseModel, ConfigDict, JsonValue

from quarterdeck.app import triggers
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.trigger import PAYLOAD_BYTES
from quarterdeck.doors.api.parameters import TheApp
from quarterdeck.doors.body import json_of


class Accepted(BaseModel):
    """It was taken in; what comes of it stands in the trigger's deliveries."""

    model_config = ConfigDict(frozen=True)
    accepted: bool = True


@post("/{number:int}", status_code=202, request_max_body_size=PAYLOAD_BYTES, include_in_schema=False)
async def take(request: Request[Any, Any, Any], app: TheApp, number: FromPath[int]) -> Accepted:
    """Answers when it is written down; a repeated one with the same id is the same."""
    if not 0 < number < 2**63:
        raise NotFoundError("There is no such webhook.")
    body = await request.body()
    await triggers.hooked(app, number, dict(request.headers), body, lambda: _payload(body))
    return Accepted()


def _payload(body: bytes) -> dict[str, JsonValue]:
    """The object that was sent; any other JSON stands in one as `value`."""
    sent = json_of(body)
    return sent if isinstance(sent, dict) else {"value": sent}


ROUTES = Router("/hooks/triggers", route_handlers=[take])
