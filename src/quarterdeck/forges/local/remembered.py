"""What was read of commits lately. A commit never changes, so what every start asks for is asked of git once."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar, cast

from quarterdeck.core.errors import NotFoundError

ANSWERS = 256
ANSWER_BYTES = 64 * 1024
"""Larger ones are not kept, so that all of them together stay small."""
SECONDS = 300.0
"""An older one is asked for again: another process may have deleted the commit meanwhile."""

_Answer = TypeVar("_Answer")
_Key = tuple[int, Hashable, Hashable]
"""The project, the commit, and what was asked of it."""


class Remembered:
    """Answers by what was asked; the one that nobody wanted for longest goes first. "There is none" is one, too."""

    def __init__(self) -> None:
        self._answers: OrderedDict[_Key, tuple[float, object]] = OrderedDict()

    def __contains__(self, key: _Key) -> bool:
        if key in self._answers and time.monotonic() - self._answers[key][0] > SECONDS:
            del self._answers[key]
        return key in self._answers

    def forget(self, project_id: int) -> None:
        """Something of the project's repository may be gone."""
        for key in [key for key in self._answers if key[0] == project_id]:
            del self._answers[key]

    async def ask(self, key: _Key, read: Callable[[], Awaitable[_Answer]], size: Callable[[_Answer], int]) -> _Answer:
        """What `read` answers, or has answered to the same `key`. Raises NotFoundError as `read` does or did."""
        if key in self._answers:
            self._answers.move_to_end(key)
            _, known = self._answers[key]
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

    def _keep(self, key: _Key, answer: object) -> None:
        self._answers[key] = time.monotonic(), answer
        while len(self._answers) > ANSWERS:
            self._answers.popitem(last=False)
