"""What a model call used: tokens, and money where the price is known."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict


class Usage(BaseModel):
    """Tokens and cost of one model call, or a sum of them.

    `cost` is in US dollars; None means that the price is not known, never 0 (promise 10). A sum with one unknown
    part is unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost: Decimal | None = Decimal(0)
    estimated: bool = False

    def __add__(self, other: "Usage") -> "Usage":
        known = self.cost is not None and other.cost is not None
        return Usage(
            requests=self.requests + other.requests,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            cost=(self.cost or Decimal(0)) + (other.cost or Decimal(0)) if known else None,
            estimated=self.estimated or other.estimated,
        )
