"""The providers' SDK clients, kept from taking keys, addresses, headers and proxies out of the environment."""

import asyncio
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

import httpx2
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from openai._models import FinalRequestOptions
from typing_extensions import override

from quarterdeck.engine.models.endpoints import Endpoint
from quarterdeck.engine.models.model import ModelRejectedError

if TYPE_CHECKING:
    from google.genai import Client as GoogleClient

CONNECT_SECONDS = 10
_SENT = frozenset({
    "accept", "accept-encoding", "anthropic-beta", "anthropic-version", "connection", "content-length", "content-type",
    "host", "transfer-encoding",
})  # fmt: skip
"""Headers of the SDKs that are sent; others describe this machine, or were read from the environment."""


class Connections(httpx2.AsyncClient):
    """The HTTP client of a loop, shared by all models."""

    def __init__(self) -> None:
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
        super().__init__(trust_env=False, follow_redirects=False, limits=limits)


class GoogleConnections(Connections):
    """The same for Google's client, which has no place of its own to take headers away."""

    @override
    async def send(self, request: httpx2.Request, **more: Any) -> httpx2.Response:
        """Sends the request with the key and nothing else that tells of this machine."""
        _pare(request, {_GOOGLE_KEY: request.headers.get(_GOOGLE_KEY, "")})
        return await super().send(request, **more)


_GOOGLE_KEY = "x-goog-api-key"
_connections: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[type[Connections], Connections]] = WeakKeyDictionary()


def connections(kind: type[Connections] = Connections) -> Connections:
    """The running loop's."""
    mine = _connections.setdefault(asyncio.get_running_loop(), {})
    if kind not in mine:
        mine[kind] = kind()
    return mine[kind]


async def close() -> None:
    """Close the running loop's connections."""
    for client in _connections.pop(asyncio.get_running_loop(), {}).values():
        await client.aclose()


class OpenAIClient(AsyncOpenAI):
    """OpenAI's client, with the key given here and no headers from elsewhere."""

    @override
    async def _prepare_request(self, request: httpx2.Request) -> None:
        await super()._prepare_request(request)
        _pare(request, self.auth_headers)


class MistralClient(OpenAIClient):
    """The same for Mistral, which reports usage unasked and refuses a request that asks."""

    @override
    async def _prepare_options(self, options: FinalRequestOptions) -> FinalRequestOptions:
        options = await super()._prepare_options(options)
        if isinstance(options.json_data, dict):
            fields = cast("dict[str, object]", options.json_data)
            options.json_data = {name: value for name, value in fields.items() if name != "stream_options"}
        return options


class AnthropicClient(AsyncAnthropic):
    """Anthropic's client, with the key given here and no headers from elsewhere."""

    @override
    async def _prepare_request(self, request: httpx2.Request) -> None:
        await super()._prepare_request(request)
        _pare(request, self.auth_headers)


class BedrockAnthropicClient(AnthropicClient):
    """The same for Bedrock, which takes the key as a bearer."""

    @override
    async def _prepare_request(self, request: httpx2.Request) -> None:
        await super()._prepare_request(request)
        _pare(request, {"Authorization": f"Bearer {self.api_key}"})


def openai_client(endpoint: Endpoint, kind: type[OpenAIClient] = OpenAIClient, path: str = "") -> OpenAIClient:
    """A client for one request; it owns no connections. Servers without keys get a word in the key's place."""
    return kind(
        api_key=endpoint.secret or "none",
        base_url=endpoint.base_url + path,
        timeout=timeout(endpoint),
        max_retries=0,
        http_client=connections(),
    )


def anthropic_client(
    endpoint: Endpoint, kind: type[AnthropicClient] = AnthropicClient, path: str = ""
) -> AnthropicClient:
    """A client for one request; it owns no connections."""
    return kind(
        api_key=endpoint.secret,
        base_url=endpoint.base_url + path,
        timeout=timeout(endpoint),
        max_retries=0,
        http_client=connections(),
        open_telemetry=False,
    )


def google_client(endpoint: Endpoint) -> "GoogleClient":
    """A client for one request; it owns no connections.

    Raises:
        ModelRejectedError: its library is not installed; the message says how to install it.
    """
    try:
        from google.genai import Client
        from google.genai.types import HttpOptions, HttpRetryOptions
    except ImportError:
        raise ModelRejectedError(
            f"{endpoint.name} needs a library that is not installed. Type: pip install 'quarterdeck[google]'"
        ) from None
    return Client(
        vertexai=False,
        api_key=endpoint.secret,
        http_options=HttpOptions(
            base_url=endpoint.base_url,
            timeout=round(endpoint.idle_seconds * 1000),
            retry_options=HttpRetryOptions(attempts=1),
            httpx_client=_unused(),
            httpx_async_client=connections(GoogleConnections),
        ),
    )


@cache
def _unused() -> httpx2.Client:
    """What Google's client would build anew each time for requests that block; none is made."""
    return httpx2.Client(trust_env=False)


def timeout(endpoint: Endpoint) -> httpx2.Timeout:
    """How long nothing may come."""
    return httpx2.Timeout(endpoint.idle_seconds, connect=CONNECT_SECONDS)


def _pare(request: httpx2.Request, auth: Mapping[str, str]) -> None:
    for name in set(request.headers) - _SENT:
        del request.headers[name]
    request.headers.update({**auth, "User-Agent": "quarterdeck"})
