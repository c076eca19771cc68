"""The sessions that a session started: what ends it ends them."""

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.change import Change, changing
from quarterdeck.app.lock_order import lock_below
from quarterdeck.core.status import Transition


async def stop_children(app: App, it: Change, actor: Actor) -> list[int]:
    """Stops all sessions below one that is being stopped, before its own end is told of, and answers their numbers."""
    stopped: list[int] = []
    for child in await lock_below(it.connection, it.session.id):
        async with changing(app, it.connection, child) as below:
            if not below.state.final:
                reason = f"session #{it.session.id}, which started it, was stopped"
                below.move(Transition.STOP, reason=reason, by=actor.username)
                stopped.append(child)
    return stopped
