"""Who opened a stream: let in again while it goes on."""

from collections.abc import Awaitable, Callable

from quarterdeck.app import people, session_rights
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.errors import UnauthenticatedError


async def still(app: App, secret: str, actor: Actor) -> Actor:
    """The actor, whom the token still is.

    Raises:
        UnauthenticatedError: the token opens nothing any more, or makes somebody else than when the stream was opened.
    """
    if await people.authenticate(app, secret, actor.door) != actor:
        raise UnauthenticatedError("What you are here has changed meanwhile. Connect again.")
    return actor


async def watches(app: App, still: Callable[[], Awaitable[Actor]], session_id: int) -> None:
    """Who opened a session's stream may still see the session. Raises UnauthenticatedError, NotFoundError."""
    await session_rights.rights(app, await still(), session_id)
