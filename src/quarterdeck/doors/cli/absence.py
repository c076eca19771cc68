"""Patience with a server that is away for a while: it restarts, or its database does."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from quarterdeck.doors.cli.failure import Failure

T = TypeVar("T")

PATIENCE_SECONDS = 300.0
"""How long a command that watches tries again."""
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 5.0


class Absence:
    """How long the server has been away, and how long to wait before the next try."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._wait = _FIRST_WAIT

    def judge(self, failure: Failure) -> None:
        """Raises `failure` when it won't pass by itself, or lasts too long."""
        now = asyncio.get_running_loop().time()
        self._since = now if self._since is None else self._since
        if not failure.passes or now - self._since > PATIENCE_SECONDS:
            raise failure

    def over(self) -> None:
        """The server is there."""
        self._since, self._wait = None, _FIRST_WAIT

    async def wait(self) -> None:
        """Lets some time go by, ever more."""
        await asyncio.sleep(self._wait)
        self._wait = min(self._wait * 2, _LONGEST_WAIT)


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """What `ask` answers, asked again while the server is away. Raises Failure."""
    absence = Absence()
    while True:
        try:
            return await ask()
        except Failure as failure:
            absence.judge(failure)
        await absence.wait()
