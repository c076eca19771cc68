"""What stands around every page: the project's navigation, and the sessions and chats of whoever looks."""

import secrets
from asyncio import to_thread
from dataclasses import dataclass, field

from litestar import Response

from quarterdeck.app import chat_choices, session_lists
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.chat_choices import ChatChoices
from quarterdeck.app.session_filter import SessionFilter
from quarterdeck.app.session_lists import SessionRow
from quarterdeck.core.status import AWAITING
from quarterdeck.doors.web.rendering import page

RAIL_ROWS = 8


@dataclass(frozen=True)
class Frame:
    """What stands at the sides."""

    sessions: tuple[SessionRow, ...]
    """Those that the person triggered, in all projects: first those that need an answer."""
    chats: tuple[SessionRow, ...]
    choices: ChatChoices
    """What a new chat can begin with."""
    project_id: int | None = None
    project_path: str = ""
    here: str = ""
    """The entry of the navigation that the page belongs to."""
    needing: int = 0
    key: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    """A form that is sent twice from this page starts one chat."""


async def framed(
    app: App,
    actor: Actor,
    template: str,
    /,
    *,
    project_id: int | None = None,
    project_path: str = "",
    here: str = "",
    **values: object,
) -> Response[str]:
    """A page with all that stands around it."""
    needing = await _mine(app, actor, SessionFilter(mine=True, kind="flow", needs_me=True))
    newest = await _mine(app, actor, SessionFilter(mine=True, kind="flow"))
    chats = await _mine(app, actor, SessionFilter(mine=True, kind="chat"))
    others = [row for row in newest if row.status not in AWAITING]
    sessions = (*needing, *others)[:RAIL_ROWS]
    choices = await chat_choices.choices(app, actor, project_id)
    frame = Frame(sessions, chats, choices, project_id, project_path, here, len(needing))
    return await to_thread(page, template, 200, actor=actor, frame=frame, **values)


async def _mine(app: App, actor: Actor, wanted: SessionFilter) -> tuple[SessionRow, ...]:
    return (await session_lists.find(app, actor, wanted, limit=RAIL_ROWS)).items
