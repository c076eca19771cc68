"""A chat as a conversation: what is said stands large, each tool call is one line that opens."""

import json
from asyncio import to_thread
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from quarterdeck.app import session_log, session_rights, sessions
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_log import Wanted
from quarterdeck.app.session_rights import SessionRights
from quarterdeck.app.session_views import SessionView
from quarterdeck.app.signals import EventSignal, PartialSignal, Signal
from quarterdeck.core import events as e
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.events import Event
from quarterdeck.core.status import AWAITING, FINAL
from quarterdeck.doors.export.entries import entry
from quarterdeck.doors.export.terminal import plain
from quarterdeck.doors.sse import chunk, message
from quarterdeck.doors.web import languages, texts
from quarterdeck.doors.web.rendering import fragment
from quarterdeck.doors.web.session_parts import parts
from quarterdeck.doors.web.timeline import Item

ENTRIES = 60
"""Of a conversation that is opened; the log has all of it."""
_SAID = frozenset({
    "session.created", "message.added", "question.answered", "model.answered", "model.interrupted",
    "approval.requested",
})  # fmt: skip
_DONE = frozenset({"tool_call.requested", "tool_call.finished"})
_NOTED = frozenset({
    "approval.denied", "artifact.created", "context.compacted", "history.copied", "model.retried", "notice.added",
    "snapshot.taken", "status.changed",
})  # fmt: skip
KINDS = _SAID | _DONE | _NOTED
_ASKS = "clarification_question"
"""A tool whose call and result stand in the conversation as a question and its answer."""
_STANDING = frozenset({"running", "created", "idle", *(status.value for status in AWAITING)})
"""Statuses that the conversation shows by itself."""
_ENDS_ANSWER = (e.ModelAnswered, e.ModelInterrupted, e.ModelRetried, e.StatusChanged)
"""Behind these an answer is written no more."""


@dataclass(frozen=True)
class Talk:
    """A conversation that is opened."""

    session: SessionView
    entries: Markup
    earlier: bool
    """Whether there is more before."""
    head: Markup
    waiting: Markup
    composer: Markup

    @property
    def over(self) -> bool:
        """Whether nothing comes any more."""
        return self.session.status in FINAL


async def chat(app: App, actor: Actor, session_id: int) -> SessionView:
    """A chat of the actor's. Raises NotFoundError."""
    session = await sessions.show(app, actor, session_id)
    if session.origin != "chat":
        raise NotFoundError(f"Session #{session_id} is no chat.")
    return session


async def opened(app: App, actor: Actor, session: SessionView) -> Talk:
    """The end of a chat and what can be done with it."""
    rights = await session_rights.rights(app, actor, session.id)
    # What comes while it is made is left to the stream, which goes on behind `session.seq`.
    page = await session_log.page(
        app, actor, session.id, Wanted(kinds=KINDS), before=session.seq + 1, newest_first=True, limit=ENTRIES
    )
    entries = await to_thread(talk, page.events[::-1])
    beside = {name: Markup(html) for name, html in _beside(session, rights).items()}  # noqa: S704 from templates
    return Talk(session, entries, page.next is not None, beside["head"], beside["waiting"], beside["composer"])


def talk(events: Sequence[Event]) -> Markup:
    """The entries of a page. Takes its time: call it in a thread."""
    texts.begin_page()
    ends: dict[str, Event] = {}
    for event in events:
        if isinstance(event.payload, e.ToolCallFinished):
            ends[event.payload.call_id] = event
    rows: list[Markup] = []
    for event in reversed(events):  # the newest come first to what room there is for Markdown
        match event.payload:
            case e.ToolCallFinished():
                continue
            case e.ToolCallRequested(call_id=call_id):
                rows.append(_row(event, ends.get(call_id)))
            case _:
                rows.append(_row(event))
    return Markup("\n").join(rows[::-1])


def told(signals: Sequence[Signal]) -> bytes:
    """What is new, as server-sent events: `talk` goes to the end, `talk-partial` is the answer so far."""
    texts.begin_page()
    found: list[bytes] = []
    events = [signal.event for signal in signals if isinstance(signal, EventSignal)]
    if events:
        if any(isinstance(event.payload, _ENDS_ANSWER) for event in events):
            found.append(message("talk-partial", json.dumps({"text": ""})))
        html = Markup("\n").join(_row(event) for event in events if event.kind in KINDS)
        found.append(message("talk", json.dumps(html), events[-1].seq))
    written = [signal for signal in signals if isinstance(signal, PartialSignal)]
    found += [message("talk-partial", json.dumps({"text": plain(signal.text)})) for signal in written]
    return chunk(found)


def beside(session: SessionView, rights: SessionRights) -> bytes:
    """What stands around the entries and changes with them, as a server-sent event."""
    return message("talk-parts", json.dumps(_beside(session, rights)))


def _beside(session: SessionView, rights: SessionRights) -> dict[str, str]:
    around = parts(session, rights)
    values = {"session": session, "rights": rights, "asks": session.status in AWAITING}
    return {
        "title": around.title,
        "header": around.header,
        "head": fragment("parts/talk_head.html", session=session),
        "waiting": around.waiting,
        "composer": fragment("parts/talk_composer.html", final=session.status in FINAL, **values),
    }


def _row(event: Event, end: Event | None = None) -> Markup:
    if not _shown(event):
        return Markup()
    item, ended = _item(event), None if end is None else _item(end)
    return fragment("parts/talk_entry.html", it=item, p=event.payload, entry=item.entry, end=ended)


def _item(event: Event) -> Item:
    return Item(event, entry(event, event.at, languages.gettext))


def _shown(event: Event) -> bool:
    """Whether the conversation has the event at all."""
    match event.payload:
        case e.ToolCallRequested(tool=tool) | e.ToolCallFinished(tool=tool):
            return tool != _ASKS
        case e.ApprovalRequested(ask=ask):
            return ask != "tool_call"
        case e.ModelAnswered(text=text):
            return bool(text.strip())
        case e.StatusChanged(to_status=status):
            return status.value not in _STANDING
        case _:
            return event.kind in KINDS
