"""Batches of sources that wait to be stored: those who come while others are stored share the next transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from quarterdeck.app.actor import Actor
from quarterdeck.core.errors import UnavailableError
from quarterdeck.core.source_events import SourceBatch
from quarterdeck.core.status import Status

GROUP_REQUESTS, GROUP_EVENTS = 64, 2_000
"""How much is stored in one transaction; the rest is the next one's."""


class Appended(BaseModel):
    """What became of a batch: its events are stored."""

    model_config = ConfigDict(frozen=True)
    taken: int
    """How many of its events were new."""
    next: int
    """The number that the source's next event has."""
    seq: int
    """The last event of the log."""
    status: Status


@dataclass(frozen=True)
class Request:
    """A batch that somebody sent for a session."""

    actor: Actor
    session_id: int
    batch: SourceBatch


Outcome = Appended | Exception
Store = Callable[[Sequence[Request]], Awaitable[Sequence[Outcome]]]
"""Stores requests in one transaction and says what became of each; raises when nothing of them was stored."""
_Waiting = tuple[Request, asyncio.Future[Appended]]


@dataclass
class AppendQueue:
    """One process's batches that wait."""

    _waiting: list[_Waiting] = field(default_factory=list[_Waiting])
    _storing: asyncio.Task[None] | None = None

    async def ask(self, request: Request, store: Store) -> Appended:
        """Answers when the request is committed, or raises what is wrong with it."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
        if self._storing is None:
            self._storing = asyncio.create_task(self._work(store), name="appends")
        return await answer

    async def _work(self, store: Store) -> None:
        group: list[_Waiting] = []
        try:
            while self._waiting:
                group = self._group()
                _tell(group, await _stored(store, [request for request, _ in group]))
        finally:
            self._storing = None
            left, self._waiting = [*group, *self._waiting], []
            _tell(left, [UnavailableError()] * len(left))  # none, unless the server stops

    def _group(self) -> list[_Waiting]:
        events, group = 0, list[_Waiting]()
        for request, answer in self._waiting[:GROUP_REQUESTS]:
            events += len(request.batch.events)
            if group and events > GROUP_EVENTS:
                break
            group.append((request, answer))
        del self._waiting[: len(group)]
        return group


async def _stored(store: Store, group: Sequence[Request]) -> Sequence[Outcome]:
    """Of a group that can't be stored each is tried by itself, so that nobody is refused for another's fault."""
    try:
        return await store(group)
    except Exception as error:
        if len(group) == 1 or isinstance(error, UnavailableError):
            return [error] * len(group)
    return [(await _stored(store, [request]))[0] for request in group]


def _tell(group: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
    for (_, answer), outcome in zip(group, outcomes, strict=True):
        if answer.done():  # who asked has gone
            continue
        if isinstance(outcome, Exception):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)
