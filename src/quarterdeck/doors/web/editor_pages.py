"""An editor asks to act as the person at the browser."""

from typing import Any

from litestar import Request, Response, get, post

from quarterdeck.app import editor_sign_in
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.editor_sign_in import AskSignIn
from quarterdeck.doors.api.parameters import Caller, TheApp
from quarterdeck.doors.web.drafts import checked
from quarterdeck.doors.web.fields import Form
from quarterdeck.doors.web.layout import framed

FIELDS = tuple(AskSignIn.model_fields)


@get("/editors/sign-in")
async def ask(app: TheApp, actor: Caller, request: Request[Actor, None, Any]) -> Response[str]:
    """Says which editor asks, and for whom."""
    asked = checked(AskSignIn, {name: request.query_params.get(name, "") for name in FIELDS})
    editor_sign_in.check(asked)
    return await _page(app, actor, asked)


@post("/editors/sign-in", status_code=200)
async def allow(app: TheApp, actor: Caller, form: Form) -> Response[str]:
    """The code, on its way to the editor and to be pasted."""
    asked = checked(AskSignIn, {name: form.text(name) for name in FIELDS})
    return await _page(app, actor, asked, await editor_sign_in.allow(app, actor, asked))


async def _page(app: App, actor: Actor, asked: AskSignIn, code: str = "") -> Response[str]:
    response = await framed(
        app, actor, "editor_sign_in.html", asked=asked, code=code, minutes=editor_sign_in.CODE_MINUTES
    )
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


ROUTES = (ask, allow)
