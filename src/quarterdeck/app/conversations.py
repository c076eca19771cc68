"""Conversations that a component has as an input: read without the session's lock, brought up to date within it."""

from dataclasses import dataclass

from quarterdeck.app.acts import Histories, rendered
from quarterdeck.app.application import App
from quarterdeck.app.change import Change
from quarterdeck.core import events as e
from quarterdeck.core.state import SessionState
from quarterdeck.store import log

EARLIER_EVENTS = 100_000
"""No more of a log is read for an input; what is older is not told."""


@dataclass(frozen=True)
class Earlier:
    """What was read of a log for the conversations of `components`, up to the event `through`."""

    components: frozenset[str] = frozenset()
    events: tuple[e.Event, ...] = ()
    through: int = 0


async def read(app: App, session_id: int, state: SessionState, wanted: frozenset[str]) -> Earlier:
    """The log from where the first of these conversations was compacted last, as far as `state` knows of it."""
    compacted = min(state.compacted[one].through if one in state.compacted else 0 for one in wanted)
    async with app.database.transaction() as connection:
        events = await log.read(
            connection,
            session_id,
            after=max(compacted, state.seq - EARLIER_EVENTS),
            before=state.seq + 1,
            limit=EARLIER_EVENTS,
        )
    return Earlier(wanted, tuple(events), state.seq)


async def up_to_now(it: Change, earlier: Earlier, wanted: frozenset[str]) -> Histories:
    """The conversations as texts, with what came while nobody held the lock and what this change has appended."""
    if not wanted:
        return {}
    since = await log.read(it.connection, it.session.id, after=earlier.through)
    return rendered(wanted, [*earlier.events, *since, *it.session.fresh])
