"""What answers used that never came to be."""

from quarterdeck.app import budgets
from quarterdeck.app.application import App
from quarterdeck.app.change import change
from quarterdeck.core import events as e
from quarterdeck.core.usage import Usage


async def record(app: App, session_id: int, component: str, model: str, usage: Usage) -> None:
    """Notes it in the log: a record, which comes even when the session has ended or the turn is another's by now.

    Raises:
        NotFoundError: the session is gone.
    """
    async with change(app, session_id) as it:
        it.append(e.UsageRecorded(component=component, model=model, usage=usage))
        budgets.warn(it)
