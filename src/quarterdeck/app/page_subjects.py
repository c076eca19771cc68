"""What a message is about: the thing whose page a person had open, named by kind and number, told by the server.

Nothing of it is taken from a browser's words: who writes has to be allowed to see the thing, and what the agent is told
of it is read here. It is little: its tools read the rest.
"""

from typing import Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import attachments
from quarterdeck.app import session_views as views
from quarterdeck.app.access import project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_access import may
from quarterdeck.core import limits
from quarterdeck.core.access import Ability
from quarterdeck.core.attachment import Attachment
from quarterdeck.core.errors import ForbiddenError, NotFoundError
from quarterdeck.core.status import human
from quarterdeck.core.text import line
from quarterdeck.store.tables import issues, merge_requests, pipelines

CATEGORY = "page"
"""What it is called among a message's files."""
FACT_CHARACTERS = 1_000
"""Of a title, a reason, a path."""


class Subject(BaseModel):
    """A thing that has a page; of a project's own numbers the project's too."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["session", "issue", "merge_request", "pipeline", "file"]
    id: int = Field(default=0, ge=0, le=2**63 - 1)
    project_id: int = Field(default=0, ge=0, le=2**63 - 1)
    ref: str = Field(default="", max_length=limits.REF_CHARACTERS)
    path: str = Field(default="", max_length=4096)
    """Of a file."""

    @property
    def name(self) -> str:
        """How people name it: `issue #3`."""
        if self.kind == "file":
            return f"file {self.path.rpartition('/')[2]}"
        return f"{self.kind.replace('_', ' ')} {'!' if self.kind == 'merge_request' else '#'}{self.id}"


async def note(app: App, connection: AsyncConnection, actor: Actor, session_id: int, subject: Subject) -> Attachment:
    """The facts of a subject as a file of the message that is about it.

    Raises:
        NotFoundError: there is no such thing that the actor may see.
    """
    try:
        facts = await _facts(app, connection, actor, subject)
    except (NotFoundError, ForbiddenError):
        facts = None
    if facts is None:
        raise NotFoundError(f"There is no {subject.name} that you may see. Take it off the message and send it again.")
    told = {name: line(value, FACT_CHARACTERS) for name, value in facts.items() if value}
    text = "\n".join(["The person wrote this with this page open:", *(f"{name}: {told[name]}" for name in told)])
    return await attachments.note(app, connection, actor, session_id, CATEGORY, subject.name, text)


async def _facts(app: App, connection: AsyncConnection, actor: Actor, subject: Subject) -> dict[str, str] | None:
    match subject.kind:
        case "session":
            return await _session(app, connection, actor, subject)
        case "issue":
            return await _issue(app, connection, actor, subject)
        case "merge_request":
            return await _merge_request(app, connection, actor, subject)
        case "pipeline":
            return await _pipeline(app, connection, actor, subject)
        case "file":
            return await _file(app, connection, actor, subject)


async def _session(app: App, connection: AsyncConnection, actor: Actor, subject: Subject) -> dict[str, str]:
    await may(connection, actor, subject.id, Ability.READ_SESSION)
    view = await views.load(app, connection, subject.id)
    asks = next((one.question for one in view.approvals), "")
    return {
        "session": f"#{view.id}", "title": view.title, "flow": view.flow, "project": view.project_path,
        "state": human(view.status), "reason": view.reason, "asks": asks, "url": view.url,
    }  # fmt: skip


async def _issue(app: App, connection: AsyncConnection, actor: Actor, subject: Subject) -> dict[str, str] | None:
    project = await project_for(connection, actor, subject.project_id, Ability.READ_ISSUE)
    query = select(issues).where(issues.c.project_id == project.id, issues.c.iid == subject.id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else {
        "issue": f"#{row.iid}", "title": row.title, "project": project.path, "state": row.status,
        "labels": ", ".join(row.labels), "url": f"{app.public_url}/projects/{project.id}/issues/{row.iid}",
    }  # fmt: skip


async def _merge_request(
    app: App, connection: AsyncConnection, actor: Actor, subject: Subject
) -> dict[str, str] | None:
    project = await project_for(connection, actor, subject.project_id, Ability.READ_MERGE_REQUEST)
    of = merge_requests.c
    row = (
        await connection.execute(select(merge_requests).where(of.project_id == project.id, of.iid == subject.id))
    ).one_or_none()
    return None if row is None else {
        "merge request": f"!{row.iid}", "title": row.title, "project": project.path, "state": row.status,
        "source branch": row.source_branch, "target branch": row.target_branch,
        "url": f"{app.public_url}/projects/{project.id}/merge_requests/{row.iid}",
    }  # fmt: skip


async def _pipeline(app: App, connection: AsyncConnection, actor: Actor, subject: Subject) -> dict[str, str] | None:
    row = (await connection.execute(select(pipelines).where(pipelines.c.id == subject.id))).one_or_none()
    if row is None:
        return None
    project = await project_for(connection, actor, row.project_id, Ability.READ_PIPELINE)
    return {
        "pipeline": f"#{row.id}", "project": project.path, "state": row.status, "ref": row.ref, "commit": row.sha,
        "url": f"{app.public_url}/pipelines/{row.id}",
    }  # fmt: skip


async def _file(app: App, connection: AsyncConnection, actor: Actor, subject: Subject) -> dict[str, str] | None:
    project = await project_for(connection, actor, subject.project_id, Ability.READ_REPOSITORY)
    commit = await app.forge.commit_of(project.id, subject.ref or project.default_branch)
    if not await app.forge.files(project.id, commit, [subject.path], limit=0):
        return None
    where = urlencode({"path": subject.path, "ref": subject.ref or project.default_branch})
    url = f"{app.public_url}/projects/{project.id}/file?{where}"
    return {"file": subject.path, "project": project.path, "ref": subject.ref, "commit": commit, "url": url}
