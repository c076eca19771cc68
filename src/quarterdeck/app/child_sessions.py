"""A session that another one starts: in the same project, in the name of the same person, with the same model."""

from dataclasses import dataclass, field

from pydantic import JsonValue
from sqlalchemy import func, select

from quarterdeck.app import budgets
from quarterdeck.app import session_views as views
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.network import with_tools_told
from quarterdeck.app.session_views import SessionView
from quarterdeck.app.sessions import StartSession, start_within
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.state import SessionState
from quarterdeck.store.tables import sessions
from quarterdeck.tools.tool import Privilege

DEEPEST = 3
"""How many sessions may stand above one: what starts itself without end would cost without end."""
MOST = 50
"""Of one session in its life."""


@dataclass(frozen=True)
class Wish:
    """What the child is to be."""

    flow: str
    goal: str = ""
    pipeline_id: int | None = None
    inputs: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])


@with_tools_told
async def start(app: App, actor: Actor, parent_id: int, call_id: str, wish: Wish) -> SessionView:
    """Starts the child; a repeated call answers the one that it started.

    Raises:
        InvalidInputError: the session has no project, is too deep below others, or the flow can't be started so.
        ConflictError: the session has ended in the meantime.
    """
    async with app.database.transaction() as connection:
        row = await connection.execute(select(sessions.c.state).where(sessions.c.id == parent_id).with_for_update())
        standing = SessionState.model_validate(row.scalar_one())
        parent = standing.created
        if parent.project_id is None:
            raise InvalidInputError("This session has no project, so it can start no flow.")
        above, depth = parent.parent_id, 1
        while above is not None and depth <= DEEPEST:
            query = select(sessions.c.parent_id).where(sessions.c.id == above)
            above, depth = (await connection.execute(query)).scalar_one_or_none(), depth + 1
        if depth > DEEPEST:
            raise InvalidInputError(f"This session was itself started by others, {DEEPEST} deep; it can start no more.")
        count = select(func.count()).where(sessions.c.parent_id == parent_id)
        if (await connection.execute(count)).scalar_one() >= MOST:
            raise InvalidInputError(f"This session has started {MOST} sessions, which is as many as it may.")
        request = StartSession(
            project=parent.project_id,
            flow=wish.flow,
            goal=wish.goal,
            pipeline_id=wish.pipeline_id,
            inputs=wish.inputs,
            # A scripted session starts scripted ones, with the script that ships with the flow: nothing else is free.
            model="scripted" if parent.scripted else parent.model,
            # What the parent may not do at all, its children may not either.
            privileges=None if parent.privileges is None else tuple(map(Privilege, parent.privileges)),
            may_ask=parent.may_ask,
            runner_tags=parent.runner_tags,
            budget=await budgets.for_child(connection, parent_id, standing),
        )
        child = await start_within(
            app, connection, actor, request, f"call:{call_id}", parent_id=parent_id, triggered=parent.triggered
        )
        return await views.load(app, connection, child)
