"""From a call as it is offered to the tool's body, and back to how it ended: the one place where faults become text."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from importlib import import_module

from pydantic import JsonValue

from quarterdeck.core.errors import NotFoundError, QuarterdeckError
from quarterdeck.core.events import Outcome
from quarterdeck.core.limits import RESULT_CHARACTERS
from quarterdeck.core.text import clean, cut
from quarterdeck.executor import tools
from quarterdeck.executor.hands import Done, Hands
from quarterdeck.executor.watch import LimitReachedError
from quarterdeck.tools.catalogue import tool
from quarterdeck.tools.tool import ToolArgs

Body = Callable[[Hands, ToolArgs], Awaitable[Done]]


def body(name: str) -> Body:
    """The body of a tool of the executor's side.

    Raises:
        NotFoundError: there is no such tool, or it is the server's.
    """
    if tool(name).side != "executor":
        raise NotFoundError(f"{name} is carried out by the server, not by an executor.")
    return import_module(f"{tools.__name__}.{name}").run


async def carry_out(hands: Hands, name: str, args: dict[str, JsonValue]) -> Done:
    """Do the call; what a body raises is the outcome `error` with the message, what takes too long `timed_out`.

    Cancelling it kills what it started.
    """
    try:
        entry = tool(name)
        async with asyncio.timeout(entry.timeout_seconds):
            done = await body(name)(hands, entry.parse(args))
    except LimitReachedError as error:
        done = Done(Outcome.ERROR, error.message, limit=error.reached)
    except QuarterdeckError as error:
        done = Done(Outcome.ERROR, error.message)
    except TimeoutError:
        done = Done(Outcome.TIMED_OUT, f"{name} was not done after {tool(name).timeout_seconds} seconds and was ended.")
    except OSError as error:
        done = Done(Outcome.ERROR, f"{name} failed: {error.strerror or error}.")
    text = cut(clean(done.text), RESULT_CHARACTERS)
    return dataclasses.replace(done, text=text, truncated=done.truncated or len(done.text) > RESULT_CHARACTERS)
