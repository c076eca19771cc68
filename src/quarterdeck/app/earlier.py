"""A person's earlier sessions, as their agents may read them: bounded, and as the person may see them."""

from quarterdeck.app import session_lists, session_log, sessions
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_filter import SessionFilter
from quarterdeck.app.session_lists import SessionRow
from quarterdeck.app.session_views import SessionView
from quarterdeck.core import events as e
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.text import cut, line

LISTED = 20
TEXT_CHARACTERS = 4_000
"""Of one message."""
READ_EVENTS = 2_000
"""The newest of a log in which its last messages are looked for."""


async def listed(app: App, actor: Actor, session_id: int) -> str:
    """The person's newest sessions, a line each, but for the one that asks."""
    asking = await sessions.show(app, actor, session_id)
    page = await session_lists.find(app, actor, SessionFilter(project=_only(asking), mine=True), limit=LISTED + 1)
    found = [one for one in page.items if one.id != session_id and _open(asking, one)]
    return "\n".join(_head(one) for one in found[:LISTED]) or "There are no earlier sessions."


async def told(app: App, actor: Actor, session_id: int, number: int, messages: int) -> str:
    """One session: where it stands, what it made, and its last messages.

    Raises:
        NotFoundError: there is none of that number that the asking session may read.
    """
    asking, one = await sessions.show(app, actor, session_id), await sessions.show(app, actor, number)
    if one.initiator != actor.username or not _open(asking, one):
        raise NotFoundError(f"There is no session #{number} that you may read here.")
    after = max(0, one.seq - READ_EVENTS)
    events = await session_log.events(app, actor, number, after=after, limit=READ_EVENTS)
    said = [text for event in events if (text := _said(event.payload))]
    parts = [
        _head(one),
        f"Goal: {cut(one.goal, TEXT_CHARACTERS)}",
        *([f"Reason: {one.reason}"] if one.reason else []),
        *(f"Plan: [{item.status}] {item.text}" for item in one.plan),
        *(f"Made: {made.artifact.replace('_', ' ')} {made.name} {made.url}".rstrip() for made in one.artifacts[-20:]),
        *said[-messages:],
    ]
    return "\n\n".join(parts)


def _only(asking: SessionView) -> int | None:
    """A session that works by itself reads nothing of other projects: what it reads there may not be meant for here."""
    return None if asking.origin == "chat" else asking.project_id


def _open(asking: SessionView, one: SessionView | SessionRow) -> bool:
    return asking.origin == "chat" or (one.project_id == asking.project_id and one.origin != "chat")


def _head(one: SessionView | SessionRow) -> str:
    where = f" in {one.project_path}" if one.project_path else ""
    title = line(one.title, 80)
    return f"#{one.id} {one.status.value}: {title} ({one.flow}{where}, {one.last_activity:%Y-%m-%d %H:%M} UTC)"


def _said(payload: e.AnyPayload) -> str:
    match payload:
        case e.MessageAdded() | e.QuestionAnswered() as p:
            return f"{p.by}: {cut(p.text, TEXT_CHARACTERS)}"
        case e.ModelAnswered() | e.ModelInterrupted() as p if p.text.strip():
            return f"agent: {cut(p.text, TEXT_CHARACTERS)}"
        case _:
            return ""
