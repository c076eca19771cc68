"""What somebody may do with a session, so that doors offer nothing that would be refused."""

from collections.abc import Sequence
from functools import partial

from pydantic import BaseModel, ConfigDict

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_access import Facts, facts
from quarterdeck.core.access import Ability


class SessionRights(BaseModel):
    """Each use case checks again by itself."""

    model_config = ConfigDict(frozen=True)
    steer: bool
    """Answer, write, pause and resume."""
    cancel: bool
    hold: bool
    delete: bool


async def rights(app: App, actor: Actor, session_id: int) -> SessionRights:
    """What the actor may do with a session that they may see; all who ask at the same time are one query.

    Raises:
        NotFoundError: there is none that the actor may know of.
    """
    known = await app.rights.ask((actor, session_id), partial(_known, app))
    allows = known.standing.allows
    return SessionRights(
        steer=known.standing.steers and not known.external,
        cancel=allows(Ability.CANCEL_SESSION),
        hold=allows(Ability.HOLD_SESSION),
        delete=allows(Ability.DELETE_SESSION),
    )


async def _known(app: App, asking: Sequence[tuple[Actor, int]]) -> Sequence[Facts | Exception]:
    async with app.database.reading() as connection:
        return await facts(connection, asking)
