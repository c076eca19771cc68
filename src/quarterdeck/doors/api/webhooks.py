"""Webhooks of a project, and what was sent to them."""

from typing import Annotated

from litestar import Router, delete, get, patch, post
from litestar.params import JSONBody, QueryParameter

from quarterdeck.app import webhook_deliveries, webhooks
from quarterdeck.app.webhook_deliveries import WebhookDelivery, WebhookDeliveryRow
from quarterdeck.app.webhooks import AddWebhook, EditWebhook, NewWebhook, RotateKey, WebhookView
from quarterdeck.doors.api.parameters import Caller, ProjectRef, RowId, TheApp

Before = Annotated[int | None, QueryParameter(ge=1, le=2**63 - 1, description="The last id of the page before.")]
PATH = "/projects/{project:str}/webhooks"
ONE = PATH + "/{webhook_id:int}"
SENT = ONE + "/deliveries"


@get(PATH, summary="List a project's webhooks")
async def find(app: TheApp, actor: Caller, project_ref: ProjectRef) -> list[WebhookView]:
    """Without their secrets; for its maintainers."""
    return await webhooks.find(app, actor, project_ref)


@post(PATH, summary="Add a webhook")
async def add(app: TheApp, actor: Caller, project_ref: ProjectRef, data: JSONBody[AddWebhook]) -> NewWebhook:
    """It is told of what happens from now on; `secret` is shown here alone."""
    return await webhooks.add(app, actor, project_ref, data)


@get(ONE, summary="Show a webhook")
async def show(app: TheApp, actor: Caller, project_ref: ProjectRef, webhook_id: RowId) -> WebhookView:
    """Without its secret."""
    return await webhooks.show(app, actor, project_ref, webhook_id)


@patch(ONE, summary="Change a webhook")
async def edit(
    app: TheApp, actor: Caller, project_ref: ProjectRef, webhook_id: RowId, data: JSONBody[EditWebhook]
) -> WebhookView:
    """What is absent stays; `enabled` true also ends that it is disabled by itself."""
    return await webhooks.edit(app, actor, project_ref, webhook_id, data)


@delete(ONE, summary="Remove a webhook")
async def remove(app: TheApp, actor: Caller, project_ref: ProjectRef, webhook_id: RowId) -> None:
    """With its deliveries."""
    await webhooks.remove(app, actor, project_ref, webhook_id)


@post(ONE + "/rotate", status_code=200, summary="Give a webhook another key")
async def rotate(
    app: TheApp, actor: Caller, project_ref: ProjectRef, webhook_id: RowId, data: JSONBody[RotateKey]
) -> NewWebhook:
    """For `hours` both sign, a day if nothing is said; `secret` is shown here alone."""
    return await webhooks.rotate(app, actor, project_ref, webhook_id, data)


@post(ONE + "/test", summary="Send a webhook something to try it")
async def attempt(app: TheApp, actor: Caller, project_ref: ProjectRef, webhook_id: RowId) -> WebhookDelivery:
    """Of the type `webhook.test`; what came of it is in its deliveries a moment later."""
    return await webhook_deliveries.attempt(app, actor, project_ref, webhook_id)


@get(SENT, summary="List a webhook's deliveries")
async def deliveries(
    app: TheApp, actor: Caller, project_ref: ProjectRef, webhook_id: RowId, before: Before = None
) -> list[WebhookDeliveryRow]:
    """The newest first, 50 of them, with what came of each try; they are kept for 30 days."""
    return await webhook_deliveries.find(app, actor, project_ref, webhook_id, before=before)


@get(SENT + "/{delivery_id:int}", summary="Show a delivery")
async def delivery(
    app: TheApp, actor: Caller, project_ref: ProjectRef, webhook_id: RowId, delivery_id: RowId
) -> WebhookDelivery:
    """With the body that is sent."""
    return await webhook_deliveries.show(app, actor, project_ref, webhook_id, delivery_id)


@post(SENT + "/{delivery_id:int}/redeliver", status_code=200, summary="Send a delivery again")
async def redeliver(
    app: TheApp, actor: Caller, project_ref: ProjectRef, webhook_id: RowId, delivery_id: RowId
) -> WebhookDelivery:
    """Under the same `webhook-id`, so that a receiver knows what it has already; one that waits is tried now."""
    return await webhook_deliveries.redeliver(app, actor, project_ref, webhook_id, delivery_id)


ROUTES = Router(
    "/",
    route_handlers=[find, add, show, edit, remove, rotate, attempt, deliveries, delivery, redeliver],
    tags=["webhooks"],
)
