"""What a session is started on: a pipeline, an issue, a merge request, and what each brings into its inputs."""

from dataclasses import dataclass, field

from pydantic import JsonValue
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import issues, merge_requests
from quarterdeck.app.access import Project
from quarterdeck.app.application import App
from quarterdeck.core.errors import InvalidInputError, NotFoundError
from quarterdeck.core.events import LinkAdded
from quarterdeck.core.text import cut
from quarterdeck.store.tables import pipelines

DESCRIPTION_CHARACTERS = 32_768
"""Of an issue's or merge request's description; all of it is read by the tool for it."""


@dataclass
class Brought:
    """What the subjects bring; the later of them has the last word on ref and goal."""

    inputs: dict[str, JsonValue]
    ref: str = ""
    goal: str = ""
    links: list[LinkAdded] = field(default_factory=list[LinkAdded])
    issue_id: int | None = None
    merge_request_id: int | None = None
    pipeline_id: int | None = None


async def collect(
    connection: AsyncConnection,
    app: App,
    project: Project,
    inputs: dict[str, JsonValue],
    *,
    pipeline_id: int | None = None,
    issue_iid: int | None = None,
    merge_request_iid: int | None = None,
) -> Brought:
    """All of it, added to `inputs`; who starts a session may read what it is about.

    Raises:
        InvalidInputError: an issue and a merge request at once.
        NotFoundError: names what isn't there.
    """
    if issue_iid is not None and merge_request_iid is not None:
        raise InvalidInputError("A session is about an issue or a merge request, not both.")
    brought = Brought(dict(inputs))
    if pipeline_id is not None:
        await _pipeline(connection, app, project, pipeline_id, brought)
    if issue_iid is not None:
        await _issue(connection, app, project, issue_iid, brought)
    if merge_request_iid is not None:
        await _merge_request(connection, app, project, merge_request_iid, brought)
    return brought


def _description(app: App, text: str) -> str:
    # Redacted before it is cut: half of a secret doesn't look like one.
    return cut(app.redactor.text(text), DESCRIPTION_CHARACTERS)


async def _pipeline(
    connection: AsyncConnection, app: App, project: Project, pipeline_id: int, brought: Brought
) -> None:
    row = (
        await connection.execute(
            select(pipelines.c.ref, pipelines.c.sha, pipelines.c.status).where(
                pipelines.c.id == pipeline_id, pipelines.c.project_id == project.id
            )
        )
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no pipeline #{pipeline_id} in {project.path}.")
    url = f"{app.public_url}/pipelines/{pipeline_id}"
    brought.inputs["pipeline"] = {"id": pipeline_id, "ref": row.ref, "sha": row.sha, "status": row.status}
    brought.ref = row.ref
    brought.pipeline_id = pipeline_id
    brought.goal = f"Repair pipeline #{pipeline_id}: find out why it fails, and prove the repair."
    brought.links.append(LinkAdded(relation="source", target="pipeline", name=f"#{pipeline_id}", url=url))


async def _issue(connection: AsyncConnection, app: App, project: Project, iid: int, brought: Brought) -> None:
    row = await issues.row_of(connection, project, iid)
    url = f"{app.public_url}/projects/{project.id}/issues/{iid}"
    brought.inputs["issue"] = {
        "iid": iid,
        "title": row.title,
        "description": _description(app, row.description),
        "url": url,
    }
    brought.issue_id = row.id
    brought.goal = f"Issue #{iid}: {row.title}"
    brought.links.append(LinkAdded(relation="source", target="issue", name=f"#{iid}", url=url))


async def _merge_request(connection: AsyncConnection, app: App, project: Project, iid: int, brought: Brought) -> None:
    row = await merge_requests.row_of(connection, project, iid)
    url = f"{app.public_url}/projects/{project.id}/merge_requests/{iid}"
    brought.inputs["merge_request"] = {
        "iid": iid,
        "title": row.title,
        "description": _description(app, row.description),
        "source_branch": row.source_branch,
        "target_branch": row.target_branch,
        "sha": await app.forge.commit_of(project.id, row.source_branch),
        "url": url,
    }
    brought.ref = row.source_branch
    brought.merge_request_id = row.id
    brought.goal = f"Merge request !{iid}: {row.title}"
    brought.links.append(LinkAdded(relation="source", target="merge_request", name=f"!{iid}", url=url))
