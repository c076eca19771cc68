from decimal import Decimal

import pytest
from pydantic import ValidationError

from quarterdeck.core.prices import Price, PriceList
from quarterdeck.core.usage import Usage


def test_tokens_of_the_cache_have_prices_of_their_own() -> None:
    usage = Usage(input_tokens=1_000_000, output_tokens=500_000, cache_read_tokens=400_000, cache_write_tokens=100_000)
    told = {"models": {"a:b": {"input": 2, "output": "8", "cache_read": 0.5}}}
    price = PriceList.model_validate(told).models["a:b"]
    assert price.cost(usage) == Decimal("0.5") * 2 + Decimal("0.5") * 8 + Decimal("0.4") / 2 + Decimal("0.2")
    written = Price(input=Decimal(2), output=Decimal(8), cache_write=Decimal(4))
    assert written.cost(usage) == Decimal("0.9") * 2 + 4 + Decimal("0.4")


def test_numbers_that_can_not_be_cost_nothing_below_nothing() -> None:
    assert Price(input=Decimal(1), output=Decimal(1)).cost(Usage(input_tokens=0, cache_read_tokens=0)) == 0
    odd = Usage(input_tokens=1, cache_read_tokens=5)
    assert Price(input=Decimal(1), output=Decimal(1)).cost(odd) >= 0


@pytest.mark.parametrize("wrong", [{"input": -1, "output": 1}, {"input": "NaN", "output": 1}, {"output": 1}, {"in": 1}])
def test_a_price_is_a_number_of_dollars(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PriceList.model_validate({"models": {"a:b": wrong}})
