"""What is new in a chat that is open on a page, for the page's stream."""

from asyncio import to_thread
from collections.abc import AsyncIterator, Sequence
from functools import partial

from quarterdeck.app import session_rights, watch
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.signals import EventSignal, Signal
from quarterdeck.core.errors import NotFoundError
from quarterdeck.doors.sse import KEEPALIVE
from quarterdeck.doors.web import conversation, languages
from quarterdeck.doors.web.sights import Place

_CHANGES = ("status.", "approval.", "session.", "workspace.")
"""Events of these kinds change what stands around the entries."""


async def told(app: App, actor: Actor, place: Place | None) -> AsyncIterator[bytes]:
    """What comes behind a place in a chat; ends with the chat, at once where there is none that the actor may read."""
    if place is None:
        return
    try:
        await conversation.chat(app, actor, place.chat)
        moments = await watch.session(app, actor, place.chat, after=place.after, most_output=0)
    except NotFoundError:
        return
    async for moment in moments:
        around = b""
        if any(map(_changes_parts, moment.signals)):
            rights = await session_rights.rights(app, actor, place.chat)
            around = conversation.beside(await conversation.chat(app, actor, place.chat), rights)
        tell = partial(_entries, moment.signals)
        said = await moment.once(("talk", languages.spoken()), tell) if moment.signals else KEEPALIVE
        yield said + around


async def _entries(signals: Sequence[Signal]) -> bytes:
    return await to_thread(conversation.told, signals)


def _changes_parts(signal: Signal) -> bool:
    return isinstance(signal, EventSignal) and signal.event.kind.startswith(_CHANGES)
