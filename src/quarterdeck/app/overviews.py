"""What somebody sees of sessions at one glance: a few short lists, and what becomes of them."""

from collections.abc import AsyncIterator
from functools import partial

from quarterdeck.app import session_lists
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.boards import Overview, Reader
from quarterdeck.app.session_filter import SessionFilter

Wanted = tuple[tuple[SessionFilter, int], ...]
"""Filters, and how many sessions of each; a person's boards are known by it."""


async def show(app: App, actor: Actor, wanted: Wanted) -> Overview:
    """The lists as they stand. Raises what `session_lists.find` raises."""
    return Overview(await session_lists.several(app, actor, wanted))


async def changes(app: App, actor: Actor, wanted: Wanted) -> AsyncIterator[Overview]:
    """The lists, and again whenever they are others; goes on until it is closed. Raises what `show` raises."""
    own = all(one.mine or one.needs_me for one, _ in wanted)
    reader = Reader(actor.user_id, actor.admin, own)
    look = partial(session_lists.several, app, actor, wanted)
    now: Overview | None = None
    with app.boards.of(app.database, app.doorbell, (reader, wanted), reader, look) as board:
        while True:
            now = await board.after(now)
            yield now
