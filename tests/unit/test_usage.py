from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core.usage import Usage

counts = st.integers(0, 10**9)
costs = st.none() | st.decimals(0, 10**6, places=9)
usages = st.builds(
    Usage,
    requests=counts,
    input_tokens=counts,
    output_tokens=counts,
    cache_read_tokens=counts,
    cache_write_tokens=counts,
    cost=costs,
    estimated=st.booleans(),
)


@given(usages, usages, usages)
def test_sums_do_not_depend_on_the_order(a: Usage, b: Usage, c: Usage) -> None:
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a + Usage() == a


@given(usages, usages)
def test_a_sum_is_of_every_part_and_an_unknown_price_stays_unknown(a: Usage, b: Usage) -> None:
    both = a + b
    for part in ("requests", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"):
        assert getattr(both, part) == getattr(a, part) + getattr(b, part)
    assert both.cost == (None if a.cost is None or b.cost is None else a.cost + b.cost)
    assert both.estimated == (a.estimated or b.estimated)


@given(usages)
def test_no_digit_of_money_is_lost_in_json(usage: Usage) -> None:
    assert Usage.model_validate_json(usage.model_dump_json()) == usage


def test_nothing_used_costs_nothing_and_a_tenth_is_a_tenth() -> None:
    tenth = Usage(cost=Decimal("0.1"))
    assert Usage().cost == 0
    assert (tenth + tenth + tenth).cost == Decimal("0.3")
