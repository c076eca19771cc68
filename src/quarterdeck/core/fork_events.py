"""What a fork's log says of where it comes from."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from quarterdeck.core.payload import Level, Payload
from quarterdeck.core.status import Status


class ForkedFrom(BaseModel):
    """An event of another session."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    session: int
    seq: int


class HistoryCopied(Payload):
    """All events before this but the first are another session's, as of its event `seq`; from here on it is a fork.

    Nothing that was under way or allowed there is so here: no question waits, and no approval for the session holds.
    """

    kind: Literal["history.copied"] = "history.copied"
    default_level: ClassVar[Level] = Level.RESULT
    session: int
    seq: int
    status: Status
    """Where it leaves the fork."""
