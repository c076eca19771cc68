"""What stands around every page: the project's navigation, and the sessions and chats of whoever looks."""

import json
import secrets
from asyncio import to_thread
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import lru_cache

from litestar import Response
from litestar.response import Stream

from quarterdeck.app import chat_choices, overviews, to_dos
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.boards import Overview
from quarterdeck.app.chat_choices import ChatChoices
from quarterdeck.app.session_filter import SessionFilter
from quarterdeck.app.session_lists import SessionRow
from quarterdeck.core.status import AWAITING
from quarterdeck.doors.sse import Check, Closing, message, stream
from quarterdeck.doors.web import chat_stream, languages, sights
from quarterdeck.doors.web.rendering import fragment, page

RAIL_ROWS = 8
COUNTED = 100
"""Sessions that need an answer are counted up to so many."""
RAIL = (
    (SessionFilter(mine=True, kind="flow", needs_me=True), COUNTED),
    (SessionFilter(mine=True, kind="flow"), RAIL_ROWS),
    (SessionFilter(mine=True, kind="chat"), RAIL_ROWS),
)


@dataclass(frozen=True)
class Rail:
    """The sessions of whoever looks."""

    sessions: tuple[SessionRow, ...]
    """Those that the person triggered, in all projects: first those that need an answer."""
    chats: tuple[SessionRow, ...]
    needing: str
    """How many need an answer; empty if none does."""


@dataclass(frozen=True)
class Frame(Rail):
    """What stands at the sides."""

    choices: ChatChoices
    """What a new chat can begin with."""
    to_dos: str = ""
    """How many wait on the to-do list; empty if none does."""
    project_id: int | None = None
    project_path: str = ""
    here: str = ""
    """The entry of the navigation that the page belongs to."""
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
    rail = _rail(await overviews.show(app, actor, RAIL))
    choices = await chat_choices.choices(app, actor, project_id)
    waiting = counted(await to_dos.count(app, actor))
    frame = Frame(rail.sessions, rail.chats, rail.needing, choices, waiting, project_id, project_path, here)
    return await to_thread(page, template, 200, actor=actor, frame=frame, **values)


def live(app: App, actor: Actor, closing: Closing, *own: AsyncIterator[bytes], check: Check) -> Stream:
    """The one stream of a page: what changes around it, the chat that is open on it, and what is its `own`.

    It goes on until `check` raises.
    """
    chat = chat_stream.told(app, actor, sights.sight().follows)
    return stream(_around(app, actor), closing, _to_dos(app, actor), chat, *own, check=check)


async def _around(app: App, actor: Actor) -> AsyncIterator[bytes]:
    async for overview in overviews.changes(app, actor, RAIL):
        yield _told(overview, languages.spoken())


async def _to_dos(app: App, actor: Actor) -> AsyncIterator[bytes]:
    async for waiting in to_dos.changes(app, actor):
        yield fresh({"top-to-dos": fragment("parts/needing.html", needing=counted(waiting))})


@lru_cache(maxsize=256)
def _told(overview: Overview, language: str) -> bytes:
    """Rendered once for all pages of a person."""
    languages.speak(language)
    rail = _rail(overview)
    count = fragment("parts/needing.html", needing=rail.needing)
    return fresh(
        {
            "rail-sessions": fragment("parts/rail_sessions.html", sessions=rail.sessions),
            "rail-chats": fragment("parts/rail_chats.html", chats=rail.chats),
            "rail-needing": count,
            "top-needing": count,
        }
    )


def fresh(parts: dict[str, str]) -> bytes:
    """HTML for the parts of a page, by their ids."""
    return message("fresh", json.dumps(parts))


def _rail(overview: Overview) -> Rail:
    needing, newest, chats = overview.lists
    others = [row for row in newest if row.status not in AWAITING]
    return Rail((*needing, *others)[:RAIL_ROWS], chats, counted(len(needing)))


def counted(number: int) -> str:
    """As a badge has it: empty for none, and no number over two digits."""
    return f"{COUNTED - 1}+" if number >= COUNTED else str(number or "")
