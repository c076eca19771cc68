"""Models of the instance: keys that are entered, tested and never shown, and which models are asked."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromQuery

from quarterdeck.app import model_keys, model_rules
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.model_keys import SetKey
from quarterdeck.app.model_rules import ChangeRules
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.doors.api.parameters import Caller, TheApp
from quarterdeck.doors.web.drafts import Draft, WrongFieldsError, came_back, checked, drafted, saved
from quarterdeck.doors.web.fields import Form
from quarterdeck.doors.web.languages import gettext as _


@get("/models")
async def models(app: TheApp, actor: Caller, done: FromQuery[str] = "") -> Response[str]:
    """Keys and rules."""
    return await _page(app, actor, saved(done))


@post("/models/keys")
async def set_key(app: TheApp, actor: Caller, form: Form) -> Response[Any]:
    """Stores a key, after it was tried with one short question unless that is not wanted."""
    try:
        if not (provider := form.text("provider")):
            raise WrongFieldsError({"provider": "Choose a provider."})
        wish: dict[str, object] = {name: form.text(name) or None for name in ("key", "base_url", "model")}
        await model_keys.set_key(app, actor, provider, checked(SetKey, {**wish, "test": form.text("test") == "yes"}))
    except QuarterdeckError as error:
        return await _page(app, actor, came_back(form, "key", error, "key"))
    return form.go("/admin/models?done=keys#keys")


@post("/models/keys/test")
async def try_key(app: TheApp, actor: Caller, form: Form) -> Response[Any]:
    """Asks one short question with a stored key."""
    try:
        tested = await model_keys.try_stored(app, actor, form.text("provider"))
    except QuarterdeckError as error:
        return await _page(app, actor, came_back(form, "keys", error))
    return await _page(app, actor, Draft(), answered=tested.tested_with)


@post("/models/keys/remove")
async def remove_key(app: TheApp, actor: Caller, form: Form) -> Response[Any]:
    """Deletes a stored key."""
    try:
        await model_keys.delete_key(app, actor, form.text("provider"))
    except QuarterdeckError as error:
        return await _page(app, actor, came_back(form, "keys", error))
    return form.go("/admin/models?done=keys#keys")


@post("/models/rules")
async def rules(app: TheApp, actor: Caller, form: Form) -> Response[Any]:
    """The model of sessions that name none, and which ones may be named at all."""
    try:
        given = {"default": form.text("default") or None, "allowed": list(form.lines("allowed")) or None}
        await model_rules.change(app, actor, checked(ChangeRules, given))
    except QuarterdeckError as error:
        return await _page(app, actor, came_back(form, "rules", error, "default"))
    return form.go("/admin/models?done=rules#rules")


async def _page(app: App, actor: Actor, draft: Draft, *, answered: str = "") -> Response[str]:
    asked = await model_rules.show(app, actor)
    return await drafted(
        app,
        actor,
        "admin_models.html",
        draft,
        tab="models",
        keys=await model_keys.list_keys(app, actor),
        models=asked,
        providers=[("", _("Choose…")), *((one.provider, one.provider) for one in asked.providers)],
        own=next((one for one in asked.rules if one.project is None and not one.flow), None),
        others=[one for one in asked.rules if one.project is not None or one.flow],
        answered=answered,
    )


ROUTES = (models, set_key, try_key, remove_key, rules)
