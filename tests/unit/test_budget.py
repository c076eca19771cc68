from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from quarterdeck.core import events as e
from quarterdeck.core.budget import Budget
from quarterdeck.core.fold import apply, begin
from quarterdeck.core.usage import Usage
from tests.unit.world import CREATED, event

COSTS = st.none() | st.decimals(0, 20, places=2)


def usage(cost: Decimal | None = Decimal(0), tokens: int = 0) -> Usage:
    return Usage(input_tokens=tokens - tokens // 3, output_tokens=tokens // 3, cost=cost)


@given(COSTS.filter(lambda one: one != 0), st.none() | st.integers(1, 50), COSTS, st.integers(0, 60))
def test_it_is_spent_when_one_of_its_parts_is_and_what_is_left_is_the_rest(
    cost: Decimal | None, limit: int | None, used: Decimal | None, more: int
) -> None:
    if cost is None and limit is None:
        with pytest.raises(ValidationError, match="cost, of tokens, or of both"):
            Budget()
        return
    budget, so_far = Budget(cost=cost, tokens=limit), usage(used, more)
    out_of_money = cost is not None and used is not None and used >= cost
    out_of_tokens = limit is not None and more >= limit
    blind = cost is not None and used is None and limit is None
    assert bool(budget.spent(so_far)) is (out_of_money or out_of_tokens or blind)
    assert (budget.used(so_far) >= 1) is (out_of_money or out_of_tokens)
    left = budget.left(so_far)
    assert (left is None) is bool(budget.spent(so_far))
    if left is not None:
        assert left.tokens == (None if limit is None else limit - more)
        assert left.cost == (cost if cost is None or used is None else cost - used)


def test_its_words() -> None:
    assert str(Budget(cost=Decimal("2.50"), tokens=1_000)) == "$2.50 and 1,000 tokens"
    both = Budget(cost=Decimal(1), tokens=10)
    assert both.left(usage(Decimal("0.4"), 3)) == Budget(cost=Decimal("0.6"), tokens=7)
    assert Budget(cost=Decimal(1)).left(usage(Decimal("0.4"))) == Budget(cost=Decimal("0.6"))
    assert both.left(usage(None, 3)) == Budget(cost=Decimal(1), tokens=7)
    assert both.left(usage(None, 10)) is None
    assert "(cost unknown, 10 tokens)" in both.spent(usage(None, 10))
    assert "$1 is spent ($1.25, 3 tokens)" in Budget(cost=Decimal(1)).spent(usage(Decimal("1.25"), 3))
    assert "whose price is not known" in Budget(cost=Decimal(1)).spent(usage(None))


@pytest.mark.parametrize("wrong", [{"cost": 0}, {"cost": -1}, {"tokens": 0}, {"cost": "NaN"}, {"money": 3}, {}])
def test_what_is_none(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Budget.model_validate(wrong)


def test_another_budget_is_said_to_be_near_anew_and_links_are_kept() -> None:
    budget = Budget(tokens=10)
    state = begin(event(1, CREATED.model_copy(update={"budget": budget})))
    assert state.budget == budget
    apply(state, event(2, e.BudgetNeared(budget=budget, usage=usage(tokens=9))))
    assert (state.budget_neared, state.warnings) == (True, 1)
    apply(state, event(3, e.BudgetChanged(budget=None, by="ada")))
    assert (state.budget, state.budget_neared) == (None, False)
    for number in range(120):
        apply(state, event(4 + number, e.LinkAdded(relation="child", target="session", name=f"#{number}")))
    assert [one.name for one in state.links] == [f"#{number}" for number in range(20, 120)]
