"""What people do with a session as it works: each form one use case, and back to where it was sent from."""

import re
from typing import Any

from litestar import Response, post
from pydantic import JsonValue

from quarterdeck.app import interruption, sessions, steering
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.errors import ConflictError, InvalidInputError
from quarterdeck.doors.api.parameters import Caller, SessionId, TheApp
from quarterdeck.doors.web.fields import Form
from quarterdeck.doors.web.other_arguments import changed
from quarterdeck.doors.web.subjects import subject_of
from quarterdeck.doors.web.views import look, remembering

Answer = Response[Any]
_OURS = re.compile(r"/sessions/[0-9]+(/[a-z0-9/]*)?(\?[!-~]*)?")
"""A page that one may be sent back to."""


@post("/sessions/{session_id:int}/messages")
async def say(app: TheApp, actor: Caller, session_id: SessionId, form: Form) -> Answer:
    """A message, an answer, or what to change of a plan."""
    await steering.reply(app, actor, session_id, form.text("text"), about=subject_of(form.text("about")))
    return form.go(f"/sessions/{session_id}")


@post("/sessions/{session_id:int}/approve")
async def approve(app: TheApp, actor: Caller, session_id: SessionId, form: Form) -> Answer:
    """Yes: this once, for the session, to all that is like it, or to other arguments."""
    approval_id, pattern = form.text("approval") or None, form.text("pattern")
    if form.verbatim("pattern") is not None and not pattern:
        raise InvalidInputError("The pattern is empty. Write the command, with * for what may be anything.")
    args = changed(await _args(app, actor, session_id, approval_id), form) if form.text("change") else None
    for_session = form.text("for_session") == "yes"
    await steering.approve(app, actor, session_id, approval_id, for_session=for_session, pattern=pattern, args=args)
    return form.go(f"/sessions/{session_id}")


async def _args(app: App, actor: Actor, session_id: int, approval_id: str | None) -> dict[str, JsonValue]:
    """What the call of an approval was asked for with."""
    view = await sessions.show(app, actor, session_id)
    asked = [one.calls for one in view.approvals if one.id == approval_id]
    if not asked or len(asked[0]) != 1:
        raise ConflictError("That call is not asked for any more.")
    return asked[0][0].args


@post("/sessions/{session_id:int}/deny")
async def deny(app: TheApp, actor: Caller, session_id: SessionId, form: Form) -> Answer:
    """No, with a reason that the model is told; of a plan what to change of it, or its end and the session's."""
    reason, plan = form.text("reason"), form.text("plan")
    if plan == "change" and not reason:
        raise InvalidInputError("Say what to change of the plan, or reject it.")
    reason = "" if plan == "reject" else reason
    await steering.deny(app, actor, session_id, form.text("approval") or None, reason=reason)
    return form.go(f"/sessions/{session_id}")


@post("/sessions/{session_id:int}/pause")
async def pause(app: TheApp, actor: Caller, session_id: SessionId, form: Form) -> Answer:
    """Takes effect after the present call."""
    await steering.pause(app, actor, session_id)
    return form.go(f"/sessions/{session_id}")


@post("/sessions/{session_id:int}/resume")
async def resume(app: TheApp, actor: Caller, session_id: SessionId, form: Form) -> Answer:
    """Goes on."""
    await steering.resume(app, actor, session_id)
    return form.go(f"/sessions/{session_id}")


@post("/sessions/{session_id:int}/interrupt")
async def interrupt(app: TheApp, actor: Caller, session_id: SessionId, form: Form) -> Answer:
    """Ends a chat's answer; the chat lives on."""
    await interruption.interrupt(app, actor, session_id)
    return form.go(f"/sessions/{session_id}")


@post("/look")
async def look_so(form: Form) -> Answer:
    """How logs are shown in this browser from here on."""
    back = form.text("back") if _OURS.fullmatch(form.text("back")) else "/"
    response = form.go(back)
    response.set_cookie(remembering(look(form.text("times"), wrap=form.text("wrap") == "yes")))
    return response


ROUTES = (say, approve, deny, pause, resume, interrupt, look_so)
