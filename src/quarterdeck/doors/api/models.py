"""Models: the providers, the rules of which one is asked, and the keys that people enter."""

from typing import Annotated

from litestar import Router, delete, get, patch, post, put
from litestar.params import JSONBody, PathParameter

from quarterdeck.app import model_keys, model_rules
from quarterdeck.app.model_keys import KeyView, SetKey
from quarterdeck.app.model_rules import ChangeRules, ModelsView, RulesView
from quarterdeck.doors.api.parameters import Caller, TheApp

ProviderName = Annotated[str, PathParameter(max_length=100, description="The part of a model's name before the colon.")]


@get("/", summary="List providers and rules")
async def show(app: TheApp, actor: Caller) -> ModelsView:
    """Which providers can be asked, and which model is asked where."""
    return await model_rules.show(app, actor)


@patch("/rules", summary="Change which model is asked")
async def change_rules(app: TheApp, actor: Caller, data: JSONBody[ChangeRules]) -> RulesView:
    """Of the instance, a flow, a project, or a flow in a project; what is left out stays."""
    return await model_rules.change(app, actor, data)


@get("/keys", summary="List keys")
async def keys(app: TheApp, actor: Caller) -> list[KeyView]:
    """Where each comes from and who stored it; no key is ever shown."""
    return await model_keys.list_keys(app, actor)


@put("/keys/{provider:str}", summary="Store a key")
async def set_key(app: TheApp, actor: Caller, provider: ProviderName, data: JSONBody[SetKey]) -> KeyView:
    """Tried with one short question first; stored encrypted."""
    return await model_keys.set_key(app, actor, provider, data)


@delete("/keys/{provider:str}", summary="Delete a stored key")
async def delete_key(app: TheApp, actor: Caller, provider: ProviderName) -> None:
    """Sessions that need it are paused when they next ask."""
    await model_keys.delete_key(app, actor, provider)


@post("/keys/{provider:str}/test", status_code=200, summary="Test a stored key")
async def try_key(app: TheApp, actor: Caller, provider: ProviderName) -> KeyView:
    """One short question, of the model that answered before; a key that is refused stays stored."""
    return await model_keys.try_stored(app, actor, provider)


ROUTES = Router("/models", route_handlers=[show, change_rules, keys, set_key, delete_key, try_key], tags=["models"])
