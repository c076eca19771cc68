"""What the next sweep will delete."""

from typing import Annotated

from litestar import Router, get
from litestar.params import QueryParameter

from quarterdeck.app import retention_views
from quarterdeck.app.retention_views import RetentionView
from quarterdeck.core.limits import RETENTION_DAYS_MOST
from quarterdeck.doors.api.parameters import Caller, ProjectRef, TheApp

Days = Annotated[
    int | None,
    QueryParameter(ge=1, le=RETENTION_DAYS_MOST, description="As if the project kept its sessions for so many days."),
]


@get("/projects/{project:str}/retention/preview", summary="Show what the next sweep deletes of a project")
async def of_project(app: TheApp, actor: Caller, project_ref: ProjectRef, retention_days: Days = None) -> RetentionView:
    """How many sessions, and the first of those that you may see."""
    return await retention_views.preview_project(app, actor, project_ref, days=retention_days)


@get("/retention/preview", summary="Show what the next sweep deletes")
async def everywhere(app: TheApp, actor: Caller) -> RetentionView:
    """Of all projects; administrators only."""
    return await retention_views.preview(app, actor)


ROUTES = Router("/", route_handlers=[of_project, everywhere], tags=["retention"])
