"""Requests that come together are answered together: those who come while others are answered make the next group.

One query or one transaction then serves all of a group. Nobody waits for a group to fill: who comes alone is a group.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from quarterdeck.core.errors import UnavailableError

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

GROUP = 64
"""How many are answered at once."""


@dataclass
class Together(Generic[Asked, Answer]):
    """One process's requests of a kind that wait."""

    most: int = GROUP
    """What a group may weigh, unless it is of one."""
    weight: Callable[[Asked], int] = lambda _: 1
    _waiting: list[tuple[Asked, asyncio.Future[Answer]]] = field(
        default_factory=list[tuple[Asked, asyncio.Future[Answer]]]
    )
    _working: asyncio.Task[None] | None = None

    async def ask(
        self, asked: Asked, answer: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer | Exception]]]
    ) -> Answer:
        """What `answer` has for this, among those of its group, or raises it; a group that fails is tried one by one.

        All that ask one `Together` bring the same function.
        """
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if self._working is None:
            self._working = asyncio.create_task(self._work(answer))
        return await future

    async def _work(self, answer: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer | Exception]]]) -> None:
        group: list[tuple[Asked, asyncio.Future[Answer]]] = []
        try:
            while self._waiting:
                group = self._group()
                outcomes = await _answered(answer, [asked for asked, _ in group])
                for (_, future), outcome in zip(group, outcomes, strict=True):
                    _tell(future, outcome)
        finally:
            self._working = None
            left, self._waiting = [*group, *self._waiting], []
            for _, future in left:  # none, unless the server stops
                _tell(future, UnavailableError())

    def _group(self) -> list[tuple[Asked, asyncio.Future[Answer]]]:
        weight, size = 0, 0
        for asked, _ in self._waiting[:GROUP]:
            weight += self.weight(asked)
            if size and weight > self.most:
                break
            size += 1
        group, self._waiting = self._waiting[:size], self._waiting[size:]
        return group


async def _answered(
    answer: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer | Exception]]], group: Sequence[Asked]
) -> Sequence[Answer | Exception]:
    """What went wrong for all of a group is tried again one by one: nobody is refused for another's fault."""
    try:
        return await answer(group)
    except Exception as error:
        if len(group) == 1 or isinstance(error, UnavailableError):
            return [error] * len(group)
    return [(await _answered(answer, [asked]))[0] for asked in group]


def _tell(future: asyncio.Future[Answer], outcome: Answer | Exception) -> None:
    if future.done():  # who asked has gone
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
