"""Your own rules for the sessions that you start."""

from litestar import Router, get, put
from litestar.params import JSONBody

from quarterdeck.app import user_rules
from quarterdeck.app.user_rules import RulesText, SetRules
from quarterdeck.doors.api.parameters import Caller, TheApp


@get("/", summary="Show your rules")
async def show(app: TheApp, actor: Caller) -> RulesText:
    """Nobody else sees them, but whoever may see a session that you started with them."""
    return await user_rules.show(app, actor)


@put("/", summary="Change your rules")
async def change(app: TheApp, actor: Caller, data: JSONBody[SetRules]) -> RulesText:
    """In place of those that there were; sessions that start from now on are given them."""
    return await user_rules.change(app, actor, data)


ROUTES = Router("/me/rules", route_handlers=[show, change], tags=["people"])
