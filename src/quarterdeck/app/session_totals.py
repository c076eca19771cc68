"""The totals of a session, which a project or a runner sets: what is left of them when one that was paused goes on."""

from sqlalchemy import select

from quarterdeck.app.change import Change
from quarterdeck.core.errors import ConflictError
from quarterdeck.core.session_limits import Limits, ProjectLimits
from quarterdeck.store.tables import leases, projects, runners


async def check_raised(it: Change) -> None:
    """Raises ConflictError while what paused the session is still used up: it would pause again at its next command.

    Of runners only the one that holds the session is asked; another may allow more.
    """
    reached, state = it.state.exhausted, it.state
    if reached is None:
        return
    asked = select(projects.c.limits).where(projects.c.id == state.created.project_id)
    holder = (
        select(runners.c.capabilities["limits"].astext)
        .join(leases, leases.c.runner_id == runners.c.id)
        .where(leases.c.subject == f"session:{it.session.id}")
    )
    bounds: list[Limits | ProjectLimits] = []
    bounds += [ProjectLimits.model_validate(one) for one in (await it.connection.execute(asked)).scalars()]
    bounds += [_read(one) for one in (await it.connection.execute(holder)).scalars() if one]
    if any(state.used.up(reached.name, one) for one in bounds):
        raise ConflictError(f"Nothing has changed for session #{it.session.id}. {reached.pause}")


def _read(words: str) -> Limits | ProjectLimits:
    """What a runner said of its limits; nothing where this server can't read it."""
    try:
        return Limits.parse(words)
    except ValueError:
        return ProjectLimits()
