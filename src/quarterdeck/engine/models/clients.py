"""The providers' SDK clients, kept from taking keys, addresses, headers and proxies out of the environment."""

import asyncio
from collections.abc import Mapping
from weakref import WeakKeyDictionary

import httpx2
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from typing_extensions import override

from quarterdeck.engine.models.endpoints import Endpoint

CONNECT_SECONDS = 10
_SENT = frozenset({
    "accept", "accept-encoding", "anthropic-beta", "anthropic-version", "connection", "content-length", "content-type",
    "host", "transfer-encoding",
})  # fmt: skip
"""Headers of the SDKs that are sent; others describe this machine, or were read from the environment."""

_connections: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx2.AsyncClient] = WeakKeyDictionary()


def connections() -> httpx2.AsyncClient:
    """The HTTP client of the running loop, shared by all models."""
    loop = asyncio.get_running_loop()
    if loop not in _connections:
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
        _connections[loop] = httpx2.AsyncClient(trust_env=False, follow_redirects=False, limits=limits)
    return _connections[loop]


async def close() -> None:
    """Close the running loop's connections."""
    client = _connections.pop(asyncio.get_running_loop(), None)
    if client is not None:
        await client.aclose()


class OpenAIClient(AsyncOpenAI):
    """OpenAI's client, with the key given here and no headers from elsewhere."""

    @override
    async def _prepare_request(self, request: httpx2.Request) -> None:
        await super()._prepare_request(request)
        _pare(request, self.auth_headers)


class AnthropicClient(AsyncAnthropic):
    """Anthropic's client, with the key given here and no headers from elsewhere."""

    @override
    async def _prepare_request(self, request: httpx2.Request) -> None:
        await super()._prepare_request(request)
        _pare(request, self.auth_headers)


def openai_client(endpoint: Endpoint) -> OpenAIClient:
    """A client for one request; it owns no connections. Servers without keys get a word in the key's place."""
    return OpenAIClient(
        api_key=endpoint.secret or "none",
        base_url=endpoint.base_url,
        timeout=_timeout(endpoint),
        max_retries=0,
        http_client=connections(),
    )


def anthropic_client(endpoint: Endpoint) -> AnthropicClient:
    """A client for one request; it owns no connections."""
    return AnthropicClient(
        api_key=endpoint.secret,
        base_url=endpoint.base_url,
        timeout=_timeout(endpoint),
        max_retries=0,
        http_client=connections(),
        open_telemetry=False,
    )


def _timeout(endpoint: Endpoint) -> httpx2.Timeout:
    return httpx2.Timeout(endpoint.idle_seconds, connect=CONNECT_SECONDS)


def _pare(request: httpx2.Request, auth: Mapping[str, str]) -> None:
    for name in set(request.headers) - _SENT:
        del request.headers[name]
    request.headers.update({**auth, "User-Agent": "quarterdeck"})
