"""Where a model named `provider:model` is reached, and with which key."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.prices import Price
from quarterdeck.engine.models import aws
from quarterdeck.engine.models.model import ModelRejectedError
from quarterdeck.engine.models.providers import ACCOUNTS, SCRIPTED, Provider, account_of, parsed

_OWN_PROTOCOLS = ("anthropic.", "openai.")
"""How the names of Bedrock's models begin that are asked in the protocols of their makers."""
_UNSIGNED = "us-east-1"
"""A region for Amazon's SDK, which wants one even where no signature names it."""


class Credentials(BaseModel):
    """What opens one provider's models, and where they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: SecretStr | None = None
    base_url: str | None = None
    identity: aws.Identity | None = None
    """What opens Bedrock in place of a key."""


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
    google_api_key: SecretStr | None = None
    google_base_url: str | None = None
    mistral_api_key: SecretStr | None = None
    mistral_base_url: str | None = None
    groq_api_key: SecretStr | None = None
    groq_base_url: str | None = None
    openrouter_api_key: SecretStr | None = None
    openrouter_base_url: str | None = None
    bedrock_api_key: SecretStr | None = None
    bedrock_base_url: str | None = None
    """Without a path; None is made of the region."""
    bedrock_region: str | None = None
    bedrock_identity: aws.Identity = aws.Identity()
    """Used where there is no Bedrock API key."""
    stored: Mapping[str, Credentials] = {}
    """By provider, what people entered. It is used where the environment has nothing that would do."""
    prices: Mapping[str, Price] = {}
    """By model; they come before the list that ships."""
    idle_seconds: float = 120
    """How long a provider may send nothing before its answer counts as lost."""

    async def current(self) -> "ModelKeys":
        """These; they stay as they are."""
        return self

    def secrets(self) -> list[str]:
        """All keys by value."""
        found = [getattr(self, name) for name in type(self).model_fields if name.endswith("_api_key")]
        found += [one.key for one in self.stored.values()]
        keys = [key.get_secret_value() for key in found if isinstance(key, SecretStr) and key.get_secret_value()]
        return keys + self.bedrock_identity.secrets()


class Keys(Protocol):
    """What is looked up anew for each question, so that a key that was just entered is used at once."""

    async def current(self) -> ModelKeys:
        """The keys as they are now."""
        ...


@dataclass(frozen=True)
class Endpoint:
    """One model of one provider."""

    provider: Provider
    model: str
    base_url: str
    key: SecretStr | None
    key_words: str
    """How a sentence calls the key, so that a person knows where to change it; empty where none is taken."""
    idle_seconds: float
    price: Price | None = None
    """What the server was told that it costs."""
    region: str = ""
    """Where Bedrock's own protocol is spoken; empty where another one is."""
    identity: aws.Identity | None = None
    """Who asks Bedrock, where no key does."""

    @property
    def name(self) -> str:
        """`provider:model`."""
        return f"{self.provider}:{self.model}"

    @property
    def secret(self) -> str:
        """The key itself, or empty."""
        return self.key.get_secret_value() if self.key else ""

    def secrets(self) -> list[str]:
        """All that opens it, and a password in its address."""
        found = [self.secret, urlsplit(self.base_url).password] + (self.identity.secrets() if self.identity else [])
        return [one for one in found if one]


def given(provider: Provider, keys: ModelKeys) -> tuple[Credentials, bool]:
    """What reaches the provider's models, and whether people entered it.

    A stored key goes to the address that was stored with it, never to one from the environment, nor the other way.
    """
    account = account_of(provider)
    from_environment = _environment(account, keys)
    stored = keys.stored.get(account)
    if stored is None or usable(account, from_environment):
        return from_environment, False
    return stored, True


def usable(provider: Provider, credentials: Credentials) -> bool:
    """Whether the provider can be asked with them at all."""
    account = ACCOUNTS[account_of(provider)]
    if account.needs_key:
        opened = credentials.key or (credentials.identity and not credentials.identity.missing)
        return bool(opened and (credentials.base_url or account.default))
    return bool(credentials.base_url)


def endpoint(name: str, keys: ModelKeys) -> Endpoint:
    """Where `name` is reached with `keys`; no network is used.

    Raises:
        InvalidInputError: the name or a base URL can't be used.
        ModelRejectedError: the provider's key or address is not set; the message names the variable.
    """
    provider, model = parsed(name)
    account = ACCOUNTS[account_of(provider)]
    found, entered = given(provider, keys)
    lacking = (found.identity.missing if found.identity else account.key) if not found.key else ""
    if account.needs_key and lacking:
        raise _missing(name, lacking, account_of(provider))
    url = found.base_url or account.default
    if not url:
        raise _missing(name, "AWS_REGION" if provider is Provider.BEDROCK else account.address, account_of(provider))
    words = "the stored key" if entered else account.key and f"the key in {account.key}"
    key = found.key if account.key else None
    where = "the stored base URL" if entered else account.address
    price = keys.prices.get(name.strip())
    reached = Endpoint(provider, model, _checked(url, where), key, words, keys.idle_seconds, price)
    return _at_bedrock(reached, found.identity, keys.bedrock_region) if provider is Provider.BEDROCK else reached


def checked_url(url: str) -> str:
    """An address that a person enters, without a slash at its end. Raises InvalidInputError."""
    return _checked(url, "The base URL")


def _environment(account: Provider, keys: ModelKeys) -> Credentials:
    match account:
        case Provider.OLLAMA:
            return Credentials(base_url=keys.ollama_base_url)
        case Provider.BEDROCK:
            url = keys.bedrock_base_url or _of_region(keys)
            if keys.bedrock_api_key:
                return Credentials(key=keys.bedrock_api_key, base_url=url)
            signed = url and (keys.bedrock_region or aws.region_of(url))  # a signature names the region
            return Credentials(base_url=url if signed else None, identity=keys.bedrock_identity)
        case _:
            prefix = "openai" if account is Provider.OPENAI_COMPATIBLE else account.value
            return Credentials(key=getattr(keys, f"{prefix}_api_key"), base_url=getattr(keys, f"{prefix}_base_url"))


def _of_region(keys: ModelKeys) -> str | None:
    return aws.makers_address(aws.checked_region(keys.bedrock_region)) if keys.bedrock_region else None


def _at_bedrock(reached: Endpoint, identity: aws.Identity | None, region: str | None) -> Endpoint:
    """With a Bedrock API key two makers' models are asked in their own protocols; the rest in Bedrock's own."""
    converse = reached.key is None or not reached.model.startswith(_OWN_PROTOCOLS)
    url = aws.address(reached.base_url, converse=converse)
    if not converse:
        return replace(reached, base_url=url)
    named = aws.region_of(url) or aws.checked_region(region or _UNSIGNED)
    words = identity.words if identity else reached.key_words
    return replace(reached, base_url=url, region=named, identity=identity, key_words=words)


def _missing(name: str, variable: str, account: Provider) -> ModelRejectedError:
    return ModelRejectedError(
        f"{name} can't be asked: {variable} is not set. Set it and start the server again, "
        f"or store a key with `qd model key set {account}`, or ask for the scripted model by name: {SCRIPTED}."
    )


def _checked(url: str, variable: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise InvalidInputError(f"{variable} is no http or https URL.")
    return url.rstrip("/")
