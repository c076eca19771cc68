"""Your own settings: how pages look, your rules, your tokens, and the browsers that you are signed in with."""

from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromQuery

from quarterdeck.app import credentials, editors, user_rules
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.credentials import AddToken, NewToken
from quarterdeck.app.user_rules import RULES_CHARACTERS, SetRules
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.events import Level
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp
from quarterdeck.doors.web import views
from quarterdeck.doors.web.cookies import secret
from quarterdeck.doors.web.drafts import Draft, came_back, checked, drafted, saved
from quarterdeck.doors.web.fields import Form

Asked = Request[Actor, None, Any]
DAYS = (7, 30, 90, 365)
"""What the form for a token offers, beside no end."""


@get("/settings")
async def personal(app: TheApp, actor: Caller, request: Asked, done: FromQuery[str] = "") -> Response[str]:
    """All of it."""
    return await _page(app, actor, request, saved(done))


@post("/settings/look")
async def look(form: Form) -> Response[Any]:
    """Theme and level of detail, remembered by this browser."""
    response = form.go("/settings?done=look#look")
    response.set_cookie(views.remembering_theme(form.text("theme")))
    if form.text("level") in set(Level):
        response.set_cookie(views.remembering(Level(form.text("level"))))
    return response


@post("/settings/rules")
async def rules(app: TheApp, actor: Caller, request: Asked, form: Form) -> Response[Any]:
    """What agents of your sessions are told."""
    try:
        await user_rules.change(app, actor, checked(SetRules, {"text": form.text("text")}))
    except QuarterdeckError as error:
        return await _page(app, actor, request, came_back(form, "rules", error, "text"))
    return form.go("/settings?done=rules#rules")


@post("/settings/tokens")
async def add_token(app: TheApp, actor: Caller, request: Asked, form: Form) -> Response[Any]:
    """Makes a token; its secret is on the page that answers, and nowhere else."""
    try:
        wish = checked(AddToken, {"name": form.text("name"), "days": form.text("days") or None})
        made = await credentials.add_token(app, actor, wish)
    except QuarterdeckError as error:
        return await _page(app, actor, request, came_back(form, "token", error, "name"))
    return await _page(app, actor, request, Draft(), made)


@post("/settings/tokens/{token_id:int}/revoke")
async def revoke(app: TheApp, actor: Caller, token_id: RowId, form: Form) -> Response[Any]:
    """Ends a token, or a sign-in of a browser."""
    await credentials.revoke(app, actor, token_id)
    return form.go("/settings?done=revoked#tokens")


@post("/settings/editors/{executor_id:int}/forget")
async def forget(app: TheApp, actor: Caller, executor_id: RowId, form: Form) -> Response[Any]:
    """Forgets an editor."""
    await editors.forget(app, actor, executor_id)
    return form.go("/settings?done=forgotten#editors")


async def _page(app: App, actor: Actor, request: Asked, draft: Draft, made: NewToken | None = None) -> Response[str]:
    return await drafted(
        app,
        actor,
        "personal.html",
        draft,
        theme_now=views.theme(),
        themes=views.THEMES,
        level=views.level_of(request),
        rules=await user_rules.show(app, actor),
        rules_most=RULES_CHARACTERS,
        tokens=await credentials.list_tokens(app, actor),
        sign_ins=await credentials.list_sign_ins(app, actor, secret(app, request)),
        made=made,
        editors=await editors.find(app, actor),
        days=DAYS,
        usual_days=credentials.DAYS,
    )


ROUTES = (personal, look, rules, add_token, revoke, forget)
