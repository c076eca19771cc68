"""Where a model named `provider:model` is reached, and with which key."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar, assert_never
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.engine.models.model import ModelRejectedError

SCRIPTED = "scripted"
"""The provider that is no language model: a script answers."""


class ModelKeys(BaseModel):
    """What a server was given to reach models with; nothing else is used, whatever the environment holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    anthropic_api_key: SecretStr | None = None
    anthropic_base_url: str | None = None
    """Without `/v1`, as the provider's own SDK takes it."""
    openai_api_key: SecretStr | None = None
    openai_base_url: str | None = None
    """With `/v1`, as the provider's own SDK takes it."""
    ollama_base_url: str | None = None
    """With `/v1`; None is Ollama's own port on this machine."""
    idle_seconds: float = 120
    """How long a provider may send nothing before its answer counts as lost."""


class Provider(StrEnum):
    """Who answers; the part of a model's name before the colon."""

    ANTHROPIC = "anthropic"
    OPENAI = "openai"
    OPENAI_COMPATIBLE = "openai-compatible"
    OLLAMA = "ollama"


_EXAMPLES = {
    Provider.ANTHROPIC: "anthropic:claude-sonnet-5-5",
    Provider.OPENAI: "openai:gpt-6.1-terra",
    Provider.OPENAI_COMPATIBLE: "openai-compatible:qwen3-coder",
    Provider.OLLAMA: "ollama:qwen3-coder:30b",
}

_T = TypeVar("_T", str, SecretStr)


@dataclass(frozen=True)
class Endpoint:
    """One model of one provider."""

    provider: Provider
    model: str
    base_url: str
    key: SecretStr | None
    key_variable: str
    """What a person sets to change the key; empty where none is taken."""
    idle_seconds: float

    @property
    def name(self) -> str:
        """`provider:model`."""
        return f"{self.provider}:{self.model}"

    @property
    def secret(self) -> str:
        """The key itself, or empty."""
        return self.key.get_secret_value() if self.key else ""


def parsed(name: str) -> tuple[Provider, str]:
    """The two parts of a model's name.

    Raises:
        InvalidInputError: the name has no known provider, or no model; the message names the known ones.
    """
    provider, _, model = name.strip().partition(":")
    known = ", ".join([*Provider, SCRIPTED])
    if provider not in _EXAMPLES:
        raise InvalidInputError(f"{name!r} names no known provider. Use provider:model with one of: {known}.")
    asked = Provider(provider)
    if not model.strip():
        raise InvalidInputError(f"{name!r} names no model. Use {asked}:model, for example {_EXAMPLES[asked]}.")
    return asked, model.strip()


def endpoint(name: str, keys: ModelKeys) -> Endpoint:
    """Where `name` is reached with `keys`; no network is used.

    Raises:
        InvalidInputError: the name or a base URL can't be used.
        ModelRejectedError: the provider's key or address is not set; the message names the variable.
    """
    provider, model = parsed(name)
    match provider:
        case Provider.ANTHROPIC:
            key, variable = _required(name, keys.anthropic_api_key, "ANTHROPIC_API_KEY"), "ANTHROPIC_API_KEY"
            url, setting = keys.anthropic_base_url or "https://api.anthropic.com", "ANTHROPIC_BASE_URL"
        case Provider.OPENAI:
            key, variable = _required(name, keys.openai_api_key, "OPENAI_API_KEY"), "OPENAI_API_KEY"
            url, setting = keys.openai_base_url or "https://api.openai.com/v1", "OPENAI_BASE_URL"
        case Provider.OPENAI_COMPATIBLE:
            key, variable = keys.openai_api_key, "OPENAI_API_KEY"
            url, setting = _required(name, keys.openai_base_url, "OPENAI_BASE_URL"), "OPENAI_BASE_URL"
        case Provider.OLLAMA:
            key, variable = None, ""
            url, setting = keys.ollama_base_url or "http://127.0.0.1:11434/v1", "OLLAMA_BASE_URL"
        case _:
            assert_never(provider)
    return Endpoint(provider, model, _checked(url, setting), key, variable, keys.idle_seconds)


def _required(name: str, value: _T | None, variable: str) -> _T:
    if not value:
        raise ModelRejectedError(
            f"{name} can't be asked: {variable} is not set. Set it and start the server again, "
            f"or ask for the scripted model by name: {SCRIPTED}."
        )
    return value


def _checked(url: str, variable: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInputError(f"{variable} is no http or https URL.")
    return url.rstrip("/")
