"""What the brain asks of a model, and what it gets, whatever the provider."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from quarterdeck.core.answer import Reply, RequestedCall
from quarterdeck.core.errors import InvalidInputError, QuarterdeckError
from quarterdeck.core.history import Message
from quarterdeck.core.usage import Usage
from quarterdeck.tools.tool import Tool

__all__ = [
    "Meter",
    "Model",
    "ModelRejectedError",
    "ModelUnavailableError",
    "OnText",
    "Reply",
    "Request",
    "RequestedCall",
]

OnText = Callable[[str], Awaitable[None]]
"""Gets the whole text of the answer so far, again and again while it grows."""


@dataclass
class Meter:
    """What was used for an answer that didn't come to be: cut off, stopped, or withheld. None when nothing was."""

    usage: Usage | None = None


@dataclass(frozen=True)
class Request:
    """One question to a model: the whole conversation of a component, and the tools it may call."""

    component: str
    system: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    session: int
    answered: int = 0
    """How many answers the component has had in this session."""
    compacted: int = 0
    """How many of them the first message stands for; 0 when it is a message like others."""
    compacting: bool = False
    """The last message asks for a shorter form of what is before it, not for an answer."""
    meter: Meter = field(default_factory=Meter)
    """Written by the model when it gives no answer."""


class Model(Protocol):
    """Something that answers. It keeps no state of a conversation: all of it is in the request."""

    async def answer(self, request: Request, on_text: OnText) -> Reply:
        """The whole answer, while `on_text` is told what there is of it.

        Raises:
            ModelRejectedError: asking again won't help.
            ModelUnavailableError: asking again later may.
        """
        ...


class ModelRejectedError(InvalidInputError):
    """The model refused the request. Check the key, the model's name and what the key may use."""

    code = "model_rejected"


class ModelUnavailableError(QuarterdeckError):
    """The model can't be reached now. It is asked again later."""

    code = "model_unavailable"

    def __init__(self, message: str | None = None, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds that the provider wants to be left alone; None when it didn't say."""
