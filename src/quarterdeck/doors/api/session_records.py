"""What is known beside a session's log: usage, artifacts, decisions, children."""

from typing import Annotated

from litestar import Router, get
from litestar.params import QueryParameter

from quarterdeck.app import session_records
from quarterdeck.app.session_records import Artifacts, ChildView, ContextView, DecisionView, UsageView
from quarterdeck.doors.api.parameters import After, Caller, SessionId, TheApp

Rows = Annotated[int, QueryParameter(ge=1, le=session_records.ROWS, description="How many of a page.")]


@get("/usage", summary="Show what a session used")
async def used(app: TheApp, actor: Caller, session_id: SessionId, after: After = 0, limit: Rows = 100) -> UsageView:
    """Tokens and cost in all, by model, and of each model call; a cost is null where a price is not known."""
    return await session_records.used(app, actor, session_id, after=after, limit=limit)


@get("/artifacts", summary="List what a session made")
async def made(app: TheApp, actor: Caller, session_id: SessionId, after: After = 0, limit: Rows = 100) -> Artifacts:
    """Branches, commits, merge requests and others, in the order of their events."""
    return await session_records.made(app, actor, session_id, after=after, limit=limit)


@get("/decisions", summary="List who decided what")
async def decisions(app: TheApp, actor: Caller, session_id: SessionId) -> tuple[DecisionView, ...]:
    """The questions that people were asked, newest first, and their answers."""
    return await session_records.decisions(app, actor, session_id)


@get("/children", summary="List the sessions that a session started")
async def children(app: TheApp, actor: Caller, session_id: SessionId) -> tuple[ChildView, ...]:
    """Those that you may see."""
    return await session_records.children(app, actor, session_id)


@get("/context", summary="Show what a session was started with")
async def context(app: TheApp, actor: Caller, session_id: SessionId) -> ContextView:
    """Its inputs and the facts that its flow may read; files are under `attachments`."""
    return await session_records.context(app, actor, session_id)


ROUTES = Router("/sessions/{session_id:int}", route_handlers=[used, made, decisions, children, context], tags=["log"])
