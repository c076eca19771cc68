"""Requests that are answered together: each by its own outcome, whoever is at fault, gone or late."""

import asyncio
from collections.abc import Sequence

import pytest

from quarterdeck.app.together import GROUP, Together
from quarterdeck.core.errors import InvalidInputError, UnavailableError


class Store:
    """Doubles numbers; refuses 13, fails for any group with 99 in it, and is away while `away`."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.away = False

    async def answer(self, group: Sequence[int]) -> list[int | Exception]:
        self.groups.append(list(group))
        await asyncio.sleep(0)
        if self.away:
            raise UnavailableError
        if 99 in group:
            raise ZeroDivisionError
        return [InvalidInputError("unlucky") if number == 13 else 2 * number for number in group]


async def test_who_comes_meanwhile_is_the_next_group() -> None:
    together, store = Together[int, int](), Store()
    answers = await asyncio.gather(*(together.ask(n, store.answer) for n in (1, 2, 13, 3)), return_exceptions=True)
    assert store.groups == [[1, 2, 13, 3]]
    assert answers[:2] + answers[3:] == [2, 4, 6]
    assert isinstance(answers[2], InvalidInputError)
    first = asyncio.create_task(together.ask(4, store.answer))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await asyncio.gather(first, *(together.ask(n, store.answer) for n in (5, 6))) == [8, 10, 12]
    assert store.groups[1:] == [[4], [5, 6]]


async def test_a_group_that_fails_is_tried_one_by_one() -> None:
    together, store = Together[int, int](), Store()
    answers = await asyncio.gather(*(together.ask(n, store.answer) for n in (1, 99, 2)), return_exceptions=True)
    assert (answers[0], answers[2], type(answers[1])) == (2, 4, ZeroDivisionError)
    store.away = True
    answers = await asyncio.gather(*(together.ask(n, store.answer) for n in (1, 2)), return_exceptions=True)
    assert [type(one) for one in answers] == [UnavailableError, UnavailableError]
    assert store.groups == [[1, 99, 2], [1], [99], [2], [1, 2]]
    store.away = False
    assert await together.ask(7, store.answer) == 14


async def test_groups_have_bounds_and_a_large_request_is_one_by_itself() -> None:
    together, store = Together[int, int](10, lambda weight: weight), Store()
    await asyncio.gather(*(together.ask(n, store.answer) for n in (4, 6, 1, 50, 2)))
    assert store.groups == [[4, 6], [1], [50], [2]]
    store.groups.clear()
    await asyncio.gather(*(together.ask(0, store.answer) for _ in range(GROUP + 1)))
    assert [len(group) for group in store.groups] == [GROUP, 1]


async def test_one_who_goes_away_spoils_nothing() -> None:
    together, store = Together[int, int](), Store()
    gone, stays = (asyncio.create_task(together.ask(n, store.answer)) for n in (1, 2))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == 4
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert store.groups == [[1, 2]]
