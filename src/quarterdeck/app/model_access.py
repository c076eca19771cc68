"""What use cases need of the ways to models, as a Protocol; the engine implements it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import SecretStr

from quarterdeck.core.answer import Reply


@dataclass(frozen=True)
class StoredKey:
    """A key that somebody entered, as it is used."""

    provider: str
    key: SecretStr | None
    base_url: str | None


@dataclass(frozen=True)
class Reach:
    """Whether a provider's models can be asked, and by what."""

    provider: str
    source: str
    """`environment` or `stored`; empty when it can't be asked."""


class ModelAccess(Protocol):
    """The providers, with what the server's own environment opens of them."""

    @property
    def setting(self) -> str | None:
        """The model that the setting QUARTERDECK_MODEL names."""
        ...

    def parse(self, name: str) -> None:
        """Raises InvalidInputError when `name` is no `provider:model` of a language model."""
        ...

    def check(self, name: str, stored: Sequence[StoredKey]) -> None:
        """Raises InvalidInputError for a model that can't be asked with what there is; asks nobody."""
        ...

    def default(self, stored: Sequence[StoredKey]) -> str | None:
        """The model for want of any rule: the setting's, else one of a provider that can be asked."""
        ...

    async def context_tokens(self, name: str) -> int:
        """How much the model reads at once: as the price list knows it, else the setting QUARTERDECK_CONTEXT_TOKENS."""
        ...

    def takes_images(self, name: str) -> bool:
        """False for a model that is known to read text only."""
        ...

    async def priced(self, name: str, stored: Sequence[StoredKey]) -> bool:
        """Whether it is known what the model costs; what is no language model costs nothing."""
        ...

    def reach(self, stored: Sequence[StoredKey]) -> tuple[Reach, ...]:
        """All providers that keys can be entered for."""
        ...

    def check_key(self, key: StoredKey) -> StoredKey:
        """The key as it is stored. Raises InvalidInputError: no such provider, no URL, or less than it needs."""
        ...

    async def ask(
        self, stored: Sequence[StoredKey], model: str, document: str | None, system: str, question: str
    ) -> Reply:
        """The answer to one question without a session; `document` is what a scripted model answers from.

        Raises:
            InvalidInputError: the model can't be asked, or refuses.
            UnavailableError: it can't be reached now.
        """
        ...

    async def try_key(self, key: StoredKey, model: str | None) -> str:
        """Asks one short question with `key`, of `model` or a small one; answers which model replied.

        Raises:
            InvalidInputError: no model is known to ask; the provider's refusal in its own words.
            UnavailableError: it can't be reached now.
        """
        ...
