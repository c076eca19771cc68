"""Triggers of a project, their deliveries, and the service accounts that they act as."""

from typing import Annotated

from litestar import Router, delete, get, patch, post, put
from litestar.params import JSONBody, PathParameter, QueryParameter
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from quarterdeck.app import deliveries, project_accounts, triggers
from quarterdeck.app.deliveries import DeliveryDetails, DeliveryView
from quarterdeck.app.project_accounts import AddServiceAccount, ServiceAccountView
from quarterdeck.app.triggers import MadeTrigger, TriggerView, WriteTrigger
from quarterdeck.core import limits
from quarterdeck.doors.api.parameters import Caller, Limit, ProjectRef, TheApp

Number = Annotated[int, PathParameter(ge=1, le=2**63 - 1)]
Before = Annotated[int | None, QueryParameter(ge=1, le=2**63 - 1, description="Only older ones.")]
ONE, DELIVERY = "/triggers/{trigger_id:int}", "/deliveries/{delivery_id:int}"


class SwitchTrigger(BaseModel):
    """Whether a trigger works."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    enabled: bool


class FireTrigger(BaseModel):
    """What a trigger is fired with, to see what comes of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    payload: dict[str, JsonValue] = Field(default={})


@get("/triggers", summary="List triggers")
async def find(app: TheApp, actor: Caller, project_ref: ProjectRef) -> list[TriggerView]:
    """The oldest first."""
    return await triggers.find(app, actor, project_ref)


@post("/triggers", summary="Create a trigger")
async def add(app: TheApp, actor: Caller, project_ref: ProjectRef, data: JSONBody[WriteTrigger]) -> MadeTrigger:
    """The secret of its webhook is shown here alone."""
    return await triggers.add(app, actor, project_ref, data)


@get(ONE, summary="Show a trigger")
async def show(app: TheApp, actor: Caller, project_ref: ProjectRef, trigger_id: Number) -> TriggerView:
    """With the next five runs of its schedule."""
    return await triggers.show(app, actor, project_ref, trigger_id)


@put(ONE, summary="Change a trigger")
async def change(
    app: TheApp, actor: Caller, project_ref: ProjectRef, trigger_id: Number, data: JSONBody[WriteTrigger]
) -> MadeTrigger:
    """As a whole; its deliveries stay."""
    return await triggers.change(app, actor, project_ref, trigger_id, data)


@patch(ONE, summary="Enable or disable a trigger")
async def switch(
    app: TheApp, actor: Caller, project_ref: ProjectRef, trigger_id: Number, data: JSONBody[SwitchTrigger]
) -> TriggerView:
    """What it had not started yet when it was disabled it starts no more."""
    return await triggers.switch(app, actor, project_ref, trigger_id, enabled=data.enabled)


@delete(ONE, summary="Delete a trigger")
async def remove(app: TheApp, actor: Caller, project_ref: ProjectRef, trigger_id: Number) -> None:
    """With its deliveries; its sessions stay."""
    await triggers.remove(app, actor, project_ref, trigger_id)


@post(f"{ONE}/secret", status_code=200, summary="Renew the secret of a trigger's webhook")
async def renew_secret(app: TheApp, actor: Caller, project_ref: ProjectRef, trigger_id: Number) -> MadeTrigger:
    """The one of before opens nothing any more."""
    return await triggers.renew_secret(app, actor, project_ref, trigger_id)


@post(f"{ONE}/fire", summary="Fire a trigger by hand")
async def fire(
    app: TheApp, actor: Caller, project_ref: ProjectRef, trigger_id: Number, data: JSONBody[FireTrigger]
) -> DeliveryView:
    """In your name, whatever its filter says."""
    return await deliveries.fire(app, actor, project_ref, trigger_id, data.payload)


@get("/deliveries", summary="List deliveries")
async def find_deliveries(
    app: TheApp,
    actor: Caller,
    project_ref: ProjectRef,
    trigger: Annotated[int | None, QueryParameter(ge=1, le=2**63 - 1, description="Only of this trigger.")] = None,
    before: Before = None,
    limit: Limit = limits.PAGE_ROWS,
) -> list[DeliveryView]:
    """The firings of a project's triggers, newest first."""
    return await deliveries.find(app, actor, project_ref, trigger_id=trigger, before=before, limit=limit)


@get(DELIVERY, summary="Show a delivery")
async def show_delivery(app: TheApp, actor: Caller, project_ref: ProjectRef, delivery_id: Number) -> DeliveryDetails:
    """With its payload."""
    return await deliveries.show(app, actor, project_ref, delivery_id)


@post(f"{DELIVERY}/again", summary="Fire a delivery again")
async def again(app: TheApp, actor: Caller, project_ref: ProjectRef, delivery_id: Number) -> DeliveryView:
    """With the same payload, in your name, as another delivery."""
    return await deliveries.again(app, actor, project_ref, delivery_id)


@get("/service_accounts", summary="List service accounts")
async def find_accounts(app: TheApp, actor: Caller, project_ref: ProjectRef) -> list[ServiceAccountView]:
    """Whom to mention, assign, or ask for a review, so that a trigger starts a session."""
    return await project_accounts.find(app, actor, project_ref)


@post("/service_accounts", summary="Create a service account")
async def add_account(
    app: TheApp, actor: Caller, project_ref: ProjectRef, data: JSONBody[AddServiceAccount]
) -> ServiceAccountView:
    """A Developer of this project that nobody signs in as."""
    return await project_accounts.add(app, actor, project_ref, data)


@delete("/service_accounts/{username:str}", summary="Remove a service account")
async def remove_account(
    app: TheApp, actor: Caller, project_ref: ProjectRef, username: Annotated[str, PathParameter(max_length=63)]
) -> None:
    """What it wrote stays."""
    await project_accounts.remove(app, actor, project_ref, username)


ROUTES = Router(
    "/projects/{project:str}",
    route_handlers=[
        find, add, show, change, switch, remove, renew_secret, fire, find_deliveries, show_delivery, again,
        find_accounts, add_account, remove_account,
    ],
    tags=["triggers"],
)  # fmt: skip
