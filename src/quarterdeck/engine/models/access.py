"""The way to a model by its name. Cheap to import: a provider's libraries are loaded when it is first asked."""

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.engine.models.aws import Identity
from quarterdeck.engine.models.endpoints import Credentials, Keys, ModelKeys, endpoint, given, usable
from quarterdeck.engine.models.model import Model, ModelRejectedError
from quarterdeck.engine.models.providers import ACCOUNTS, REPLAY, Provider, parsed, unspoken
from quarterdeck.engine.models.remote import RemoteModel, close

__all__ = ["Credentials", "Identity", "Keys", "ModelKeys", "check", "close", "default_model", "known", "model"]

_FIRST = (Provider.ANTHROPIC, Provider.OPENAI, Provider.GOOGLE, Provider.MISTRAL)
"""Whose models a session gets that names none, in this order."""


def model(name: str, script: str | None, keys: Keys) -> Model:
    """The model called `name`; `script` is what a `scripted:` or `replay:` one answers from.

    Raises:
        InvalidInputError: the provider is not known, or the name or script can't be used.
        ModelRejectedError: there is no script. Keys and addresses are looked for when it is asked.
    """
    if not unspoken(name):
        parsed(name)
        return RemoteModel(name, keys)
    if script is None:
        raise ModelRejectedError(f"{name} has no script to answer from. Give one, or use a flow that ships one.")
    if name.startswith(REPLAY):
        from quarterdeck.engine.models.replay import ReplayModel

        return ReplayModel(name, script)
    from quarterdeck.engine.models.scripted import ScriptedModel

    return ScriptedModel(name, script)


def check(name: str, keys: ModelKeys) -> None:
    """Raises what asking `name` would raise for want of a key or an address; asks nobody."""
    if not unspoken(name):
        endpoint(name, keys)


def price_known(name: str, keys: ModelKeys) -> bool:
    """Whether an answer of `name` would have a cost that is known. Raises as `check` does."""
    if unspoken(name):
        return True
    from pydantic_ai.usage import RequestUsage

    from quarterdeck.engine.models.prices import priced

    at = endpoint(name, keys)
    return priced(RequestUsage(input_tokens=1, output_tokens=1), at.model, at.base_url, at.price).cost is not None


def known(keys: ModelKeys) -> tuple[str, ...]:
    """The providers that `keys` are enough for; `scripted` and `replay`, which always are, are not among them."""
    found: list[str] = []
    for provider in ACCOUNTS:
        try:
            if usable(provider, given(provider, keys)[0]):
                found.append(provider.value)
        except InvalidInputError:  # an address that can't be used is said when a model behind it is asked for
            continue
    return tuple(found)


def default_model(keys: ModelKeys) -> str | None:
    """The model of a session that names none: by the key that is set, Anthropic's first; None without any.

    A server behind a base URL of its own has models that can't be guessed, so it has no default.
    """
    for provider in _FIRST:
        found, _ = given(provider, keys)
        if found.key and not found.base_url:
            return f"{provider}:{ACCOUNTS[provider].example}"
    return None
