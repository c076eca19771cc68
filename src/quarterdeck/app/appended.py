"""A batch that a source sends, and what became of it."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from quarterdeck.app.actor import Actor
from quarterdeck.core.source_events import SourceBatch
from quarterdeck.core.status import Status


@dataclass(frozen=True)
class Append:
    """A batch that somebody sends for a session."""

    actor: Actor
    session_id: int
    batch: SourceBatch
    bytes: int

    @property
    def size(self) -> int:
        """How much work it is: by its events, or as if each of them had 256 bytes."""
        return max(len(self.batch.events), self.bytes // 256)


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
