"""One question to a provider and its streamed answer."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from pydantic_ai.direct import model_request_stream
from pydantic_ai.messages import InstructionPart, ModelResponse, ModelResponseStreamEvent
from pydantic_ai.models import Model as TheirModel
from pydantic_ai.models import ModelRequestParameters, StreamedResponse
from pydantic_ai.settings import ModelSettings

from quarterdeck.core.text import clean
from quarterdeck.core.usage import Usage
from quarterdeck.engine.models import answers, messages, opaque
from quarterdeck.engine.models.endpoints import Endpoint
from quarterdeck.engine.models.failures import told
from quarterdeck.engine.models.model import ModelRejectedError, ModelUnavailableError, OnText, Reply, Request
from quarterdeck.engine.models.prices import guessed, priced
from quarterdeck.engine.models.providers import Provider
from quarterdeck.engine.models.sight import takes_images
from quarterdeck.engine.models.spoken import spoken

PARTIAL_SECONDS = 0.05
"""How often `on_text` is told at most."""
ANSWER_CHARACTERS = 4_000_000
"""Far more than any model gives in one answer; a local one that never ends is cut off here."""
SILENT_SECONDS = 300.0
"""How long a provider may keep a connection alive without saying a word of its answer."""
ANSWER_SECONDS = 900.0
"""How long a whole answer may take."""


async def ask(endpoint: Endpoint, request: Request, on_text: OnText) -> Reply:
    """The answer to `request`, as `Model.answer` promises it."""
    started = time.monotonic()
    patience = asyncio.timeout(SILENT_SECONDS)
    try:
        async with patience, AsyncExitStack() as stack:
            with told(endpoint):
                stream = await stack.enter_async_context(_opening(await spoken(endpoint), endpoint, request))
            try:
                await _follow(stream, endpoint, on_text, patience)
                response = stream.get()
                _check_end(response, endpoint)
            except BaseException:
                request.meter.usage = _broken_off(stream, endpoint, request)
                raise
    except TimeoutError:
        if not patience.expired():
            raise
        raise ModelUnavailableError(f"{endpoint.name} can't answer now: its answer didn't come to an end.") from None
    return Reply(
        text=answers.text(response),
        thinking=answers.thinking(response),
        calls=answers.calls(response),
        opaque=opaque.kept(response),
        model=endpoint.name,
        usage=priced(response.usage, response.model_name or endpoint.model, endpoint.base_url, endpoint.price),
        duration_ms=round((time.monotonic() - started) * 1000),
    )


def _broken_off(stream: StreamedResponse, endpoint: Endpoint, request: Request) -> Usage:
    """What an answer used that didn't come to its end; an estimate, unless its provider had told all."""
    response = stream.get()
    model = response.model_name or endpoint.model
    if response.finish_reason:
        return priced(response.usage, model, endpoint.base_url, endpoint.price)
    used = guessed(response.usage, messages.size(request), answers.size(response))
    return priced(used, model, endpoint.base_url, endpoint.price, estimated=True)


def _opening(model: TheirModel, endpoint: Endpoint, request: Request) -> AbstractAsyncContextManager[StreamedResponse]:
    return model_request_stream(
        model,
        messages.history(
            request.messages,
            endpoint.name,
            nine=endpoint.provider is Provider.MISTRAL,
            images=takes_images(endpoint.name),
        ),
        model_settings=ModelSettings(cache=True),
        model_request_parameters=ModelRequestParameters(
            function_tools=messages.definitions(request.tools),
            instruction_parts=[InstructionPart(request.system)] if request.system else [],
        ),
        instrument=False,
    )


async def _follow(stream: StreamedResponse, endpoint: Endpoint, on_text: OnText, patience: asyncio.Timeout) -> None:
    """Read the stream to its end and tell `on_text` of it, whose own errors pass as they are."""
    events = aiter(stream)
    last_told, told_text = float("-inf"), ""
    clock = asyncio.get_running_loop().time
    end = clock() + ANSWER_SECONDS
    while await _next(events, endpoint) is not None:
        patience.reschedule(min(clock() + SILENT_SECONDS, end))
        if time.monotonic() - last_told < PARTIAL_SECONDS:
            continue
        told_text = await _tell(stream.get(), told_text, endpoint, on_text)
        last_told = time.monotonic()
    await _tell(stream.get(), told_text, endpoint, on_text)


async def _next(events: AsyncIterator[ModelResponseStreamEvent], endpoint: Endpoint) -> ModelResponseStreamEvent | None:
    with told(endpoint):
        return await anext(events, None)


async def _tell(response: ModelResponse, before: str, endpoint: Endpoint, on_text: OnText) -> str:
    text = answers.text(response)
    if answers.size(response) > ANSWER_CHARACTERS:
        raise ModelRejectedError(f"{endpoint.name} didn't end its answer within {ANSWER_CHARACTERS:,} characters.")
    if text != before:
        await on_text(text)
    return text


def _check_end(response: ModelResponse, endpoint: Endpoint) -> None:
    """Raises if the answer was cut off, or withheld by the provider's filter."""
    details = response.provider_details or {}
    if not response.finish_reason and details.get("finish_reason") in (None, "error"):
        raise ModelUnavailableError(f"{endpoint.name} can't answer now: its answer was cut off in the middle.")
    if response.finish_reason == "content_filter" and not (answers.text(response) or answers.calls(response)):
        why = clean(str(details.get("refusal") or "it gives no reason"))
        raise ModelRejectedError(f"{endpoint.provider}'s filter withheld the answer: {why}")
