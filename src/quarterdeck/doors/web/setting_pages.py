"""A project's settings: each section is a form of its own, read by all members and changed by whom it is for."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromQuery

from quarterdeck.app import model_rules, network, project_settings, projects, retention_views
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.model_rules import ChangeRules
from quarterdeck.app.network import EditNetwork
from quarterdeck.app.project_settings import EditProject
from quarterdeck.app.retention_views import RetentionView
from quarterdeck.core.access import LEAST_ROLE, Ability, Role, allows
from quarterdeck.core.errors import InvalidInputError, QuarterdeckError
from quarterdeck.core.network import SERVER
from quarterdeck.core.session_limits import ProjectLimits
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp
from quarterdeck.doors.web.drafts import Draft, WrongFieldsError, came_back, checked, drafted, saved
from quarterdeck.doors.web.fields import Fields, Form
from quarterdeck.tools.catalogue import CATALOGUE
from quarterdeck.tools.tool import Privilege

LIMITS = tuple(ProjectLimits.model_fields)


@get("/projects/{project_id:int}/settings")
async def settings(app: TheApp, actor: Caller, project_id: RowId, done: FromQuery[str] = "") -> Response[str]:
    """All sections; who may not change one sees what it says, and who may."""
    return await _page(app, actor, project_id, saved(done))


@post("/projects/{project_id:int}/settings/general")
async def general(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """Its name and what it is."""
    try:
        wish = checked(EditProject, {"name": form.text("name"), "description": form.text("description")})
        if not wish.name:
            raise WrongFieldsError({"name": "A project has a name."})
        await project_settings.edit(app, actor, project_id, wish)
    except QuarterdeckError as error:
        return await _page(app, actor, project_id, came_back(form, "general", error))
    return _done(form, project_id, "general")


@post("/projects/{project_id:int}/settings/retention")
async def retention(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """How long sessions are kept; it is asked first when the next sweep would delete some of those that there are."""
    try:
        wish = checked(EditProject, {"retention_days": form.text("retention_days")})
        if not form.text("confirmed"):
            seen = await retention_views.preview_project(app, actor, project_id, days=wish.retention_days)
            if seen.sessions:
                draft = Draft("retention", form.given)
                return await _page(app, actor, project_id, draft, shortened=seen)
        await project_settings.edit(app, actor, project_id, wish)
    except QuarterdeckError as error:
        return await _page(app, actor, project_id, came_back(form, "retention", error, "retention_days"))
    return _done(form, project_id, "retention")


@post("/projects/{project_id:int}/settings/models")
async def models(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """The model of sessions that name none, and which ones may be named."""
    try:
        given: dict[str, object] = {"project": project_id, "default": form.text("default") or None}
        given["allowed"] = list(form.lines("allowed")) or None
        await model_rules.change(app, actor, checked(ChangeRules, given))
    except QuarterdeckError as error:
        return await _page(app, actor, project_id, came_back(form, "models", error, "default"))
    return _done(form, project_id, "models")


@post("/projects/{project_id:int}/settings/flow-model")
async def flow_model(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """The model of one flow's sessions; an empty one takes the rule away."""
    flow = form.text("flow").partition("/")[0]
    try:
        if not flow:
            raise WrongFieldsError({"flow": "Name a flow."})
        given: dict[str, object] = {"project": project_id, "flow": flow, "default": form.text("model") or None}
        await model_rules.change(app, actor, checked(ChangeRules, given))
    except QuarterdeckError as error:
        return await _page(app, actor, project_id, came_back(form, "flow-model", error, "model"))
    return _done(form, project_id, "flow-model")


@post("/projects/{project_id:int}/settings/approvals")
async def approvals(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """What a person is asked before, each time."""
    try:
        wish = checked(EditProject, {"always_ask": form.texts("always_ask")})
        await project_settings.edit(app, actor, project_id, wish)
    except QuarterdeckError as error:
        return await _page(app, actor, project_id, came_back(form, "approvals", error))
    return _done(form, project_id, "approvals")


@post("/projects/{project_id:int}/settings/network")
async def hosts(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """Which hosts its sessions may ask for."""
    try:
        match form.text("reach"):
            case "server":
                wanted: tuple[str, ...] = (SERVER,)
            case "nothing":
                wanted = ()
            case "some":
                wanted = (*form.texts("group"), *form.lines("hosts"))
            case _:
                raise InvalidInputError("Choose what its sessions may reach.")
        await network.edit_project(app, actor, project_id, checked(EditNetwork, {"hosts": wanted}))
    except QuarterdeckError as error:
        return await _page(app, actor, project_id, came_back(form, "network", error, "hosts"))
    return _done(form, project_id, "network")


@post("/projects/{project_id:int}/settings/runners")
async def limits(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """Which runners its sessions go to, and what one of them may use there."""
    try:
        tags = list(dict.fromkeys(form.lines("runner_tags")))
        wish = checked(EditProject, {"runner_tags": tags, "limits": _limits(form)})
        await project_settings.edit(app, actor, project_id, wish)
    except QuarterdeckError as error:
        return await _page(app, actor, project_id, came_back(form, "runners", error))
    return _done(form, project_id, "runners")


def _limits(form: Fields) -> ProjectLimits:
    """All limits, or all of their faults. Raises WrongFieldsError."""
    found, faults = dict[str, int](), dict[str, str]()
    for name in LIMITS:
        if not (text := form.text(name)):
            continue
        try:
            found |= ProjectLimits.parse(f"{name}={text}").model_dump(exclude_none=True)
        except ValueError as error:
            faults[name] = str(error).removeprefix(f"{name}: ")
    if faults:
        raise WrongFieldsError(faults)
    return ProjectLimits.model_validate(found)


@post("/projects/{project_id:int}/settings/delete")
async def delete(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """Deletes the project; its path has to be typed."""
    try:
        path = (await projects.show(app, actor, project_id)).path
        if form.text("path") != path:
            raise WrongFieldsError({"path": f"To delete the project, type its path: {path}"})
        await projects.delete_project(app, actor, project_id)
    except QuarterdeckError as error:
        return await _page(app, actor, project_id, came_back(form, "delete", error, "path"))
    return form.go("/projects")


def _done(form: Fields, project_id: int, section: str) -> Response[Any]:
    return form.go(f"/projects/{project_id}/settings?done={section}#{section}")


def _tools(privilege: Privilege) -> str:
    """The names of its tools."""
    return ", ".join(sorted(tool.name for tool in CATALOGUE.values() if tool.privilege is privilege))


async def _page(
    app: App, actor: Actor, project_id: int, draft: Draft, *, shortened: RetentionView | None = None
) -> Response[str]:
    """`shortened` is what another time would delete, if that has to be asked for first."""
    project = await projects.show(app, actor, project_id)
    role = Role[project.role.upper()]
    sees = allows(role, Ability.READ_SESSION)
    asked = await model_rules.show(app, actor)
    rules = {one.flow: one for one in asked.rules if one.project == project.path}
    return await drafted(
        app,
        actor,
        "settings.html",
        draft,
        project_id=project.id,
        project_path=project.path,
        here="settings",
        project=project,
        owns=allows(role, Ability.MANAGE_PROJECT),
        manages_webhooks=allows(role, Ability.MANAGE_WEBHOOKS),
        manages_network=allows(role, Ability.MANAGE_NETWORK),
        network_role=LEAST_ROLE[Ability.MANAGE_NETWORK].name,
        sweep=await retention_views.preview_project(app, actor, project_id) if sees else None,
        shortened=shortened,
        models=asked,
        rules=rules,
        of_instance=next((one for one in asked.rules if one.project is None and not one.flow), None),
        flows=sorted({name.partition("/")[0] for name in app.flows.names()} | {flow for flow in rules if flow}),
        network=await network.show_project(app, actor, project_id),
        limit_names=LIMITS,
        privileges={one.value: _tools(one) for one in Privilege},
    )


ROUTES = (settings, general, retention, models, flow_model, approvals, hosts, limits, delete)
