"""A project's page: what it is, and its newest sessions."""

from litestar import Response, get

from quarterdeck.app import projects, session_lists
from quarterdeck.app.session_filter import SessionFilter
from quarterdeck.core.access import Ability
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp
from quarterdeck.doors.web.project_layout import in_project

ROWS = 5


@get("/projects/{project_id:int}")
async def project(app: TheApp, actor: Caller, project_id: RowId) -> Response[str]:
    """A project with its newest sessions."""
    found = await projects.show(app, actor, project_id)
    developer = found.may(Ability.READ_SESSION)
    wanted = SessionFilter(project=project_id, kind="flow")
    sessions = (await session_lists.find(app, actor, wanted, limit=ROWS)).items if developer else ()
    return await in_project(app, actor, found, "project.html", here="project", sessions=sessions, developer=developer)


ROUTES = (project,)
"""All for people who are signed in."""
