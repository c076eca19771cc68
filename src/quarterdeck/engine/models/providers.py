"""The providers: what each one's models, keys and addresses are called."""

from dataclasses import dataclass
from enum import StrEnum

from quarterdeck.core.errors import InvalidInputError

SCRIPTED = "scripted"
"""The provider that is no language model: a script answers."""
REPLAY = "replay"
"""The provider that is no language model either: the answers of a recorded session are given again."""


class Provider(StrEnum):
    """Who answers; the part of a model's name before the colon."""

    ANTHROPIC = "anthropic"
    OPENAI = "openai"
    OPENAI_RESPONSES = "openai-responses"
    OPENAI_COMPATIBLE = "openai-compatible"
    OLLAMA = "ollama"
    GOOGLE = "google"
    MISTRAL = "mistral"
    GROQ = "groq"
    OPENROUTER = "openrouter"
    BEDROCK = "bedrock"


@dataclass(frozen=True)
class Account:
    """Where a provider's models are, and what opens them."""

    key: str
    """The variable of the key; empty where none is taken."""
    address: str
    """The variable of the address."""
    default: str
    """The address without that variable; empty where it can't be known."""
    example: str
    """One of its models, as the sentences of errors name it."""
    small: str = ""
    """The model that a new key is tried with; empty where it can't be known."""
    needs_key: bool = True


ACCOUNTS = {
    Provider.ANTHROPIC: Account(
        "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "https://api.anthropic.com", "claude-sonnet-5-5", "claude-haiku-4-5"
    ),
    Provider.OPENAI: Account(
        "OPENAI_API_KEY", "OPENAI_BASE_URL", "https://api.openai.com/v1", "gpt-6.1-terra", "gpt-6-luna"
    ),
    Provider.OPENAI_COMPATIBLE: Account(
        "OPENAI_API_KEY", "OPENAI_BASE_URL", "", "qwen3-coder", needs_key=False
    ),
    Provider.OLLAMA: Account(
        "", "OLLAMA_BASE_URL", "http://127.0.0.1:11434/v1", "qwen3-coder:30b", needs_key=False
    ),
    Provider.GOOGLE: Account(
        "GOOGLE_API_KEY", "GOOGLE_GEMINI_BASE_URL", "https://generativelanguage.googleapis.com", "gemini-3.8-flash",
        "gemini-3.5-flash-lite",
    ),
    Provider.MISTRAL: Account(
        "MISTRAL_API_KEY", "MISTRAL_BASE_URL", "https://api.mistral.ai/v1", "mistral-medium-latest",
        "ministral-3b-latest",
    ),
    Provider.GROQ: Account(
        "GROQ_API_KEY", "GROQ_BASE_URL", "https://api.groq.com/openai/v1", "openai/gpt-oss-120b", "openai/gpt-oss-20b"
    ),
    Provider.OPENROUTER: Account(
        "OPENROUTER_API_KEY", "OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1", "anthropic/claude-sonnet-5.5",
        "openai/gpt-oss-20b",
    ),
    Provider.BEDROCK: Account(
        "AWS_BEARER_TOKEN_BEDROCK", "BEDROCK_BASE_URL", "", "anthropic.claude-sonnet-5-5", "openai.gpt-oss-20b"
    ),
}  # fmt: skip
"""By the provider that has its keys of its own; `openai-responses` is reached with those of `openai`."""


def account_of(provider: Provider) -> Provider:
    """Whose key and address the provider's models are reached with."""
    return Provider.OPENAI if provider is Provider.OPENAI_RESPONSES else provider


def parsed(name: str) -> tuple[Provider, str]:
    """The two parts of a model's name.

    Raises:
        InvalidInputError: the name has no known provider, or no model; the message names the known ones.
    """
    provider, _, model = name.strip().partition(":")
    if provider not in set(Provider):
        known = ", ".join([*Provider, SCRIPTED, REPLAY])
        raise InvalidInputError(f"{name!r} names no known provider. Use provider:model with one of: {known}.")
    asked = Provider(provider)
    if not model.strip():
        example = f"{asked}:{ACCOUNTS[account_of(asked)].example}"
        raise InvalidInputError(f"{name!r} names no model. Use {asked}:model, for example {example}.")
    return asked, model.strip()


def unspoken(name: str) -> bool:
    """Whether no language model answers under this name: a script does, or a recorded session."""
    return name.strip().partition(":")[0] in (SCRIPTED, REPLAY)
