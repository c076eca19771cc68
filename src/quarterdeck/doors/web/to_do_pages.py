"""Your to-do list, and your settings of what you are told of."""

from collections.abc import AsyncIterator
from typing import Any

from litestar import Response, get, post
from litestar.params import FromQuery
from litestar.response import Stream
from pydantic import SecretStr

from quarterdeck.app import notice_rules, to_dos
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.notice_rules import ChangeNoticeRules, Tried
from quarterdeck.app.to_dos import ToDosView
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.notice import OF_SESSIONS, Rules
from quarterdeck.doors.api.parameters import Caller, RowId, Still, TheApp
from quarterdeck.doors.api.webhooks import Before
from quarterdeck.doors.sse import Closes
from quarterdeck.doors.web.drafts import Draft, came_back, checked, drafted, saved
from quarterdeck.doors.web.fields import Fields, Form
from quarterdeck.doors.web.layout import framed, fresh, live
from quarterdeck.doors.web.rendering import fragment


@get("/to-dos")
async def open_ones(app: TheApp, actor: Caller, before: Before = None) -> Response[str]:
    """What waits for you."""
    found = await to_dos.find(app, actor, before=before)
    return await framed(app, actor, "to_dos.html", found=found, done=False, first=before is None, page=to_dos.PAGE)


@get("/to-dos/done")
async def done_ones(app: TheApp, actor: Caller, before: Before = None) -> Response[str]:
    """What is done."""
    found = await to_dos.find(app, actor, done=True, before=before)
    return await framed(app, actor, "to_dos.html", found=found, done=True, first=before is None, page=to_dos.PAGE)


@get("/to-dos/stream", media_type="text/event-stream")
async def changes(app: TheApp, actor: Caller, still: Still, closing: Closes) -> Stream:
    """What changes of it."""
    return live(app, actor, closing, _lists(app, actor), check=still)


@post("/to-dos/{to_do:int}/done")
async def finish(app: TheApp, actor: Caller, to_do: RowId, form: Form) -> Response[Any]:
    """Done, by hand."""
    await to_dos.finish(app, actor, to_do)
    return form.go("/to-dos")


@post("/to-dos/done")
async def finish_all(app: TheApp, actor: Caller, form: Form) -> Response[Any]:
    """All of them."""
    await to_dos.finish(app, actor, None)
    return form.go("/to-dos")


@get("/settings/notifications")
async def rules(app: TheApp, actor: Caller, done: FromQuery[str] = "") -> Response[str]:
    """What you are told of, and where."""
    return await _page(app, actor, saved(done))


@post("/settings/notifications")
async def change(app: TheApp, actor: Caller, form: Form) -> Response[Any]:
    """Tells of something else, or elsewhere."""
    try:
        await notice_rules.change(app, actor, _wish(form))
    except QuarterdeckError as error:
        return await _page(app, actor, came_back(form, "rules", error, "slack_url"))
    return form.go("/settings/notifications?done=rules")


@post("/settings/notifications/test")
async def attempt(app: TheApp, actor: Caller, form: Form) -> Response[Any]:
    """Sends a message by each channel; what came of it is on the page that answers."""
    try:
        tried = await notice_rules.attempt(app, actor)
    except QuarterdeckError as error:
        return await _page(app, actor, came_back(form, "test", error))
    return await _page(app, actor, Draft(), tried)


def _wish(form: Fields) -> ChangeNoticeRules:
    """Raises WrongFieldsError."""
    rules = checked(Rules, {"flows": form.texts("flows"), "chats": form.texts("chats")})
    given: dict[str, object] = {"rules": rules, "email": bool(form.text("email"))}
    if form.text("no_slack"):
        given["slack_url"] = SecretStr("")
    elif url := form.text("slack_url"):
        given["slack_url"] = SecretStr(url)
    return checked(ChangeNoticeRules, given)


async def _page(app: App, actor: Actor, draft: Draft, tried: Tried | None = None) -> Response[str]:
    found = await notice_rules.show(app, actor)
    return await drafted(app, actor, "notifications.html", draft, found=found, kinds=OF_SESSIONS, tried=tried)


async def _lists(app: App, actor: Actor) -> AsyncIterator[bytes]:
    async for _ in to_dos.changes(app, actor):
        yield _told(await to_dos.find(app, actor))


def _told(found: ToDosView) -> bytes:
    return fresh({"to-dos": fragment("parts/to_dos.html", found=found, done=False)})


ROUTES = (open_ones, done_ones, changes, finish, finish_all, rules, change, attempt)
