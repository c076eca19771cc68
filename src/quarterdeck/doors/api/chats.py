"""Chats, and questions without a session."""

from litestar import Router, post
from litestar.params import JSONBody

from quarterdeck.app import chats, questions
from quarterdeck.app.chats import StartChat
from quarterdeck.app.questions import Answer, AskQuestion
from quarterdeck.app.session_views import SessionView
from quarterdeck.doors.api.parameters import Caller, IdempotencyKey, TheApp


@post("/chats", summary="Start a chat")
async def start(
    app: TheApp, actor: Caller, data: JSONBody[StartChat], idempotency_key: IdempotencyKey = None
) -> SessionView:
    """A session that is yours alone; all else is done with it as with any session."""
    return await chats.start(app, actor, data, idempotency_key)


@post("/ask", status_code=200, summary="Ask a question")
async def ask(app: TheApp, actor: Caller, data: JSONBody[AskQuestion]) -> Answer:
    """Answered without tools; no session and no log is made, but what it cost is counted."""
    return await questions.ask(app, actor, data)


ROUTES = Router("/", route_handlers=[start, ask], tags=["chats"])
