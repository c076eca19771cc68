"""Bedrock's Converse API, in which all of its models can be asked.

The library asks it by a thread for each answer. It is given up with the question, or it would keep the process from
ending until its connection timed out.
"""

from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import anyio.to_thread
from botocore.exceptions import BotoCoreError, HTTPClientError, MetadataRetrievalError
from pydantic_ai.exceptions import ModelAuthenticationError, UserError
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import ModelRequestParameters, StreamedResponse
from pydantic_ai.models.bedrock import BedrockConverseModel
from pydantic_ai.providers.bedrock import BedrockProvider
from pydantic_ai.settings import ModelSettings
from typing_extensions import override

from quarterdeck.core.text import clean, line
from quarterdeck.engine.models import aws_client
from quarterdeck.engine.models.clients import timeout
from quarterdeck.engine.models.endpoints import Endpoint
from quarterdeck.engine.models.model import ModelRejectedError, ModelUnavailableError
from quarterdeck.engine.models.wire import Wire

THREADS = 1_000
"""How many answers may be waited for at a time, as many as a worker goes on with at most."""


def converse_model(endpoint: Endpoint) -> "ConverseModel":
    """The model of `endpoint`; reads files and may ask for credentials, so this is not for a loop.

    Raises:
        ModelRejectedError: there are no such credentials, or Converse doesn't serve the model.
        ModelUnavailableError: who gives the credentials can't be reached now.
    """
    with _explained(endpoint):
        client = aws_client.client(endpoint.base_url, endpoint.region, endpoint.key, endpoint.identity)
    try:
        return ConverseModel(endpoint, client)
    except UserError:
        raise ModelRejectedError(
            f"{endpoint.name} can't be asked with AWS credentials. "
            "It takes a Bedrock API key: set AWS_BEARER_TOKEN_BEDROCK."
        ) from None


class ConverseModel(BedrockConverseModel):
    """The library's model, asked over our connections."""

    def __init__(self, endpoint: Endpoint, client: Any) -> None:
        self._endpoint = endpoint
        super().__init__(endpoint.model, provider=BedrockProvider(bedrock_client=client))

    @override
    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: Any = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """The answer as it comes; no thread and no connection outlives this."""
        room = anyio.to_thread.current_default_thread_limiter()
        room.total_tokens = max(room.total_tokens, THREADS)
        wire = Wire(timeout(self._endpoint))
        before = aws_client.carrier.set(wire)
        try:
            async with AsyncExitStack() as stack:
                opening = super().request_stream(messages, model_settings, model_request_parameters, run_context)
                with _explained(self._endpoint):
                    stream = await stack.enter_async_context(opening)
                yield stream
        finally:
            aws_client.carrier.reset(before)
            await wire.aclose()


@contextmanager
def _explained(endpoint: Endpoint) -> Generator[None]:
    """What the SDK finds wrong before anything is sent comes out as one of our classes."""
    try:
        yield
    except ModelAuthenticationError:
        aws_client.forget()  # the profile's file may be mended by the next time
        raise
    except BotoCoreError as error:
        aws_client.forget()
        said = line(clean(str(error)), 600)
        if isinstance(error, HTTPClientError | MetadataRetrievalError):
            raise ModelUnavailableError(f"{endpoint.name} can't answer now: {said}") from None
        raise ModelRejectedError(f"{endpoint.name} can't be asked with {endpoint.key_words}: {said}") from None
