"""One question to a model, without a session."""

from quarterdeck.core.errors import UnavailableError
from quarterdeck.core.history import Said
from quarterdeck.engine.models import access
from quarterdeck.engine.models.model import ModelUnavailableError, Reply, Request

COMPONENT = "ask"
"""The name under which a script has its answers."""


async def ask(keys: access.ModelKeys, model: str, script: str | None, system: str, question: str) -> Reply:
    """The model's whole answer. Implements `app.outside.Asking`.

    Raises:
        ModelRejectedError: the model refuses, or its key isn't set.
        UnavailableError: it can't be reached now; nobody asks it again.
    """
    request = Request(component=COMPONENT, system=system, messages=(Said(question),), tools=(), session=0)
    try:
        return await access.model(model, script, keys).answer(request, _unheard)
    except ModelUnavailableError as error:
        raise UnavailableError(error.message) from error


async def _unheard(_: str) -> None:
    """Nobody watches the answer grow."""
