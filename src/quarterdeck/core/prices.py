"""Prices that a server was told: what a model's tokens cost where the list that ships doesn't know."""

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from quarterdeck.core.usage import Usage

MILLION = 1_000_000
Amount = Annotated[Decimal, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class Price(BaseModel):
    """US dollars for a million tokens; `input_tokens` of a usage count those of the cache too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Amount
    output: Amount
    cache_read: Amount | None = None
    """None is the price of `input`."""
    cache_write: Amount | None = None
    """None is the price of `input`."""

    def cost(self, usage: Usage) -> Decimal:
        """What `usage` cost."""
        plain = max(0, usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens)
        read = self.input if self.cache_read is None else self.cache_read
        write = self.input if self.cache_write is None else self.cache_write
        whole = (
            self.input * plain
            + self.output * usage.output_tokens
            + read * usage.cache_read_tokens
            + write * usage.cache_write_tokens
        )
        return whole / MILLION


class PriceList(BaseModel):
    """The prices by `provider:model`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: dict[str, Price]
