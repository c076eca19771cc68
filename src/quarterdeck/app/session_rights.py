"""What somebody may do with a session, so that doors offer nothing that would be refused."""

from collections.abc import Awaitable

from pydantic import BaseModel, ConfigDict

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_access import may, steer_check
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import ConflictError, ForbiddenError


class SessionRights(BaseModel):
    """Each use case checks again by itself."""

    model_config = ConfigDict(frozen=True)
    steer: bool
    """Answer, write, pause and resume."""
    cancel: bool
    hold: bool
    delete: bool


async def rights(app: App, actor: Actor, session_id: int) -> SessionRights:
    """What the actor may do with a session that they may see. Raises NotFoundError."""
    async with app.database.reading() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        return SessionRights(
            steer=await _allowed(steer_check(connection, actor, session_id)),
            cancel=await _allowed(may(connection, actor, session_id, Ability.CANCEL_SESSION)),
            hold=await _allowed(may(connection, actor, session_id, Ability.HOLD_SESSION)),
            delete=await _allowed(may(connection, actor, session_id, Ability.DELETE_SESSION)),
        )


async def _allowed(check: Awaitable[None]) -> bool:
    try:
        await check
    except (ForbiddenError, ConflictError):
        return False
    return True
