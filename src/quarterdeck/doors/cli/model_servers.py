"""Servers of models on this machine, found by what they answer on loopback, whatever port they listen on."""

import asyncio
import ipaddress
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

import httpx

PORTS = 64
"""How many listening ports are asked at most, the lowest first."""
ANSWER_BYTES = 256 * 1024
ASK_SECONDS = 1.5
ALL_SECONDS = 6.0
AT_ONCE = 8
SHOWN_MODELS = 5
_LISTENS = "0A"
"""The state of a listening socket in /proc/net/tcp."""


@dataclass(frozen=True)
class ModelServer:
    """One that speaks OpenAI's protocol."""

    kind: str
    url: str
    """With `/v1`."""
    models: tuple[str, ...]

    @property
    def detail(self) -> str:
        """In a line."""
        more = len(self.models) - SHOWN_MODELS
        names = ", ".join(self.models[:SHOWN_MODELS]) + (f" and {more} more" if more > 0 else "")
        return f"{self.kind} at {self.url}: {names or 'no model yet'}"

    @property
    def remedy(self) -> str:
        """How to use it."""
        variable, provider = (
            ("OLLAMA_BASE_URL", "ollama") if self.kind == "Ollama" else ("OPENAI_BASE_URL", "openai-compatible")
        )
        model = self.models[0] if self.models else "MODEL"
        return f"To use it: {variable}={self.url} qd serve, then --model {provider}:{model}"


async def find(tables: Iterable[Path] = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))) -> list[ModelServer]:
    """Asks what listens on loopback for its models. Nothing else is contacted, and nothing is sent but GETs."""
    addresses = sorted({one for table in tables for one in _listening(table)}, key=lambda one: (one[1], one[0]))
    places = list({port: host for host, port in reversed(addresses)}.items())
    turns = asyncio.Semaphore(AT_ONCE)

    async with httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=ASK_SECONDS) as client:

        async def ask(host: str, port: int) -> ModelServer | None:
            async with turns:
                return await _asked(client, f"http://{host}:{port}")

        asking = [asyncio.create_task(ask(host, port)) for port, host in sorted(places)[:PORTS]]
        if not asking:
            return []
        done, late = await asyncio.wait(asking, timeout=ALL_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
    found = [task.result() for task in asking if task in done]
    return [server for server in found if server is not None]


def _listening(table: Path) -> Iterator[tuple[str, int]]:
    """The loopback addresses in one of the kernel's tables that connections are taken at."""
    try:
        lines = table.read_text(encoding="ascii").splitlines()[1:]
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        fields = line.split()
        if len(fields) > 3 and fields[3] == _LISTENS:
            address, _, port = fields[1].partition(":")
            host = _loopback(bytes.fromhex(address))
            if host is not None:
                yield host, int(port, 16)


def _loopback(raw: bytes) -> str | None:
    """The host to ask; None when what listens there isn't on loopback. The kernel writes words of 4 bytes backwards."""
    address = ipaddress.ip_address(b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4)))
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    address = mapped or address
    if address.is_unspecified:
        return "127.0.0.1"
    if not address.is_loopback:
        return None
    return str(address) if address.version == 4 else f"[{address}]"


async def _asked(client: httpx.AsyncClient, origin: str) -> ModelServer | None:
    headers, listed = await _json(client, f"{origin}/v1/models")
    models = _entries(listed, "data")
    if models is None or _field(listed, "object") != "list":
        return None
    names = tuple(name for one in models if isinstance(name := _field(one, "id"), str))
    owners = {_field(one, "owned_by") for one in models}
    return ModelServer(await _kind(client, origin, headers, owners), f"{origin}/v1", names)


async def _kind(client: httpx.AsyncClient, origin: str, headers: httpx.Headers, owners: set[object]) -> str:
    if "llamacpp" in owners or "llama.cpp" in headers.get("server", ""):
        return "llama.cpp"
    if "vllm" in owners:
        return "vLLM"
    if any(name.startswith("x-litellm") for name in headers):
        return "LiteLLM"
    if _entries((await _json(client, f"{origin}/api/tags"))[1], "models") is not None:
        return "Ollama"
    if _entries((await _json(client, f"{origin}/api/v0/models"))[1], "data") is not None:
        return "LM Studio"
    return "An OpenAI-compatible server"


async def _json(client: httpx.AsyncClient, url: str) -> tuple[httpx.Headers, object]:
    """The value of a good answer; None of any other, of one that is too long, and of what speaks no HTTP."""
    nothing = httpx.Headers()
    try:
        async with asyncio.timeout(ASK_SECONDS), client.stream("GET", url) as response:
            if response.status_code != HTTPStatus.OK:
                return nothing, None
            body = b""
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > ANSWER_BYTES:
                    return nothing, None
            return response.headers, json.loads(body)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError, RecursionError):
        return nothing, None


def _field(value: object, name: str) -> object:
    return cast("dict[str, object]", value).get(name) if isinstance(value, dict) else None


def _entries(value: object, name: str) -> list[Any] | None:
    found = _field(value, name)
    return cast("list[Any]", found) if isinstance(found, list) else None
