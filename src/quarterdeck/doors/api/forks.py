"""Forks: new sessions from an event of another."""

from litestar import Router, post
from litestar.params import JSONBody

from quarterdeck.app import forks
from quarterdeck.app.forks import ForkSession
from quarterdeck.app.session_views import SessionView
from quarterdeck.doors.api.parameters import Caller, IdempotencyKey, SessionId, TheApp


@post("/{session_id:int}/fork", summary="Fork a session")
async def fork(
    app: TheApp,
    actor: Caller,
    session_id: SessionId,
    data: JSONBody[ForkSession],
    idempotency_key: IdempotencyKey = None,
) -> SessionView:
    """A new session goes on from an event of this one, which stays as it is; the same `Idempotency-Key`: no other."""
    return await forks.fork(app, actor, session_id, data, idempotency_key)


ROUTES = Router("/sessions", route_handlers=[fork], tags=["sessions"])
