"""A model behind a provider's API. The libraries that speak to it are loaded at the first question, off the loop."""

import asyncio
import sys
from collections.abc import Callable, Coroutine

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.engine.models.endpoints import Endpoint, Keys, endpoint
from quarterdeck.engine.models.model import ModelRejectedError, OnText, Reply, Request

_Ask = Callable[[Endpoint, Request, OnText], Coroutine[None, None, Reply]]


class RemoteModel:
    """Asks one provider's model, with the keys that there are when it is asked."""

    def __init__(self, name: str, keys: Keys) -> None:
        self._name, self._keys = name, keys

    async def answer(self, request: Request, on_text: OnText) -> Reply:
        """The whole answer, as `Model` promises it. Cancelling closes the provider's stream at once."""
        keys = await self._keys.current()
        try:
            where = endpoint(self._name, keys)
        except ModelRejectedError:
            raise
        except InvalidInputError as error:
            raise ModelRejectedError(error.message) from error
        ask = await asyncio.to_thread(_ask)
        return await ask(where, request, on_text)


async def close() -> None:
    """Close the connections that the running loop has to providers; to be called when its process ends."""
    if f"{__package__}.clients" in sys.modules:
        from quarterdeck.engine.models import clients

        await clients.close()


def _ask() -> _Ask:
    """The libraries take seconds to load on a slow disk, which a loop with a hundred sessions can't stand still for."""
    from quarterdeck.engine.models.exchange import ask

    return ask
