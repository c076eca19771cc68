"""A session's budget: what it may use until a person says that it may use more."""

from decimal import Decimal
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from quarterdeck.core.payload import Level, Payload, Record
from quarterdeck.core.usage import Usage

NEAR = Decimal("0.8")
"""The part of a budget at which the session says so."""
_LEAD = "The budget of "


Dollars = Annotated[
    Decimal, Field(gt=0, le=1_000_000, allow_inf_nan=False), WithJsonSchema({"type": "string"}, mode="validation")
]
"""Given as a text, or as a number too; described alike on its way in and out."""


class Budget(BaseModel):
    """US dollars, tokens read and written, or both; whichever is spent first counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cost: Dollars | None = None
    tokens: Annotated[int, Field(gt=0, le=10**15)] | None = None

    @model_validator(mode="after")
    def _of_something(self) -> Self:
        if self.cost is None and self.tokens is None:
            raise ValueError("a budget is of cost, of tokens, or of both")
        return self

    def __str__(self) -> str:
        """As sentences have it."""
        parts = [f"${self.cost}"] if self.cost is not None else []
        parts += [f"{self.tokens:,} tokens"] if self.tokens is not None else []
        return " and ".join(parts)

    def used(self, usage: Usage) -> Decimal:
        """The part that is used, 1 when it is spent. A cost that is not known counts nothing."""
        parts = [Decimal(0)]
        if self.tokens is not None:
            parts.append(Decimal(tokens(usage)) / self.tokens)
        if self.cost is not None and usage.cost is not None:
            parts.append(usage.cost / self.cost)
        return max(parts)

    def spent(self, usage: Usage) -> str:
        """Why no model may be asked any more; empty when one may.

        Of a model without a known price, a budget of cost alone can't be kept, so nothing more is spent then.
        """
        if self.cost is not None and usage.cost is None and self.tokens is None:
            return (
                f"{_LEAD}{self} can't be kept: a model was used whose price is not known. "
                "Give the session a budget of tokens, and resume it."
            )
        if self.used(usage) < 1:
            return ""
        cost = "cost unknown" if usage.cost is None else f"${usage.cost}"
        return f"{_LEAD}{self} is spent ({cost}, {tokens(usage):,} tokens). Raise it, and resume the session."

    def left(self, usage: Usage) -> "Budget | None":
        """What is left of it; None when nothing is."""
        if self.spent(usage):
            return None
        cost = self.cost if self.cost is None or usage.cost is None else self.cost - usage.cost
        return Budget(cost=cost, tokens=None if self.tokens is None else self.tokens - tokens(usage))


def is_spent(reason: str) -> bool:
    """Whether a session paused for what `Budget.spent` says, of its own budget or of one above it."""
    return _LEAD in reason


def tokens(usage: Usage) -> int:
    """What a budget counts: all that was read and written, also from a provider's cache."""
    return usage.input_tokens + usage.output_tokens


class BudgetChanged(Payload):
    """A person gave the session another budget, or none."""

    kind: Literal["budget.changed"] = "budget.changed"
    default_level: ClassVar[Level] = Level.RESULT
    budget: Budget | None
    by: str


class BudgetNeared(Record):
    """Most of the budget is used; when it is spent, the session pauses before it asks a model again."""

    kind: Literal["budget.neared"] = "budget.neared"
    default_level: ClassVar[Level] = Level.RESULT
    budget: Budget
    usage: Usage
