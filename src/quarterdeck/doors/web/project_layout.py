"""What pages of a project have in common: its navigation, and what the person's role lets them do."""

from collections.abc import Callable

from litestar import Response

from quarterdeck.app import session_lists
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.projects import ProjectView
from quarterdeck.app.session_lists import SessionRow
from quarterdeck.app.session_subjects import SessionRef
from quarterdeck.core.access import Ability
from quarterdeck.doors.web.drafts import NO_DRAFT, Draft, drafted

SESSIONS = 10
"""Of what a page is about; the list of sessions has all."""


def offers(project: ProjectView) -> Callable[[str], bool]:
    """What templates ask before they offer something."""

    def may(ability: str) -> bool:
        return project.may(Ability(ability))

    return may


async def in_project(
    app: App,
    actor: Actor,
    project: ProjectView,
    template: str,
    /,
    *,
    here: str,
    draft: Draft = NO_DRAFT,
    **values: object,
) -> Response[str]:
    """A page of a project. `may` in its template says what the role allows, so that only that is offered."""
    return await drafted(
        app,
        actor,
        template,
        draft,
        project_id=project.id,
        project_path=project.path,
        here=here,
        project=project,
        may=offers(project),
        **values,
    )


async def about(app: App, actor: Actor, sessions: tuple[SessionRef, ...]) -> tuple[SessionRow, ...]:
    """The newest of the sessions on a thing, as lists show them."""
    return await session_lists.chosen(app, actor, [one.id for one in sessions[:SESSIONS]])
