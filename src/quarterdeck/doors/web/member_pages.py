"""Who is a member of a project, with which role; and what the roles may do."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromQuery

from quarterdeck.app import projects
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.access import LEAST_ROLE, Ability, Role, allows
from quarterdeck.core.errors import InvalidInputError, QuarterdeckError
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp
from quarterdeck.doors.web.drafts import Draft, came_back, drafted, saved
from quarterdeck.doors.web.fields import Fields, Form

ROLES = {role.name.lower(): role for role in Role}


@get("/projects/{project_id:int}/members")
async def members(app: TheApp, actor: Caller, project_id: RowId, done: FromQuery[str] = "") -> Response[str]:
    """All members may see all; who may change them is offered it."""
    return await _page(app, actor, project_id, saved(done))


@post("/projects/{project_id:int}/members")
async def give(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """Makes a member, or gives one another role."""
    section, beside = ("add", "username") if form.text("new") else ("change", "")
    try:
        await projects.set_member(app, actor, project_id, _username(form), _role(form))
    except QuarterdeckError as error:
        return await _page(app, actor, project_id, came_back(form, section, error, beside))
    return form.go(f"/projects/{project_id}/members?done={section}")


@post("/projects/{project_id:int}/members/remove")
async def remove(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """Ends a membership; who has left sees their projects."""
    username = _username(form)
    try:
        await projects.remove_member(app, actor, project_id, username)
    except QuarterdeckError as error:
        return await _page(app, actor, project_id, came_back(form, "change", error))
    left = username == actor.username and not actor.admin
    return form.go("/projects" if left else f"/projects/{project_id}/members?done=change")


def _username(form: Fields) -> str:
    return form.text("username").removeprefix("@")


def _role(form: Fields) -> Role:
    role = ROLES.get(form.text("role"))
    if role is None:
        raise InvalidInputError("Choose a role.")
    return role


async def _page(app: App, actor: Actor, project_id: int, draft: Draft) -> Response[str]:
    project = await projects.show(app, actor, project_id)
    mine = ROLES[project.role]
    return await drafted(
        app,
        actor,
        "members.html",
        draft,
        project_id=project.id,
        project_path=project.path,
        here="members",
        project=project,
        members=await projects.list_members(app, actor, project_id),
        manages=allows(mine, Ability.MANAGE_MEMBERS),
        least=LEAST_ROLE[Ability.MANAGE_MEMBERS].name,
        # Nobody gives or changes a role above their own.
        roles=[name for name, role in ROLES.items() if role <= mine],
        may_do={
            name: [one.value for one, least in LEAST_ROLE.items() if least is role] for name, role in ROLES.items()
        },
    )


ROUTES = (members, give, remove)
