"""The server's own tools: a tool call of the server's side, carried out in the name of the session's initiator."""

import asyncio
import importlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

import structlog

from quarterdeck.app import mcp_calls, server_calls
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.errors import QuarterdeckError, UnavailableError
from quarterdeck.core.events import AnyPayload, Outcome
from quarterdeck.core.mcp import is_mcp
from quarterdeck.tools.catalogue import tool as tool_named
from quarterdeck.tools.mcp import redactor, told
from quarterdeck.tools.tool import ToolArgs

_log = structlog.get_logger(__name__)
_DIED = (
    "The server's worker died in the middle of this call. It is not known whether it was carried out; look before you "
    "do it again."
)


@dataclass(frozen=True)
class Case:
    """What a body is given beside its arguments. A body may run twice: `call_id` is its idempotency key."""

    app: App
    actor: Actor
    """The session's initiator."""
    session_id: int
    project_id: int
    call_id: str
    branch: str
    """The session's own branch."""
    base: str
    """The branch that the session started from."""


@dataclass(frozen=True)
class Done:
    """What a body came to: the text for the model, and events that belong before the call's end."""

    text: str
    events: tuple[AnyPayload, ...] = ()
    outcome: Outcome = Outcome.OK


Body = Callable[[Case, ToolArgs], Awaitable[Done | None]]
"""Answers None when something else ends the call later, a pipeline for example."""


def body_of(name: str) -> Body:
    """The body of a server-side tool: `run` of the module of its name."""
    return cast(Body, importlib.import_module(f"quarterdeck.engine.server_tools.{name}").run)


class Desk:
    """Carries out the calls of the server's side."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def carry_out(self, session_id: int, call_id: str) -> None:
        """Does the call and commits its end; nothing when it has ended or was cancelled.

        Raises:
            UnavailableError: the database is away; the job comes again.
        """
        begun = await server_calls.begin(self._app, session_id, call_id)
        if begun is None:
            return
        case = Case(self._app, begun.actor, session_id, begun.project_id, call_id, begun.branch, begun.base)
        try:
            if is_mcp(begun.tool):
                done = await self._mcp(case, begun)
            else:
                done = await body_of(begun.tool)(case, tool_named(begun.tool).parse(begun.args))
        except UnavailableError:
            raise
        except QuarterdeckError as error:
            await server_calls.finish(self._app, session_id, call_id, outcome=Outcome.ERROR, text=error.message)
        except Exception:
            number = secrets.token_hex(4)
            _log.exception("a server tool failed", session=session_id, call=call_id, fault=number)
            text = f"The server failed on this call. An administrator finds the fault in the log as {number}."
            await server_calls.finish(self._app, session_id, call_id, outcome=Outcome.ERROR, text=text)
        else:
            if done is not None:
                await server_calls.finish(
                    self._app, session_id, call_id, outcome=done.outcome, text=done.text, before=done.events
                )

    async def _mcp(self, case: Case, begun: server_calls.Begun) -> Done | None:
        """A call for an MCP server, given up when the session ends; one that was begun before is not made again."""
        if begun.again and not begun.listing:
            return Done(_DIED, outcome=Outcome.INTERRUPTED)
        asking = asyncio.create_task(self._ask(case, begun))
        ended = asyncio.create_task(server_calls.until_ended(self._app, case.session_id, case.call_id))
        try:
            await asyncio.wait((asking, ended), return_when=asyncio.FIRST_COMPLETED)
            return await asking if asking.done() else None
        finally:
            for task in (asking, ended):
                task.cancel()
            await asyncio.gather(asking, ended, return_exceptions=True)

    async def _ask(self, case: Case, begun: server_calls.Begun) -> Done:
        call = await mcp_calls.prepare(self._app, case.session_id, case.call_id)
        try:
            if call.remote:
                result = told(await self._app.mcp.call(call.endpoint, call.remote, begun.args))
                text = redactor(call.endpoint.secrets).text(result.text)
                return Done(text, outcome=Outcome.ERROR if result.failed else Outcome.OK)
            raw = await self._app.mcp.tools(call.endpoint)
        except QuarterdeckError as error:  # one that is away ends the call, as the database's absence does not
            return Done(error.message, outcome=Outcome.ERROR)
        pin = await mcp_calls.pin(self._app, case.session_id, case.call_id, raw)
        return Done(mcp_calls.told(pin), (pin,))
