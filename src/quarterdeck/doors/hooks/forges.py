"""`/hooks/forges/NUMBER`: where GitHub and GitLab send their webhooks, signed with the connection's secret."""

from typing import Any

from litestar import Request, Response, Router, post

from quarterdeck.app import forge_deliveries
from quarterdeck.doors.api.parameters import RowId, TheApp


@post("/{connection_id:int}", include_in_schema=False, request_max_body_size=forge_deliveries.BODY_BYTES)
async def receive(request: Request[Any, Any, Any], app: TheApp, connection_id: RowId) -> Response[dict[str, str]]:
    """202 for what is stored and will be applied, 200 for what was stored before."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    fresh = await forge_deliveries.receive(app, connection_id, headers, await request.body())
    said = "It was stored and will be applied." if fresh else "It has come before; nothing is done twice."
    return Response({"detail": said}, status_code=202 if fresh else 200)


ROUTES = Router("/hooks/forges", route_handlers=[receive])
