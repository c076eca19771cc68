"""Runners: registered, watched, paused, drained and removed."""

from litestar import Router, delete, get, post
from litestar.params import JSONBody

from quarterdeck.app import registrations, runners
from quarterdeck.app.registrations import AddRegistration, RegistrationView
from quarterdeck.app.runners import RunnerDetailView, RunnerView
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp


@get("/", summary="List runners")
async def find(app: TheApp, actor: Caller) -> tuple[RunnerView, ...]:
    """Those of the instance, and of the projects whose sessions you may see, by name."""
    return await runners.find(app, actor)


@get("/{runner_id:int}", summary="Show a runner")
async def show(app: TheApp, actor: Caller, runner_id: RowId) -> RunnerDetailView:
    """With what it does now, as far as you may see it."""
    return await runners.show(app, actor, runner_id)


@post("/registrations", summary="Make a registration token")
async def invite(app: TheApp, actor: Caller, data: JSONBody[AddRegistration]) -> RegistrationView:
    """It registers one runner within an hour, and is shown here alone."""
    return await registrations.add(app, actor, data)


@post("/{runner_id:int}/pause", status_code=200, summary="Pause a runner")
async def pause(app: TheApp, actor: Caller, runner_id: RowId) -> RunnerView:
    """It finishes what it has, and gets nothing new."""
    return await runners.change(app, actor, runner_id, "paused")


@post("/{runner_id:int}/resume", status_code=200, summary="Resume a runner")
async def resume(app: TheApp, actor: Caller, runner_id: RowId) -> RunnerView:
    """It gets new work again."""
    return await runners.change(app, actor, runner_id, "active")


@post("/{runner_id:int}/drain", status_code=200, summary="Drain a runner")
async def drain(app: TheApp, actor: Caller, runner_id: RowId) -> RunnerView:
    """It finishes the calls and jobs that it has, its sessions go on elsewhere, and it ends; then it is paused."""
    return await runners.change(app, actor, runner_id, "draining")


@delete("/{runner_id:int}", summary="Remove a runner")
async def remove(app: TheApp, actor: Caller, runner_id: RowId) -> None:
    """Its token dies at once, and what it was carrying out is interrupted."""
    await runners.remove(app, actor, runner_id)


ROUTES = Router("/runners", route_handlers=[find, show, invite, pause, resume, drain, remove], tags=["runners"])
