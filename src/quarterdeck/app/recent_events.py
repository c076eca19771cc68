"""The ends of logs that this process has read for its turns. Events never change, so a turn reads only what is new."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.core import events as e
from quarterdeck.store import log

BYTES = 4 * 1024 * 1024
"""What all that is kept comes to as JSON; a log that is larger alone is not kept."""


@dataclass
class _Kept:
    after: int
    events: list[e.Event] = field(default_factory=list[e.Event])
    size: int = 0

    @property
    def through(self) -> int:
        return self.after + len(self.events)


class RecentEvents:
    """By session; what nobody asked for longest goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, _Kept] = OrderedDict()

    async def read(self, connection: AsyncConnection, session_id: int, *, after: int, through: int) -> list[e.Event]:
        """The events behind `after` up to `through`, oldest first."""
        kept = self._kept.pop(session_id, None)
        if kept is None or kept.after != after:
            kept = _Kept(after)
        if kept.through < through:
            fresh = await log.read(
                connection, session_id, after=kept.through, before=through + 1, limit=through - kept.through
            )
            kept.events += fresh
            kept.size += _weight(fresh, BYTES)
        if kept.size <= BYTES:
            self._kept[session_id] = kept
            while sum(one.size for one in self._kept.values()) > BYTES:
                self._kept.popitem(last=False)
        return kept.events[: through - after]

    def forget(self, session_id: int) -> None:
        """The session has no turn to come."""
        self._kept.pop(session_id, None)

    def sessions(self) -> set[int]:
        """Those of which something is kept."""
        return set(self._kept)


def _weight(events: Sequence[e.Event], most: int) -> int:
    """What they come to as JSON; beyond `most` nobody counts on."""
    size = 0
    for event in events:
        size += len(event.model_dump_json())
        if size > most:
            break
    return size
