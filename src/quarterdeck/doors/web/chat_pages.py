"""Chats: begun, gone on with beside any page, found again under the history, deleted."""

from asyncio import to_thread
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any

from litestar import MediaType, Request, Response, get, post
from litestar.params import FromQuery
from litestar.response import Stream
from pydantic import ValidationError

from quarterdeck.app import chat_choices, chats, deletion, people, session_lists, session_rights, session_search, watch
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.chats import StartChat
from quarterdeck.app.session_filter import SessionFilter
from quarterdeck.app.session_search import Hit
from quarterdeck.app.signals import EventSignal, Signal
from quarterdeck.app.tails import Moment
from quarterdeck.core.errors import InvalidInputError, QuarterdeckError
from quarterdeck.doors.api.parameters import After, Caller, LastEventId, SessionId, TheApp
from quarterdeck.doors.api.session_lists import Cursor
from quarterdeck.doors.sse import KEEPALIVE, Closes, stream
from quarterdeck.doors.web import conversation, languages
from quarterdeck.doors.web.cookies import secret
from quarterdeck.doors.web.fields import Form
from quarterdeck.doors.web.layout import framed
from quarterdeck.doors.web.rendering import HEADERS, fragment
from quarterdeck.doors.web.session_stream import CHECK_SECONDS
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


@get("/chats")
async def history(app: TheApp, actor: Caller, q: FromQuery[str] = "", cursor: Cursor = None) -> Response[str]:
    """Your chats, newest first, or those with some words; and a new one."""
    words = q.strip()[:WORDS]
    return await framed(
        app,
        actor,
        "chats.html",
        here="chats",
        words=words,
        found=await _found(app, actor, words) if words else None,
        page=None if words else await session_lists.find(app, actor, _MINE, cursor=cursor),
    )


async def _found(app: App, actor: Actor, words: str) -> list[Found] | str:
    """The chats in which the words are, by title and content; the reason, when the words can't be searched for."""
    try:
        page = await session_search.find(app, actor, words, mine=True, kind="chat", limit=HITS)
    except QuarterdeckError as error:
        return error.message
    found: dict[int, Found] = {}
    for hit in page.items:
        known = found.setdefault(hit.session_id, Found(hit.session_id, hit.session_title, hit.project_path))
        known.hits.append(hit)
    return list(found.values())


@post("/chats")
async def start(app: TheApp, actor: Caller, form: Form) -> Response[Any]:
    """A new chat; a script is told in `Location` where it is. The same form sent twice starts one."""
    given = {
        "message": form.text("message"),
        "project": next(iter(form.numbers("project")), None) if form.text("project") else None,
        "model": form.text("model") or None,
    }
    if not given["message"]:
        raise InvalidInputError("The message is empty.")
    if form.text("agent"):
        given["agent"] = form.text("agent")
    try:
        wish = StartChat.model_validate(given)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_url=False))
        raise InvalidInputError("; ".join(faults)) from None
    made = await chats.start(app, actor, wish, form.text("key") or None, about=subject_of(form.text("about")))
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


@get("/chats/{session_id:int}/stream", media_type="text/event-stream")
async def follow(
    app: TheApp,
    actor: Caller,
    closing: Closes,
    session_id: SessionId,
    request: Request[Actor, None, Any],
    after: After = 0,
    last_event_id: LastEventId = None,
) -> Stream:
    """What is new in a chat behind `after`."""
    await conversation.chat(app, actor, session_id)
    begin = after if last_event_id is None else last_event_id
    moments = await watch.session(app, actor, session_id, after=begin, most_output=0)
    return stream(_chunks(app, secret(app, request), session_id, moments), closing)


async def _chunks(app: App, browser: str, session_id: int, moments: AsyncIterator[Moment]) -> AsyncIterator[bytes]:
    checked = monotonic()
    async for moment in moments:
        around = b""
        changed = any(map(_changes_parts, moment.signals))
        if changed or monotonic() - checked >= CHECK_SECONDS:
            checked = monotonic()
            actor = await people.authenticate(app, browser, "web")
            rights = await session_rights.rights(app, actor, session_id)
            if changed:
                session = await conversation.chat(app, actor, session_id)
                around = conversation.beside(session, rights)
        tell = partial(_told, moment.signals)
        said = await moment.once(("talk", languages.spoken()), tell) if moment.signals else KEEPALIVE
        yield said + around


async def _told(signals: tuple[Signal, ...]) -> bytes:
    return await to_thread(conversation.told, signals)


def _changes_parts(signal: Signal) -> bool:
    return isinstance(signal, EventSignal) and signal.event.kind.startswith(("status.", "approval.", "session."))


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


ROUTES = (history, start, agents, talk, follow, ask_to_delete, delete)
