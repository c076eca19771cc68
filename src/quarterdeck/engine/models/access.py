"""The way to a model by its name. Cheap to import: a provider's libraries are loaded when it is first asked."""

from quarterdeck.engine.models.endpoints import SCRIPTED, ModelKeys, Provider, endpoint
from quarterdeck.engine.models.model import Model, ModelRejectedError
from quarterdeck.engine.models.remote import RemoteModel, close

__all__ = ["ModelKeys", "check", "close", "default_model", "known", "model"]


def model(name: str, script: str | None, keys: ModelKeys) -> Model:
    """The model called `name`; `script` is the YAML that a `scripted:` one answers from.

    Raises:
        InvalidInputError: the provider is not known, or the name or script can't be used.
        ModelRejectedError: the provider's key or address is not set.
    """
    if not _scripted(name):
        return RemoteModel(endpoint(name, keys))
    if script is None:
        raise ModelRejectedError(f"{name} has no script to answer from. Give one, or use a flow that ships one.")
    from quarterdeck.engine.models.scripted import ScriptedModel

    return ScriptedModel(name, script)


def check(name: str, keys: ModelKeys) -> None:
    """Raises what `model` would raise for `name`; asks nobody."""
    if not _scripted(name):
        endpoint(name, keys)


def known(keys: ModelKeys) -> tuple[str, ...]:
    """The providers that `keys` are enough for; `scripted`, which always is, is not among them."""
    there = {
        Provider.ANTHROPIC: keys.anthropic_api_key,
        Provider.OPENAI: keys.openai_api_key,
        Provider.OPENAI_COMPATIBLE: keys.openai_base_url,
        Provider.OLLAMA: keys.ollama_base_url,
    }
    return tuple(provider.value for provider, value in there.items() if value)


def default_model(keys: ModelKeys) -> str | None:
    """The model of a session that names none: by the key that is set, Anthropic's first; None without any.

    A server behind a base URL of its own has models that can't be guessed, so it has no default.
    """
    if keys.anthropic_api_key and not keys.anthropic_base_url:
        return "anthropic:claude-sonnet-5-5"
    if keys.openai_api_key and not keys.openai_base_url:
        return "openai:gpt-6.1-terra"
    return None


def _scripted(name: str) -> bool:
    return name.strip().partition(":")[0] == SCRIPTED
