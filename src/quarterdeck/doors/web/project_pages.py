"""A project's page, and plain lists of what it has."""

from dataclasses import dataclass
from urllib.parse import urlencode

from litestar import Response, get

from quarterdeck.app import project_flows, projects, runners, session_lists
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_filter import SessionFilter
from quarterdeck.core.access import Ability
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp
from quarterdeck.doors.web.languages import gettext as _
from quarterdeck.doors.web.layout import framed

ROWS = 5


@dataclass(frozen=True)
class Row:
    """A line of a plain list."""

    name: str
    title: str
    note: str = ""
    path: str = ""
    state: str = ""


@get("/projects/{project_id:int}")
async def project(app: TheApp, actor: Caller, project_id: RowId) -> Response[str]:
    """A project with its newest sessions."""
    found = await projects.show(app, actor, project_id)
    developer = found.may(Ability.READ_SESSION)
    wanted = SessionFilter(project=project_id, kind="flow")
    sessions = (await session_lists.find(app, actor, wanted, limit=ROWS)).items if developer else ()
    return await framed(
        app,
        actor,
        "project.html",
        project_id=found.id,
        project_path=found.path,
        here="project",
        project=found,
        sessions=sessions,
        developer=developer,
    )


@get("/projects/{project_id:int}/flows")
async def flow_list(app: TheApp, actor: Caller, project_id: RowId) -> Response[str]:
    """The flows that its sessions can be started with."""
    found = (await project_flows.find(app, actor, project_id)).flows
    rows = [
        Row(x.start_as, x.description, f"{x.origin} {x.version}", "" if x.faults else _run(project_id, x.start_as))
        for x in found
    ]
    return await _list(app, actor, project_id, "flows", _("Flows"), rows, "qd flow store FILE --project")


def _run(project_id: int, flow: str) -> str:
    return f"/projects/{project_id}/run?{urlencode({'flow': flow})}"


@get("/projects/{project_id:int}/runners")
async def runner_list(app: TheApp, actor: Caller, project_id: RowId) -> Response[str]:
    """The runners that work for its sessions, or could."""
    path = (await projects.show(app, actor, project_id)).path
    found = [one for one in await runners.find(app, actor) if one.project in ("", path)]
    rows = [
        Row(x.name, x.description or x.sandbox, f"{x.subjects}/{x.capacity}", "", x.state if x.alive else _("silent"))
        for x in found
    ]
    return await _list(app, actor, project_id, "runners", _("Runners"), rows, "qd runner start")


@get("/projects/{project_id:int}/members")
async def member_list(app: TheApp, actor: Caller, project_id: RowId) -> Response[str]:
    """Who is a member, and with which role."""
    rows = [Row(x.username, x.name, x.role) for x in await projects.list_members(app, actor, project_id)]
    return await _list(app, actor, project_id, "members", _("Members"), rows, "qd project member set --project")


async def _list(
    app: App, actor: Actor, project_id: int, here: str, heading: str, rows: list[Row], command: str
) -> Response[str]:
    path = (await projects.show(app, actor, project_id)).path
    return await framed(
        app,
        actor,
        "rows.html",
        project_id=project_id,
        project_path=path,
        here=here,
        heading=heading,
        rows=rows,
        command=f"{command} {path}",
    )


ROUTES = (project, flow_list, runner_list, member_list)
"""All for people who are signed in."""
