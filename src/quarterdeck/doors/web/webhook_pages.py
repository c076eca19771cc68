"""A project's webhooks in the browser: who is told, of what, and what came of it."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromQuery

from quarterdeck.app import projects, webhook_deliveries, webhooks
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.webhook_deliveries import PAGE
from quarterdeck.app.webhooks import OLD_KEY_HOURS, AddWebhook, EditWebhook, NewWebhook, RotateKey
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.webhook import USUAL, WebhookEvent
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp
from quarterdeck.doors.api.webhooks import Before
from quarterdeck.doors.web.drafts import Draft, came_back, checked, drafted, saved
from quarterdeck.doors.web.fields import Form

ONE = "/projects/{project_id:int}/webhooks/{webhook_id:int}"


@get("/projects/{project_id:int}/webhooks")
async def of_project(app: TheApp, actor: Caller, project_id: RowId, done: FromQuery[str] = "") -> Response[str]:
    """All of them, and a form for another."""
    return await _all(app, actor, project_id, saved(done))


@post("/projects/{project_id:int}/webhooks")
async def add(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """Makes one; its secret is on the page that answers, and nowhere else."""
    try:
        given = {"url": form.text("url"), "description": form.text("description"), "events": form.texts("events")}
        made = await webhooks.add(app, actor, project_id, checked(AddWebhook, given))
    except QuarterdeckError as error:
        return await _all(app, actor, project_id, came_back(form, "add", error, "url"))
    return await _one(app, actor, project_id, made.id, Draft(), made=made)


@get(ONE)
async def one(
    app: TheApp,
    actor: Caller,
    project_id: RowId,
    webhook_id: RowId,
    done: FromQuery[str] = "",
    before: Before = None,
) -> Response[str]:
    """One of them, and its deliveries."""
    return await _one(app, actor, project_id, webhook_id, saved(done), before=before)


@post(ONE)
async def edit(app: TheApp, actor: Caller, project_id: RowId, webhook_id: RowId, form: Form) -> Response[Any]:
    """Changes it; an address that is left empty stays."""
    try:
        given: dict[str, object] = {"description": form.text("description"), "events": form.texts("events")}
        given |= {"url": form.text("url")} if form.text("url") else {}
        given |= {"enabled": bool(form.text("enabled"))}
        await webhooks.edit(app, actor, project_id, webhook_id, checked(EditWebhook, given))
    except QuarterdeckError as error:
        return await _one(app, actor, project_id, webhook_id, came_back(form, "edit", error, "url"))
    return form.go(f"/projects/{project_id}/webhooks/{webhook_id}?done=edit#edit")


@post(ONE + "/rotate")
async def rotate(app: TheApp, actor: Caller, project_id: RowId, webhook_id: RowId, form: Form) -> Response[Any]:
    """Makes another key, which is on the page that answers."""
    try:
        wish = checked(RotateKey, {"hours": form.text("hours") or OLD_KEY_HOURS})
        made = await webhooks.rotate(app, actor, project_id, webhook_id, wish)
    except QuarterdeckError as error:
        return await _one(app, actor, project_id, webhook_id, came_back(form, "rotate", error, "hours"))
    return await _one(app, actor, project_id, webhook_id, Draft(), made=made)


@post(ONE + "/test")
async def attempt(app: TheApp, actor: Caller, project_id: RowId, webhook_id: RowId, form: Form) -> Response[Any]:
    """Sends it something."""
    try:
        await webhook_deliveries.attempt(app, actor, project_id, webhook_id)
    except QuarterdeckError as error:
        return await _one(app, actor, project_id, webhook_id, came_back(form, "deliveries", error))
    return form.go(f"/projects/{project_id}/webhooks/{webhook_id}#deliveries")


@post(ONE + "/remove")
async def remove(app: TheApp, actor: Caller, project_id: RowId, webhook_id: RowId, form: Form) -> Response[Any]:
    """With its deliveries."""
    await webhooks.remove(app, actor, project_id, webhook_id)
    return form.go(f"/projects/{project_id}/webhooks?done=list")


@get(ONE + "/deliveries/{delivery_id:int}")
async def delivery(
    app: TheApp, actor: Caller, project_id: RowId, webhook_id: RowId, delivery_id: RowId
) -> Response[str]:
    """What was sent, and what came of each try."""
    return await _delivery(app, actor, project_id, webhook_id, delivery_id, Draft())


@post(ONE + "/deliveries/{delivery_id:int}/redeliver")
async def redeliver(
    app: TheApp, actor: Caller, project_id: RowId, webhook_id: RowId, delivery_id: RowId, form: Form
) -> Response[Any]:
    """Sends it again."""
    try:
        await webhook_deliveries.redeliver(app, actor, project_id, webhook_id, delivery_id)
    except QuarterdeckError as error:
        return await _delivery(app, actor, project_id, webhook_id, delivery_id, came_back(form, "again", error))
    return form.go(f"/projects/{project_id}/webhooks/{webhook_id}/deliveries/{delivery_id}")


async def _all(app: App, actor: Actor, project_id: int, draft: Draft) -> Response[str]:
    project = await projects.show(app, actor, project_id)
    found = await webhooks.find(app, actor, project_id)
    return await drafted(
        app,
        actor,
        "webhooks.html",
        draft,
        project_id=project.id,
        project_path=project.path,
        here="settings",
        project=project,
        webhooks=found,
        events=list(WebhookEvent),
        usual=USUAL,
    )


async def _one(
    app: App,
    actor: Actor,
    project_id: int,
    webhook_id: int,
    draft: Draft,
    *,
    made: NewWebhook | None = None,
    before: int | None = None,
) -> Response[str]:
    project = await projects.show(app, actor, project_id)
    return await drafted(
        app,
        actor,
        "webhook.html",
        draft,
        project_id=project.id,
        project_path=project.path,
        here="settings",
        project=project,
        webhook=await webhooks.show(app, actor, project_id, webhook_id),
        deliveries=await webhook_deliveries.find(app, actor, project_id, webhook_id, before=before),
        events=list(WebhookEvent),
        usual_hours=OLD_KEY_HOURS,
        page=PAGE,
        made=made,
    )


async def _delivery(
    app: App, actor: Actor, project_id: int, webhook_id: int, delivery_id: int, draft: Draft
) -> Response[str]:
    project = await projects.show(app, actor, project_id)
    return await drafted(
        app,
        actor,
        "webhook_delivery.html",
        draft,
        project_id=project.id,
        project_path=project.path,
        here="settings",
        project=project,
        webhook_id=webhook_id,
        delivery=await webhook_deliveries.show(app, actor, project_id, webhook_id, delivery_id),
    )


ROUTES = (of_project, add, one, edit, rotate, attempt, remove, delivery, redeliver)
