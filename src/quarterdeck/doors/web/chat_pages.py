"""Chats: begun, gone on with beside any page, found again under the history, deleted."""

from dataclasses import dataclass, field
from typing import Any

from litestar import MediaType, Response, get, post
from litestar.params import FromQuery

from quarterdeck.app import chat_choices, chats, deletion, session_lists, session_search
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.chats import StartChat
from quarterdeck.app.session_filter import SessionFilter
from quarterdeck.app.session_search import Hit
from quarterdeck.core.errors import InvalidInputError, QuarterdeckError
from quarterdeck.doors.api.parameters import Caller, SessionId, TheApp
from quarterdeck.doors.api.session_lists import Cursor
from quarterdeck.doors.web import conversation
from quarterdeck.doors.web.drafts import checked
from quarterdeck.doors.web.fields import Form
from quarterdeck.doors.web.layout import framed
from quarterdeck.doors.web.rendering import HEADERS, fragment
from quarterdeck.doors.web.subjects import subject_of

WORDS = 200
"""Characters of a search."""
HITS = 60
_MINE = SessionFilter(mine=True, kind="chat")


@dataclass
class Found:
    """A chat in which a search found something."""

    id: int
    title: str
    project_path: str
    hits: list[Hit] = field(default_factory=list[Hit])


@dataclass
class Finds:
    """The chats that a search has come to."""

    chats: list[Found]
    cursor: str
    """Where it went on from; empty for its beginning."""
    next: str
    """Where the rest begins; empty at the end."""


@get("/chats")
async def history(
    app: TheApp, actor: Caller, q: FromQuery[str] = "", about: FromQuery[str] = "", cursor: Cursor = None
) -> Response[str]:
    """Your chats, newest first, or those with some words; and a new one, about the page that one comes from."""
    words = q.strip()[:WORDS]
    return await framed(
        app,
        actor,
        "chats.html",
        here="chats",
        words=words,
        about=about,
        found=await _found(app, actor, words, cursor) if words else None,
        page=None if words else await session_lists.find(app, actor, _MINE, cursor=cursor),
    )


async def _found(app: App, actor: Actor, words: str, cursor: str | None) -> Finds | str:
    """The chats in which the words are, by title and content; the reason, when the words can't be searched for."""
    try:
        page = await session_search.find(app, actor, words, mine=True, kind="chat", before=cursor, limit=HITS)
    except QuarterdeckError as error:
        return error.message
    found: dict[int, Found] = {}
    for hit in page.items:
        known = found.setdefault(hit.session_id, Found(hit.session_id, hit.session_title, hit.project_path))
        known.hits.append(hit)
    return Finds(list(found.values()), cursor or "", page.next or "")


@post("/chats")
async def start(app: TheApp, actor: Caller, form: Form) -> Response[Any]:
    """A new chat; a script is told in `Location` where it is. The same form sent twice starts one."""
    given: dict[str, object] = {
        "message": form.text("message"),
        "project": next(iter(form.numbers("project")), None) if form.text("project") else None,
        "model": form.text("model") or None,
    }
    if not given["message"]:
        raise InvalidInputError("The message is empty.")
    if form.text("agent"):
        given["agent"] = form.text("agent")
    wish, about = checked(StartChat, given), subject_of(form.text("about"))
    made = await chats.start(app, actor, wish, form.text("key") or None, about=about)
    return form.go(f"/sessions/{made.id}")


@get("/chats/agents")
async def agents(app: TheApp, actor: Caller, project: FromQuery[int | None] = None) -> Response[str]:
    """The agents to choose from when a form's project changes."""
    choices = await chat_choices.choices(app, actor, project)
    html = fragment("parts/chat_agents.html", choices=choices)
    return Response(html, media_type=MediaType.HTML, headers=HEADERS)


@get("/chats/{session_id:int}/talk")
async def talk(app: TheApp, actor: Caller, session_id: SessionId) -> Response[str]:
    """A chat for a page that is open: its end, what it asks, and where to write."""
    opened = await conversation.opened(app, actor, await conversation.chat(app, actor, session_id))
    html = fragment("parts/talk.html", talk=opened, alone=False)
    return Response(html, media_type=MediaType.HTML, headers=HEADERS)


@get("/chats/{session_id:int}/delete")
async def ask_to_delete(app: TheApp, actor: Caller, session_id: SessionId) -> Response[str]:
    """The confirmation."""
    session = await conversation.chat(app, actor, session_id)
    return await framed(app, actor, "chat_delete.html", here="chats", session=session)


@post("/chats/{session_id:int}/delete")
async def delete(app: TheApp, actor: Caller, session_id: SessionId, form: Form) -> Response[Any]:
    """Deletes all of it, as of any session."""
    await conversation.chat(app, actor, session_id)
    await deletion.delete_session(app, actor, session_id)
    return form.go("/chats")


ROUTES = (history, start, agents, talk, ask_to_delete, delete)
