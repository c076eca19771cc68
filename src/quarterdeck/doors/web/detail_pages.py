"""A session's details, and the forms on them: its title, a hold, its cancellation and deletion, and a fork of it."""

from typing import Any

from litestar import Request, Response, get, post

from quarterdeck.app import deletion, editors, forks, session_records, sessions, steering
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.forks import ForkSession
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.doors.api.parameters import Caller, SessionId, TheApp
from quarterdeck.doors.web.drafts import NO_DRAFT, Draft, WrongFieldsError, came_back, checked
from quarterdeck.doors.web.entry_pages import Seq
from quarterdeck.doors.web.fields import Form
from quarterdeck.doors.web.session_layout import in_session

Asked = Request[Actor, None, Any]


@get("/sessions/{session_id:int}/details")
async def details(
    app: TheApp, actor: Caller, session_id: SessionId, request: Asked, calls: Seq = None
) -> Response[str]:
    """Every field; at the bottom what ends the session."""
    return await _details(app, actor, session_id, request, NO_DRAFT, calls)


async def _details(
    app: App, actor: Actor, session_id: int, request: Asked, draft: Draft, calls: int | None = None
) -> Response[str]:
    session = await sessions.show(app, actor, session_id)
    return await in_session(
        app,
        actor,
        session,
        "session_details.html",
        tab="details",
        request=request,
        draft=draft,
        usage=await session_records.used(app, actor, session_id, after=calls or 0),
        calls=calls,
        children=await session_records.children(app, actor, session_id),
        decisions=await session_records.decisions(app, actor, session_id),
        context=await session_records.context(app, actor, session_id),
    )


@post("/sessions/{session_id:int}/rename")
async def rename(app: TheApp, actor: Caller, session_id: SessionId, request: Asked, form: Form) -> Response[Any]:
    """Another title."""
    try:
        await steering.rename(app, actor, session_id, form.text("title"))
    except QuarterdeckError as error:
        return await _details(app, actor, session_id, request, came_back(form, "rename", error, "title"))
    return form.go(f"/sessions/{session_id}/details")


@post("/sessions/{session_id:int}/hold")
async def hold(app: TheApp, actor: Caller, session_id: SessionId, request: Asked, form: Form) -> Response[Any]:
    """Keeps it, or lets its clock count again."""
    held, reason = form.text("held") == "yes", form.text("reason")
    try:
        await steering.hold(app, actor, session_id, held=held, reason=reason)
    except QuarterdeckError as error:
        return await _details(app, actor, session_id, request, came_back(form, "hold", error, "reason"))
    return form.go(f"/sessions/{session_id}/details")


@post("/sessions/{session_id:int}/hand-over")
async def hand_over(app: TheApp, actor: Caller, session_id: SessionId, request: Asked, form: Form) -> Response[Any]:
    """Has a runner carry its calls out from now on, in its editor's place."""
    try:
        await editors.hand_over(app, actor, session_id, None)
    except QuarterdeckError as error:
        return await _details(app, actor, session_id, request, came_back(form, "hand-over", error))
    return form.go(f"/sessions/{session_id}/details")


@post("/sessions/{session_id:int}/delete")
async def delete(app: TheApp, actor: Caller, session_id: SessionId, request: Asked, form: Form) -> Response[Any]:
    """Deletes everything of it; its number has to be typed."""
    try:
        if form.text("number").lstrip("#") != str(session_id):
            raise WrongFieldsError({"number": f"To delete session #{session_id}, type its number."})
        await deletion.delete_session(app, actor, session_id)
    except QuarterdeckError as error:
        return await _details(app, actor, session_id, request, came_back(form, "delete", error, "number"))
    return form.go("/")


@get("/sessions/{session_id:int}/cancel")
async def ask_to_cancel(app: TheApp, actor: Caller, session_id: SessionId, request: Asked) -> Response[str]:
    """The confirmation, for browsers without script."""
    return await _ask(app, actor, session_id, request, "session_cancel.html", Draft("cancel"))


@post("/sessions/{session_id:int}/cancel")
async def cancel(app: TheApp, actor: Caller, session_id: SessionId, request: Asked, form: Form) -> Response[Any]:
    """Stops it for good."""
    try:
        await steering.cancel(app, actor, session_id, form.text("reason"))
    except QuarterdeckError as error:
        draft = came_back(form, "cancel", error)
        return await _ask(app, actor, session_id, request, "session_cancel.html", draft)
    return form.go(f"/sessions/{session_id}")


@get("/sessions/{session_id:int}/fork")
async def ask_to_fork(
    app: TheApp, actor: Caller, session_id: SessionId, request: Asked, seq: Seq = None
) -> Response[str]:
    """The form of a new session from one of its entries."""
    return await _ask(app, actor, session_id, request, "session_fork.html", Draft("fork"), from_seq=seq)


@post("/sessions/{session_id:int}/fork")
async def fork(app: TheApp, actor: Caller, session_id: SessionId, request: Asked, form: Form) -> Response[Any]:
    """A new session from one of its entries."""
    names = ("seq", "title", "model")
    given: dict[str, object] = {name: form.text(name) or None for name in names}
    try:
        wish = checked(ForkSession, given | {"message": form.text("message"), "origin": "web"})
        made = await forks.fork(app, actor, session_id, wish, form.text("key")[:255] or None)
    except QuarterdeckError as error:
        return await _ask(app, actor, session_id, request, "session_fork.html", came_back(form, "fork", error))
    return form.go(f"/sessions/{made.id}")


async def _ask(
    app: App, actor: Actor, session_id: int, request: Asked, template: str, draft: Draft, *, from_seq: int | None = None
) -> Response[str]:
    session = await sessions.show(app, actor, session_id)
    at = min(from_seq or session.seq, session.seq)
    return await in_session(app, actor, session, template, tab="details", request=request, draft=draft, from_seq=at)


ROUTES = (details, rename, hold, hand_over, delete, ask_to_cancel, cancel, ask_to_fork, fork)
