"""Budgets of sessions: checked where they are given, told of when they are near, changed by whose session it is."""

from collections.abc import Iterable
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import session_views as views
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.change import Change, changing
from quarterdeck.app.lock_order import below
from quarterdeck.app.model_keys import stored_keys
from quarterdeck.app.session_access import steer_check
from quarterdeck.app.session_views import SessionView
from quarterdeck.core.budget import NEAR, Budget, BudgetChanged, BudgetNeared
from quarterdeck.core.errors import ConflictError, InvalidInputError
from quarterdeck.core.record_events import ChildrenUsed
from quarterdeck.core.state import SessionState
from quarterdeck.core.status import FINAL, Status, human
from quarterdeck.core.usage import Usage
from quarterdeck.store import log
from quarterdeck.store.tables import sessions


async def check(app: App, connection: AsyncConnection, budget: Budget | None, models: Iterable[str]) -> None:
    """Raises InvalidInputError for a budget of cost alone where the price of one of the models is not known."""
    if budget is None or budget.cost is None or budget.tokens is not None:
        return
    stored = await stored_keys(app, connection)
    unknown = [name for name in models if not await app.models.priced(name, stored)]
    if unknown:
        raise InvalidInputError(
            f"A budget of {budget} can't be kept: the price of {', '.join(unknown)} is not known. "
            "Give a budget of tokens, alone or too, or tell the server the price (QUARTERDECK_PRICES)."
        )


async def change(app: App, actor: Actor, session_id: int, budget: Budget | None) -> SessionView:
    """Gives the session another budget, or none; one that was paused because it was spent still has to be resumed.

    Raises:
        ConflictError: the session has ended.
        InvalidInputError: it can't be kept.
    """
    async with app.database.transaction() as connection:
        await steer_check(connection, actor, session_id)
        async with changing(app, connection, session_id) as it:
            if it.state.final:
                raise ConflictError(f"Session #{session_id} is {human(it.state.status)}; it uses nothing more.")
            created = it.state.created
            await check(app, connection, budget, {created.model, *created.component_models.values()})
            if budget != it.state.budget:
                it.append(BudgetChanged(budget=budget, by=actor.username))
                warn(it)
            await log.flush(connection, it.session)
        return await views.load(app, connection, session_id)


def warn(it: Change) -> None:
    """Says once of each budget that most of it is used; for whoever has just noted a use."""
    state = it.state
    if state.budget is not None and not state.budget_neared and state.budget.used(state.spent) >= NEAR:
        it.append(BudgetNeared(budget=state.budget, usage=state.spent))


async def count_children(it: Change) -> bool:
    """Notes what the sessions below this one have used by now, if its budget has to be kept and that is more.

    They go on while it does: each has a budget of its own, and all of them together use this one's.
    """
    if it.state.budget is None:
        return False
    usage = await _used_below(it, it.session.id)
    if usage.requests <= it.state.children_usage.requests:
        return False
    it.append(ChildrenUsed(usage=usage))
    warn(it)
    return True


async def spent_above(it: Change) -> str:
    """Why no model may be asked for a session that works for others: the budget of one of those is spent.

    By itself, this one, or another that works for it; empty when none is. One that has ended counts no more: nobody
    could raise its budget.
    """
    above = it.state.created.parent_id
    while above is not None:
        columns = sessions.c.parent_id, sessions.c.status, sessions.c.state["usage"], sessions.c.state["budget"]
        row = (await it.connection.execute(select(*columns).where(sessions.c.id == above))).one_or_none()
        if row is None:
            break
        parent, status, used, given = row
        if given is not None and Status(status) not in FINAL:
            usage = Usage.model_validate(used) + await _used_below(it, above)
            if spent := Budget.model_validate(given).spent(usage):
                return f"Of session #{above}, for which it works: {spent}"
        above = parent
    return ""


async def _used_below(it: Change, session_id: int) -> Usage:
    """What all sessions below one have used; of the one that is being changed as it is now."""
    columns = sessions.c.id, sessions.c.state["usage"]
    rows = await it.connection.execute(select(*columns).where(sessions.c.id.in_(below(session_id))))
    found = (it.state.usage if number == it.session.id else Usage.model_validate(used) for number, used in rows)
    return sum(found, Usage())


async def for_child(connection: AsyncConnection, parent_id: int, parent: SessionState) -> Budget | None:
    """What one more session that this one starts may use: what is left here, and was not given to those below it.

    Of one that has ended that is what it used, of another all that it may.

    Raises:
        InvalidInputError: nothing is.
    """
    if parent.budget is None:
        return None
    taken = parent.usage
    columns = sessions.c.status, sessions.c.state["usage"], sessions.c.state["budget"]
    for status, used, given in await connection.execute(select(*columns).where(sessions.c.id.in_(below(parent_id)))):
        usage = Usage.model_validate(used)
        taken += usage
        may_use = None if given is None or Status(status) in FINAL else Budget.model_validate(given)
        if may_use is not None and (left := may_use.left(usage)) is not None:
            taken += Usage(requests=0, input_tokens=left.tokens or 0, cost=left.cost or Decimal(0))
    left = parent.budget.left(taken)
    if left is None:
        raise InvalidInputError("The session's budget is spent, so it can start no other.")
    return left
