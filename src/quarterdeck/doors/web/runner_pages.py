"""Runners: those of a project and of the instance, what each does now, and how one is let in, paused and removed."""

from typing import Any
from urllib.parse import urlsplit

from litestar import Response, get, post
from litestar.params import FromQuery

from quarterdeck.app import projects, registrations, runners
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.projects import ProjectView
from quarterdeck.app.registrations import AddRegistration, RegistrationView
from quarterdeck.app.runners import State
from quarterdeck.core.access import LEAST_ROLE, Ability, Role, allows
from quarterdeck.core.errors import InvalidInputError, QuarterdeckError
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp
from quarterdeck.doors.web.drafts import Draft, came_back, checked, drafted, saved
from quarterdeck.doors.web.fields import Form

STATES: dict[str, State] = {"pause": "paused", "resume": "active", "drain": "draining"}


@get("/projects/{project_id:int}/runners")
async def of_project(app: TheApp, actor: Caller, project_id: RowId) -> Response[str]:
    """The runners that work for its sessions, or could."""
    return await _project(app, actor, project_id, Draft())


@post("/projects/{project_id:int}/runners")
async def invite_to_project(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """A token that registers one runner of the project; it is on the page that answers, and nowhere else."""
    try:
        path = (await projects.show(app, actor, project_id)).path
        wish = {"project": path, "tags": form.lines("tags") or None, "description": form.text("description")}
        made = await registrations.add(app, actor, checked(AddRegistration, wish))
    except QuarterdeckError as error:
        return await _project(app, actor, project_id, came_back(form, "invite", error))
    return await _project(app, actor, project_id, Draft(), made)


@get("/runners/{runner_id:int}")
async def one(app: TheApp, actor: Caller, runner_id: RowId, done: FromQuery[str] = "") -> Response[str]:
    """A runner and what it does now."""
    return await _runner(app, actor, runner_id, saved(done))


@post("/runners/{runner_id:int}/state")
async def change(app: TheApp, actor: Caller, runner_id: RowId, form: Form) -> Response[Any]:
    """Pauses, resumes or drains it."""
    state = STATES.get(form.text("act"))
    if state is None:
        raise InvalidInputError("Choose what to do: pause, resume or drain.")
    await runners.change(app, actor, runner_id, state)
    return form.go(f"/runners/{runner_id}")


@post("/runners/{runner_id:int}/remove")
async def remove(app: TheApp, actor: Caller, runner_id: RowId, form: Form) -> Response[Any]:
    """Its token dies at once."""
    project = (await runners.show(app, actor, runner_id)).project
    try:
        await runners.remove(app, actor, runner_id)
    except QuarterdeckError as error:
        return await _runner(app, actor, runner_id, came_back(form, "remove", error))
    where = f"/projects/{(await projects.show(app, actor, project)).id}" if project else "/admin"
    return form.go(f"{where}/runners")


async def _project(
    app: App, actor: Actor, project_id: int, draft: Draft, made: RegistrationView | None = None
) -> Response[str]:
    project = await projects.show(app, actor, project_id)
    found = [one for one in await runners.find(app, actor) if one.project in ("", project.path)]
    return await drafted(
        app,
        actor,
        "runners.html",
        draft,
        project_id=project.id,
        project_path=project.path,
        here="runners",
        project=project,
        runners=found,
        manages=_manages(project),
        least=LEAST_ROLE[Ability.MANAGE_RUNNER].name,
        made=made,
        **server_address(app),
    )


def server_address(app: App) -> dict[str, object]:
    """Where a runner elsewhere finds the server, and whether that leads to other machines at all."""
    return {"url": app.public_url, "loopback": urlsplit(app.public_url).hostname in ("127.0.0.1", "localhost", "::1")}


def _manages(project: ProjectView) -> bool:
    return allows(Role[project.role.upper()], Ability.MANAGE_RUNNER)


async def _runner(app: App, actor: Actor, runner_id: int, draft: Draft) -> Response[str]:
    found = await runners.show(app, actor, runner_id)
    project = await projects.show(app, actor, found.project) if found.project else None
    return await drafted(
        app,
        actor,
        "runner.html",
        draft,
        project_id=project.id if project else None,
        project_path=project.path if project else "",
        here="runners",
        runner=found,
        manages=_manages(project) if project else actor.admin,
    )


ROUTES = (of_project, invite_to_project, one, change, remove)
