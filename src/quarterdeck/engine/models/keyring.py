"""The keys of models as they are now: the environment's, and those that people have entered."""

import asyncio
from collections.abc import Sequence

from quarterdeck.app import model_keys
from quarterdeck.app.application import App
from quarterdeck.app.model_access import Reach, StoredKey
from quarterdeck.core import limits
from quarterdeck.core.errors import InvalidInputError, UnavailableError
from quarterdeck.core.history import Said
from quarterdeck.engine.models import access
from quarterdeck.engine.models.endpoints import Credentials, ModelKeys, checked_url, given, usable
from quarterdeck.engine.models.model import ModelUnavailableError, Reply, Request
from quarterdeck.engine.models.providers import ACCOUNTS, Provider, account_of, parsed
from quarterdeck.engine.models.sight import takes_images

QUESTIONS = "ask"
"""The name under which a script answers questions without a session."""
ASK_SECONDS = 300.0
TRY_SECONDS = 60.0
"""How long a new key's first answer may take."""


class Keyring:
    """Implements `ModelAccess` with what this server's environment gave."""

    def __init__(self, keys: ModelKeys, setting: str | None, context_tokens: int = limits.CONTEXT_TOKENS) -> None:
        """`context_tokens` is for models of which nothing is known."""
        self._keys, self._setting, self._context_tokens = keys, setting, context_tokens

    @property
    def setting(self) -> str | None:
        """The model that the setting QUARTERDECK_MODEL names."""
        return self._setting

    def parse(self, name: str) -> None:
        """Raises InvalidInputError when `name` is no `provider:model` of a language model."""
        parsed(name)

    def check(self, name: str, stored: Sequence[StoredKey]) -> None:
        """Raises InvalidInputError for a model that can't be asked with what there is; asks nobody."""
        access.check(name, self.with_stored(stored))

    def default(self, stored: Sequence[StoredKey]) -> str | None:
        """The setting's, else one of a provider that can be asked."""
        return self._setting or access.default_model(self.with_stored(stored))

    async def context_tokens(self, name: str) -> int:
        """How much the model reads at once, as far as it is known."""
        return await asyncio.to_thread(_window, name) or self._context_tokens

    def takes_images(self, name: str) -> bool:
        """False for a model that is known to read text only."""
        return takes_images(name)

    async def priced(self, name: str, stored: Sequence[StoredKey]) -> bool:
        """Whether the server's own list of prices, or the one that ships, has the model at its address."""
        return await asyncio.to_thread(access.price_known, name, self.with_stored(stored))

    def reach(self, stored: Sequence[StoredKey]) -> tuple[Reach, ...]:
        """All providers that keys can be entered for, by which of the two they can be asked."""
        keys = self.with_stored(stored)
        can = access.known(keys)
        return tuple(Reach(one.value, _source(one, keys) if one in can else "") for one in ACCOUNTS)

    def check_key(self, key: StoredKey) -> StoredKey:
        """The key as it is stored.

        Raises:
            InvalidInputError: no such provider, no URL, or less than the provider needs.
        """
        if key.provider not in set(ACCOUNTS):
            raise InvalidInputError(f"{key.provider!r} takes no key. There are: {', '.join(ACCOUNTS)}.")
        provider = Provider(key.provider)
        secret = key.key.get_secret_value().strip() if key.key else ""
        if not secret.isascii() or not secret.isprintable() or " " in secret or len(secret) > 4_096:
            raise InvalidInputError("That is no key: one has letters, digits and signs, and no spaces.")
        if secret and not ACCOUNTS[provider].key:
            raise InvalidInputError(f"{provider} takes no key; leave it empty and give --base-url.")
        url = checked_url(key.base_url) if key.base_url else None
        kept = Credentials(key=secret or None, base_url=url)  # pyright: ignore[reportArgumentType]  # pydantic wraps it
        if not usable(provider, kept):
            needed = "a key" if ACCOUNTS[provider].needs_key and not secret else "a base URL (--base-url)"
            raise InvalidInputError(f"{provider} needs {needed}.")
        return StoredKey(provider.value, kept.key, url)

    async def ask(
        self, stored: Sequence[StoredKey], model: str, document: str | None, system: str, question: str
    ) -> Reply:
        """The answer to one question without a session.

        Raises:
            ModelRejectedError: the model refuses, or its key isn't set.
            UnavailableError: it can't be reached now, or doesn't come to an end; nobody asks it again.
        """
        request = Request(QUESTIONS, system, (Said(question),), (), 0)
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return await access.model(model, document, self.with_stored(stored)).answer(request, _nobody)
        except ModelUnavailableError as error:
            raise UnavailableError(error.message) from error
        except TimeoutError:
            raise UnavailableError(f"{model} did not answer within {ASK_SECONDS:.0f} seconds.") from None

    async def try_key(self, key: StoredKey, model: str | None) -> str:
        """Asks one short question with `key`; answers which model replied.

        Raises:
            InvalidInputError: no model is known to ask; the provider's refusal in its own words.
            UnavailableError: it can't be reached now.
        """
        name = _tried(Provider(key.provider), model)
        only = ModelKeys(stored={key.provider: Credentials(key=key.key, base_url=key.base_url)})
        question = Request("test", "", (Said("Answer with the one word: yes"),), (), 0)
        try:
            async with asyncio.timeout(TRY_SECONDS):
                await access.model(name, None, only).answer(question, _nobody)
        except ModelUnavailableError as error:
            raise UnavailableError(error.message) from error
        except TimeoutError:
            raise UnavailableError(f"{name} did not answer within {TRY_SECONDS:.0f} seconds.") from None
        return name

    def with_stored(self, stored: Sequence[StoredKey]) -> ModelKeys:
        """All keys together."""
        entered = {one.provider: Credentials(key=one.key, base_url=one.base_url) for one in stored}
        return self._keys.model_copy(update={"stored": entered})


class CurrentKeys:
    """Looks the stored keys up each time, so that one that was just entered is used without a restart."""

    def __init__(self, app: App, keyring: Keyring) -> None:
        self._app, self._keyring = app, keyring

    async def current(self) -> ModelKeys:
        """The keys as they are now."""
        return self._keyring.with_stored(await model_keys.stored_keys(self._app))


def _window(name: str) -> int | None:
    from genai_prices.data_snapshot import get_snapshot

    provider, model = parsed(name)
    try:
        _, known = get_snapshot().find_provider_model(model, None, provider.value.removesuffix("-responses"), None)
    except LookupError:
        return None
    return known.context_window


def _source(provider: Provider, keys: ModelKeys) -> str:
    return "stored" if given(provider, keys)[1] else "environment"


def _tried(provider: Provider, model: str | None) -> str:
    """The name of the model to try a key of `provider` with."""
    if model is None:
        if not ACCOUNTS[provider].small:
            raise InvalidInputError(f"Say which model of {provider} to try it with: --model NAME, or use --no-test.")
        return f"{provider}:{ACCOUNTS[provider].small}"
    name = model if model.partition(":")[0] in set(Provider) else f"{provider}:{model}"
    asked, _ = parsed(name)
    if account_of(asked) is not provider:
        raise InvalidInputError(f"{name} is not reached with a key of {provider}.")
    return name


async def _nobody(_text: str) -> None:
    pass
