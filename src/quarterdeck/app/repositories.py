"""Repositories of projects: read by people and doors, fetched and pushed by git."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import structlog
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import occurrences, people, pipelines
from quarterdeck.app.access import Project, demand, of_row, project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.forge_wants import want
from quarterdeck.app.outside import RefUpdate
from quarterdeck.core.access import Ability, allows
from quarterdeck.core.errors import ForbiddenError, NotFoundError
from quarterdeck.core.limits import PAGE_ROWS
from quarterdeck.store.tables import pipelines as pipeline_rows
from quarterdeck.store.tables import projects

_log = structlog.get_logger(__name__)

Service = Literal["git-upload-pack", "git-receive-pack"]
WORKSPACE_USER = "session"
"""The user name that a workspace's token comes with."""


class BranchView(BaseModel):
    """A branch."""

    model_config = ConfigDict(frozen=True)
    name: str
    commit: str
    default: bool


class CommitView(BaseModel):
    """A commit as lists show it."""

    model_config = ConfigDict(frozen=True)
    sha: str
    title: str
    author: str
    at: datetime


@dataclass(frozen=True)
class GitAccess:
    """What git may do with a project's repository, checked once for a request."""

    project: Project
    service: Service
    actor: Actor | None = None
    """None of a workspace, which doesn't push."""


async def branches(app: App, actor: Actor, project: int | str) -> list[BranchView]:
    """The branches, the default one first."""
    found = await _readable(app, actor, project)
    known = await app.forge.branches(found.id)
    views = [BranchView(name=name, commit=sha, default=name == found.default_branch) for name, sha in known.items()]
    return sorted(views, key=lambda view: (not view.default, view.name))


async def commits(
    app: App, actor: Actor, project: int | str, ref: str | None = None, limit: int = PAGE_ROWS, skip: int = 0
) -> list[CommitView]:
    """The newest commits of a branch, tag or commit behind the first `skip`; of the default branch without `ref`."""
    found = await _readable(app, actor, project)
    listed = await app.forge.commits(found.id, ref or found.default_branch, min(max(limit, 1), 100), skip=skip)
    return [CommitView(sha=one.sha, title=one.title, author=one.author, at=one.at) for one in listed]


async def file(app: App, actor: Actor, project: int | str, path: str, ref: str | None = None) -> bytes:
    """A file's bytes. Raises NotFoundError, and TooLargeError for one that is too large to be shown."""
    found = await _readable(app, actor, project)
    name = ref or found.default_branch
    data = await app.forge.read(found.id, await app.forge.commit_of(found.id, name), path)
    if data is None:
        raise NotFoundError(f"There is no file {path[:500]!r} at {name}.")
    return data


async def diff(app: App, actor: Actor, project: int | str, base: str, head: str) -> bytes:
    """What `head` changes since it left `base`."""
    found = await _readable(app, actor, project)
    return await app.forge.diff(found.id, base, head)


async def _readable(app: App, actor: Actor, project: int | str) -> Project:
    async with app.database.transaction() as connection:
        return await project_for(connection, actor, project, Ability.READ_REPOSITORY)


async def clone_path(connection: AsyncConnection, project_id: int) -> str:
    """Where git finds the project's repository on this server."""
    path = (await connection.execute(select(projects.c.path).where(projects.c.id == project_id))).scalar_one()
    return git_path(path)


def git_path(path: str) -> str:
    """Where git finds the repository of the project at `path`."""
    return f"/git/{path}.git"


async def authorize(app: App, *, username: str, secret: str, path: str, service: Service) -> GitAccess:
    """Who may fetch or push: a person with a personal token, or a workspace, which fetches from its own project only.

    Raises:
        UnauthenticatedError: the token is not known.
        NotFoundError: there is no such project for them.
        ForbiddenError: the role is too low.
    """
    if username == WORKSPACE_USER:
        return await _workspace(app, secret, path, service)
    actor = await people.authenticate(app, secret, "git")
    ability = Ability.READ_REPOSITORY if service == "git-upload-pack" else Ability.PUSH
    async with app.database.transaction() as connection:
        return GitAccess(await project_for(connection, actor, _by_path(path), ability), service, actor)


def _by_path(path: str) -> str:
    """Paths alone: a number, which elsewhere may be an id, is no project's path."""
    if path.isdigit():
        raise NotFoundError(f"There is no project {path!r} that you may see.")
    return path


async def _workspace(app: App, secret: str, path: str, service: Service) -> GitAccess:
    token = await people.authenticate_workspace(app, secret)
    async with app.database.transaction() as connection:
        row = (await connection.execute(select(projects).where(projects.c.path == path))).one_or_none()
    if row is None or row.id != token.project_id:
        raise NotFoundError(f"There is no project {path!r} that this workspace may see.")
    if service != "git-upload-pack":
        raise ForbiddenError("A workspace doesn't push; its work leaves it as a bundle.")
    return GitAccess(of_row(row, None), service)


def serve(
    app: App, access: GitAccess, *, body: AsyncIterator[bytes], advertise: bool, protocol: str
) -> AsyncIterator[bytes]:
    """One request of git's smart HTTP; what a push brings gets its pipelines."""
    gate = _Gate(app, access) if access.service == "git-receive-pack" else None
    return app.forge.serve(
        access.project.id, service=access.service, body=body, advertise=advertise, protocol=protocol, gate=gate
    )


class _Gate:
    """A push by somebody with a role: the default branch is for maintainers, and nobody deletes it."""

    def __init__(self, app: App, access: GitAccess) -> None:
        self._app, self._project, self._actor = app, access.project, access.actor

    def refusals(self, updates: tuple[RefUpdate, ...]) -> dict[str, str]:
        """Reasons, as git shows them behind `[remote rejected]`."""
        found = {update.ref: self._refusal(update) for update in updates}
        return {ref: reason for ref, reason in found.items() if reason}

    def _refusal(self, update: RefUpdate) -> str:
        if not update.ref.startswith(("refs/heads/", "refs/tags/")):
            return "only branches and tags can be pushed"
        if update.branch != self._project.default_branch:
            return ""
        if update.deletes:
            return "the default branch can't be deleted"
        if not allows(self._project.role, Ability.PUSH_PROTECTED):
            return "the default branch is protected; push another branch and make a merge request"
        return ""

    async def accepted(self, updates: tuple[RefUpdate, ...]) -> None:
        """Starts the pipelines of the branches that were moved."""
        await pushed(self._app, self._project.id, updates, by=self._actor)


async def pushed(
    app: App, project_id: int, updates: tuple[RefUpdate, ...], by: Actor | None = None, *, away: bool = True
) -> None:
    """Starts the pipeline of each branch that a push made or moved; the first branch of all becomes the default.

    A forge that the project is connected to hears of it, but for what came from there: then `away` is False.
    """
    moved = [(one.branch, one.new, one.old) for one in updates if one.branch is not None and not one.deletes]
    async with app.database.transaction() as connection:
        if moved:
            await _default(connection, app, project_id, moved[0][0])
        row = (await connection.execute(select(projects).where(projects.c.id == project_id))).one_or_none()
        for branch, sha, before in moved:
            await pipelines.start_for(connection, app, project_id, branch, sha, source="push", by=by)
            if by is not None and row is not None and branch == row.default_branch:
                await occurrences.pushed(app, connection, row, by, sha, before)
        for one in updates:
            if away and one.branch is not None:
                await want(connection, app.dispatch, project_id, "branch", one.branch)


async def catch_up(app: App) -> None:
    """Starts the pipelines of pushes that a server took in and didn't live to hear of; for the start of a server."""
    async with app.database.transaction() as connection:
        rows = (await connection.execute(select(projects))).all()
    for row in rows:
        try:
            await _catch_up(app, row)
        except Exception as error:  # what lies in one repository is nothing to the other projects
            _log.warning("a project's branches could not be looked at", project=row.id, reason=str(error))


async def _catch_up(app: App, row: Row[Any]) -> None:
    """Other branches than the default one have no pipeline if they came with an import: all older than the project."""
    async with app.database.transaction() as connection:
        heads = select(pipeline_rows.c.ref, pipeline_rows.c.sha).where(pipeline_rows.c.project_id == row.id)
        known = {(one.ref, one.sha) for one in await connection.execute(heads.distinct())}
    branches = await app.forge.branches(row.id)
    for name, sha in branches.items():
        if (name, sha) in known:
            continue
        (commit,) = await app.forge.commits(row.id, sha, 1)
        pushed_here = commit.at >= row.created_at.replace(microsecond=0)
        if name == row.default_branch or row.default_branch not in branches or pushed_here:
            await pushed(app, row.id, (RefUpdate(ref=f"refs/heads/{name}", old="", new=sha),))


async def _default(connection: AsyncConnection, app: App, project_id: int, branch: str) -> None:
    known = select(projects.c.default_branch).where(projects.c.id == project_id)
    if (await connection.execute(known)).scalar_one() not in await app.forge.branches(project_id):
        await app.forge.set_default_branch(project_id, branch)
        await connection.execute(update(projects).where(projects.c.id == project_id).values(default_branch=branch))


def demand_target(project: Project, branch: str) -> None:
    """Raises ForbiddenError when the role may not change that branch."""
    demand(project, Ability.PUSH_PROTECTED if branch == project.default_branch else Ability.PUSH)
