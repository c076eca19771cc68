"""Triggers of a project: what starts sessions by itself, what came of it, and the accounts that they act as."""

import json
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery
from pydantic import JsonValue

from quarterdeck.app import deliveries, project_accounts, projects, triggers
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.project_accounts import AddServiceAccount
from quarterdeck.app.triggers import MadeTrigger, TriggerView, WriteTrigger
from quarterdeck.core.access import LEAST_ROLE, Ability
from quarterdeck.core.errors import InvalidInputError, QuarterdeckError
from quarterdeck.core.trigger import ACTIONS, EventType
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp
from quarterdeck.doors.body import json_of
from quarterdeck.doors.web.drafts import Draft, WrongFieldsError, came_back, checked, saved
from quarterdeck.doors.web.fields import Fields, Form
from quarterdeck.doors.web.project_layout import in_project

SHOWN = 20
"""Of the newest deliveries; older ones are behind them."""
_BESIDE = {EventType.SCHEDULE, EventType.WEBHOOK}
EVENTS = tuple((type_, ACTIONS.get(type_, ())) for type_ in EventType if type_ not in _BESIDE)


@get("/projects/{project_id:int}/triggers")
async def find(app: TheApp, actor: Caller, project_id: RowId, done: FromQuery[str] = "") -> Response[str]:
    """All of them, with the service accounts and what fired last."""
    return await _list(app, actor, project_id, saved(done))


@post("/projects/{project_id:int}/triggers/accounts")
async def add_account(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """Makes a service account."""
    try:
        wish = {"username": form.text("username").removeprefix("@"), "name": form.text("name")}
        await project_accounts.add(app, actor, project_id, checked(AddServiceAccount, wish))
    except QuarterdeckError as error:
        return await _list(app, actor, project_id, came_back(form, "account", error, "username"))
    return form.go(f"/projects/{project_id}/triggers?done=account#account")


@post("/projects/{project_id:int}/triggers/accounts/remove")
async def remove_account(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """Takes one away; what it wrote stays."""
    try:
        await project_accounts.remove(app, actor, project_id, form.text("username"))
    except QuarterdeckError as error:
        return await _list(app, actor, project_id, came_back(form, "account", error))
    return form.go(f"/projects/{project_id}/triggers?done=account#account")


@get("/projects/{project_id:int}/triggers/new")
async def new(app: TheApp, actor: Caller, project_id: RowId) -> Response[str]:
    """The form of another one."""
    return await _form(app, actor, project_id, None, Draft("trigger"))


@post("/projects/{project_id:int}/triggers")
async def add(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """Makes it; the secret of its webhook is on the page that answers, and nowhere else."""
    try:
        made = await triggers.add(app, actor, project_id, _wish(form))
    except QuarterdeckError as error:
        return await _form(app, actor, project_id, None, came_back(form, "trigger", error))
    if made.secret:
        return await _form(app, actor, project_id, made.trigger, Draft("trigger", saved=True), made)
    return form.go(f"/projects/{project_id}/triggers/{made.trigger.id}?done=trigger")


@get("/projects/{project_id:int}/triggers/{trigger_id:int}")
async def one(
    app: TheApp, actor: Caller, project_id: RowId, trigger_id: RowId, done: FromQuery[str] = ""
) -> Response[str]:
    """A trigger: what it waits for, to be changed, and its deliveries."""
    found = await triggers.show(app, actor, project_id, trigger_id)
    return await _form(app, actor, project_id, found, saved(done))


@post("/projects/{project_id:int}/triggers/{trigger_id:int}")
async def change(app: TheApp, actor: Caller, project_id: RowId, trigger_id: RowId, form: Form) -> Response[Any]:
    """Puts what the form says in its place."""
    try:
        made = await triggers.change(app, actor, project_id, trigger_id, _wish(form))
    except QuarterdeckError as error:
        found = await triggers.show(app, actor, project_id, trigger_id)
        return await _form(app, actor, project_id, found, came_back(form, "trigger", error))
    if made.secret:
        return await _form(app, actor, project_id, made.trigger, Draft("trigger", saved=True), made)
    return form.go(f"/projects/{project_id}/triggers/{trigger_id}?done=trigger")


@post("/projects/{project_id:int}/triggers/{trigger_id:int}/{act:str}")
async def act(
    app: TheApp, actor: Caller, project_id: RowId, trigger_id: RowId, act: FromPath[str], form: Form
) -> Response[Any]:
    """Enables, disables, deletes or fires it, or renews its secret."""
    try:
        match act:
            case "enable" | "disable":
                await triggers.switch(app, actor, project_id, trigger_id, enabled=act == "enable")
            case "delete":
                await triggers.remove(app, actor, project_id, trigger_id)
                return form.go(f"/projects/{project_id}/triggers")
            case "secret":
                made = await triggers.renew_secret(app, actor, project_id, trigger_id)
                return await _form(app, actor, project_id, made.trigger, Draft("trigger", saved=True), made)
            case "fire":
                fired = await deliveries.fire(app, actor, project_id, trigger_id, _payload(form))
                return form.go(f"/projects/{project_id}/deliveries/{fired.id}")
            case _:
                raise WrongFieldsError({"": "Choose what to do with the trigger."})
    except QuarterdeckError as error:
        found = await triggers.show(app, actor, project_id, trigger_id)
        return await _form(app, actor, project_id, found, came_back(form, act, error))
    return form.go(f"/projects/{project_id}/triggers/{trigger_id}?done=trigger")


@get("/projects/{project_id:int}/deliveries/{delivery_id:int}")
async def delivery(app: TheApp, actor: Caller, project_id: RowId, delivery_id: RowId) -> Response[str]:
    """What a trigger was told, and what came of it."""
    project = await projects.show(app, actor, project_id)
    found = await deliveries.show(app, actor, project_id, delivery_id)
    payload = json.dumps(found.payload, indent=2, ensure_ascii=False)
    return await in_project(
        app, actor, project, "delivery.html", here="triggers", delivery=found, payload=payload
    )  # fmt: skip


@post("/projects/{project_id:int}/deliveries/{delivery_id:int}/again")
async def again(app: TheApp, actor: Caller, project_id: RowId, delivery_id: RowId, form: Form) -> Response[Any]:
    """Fires it once more, in the name of who asks."""
    made = await deliveries.again(app, actor, project_id, delivery_id)
    return form.go(f"/projects/{project_id}/deliveries/{made.id}")


def _wish(form: Fields) -> WriteTrigger:
    events: dict[str, list[str]] = {}
    for chosen in form.texts("on"):
        type_, _, action = chosen.partition(":")
        events.setdefault(type_, []).extend([action] if action else [])
    if not events:
        raise WrongFieldsError({"on": "Choose what it waits for."})
    texts = ("description", "account", "flow", "goal", "filter", "cron")
    return checked(
        WriteTrigger,
        {
            **{name: form.text(name) for name in texts},
            "cron": form.text("cron") if EventType.SCHEDULE in events else "",
            "timezone": form.text("timezone") or "UTC",
            "model": form.text("model") or None,
            "events": events,
            "enabled": bool(form.text("enabled")),
        },
    )


def _payload(form: Fields) -> dict[str, JsonValue]:
    try:
        found = json_of(form.text("payload").encode("utf-8", "replace"))
    except InvalidInputError:
        found = None
    if not isinstance(found, dict):
        raise WrongFieldsError({"payload": "The payload is a JSON object: {…}."})
    return found


async def _list(app: App, actor: Actor, project_id: int, draft: Draft) -> Response[str]:
    project = await projects.show(app, actor, project_id)
    manages = project.may(Ability.MANAGE_TRIGGERS)
    return await in_project(
        app,
        actor,
        project,
        "triggers.html",
        here="triggers",
        draft=draft,
        manages=manages,
        least=LEAST_ROLE[Ability.MANAGE_TRIGGERS].name,
        triggers=await triggers.find(app, actor, project_id) if manages else [],
        accounts=await project_accounts.find(app, actor, project_id) if project.may(Ability.START_SESSION) else [],
        deliveries=await deliveries.find(app, actor, project_id, limit=SHOWN) if manages else [],
    )


async def _form(
    app: App, actor: Actor, project_id: int, found: TriggerView | None, draft: Draft, made: MadeTrigger | None = None
) -> Response[str]:
    project = await projects.show(app, actor, project_id)
    chosen = {f"{type_}:{one}" for type_, some in (found.events if found else {}).items() for one in some}
    chosen |= {type_.value for type_, some in (found.events if found else {}).items() if not some}
    return await in_project(
        app,
        actor,
        project,
        "trigger.html",
        here="triggers",
        draft=draft,
        trigger=found,
        chosen=chosen,
        made=made,
        events=EVENTS,
        accounts=[(one.username, f"@{one.username}") for one in await project_accounts.find(app, actor, project_id)],
        flows=sorted({name.partition("/")[0] for name in app.flows.names()}),
        deliveries=await deliveries.find(app, actor, project_id, trigger_id=found.id, limit=SHOWN) if found else [],
    )


ROUTES = (find, add_account, remove_account, new, add, one, change, act, delivery, again)
