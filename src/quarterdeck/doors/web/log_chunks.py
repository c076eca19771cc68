"""Chunks of a log: read as somebody may, and rendered as entries."""

from asyncio import to_thread

from markupsafe import Markup

from quarterdeck.app import session_lists, session_log
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.child_sessions import MOST
from quarterdeck.app.session_filter import SessionFilter
from quarterdeck.app.session_lists import SessionRow
from quarterdeck.app.session_log import Wanted
from quarterdeck.app.session_views import SessionView
from quarterdeck.core.events import Event, Level
from quarterdeck.core.search import Query
from quarterdeck.doors.web import languages
from quarterdeck.doors.web.texts import marked
from quarterdeck.doors.web.timeline import Lens, open_calls, started, timeline

ENTRIES = 200
"""Of one chunk."""


def lens_of(session: SessionView, level: Level, depth: int = 0) -> Lens:
    """How whoever is served now looks at the session."""
    return Lens(session.id, session.created_at, level, languages.spoken(), depth)


async def chunk(
    app: App,
    actor: Actor,
    lens: Lens,
    *,
    after: int = 0,
    before: int | None = None,
    newest_first: bool,
    most: int = ENTRIES,
) -> tuple[list[Event], bool]:
    """Events in their order, and whether there are more on that side."""
    wanted = Wanted(lens.level)
    found = await session_log.page(
        app, actor, lens.session_id, wanted, after=after, before=before, newest_first=newest_first, limit=most
    )
    return (found.events[::-1] if newest_first else found.events), found.next is not None


async def rendered(app: App, actor: Actor, lens: Lens, events: list[Event], looked_for: Query | None = None) -> Markup:
    """The entries; a card has its call's end also where that is in the next chunk or not shown by itself."""
    running, ends = frozenset[str](), list[Event]()
    if unended := open_calls(events):
        running = await session_log.running(app, actor, lens.session_id)
        if over := [seq for call_id, seq in unended.items() if call_id not in running]:
            wanted = Wanted(kinds=frozenset({"tool_call.finished"}))
            ends = (await session_log.page(app, actor, lens.session_id, wanted, after=min(over), limit=ENTRIES)).events
    below = SessionFilter(parent=lens.session_id)
    there = (await session_lists.find(app, actor, below, limit=MOST)).items if started(events) else ()
    return await to_thread(_html, events, lens, running, ends, {row.id: row for row in there}, looked_for)


def _html(
    events: list[Event],
    lens: Lens,
    running: frozenset[str],
    ends: list[Event],
    children: dict[int, SessionRow],
    looked_for: Query | None,
) -> Markup:
    html = timeline(events, lens, running, ends, children)
    return html if looked_for is None else marked(html, looked_for)
