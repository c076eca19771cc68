"""What was read of commits lately. A commit never changes, so what every start asks for is asked of git once."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar, cast

from quarterdeck.core.errors import NotFoundError

ANSWERS = 256
ANSWER_BYTES = 64 * 1024
"""Larger ones are not kept, so that all of them together stay small."""

_Answer = TypeVar("_Answer")


class Remembered:
    """Answers by what was asked; the one that nobody wanted for longest goes first. "There is none" is one, too."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Hashable, object] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._answers

    async def ask(
        self, key: Hashable, read: Callable[[], Awaitable[_Answer]], size: Callable[[_Answer], int]
    ) -> _Answer:
        """What `read` answers, or has answered to the same `key`. Raises NotFoundError as `read` does or did."""
        if key in self._answers:
            self._answers.move_to_end(key)
            known = self._answers[key]
            if isinstance(known, NotFoundError):
                raise NotFoundError(known.message)
            return cast("_Answer", known)
        try:
            answer = await read()
        except NotFoundError as none:
            self._keep(key, none)
            raise
        if size(answer) <= ANSWER_BYTES:
            self._keep(key, answer)
        return answer

    def _keep(self, key: Hashable, answer: object) -> None:
        self._answers[key] = answer
        while len(self._answers) > ANSWERS:
            self._answers.popitem(last=False)
