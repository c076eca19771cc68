"""What an owner may change of a project."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select, update

from quarterdeck.app import projects
from quarterdeck.app.access import project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.projects import ProjectView
from quarterdeck.core.access import Ability
from quarterdeck.core.limits import RETENTION_DAYS_MOST
from quarterdeck.core.protocol import TAGS, Tag
from quarterdeck.core.session_limits import ProjectLimits
from quarterdeck.core.text import clean
from quarterdeck.store.doorbell import ring
from quarterdeck.store.tables import projects as rows
from quarterdeck.tools.tool import Privilege


class EditProject(BaseModel):
    """What changes; what is absent stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str | None = Field(default=None, max_length=255)
    description: str | None = Field(default=None, max_length=2000)
    retention_days: int | None = Field(
        default=None,
        ge=1,
        le=RETENTION_DAYS_MOST,
        description="How many days after its last activity a session is deleted; it goes for all that there are.",
    )
    runner_tags: Annotated[tuple[Tag, ...], Field(max_length=TAGS)] | None = Field(
        default=None, description="Its sessions go only to runners that have all of these tags."
    )
    limits: ProjectLimits | None = Field(
        default=None,
        description="In place of all before: what a session or job may use of a runner, where the runner allows more.",
    )
    always_ask: tuple[Privilege, ...] | None = Field(
        default=None,
        description="Privileges whose tools ask a person in each session that starts from now on, "
        "whatever its flow and its start say.",
    )


async def edit(app: App, actor: Actor, project: int | str, request: EditProject) -> ProjectView:
    """Changes a project; another time for its sessions reaches each of them by a job, as an event of its log."""
    changes: dict[str, object] = {
        name: clean(value)
        for name, value in (("name", request.name), ("description", request.description))
        if value is not None
    }
    if request.runner_tags is not None:
        changes["runner_tags"] = sorted({clean(tag) for tag in request.runner_tags})
    if request.always_ask is not None:
        changes["always_ask"] = sorted(set(request.always_ask))
    if request.limits is not None:
        changes["limits"] = request.limits.model_dump(exclude_none=True)
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.MANAGE_PROJECT)
        # Before the time is changed, whoever is starting a session in it is waited for.
        await connection.execute(select(rows.c.id).where(rows.c.id == found.id).with_for_update())
        if request.retention_days is not None and request.retention_days != found.retention_days:
            changes |= {
                "retention_days": request.retention_days,
                "retention_changed_at": func.now(),
                "retention_changed_by": actor.username,
            }
            await app.dispatch.retention(connection, found.id)
        if changes:
            await connection.execute(update(rows).where(rows.c.id == found.id).values(changes))
        if request.runner_tags is not None:
            await ring(connection, "runners:all")  # what waits may suit others now
    return await projects.show(app, actor, found.id)
