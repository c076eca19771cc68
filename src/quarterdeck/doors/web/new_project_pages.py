"""A new project: empty, or with a copy of a repository from elsewhere."""

from typing import Any

from litestar import Response, get, post

from quarterdeck.app import projects
from quarterdeck.app.projects import AddProject
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.doors.api.parameters import Caller, TheApp
from quarterdeck.doors.web.drafts import Draft, came_back, checked, drafted
from quarterdeck.doors.web.fields import Form


@get("/projects/new")
async def ask(app: TheApp, actor: Caller) -> Response[str]:
    """Everybody may make one, and owns it then."""
    return await drafted(app, actor, "new_project.html", Draft())


@post("/projects/new")
async def add(app: TheApp, actor: Caller, form: Form) -> Response[Any]:
    """Makes it; a repository is copied before the answer comes."""
    try:
        fields: dict[str, object] = {name: form.text(name) for name in ("path", "description")}
        fields |= {name: form.text(name) or None for name in ("name", "source")}
        made = await projects.add(app, actor, checked(AddProject, fields))
    except QuarterdeckError as error:
        return await drafted(app, actor, "new_project.html", came_back(form, "new", error))
    return form.go(f"/projects/{made.id}")


ROUTES = (ask, add)
