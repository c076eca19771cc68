"""Your to-do list, and what you are told of elsewhere."""

from typing import Annotated

from litestar import Router, get, patch, post
from litestar.params import FromQuery, JSONBody, QueryParameter
from pydantic import BaseModel, ConfigDict

from quarterdeck.app import notice_rules, to_dos
from quarterdeck.app.notice_rules import ChangeNoticeRules, NoticeRulesView, Tried
from quarterdeck.app.to_dos import ToDosView
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp
from quarterdeck.doors.api.webhooks import Before

Limit = Annotated[int, QueryParameter(ge=1, le=to_dos.PAGE, description="How many of a page.")]


class Done(BaseModel):
    """How many were open, and are done now."""

    model_config = ConfigDict(frozen=True)
    done: int


@get("/to_dos", summary="List your to-dos")
async def find(
    app: TheApp, actor: Caller, limit: Limit = to_dos.PAGE, done: FromQuery[bool] = False, before: Before = None
) -> ToDosView:
    """What waits for you, or what is `done`, the newest first; that is kept for 30 days."""
    return await to_dos.find(app, actor, done=done, before=before, limit=limit)


@post("/to_dos/{to_do:int}/done", status_code=200, summary="Mark a to-do as done")
async def finish(app: TheApp, actor: Caller, to_do: RowId) -> Done:
    """Nothing else comes of it: a question still waits for its answer."""
    return Done(done=await to_dos.finish(app, actor, to_do))


@post("/to_dos/done", status_code=200, summary="Mark all your to-dos as done")
async def finish_all(app: TheApp, actor: Caller) -> Done:
    """All that are open."""
    return Done(done=await to_dos.finish(app, actor, None))


@get("/me/notifications", summary="Show what you are told of")
async def rules(app: TheApp, actor: Caller) -> NoticeRulesView:
    """And by which channels, beside the to-do list; of a Slack address its host only."""
    return await notice_rules.show(app, actor)


@patch("/me/notifications", summary="Change what you are told of")
async def change(app: TheApp, actor: Caller, data: JSONBody[ChangeNoticeRules]) -> NoticeRulesView:
    """What is absent stays as it is."""
    return await notice_rules.change(app, actor, data)


@post("/me/notifications/test", status_code=200, summary="Try your channels")
async def attempt(app: TheApp, actor: Caller) -> Tried:
    """Sends a message by each now, and says what came of it."""
    return await notice_rules.attempt(app, actor)


ROUTES = Router("/", route_handlers=[find, finish, finish_all, rules, change, attempt], tags=["to-dos"])
