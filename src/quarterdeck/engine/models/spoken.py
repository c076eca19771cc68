"""Which protocol each provider's models speak, as pydantic-ai's models with our clients below."""

import asyncio
from typing import assert_never

from pydantic_ai.models import Model as TheirModel
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.bedrock_mantle import BedrockMantleChatModel, BedrockMantleResponsesModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.models.openrouter import OpenRouterModel
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.bedrock_mantle import BedrockMantleProvider
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider
from pydantic_ai.providers.openrouter import OpenRouterProvider

from quarterdeck.engine.models.clients import (
    BedrockAnthropicClient,
    MistralClient,
    anthropic_client,
    google_client,
    openai_client,
)
from quarterdeck.engine.models.endpoints import Endpoint
from quarterdeck.engine.models.model import ModelRejectedError
from quarterdeck.engine.models.providers import Provider

# A stream that ends before the provider said why it ended was cut, even if the connection was closed in good order.
_COMPLETE = OpenAIModelProfile(openai_chat_streaming_requires_finish_reason=True)
_PLAIN = OpenAIModelProfile(
    openai_chat_streaming_requires_finish_reason=True, openai_supports_strict_tool_definition=False
)


async def spoken(endpoint: Endpoint) -> TheirModel:
    """The model of `endpoint`.

    Raises:
        ModelRejectedError: the provider's library is missing, or it serves no such model in a protocol spoken here.
    """
    match endpoint.provider:
        case Provider.ANTHROPIC:
            return AnthropicModel(
                endpoint.model, provider=AnthropicProvider(anthropic_client=anthropic_client(endpoint))
            )
        case Provider.OPENAI_RESPONSES:
            return OpenAIResponsesModel(endpoint.model, provider=OpenAIProvider(openai_client=openai_client(endpoint)))
        case Provider.GOOGLE:
            return _google(endpoint)
        case Provider.BEDROCK:
            return await asyncio.to_thread(_converse, endpoint) if endpoint.region else _bedrock(endpoint)
        case Provider.OPENROUTER:
            provider = OpenRouterProvider(openai_client=openai_client(endpoint))
            return OpenRouterModel(endpoint.model, provider=provider, profile=_COMPLETE)
        case Provider.OPENAI:
            provider = OpenAIProvider(openai_client=openai_client(endpoint))
            return OpenAIChatModel(endpoint.model, provider=provider, profile=_COMPLETE)
        case Provider.OLLAMA:
            provider = OllamaProvider(openai_client=openai_client(endpoint))
            return OpenAIChatModel(endpoint.model, provider=provider, profile=_COMPLETE)
        case Provider.MISTRAL:
            provider = OpenAICompatibleProvider(
                endpoint.provider, openai_client=openai_client(endpoint, kind=MistralClient)
            )
            return OpenAIChatModel(endpoint.model, provider=provider, profile=_PLAIN)
        case Provider.OPENAI_COMPATIBLE | Provider.GROQ:
            provider = OpenAICompatibleProvider(endpoint.provider, openai_client=openai_client(endpoint))
            return OpenAIChatModel(endpoint.model, provider=provider, profile=_PLAIN)
        case _:
            assert_never(endpoint.provider)


def _google(endpoint: Endpoint) -> TheirModel:
    client = google_client(endpoint)  # says what to install, before the next two lines fail for want of it
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.providers.google import GoogleProvider

    return GoogleModel(endpoint.model, provider=GoogleProvider(client=client))


def _bedrock(endpoint: Endpoint) -> TheirModel:
    """Bedrock serves these two families in their makers' own protocols, each below a path of its own."""
    maker, _, name = endpoint.model.partition(".")
    if maker == "anthropic":
        client = anthropic_client(endpoint, BedrockAnthropicClient, "/anthropic")
        return AnthropicModel(endpoint.model, provider=AnthropicProvider(anthropic_client=client))
    provider = BedrockMantleProvider(openai_client=openai_client(endpoint, path="/openai/v1"))
    if name.startswith("gpt-oss-safeguard"):
        return BedrockMantleChatModel(endpoint.model, provider=provider, profile=_COMPLETE)
    return BedrockMantleResponsesModel(endpoint.model, provider=provider)


def _converse(endpoint: Endpoint) -> TheirModel:
    """Bedrock's own protocol. Its SDK reads files and may ask for credentials, so this is not for a loop."""
    try:
        from quarterdeck.engine.models.converse import converse_model
    except ImportError:
        raise ModelRejectedError(
            f"{endpoint.name} needs a library that is not installed. Type: pip install 'quarterdeck[bedrock]'"
        ) from None
    return converse_model(endpoint)
