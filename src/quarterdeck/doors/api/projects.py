"""Projects and their members."""

from typing import Annotated

from litestar import Router, delete, get, patch, post, put
from litestar.params import JSONBody, PathParameter
from pydantic import BaseModel, ConfigDict, Field

from quarterdeck.app import project_settings, projects
from quarterdeck.app.project_settings import EditProject
from quarterdeck.app.projects import AddProject, MemberView, ProjectView
from quarterdeck.core.access import Role
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.doors.api.parameters import Caller, ProjectRef, TheApp

Username = Annotated[str, PathParameter(max_length=255)]
ROLES = tuple(role.name.lower() for role in Role)


class Membership(BaseModel):
    """A role for somebody."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    role: str = Field(max_length=20, description=f"One of {', '.join(ROLES)}.")


@post("/", summary="Add a project")
async def add(app: TheApp, actor: Caller, data: JSONBody[AddProject]) -> ProjectView:
    """Empty, or with a copy of a repository; you become its owner."""
    return await projects.add(app, actor, data)


@get("/", summary="List projects")
async def find(app: TheApp, actor: Caller) -> list[ProjectView]:
    """Those that you may see, by path."""
    return await projects.find(app, actor)


@get("/{project:str}", summary="Show a project")
async def show(app: TheApp, actor: Caller, project_ref: ProjectRef) -> ProjectView:
    """By number or path; a slash in a path is written `%2F`."""
    return await projects.show(app, actor, project_ref)


@patch("/{project:str}", summary="Change a project")
async def edit(app: TheApp, actor: Caller, project_ref: ProjectRef, data: JSONBody[EditProject]) -> ProjectView:
    """What is absent stays; another time for its sessions goes for those that there are, too."""
    return await project_settings.edit(app, actor, project_ref, data)


@delete("/{project:str}", summary="Delete a project")
async def remove(app: TheApp, actor: Caller, project_ref: ProjectRef) -> None:
    """With its repository, pipelines and merge requests; its sessions have to be deleted before."""
    await projects.delete_project(app, actor, project_ref)


@get("/{project:str}/members", summary="List members")
async def members(app: TheApp, actor: Caller, project_ref: ProjectRef) -> list[MemberView]:
    """The highest roles first."""
    return await projects.list_members(app, actor, project_ref)


@put("/{project:str}/members/{username:str}", summary="Give somebody a role")
async def set_member(
    app: TheApp, actor: Caller, project_ref: ProjectRef, username: Username, data: JSONBody[Membership]
) -> list[MemberView]:
    """Makes a member, or changes the role of one."""
    return await projects.set_member(app, actor, project_ref, username, _role(data.role))


@delete("/{project:str}/members/{username:str}", status_code=200, summary="End a membership")
async def remove_member(app: TheApp, actor: Caller, project_ref: ProjectRef, username: Username) -> list[MemberView]:
    """Yours, or with the role for it somebody else's."""
    return await projects.remove_member(app, actor, project_ref, username)


def _role(name: str) -> Role:
    if name.lower() not in ROLES:
        raise InvalidInputError(f"{name!r} is no role. There are {', '.join(ROLES)}.")
    return Role[name.upper()]


ROUTES = Router(
    "/projects",
    route_handlers=[add, find, show, edit, remove, members, set_member, remove_member],
    tags=["projects"],
)
