"""The event of a session that was brought from a file: where it comes from, and who brought it."""

from typing import ClassVar, Literal

from pydantic import AwareDatetime

from quarterdeck.core.payload import Level, Record


class SessionImported(Record):
    """The session was read from a file; nobody here has seen what the log says before this event."""

    kind: Literal["session.imported"] = "session.imported"
    default_level: ClassVar[Level] = Level.RESULT
    number: int
    """The number that it had where it was exported."""
    initiator: str
    """Whose session it was there."""
    project: str = ""
    exported_at: AwareDatetime
    redacted: bool = False
    """The file was made without names and addresses."""
    by: str
