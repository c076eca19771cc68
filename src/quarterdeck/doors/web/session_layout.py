"""What stands around a session's pages: header, tabs, open questions, composer."""

from typing import Any

from litestar import Request, Response
from markupsafe import Markup

from quarterdeck.app import session_rights
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_views import SessionView
from quarterdeck.core.status import FINAL
from quarterdeck.doors.web.drafts import NO_DRAFT, Draft, drafted
from quarterdeck.doors.web.session_parts import parts
from quarterdeck.doors.web.views import look_of


async def in_session(
    app: App,
    actor: Actor,
    session: SessionView,
    template: str,
    *,
    tab: str,
    request: Request[Actor, None, Any],
    draft: Draft = NO_DRAFT,
    **values: object,
) -> Response[str]:
    """A page of the session, under one of its tabs."""
    query = request.url.query
    rights = await session_rights.rights(app, actor, session.id)
    around = parts(session, rights)
    return await drafted(
        app,
        actor,
        template,
        draft,
        project_id=session.project_id,
        project_path=session.project_path,
        here="chats" if session.origin == "chat" else "sessions",
        session=session,
        rights=rights,
        final=session.status in FINAL,
        title=around.title,
        header=Markup(around.header),  # noqa: S704 rendered by templates, which escape
        waiting=Markup(around.waiting),  # noqa: S704
        composer=Markup(around.composer),  # noqa: S704
        tab=tab,
        look=look_of(request),
        here_again=f"{request.url.path}?{query}" if query else request.url.path,
        **values,
    )
