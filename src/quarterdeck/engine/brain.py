"""The brain: one go of it from a cause until the session waits or ends."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress

import structlog

from quarterdeck.app import model_usage, turns
from quarterdeck.app.application import App
from quarterdeck.app.turns import Question, Turn
from quarterdeck.core.errors import (
    FencedError,
    NotFoundError,
    QuarterdeckError,
    SessionEndedError,
    SessionGoneError,
    UnavailableError,
)
from quarterdeck.engine.models.model import Model, ModelRejectedError, ModelUnavailableError, Reply, Request

_log = structlog.get_logger(__name__)

PARTIAL_SECONDS = 0.05
"""A partial answer is shown at most this often."""

ModelFor = Callable[[str, str | None], Model]
"""The model of a name, with the script that a scripted one answers from; QuarterdeckError when it can't be had."""


class Brain:
    """Takes turns. It holds no state of a session: a turn begins and ends with the log."""

    def __init__(self, app: App, model_for: ModelFor) -> None:
        self._app = app
        self._model_for = model_for

    async def take(self, session_id: int, turn_no: int, *, job: int) -> None:
        """Takes the turn, unless it is another's; ends when the session waits, ends, or is taken away.

        Raises:
            UnavailableError: the database is away; the job comes again and the turn goes on from the log.
        """
        with turns.overseen(self._app, session_id) as until_over:
            turn = await turns.claim(self._app, session_id, turn_no, job=job)
            if turn is None:
                return
            work = asyncio.create_task(self._guarded(turn))
            over = asyncio.create_task(until_over(turn))
            try:
                await asyncio.wait((work, over), return_when=asyncio.FIRST_COMPLETED)
            finally:
                over.cancel()
                if not work.done():
                    work.cancel()
                with suppress(asyncio.CancelledError, UnavailableError):
                    await over
            with suppress(asyncio.CancelledError):
                await work

    async def _guarded(self, turn: Turn) -> None:
        try:
            await self._work(turn)
        except (FencedError, SessionEndedError, SessionGoneError):
            return
        except UnavailableError:
            raise
        except QuarterdeckError as error:
            with suppress(FencedError, SessionGoneError):
                await turns.drop(self._app, turn, error.message)
        except Exception:
            number = secrets.token_hex(4)
            _log.exception("a turn failed", session=turn.session_id, turn=turn.turn_no, fault=number)
            with suppress(FencedError, SessionGoneError):
                reason = f"The server failed on this turn. An administrator finds the fault in the log as {number}."
                await turns.drop(self._app, turn, reason)

    async def _work(self, turn: Turn) -> None:
        while (question := await turns.advance(self._app, turn)) is not None:
            try:
                reply = await self._ask(turn, question)
            except ModelUnavailableError as error:
                await turns.failed_to_answer(self._app, turn, question.component, error.message, error.retry_after)
                return
            except ModelRejectedError as error:
                await turns.pause(self._app, turn, error.message)
                return
            await turns.answered(self._app, turn, question, reply)

    async def _ask(self, turn: Turn, question: Question) -> Reply:
        """The answer of the session's model, else of the first that was named to stand in for it and can."""
        if question.barred:
            raise ModelRejectedError(question.barred)
        try:
            return await self._ask_one(turn, question, question.model)
        except ModelUnavailableError as error:
            away = error
        said = [away.message]
        for name in question.fallbacks:
            try:
                return await self._ask_one(turn, question, name)
            except (ModelUnavailableError, ModelRejectedError) as error:
                said.append(f"In its place {error.message}")
        raise ModelUnavailableError(" ".join(said), retry_after=away.retry_after)

    async def _ask_one(self, turn: Turn, question: Question, name: str) -> Reply:
        try:
            model = self._model_for(name, question.script)
        except ModelRejectedError:
            raise
        except QuarterdeckError as error:
            raise ModelRejectedError(error.message) from error
        request = Request(
            component=question.component,
            system=question.conversation.system,
            messages=tuple(question.conversation.messages),
            tools=question.tools,
            session=turn.session_id,
            answered=question.answered,
            compacted=question.conversation.compacted,
            compacting=question.cut is not None,
        )
        try:
            return await model.answer(request, _Partial(self._app, turn).show)
        except BaseException:
            if (used := request.meter.usage) is not None:
                with suppress(NotFoundError, UnavailableError):
                    await model_usage.record(self._app, turn.session_id, question.component, name, used)
            raise


class _Partial:
    """Shows a growing answer, at most every 50 ms; one that is whole by then is not shown in part."""

    def __init__(self, app: App, turn: Turn) -> None:
        self._app, self._turn = app, turn
        self._next = asyncio.get_running_loop().time() + PARTIAL_SECONDS

    async def show(self, text: str) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._next:
            self._next = now + PARTIAL_SECONDS
            with suppress(UnavailableError):  # an answer that can't be shown meanwhile is an answer all the same
                await turns.partial(self._app, self._turn, text)
