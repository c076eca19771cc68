"""What every kind of event is made of: its class, its level, its version."""

from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Level(StrEnum):
    """How dense a view must be to show an event: `result` views show only the first, `full` views show all."""

    RESULT = "result"
    CONCISE = "concise"
    FULL = "full"

    def within(self, view: "Level") -> bool:
        """Whether a view of that level shows an event of this one."""
        return _ORDER[self] <= _ORDER[view]


_ORDER = {level: place for place, level in enumerate(Level)}


class EventClass(StrEnum):
    """`work` is refused after the end, `record` is not."""

    WORK = "work"
    RECORD = "record"


class Payload(BaseModel):
    """What all kinds have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    event_class: ClassVar[EventClass] = EventClass.WORK
    default_level: ClassVar[Level] = Level.FULL
    version: ClassVar[int] = 1


class Record(Payload):
    """What is noted about a session, also after its end."""

    event_class: ClassVar[EventClass] = EventClass.RECORD
    default_level: ClassVar[Level] = Level.CONCISE
