"""What is noted about a session: of class record, and so taken after its end, too."""

from typing import ClassVar, Literal

from pydantic import FiniteFloat

from quarterdeck.core.payload import Level, Record
from quarterdeck.core.usage import Usage


class SessionRenamed(Record):
    """The title changed."""

    kind: Literal["session.renamed"] = "session.renamed"
    title: str
    by: str


class SessionHeld(Record):
    """Somebody keeps the session from being deleted by age."""

    kind: Literal["session.held"] = "session.held"
    by: str
    reason: str = ""


class SessionReleased(Record):
    """The hold is gone; the retention clock counts again."""

    kind: Literal["session.released"] = "session.released"
    by: str


class RetentionChanged(Record):
    """The project keeps its sessions for another number of days; the only event that is no activity."""

    kind: Literal["retention.changed"] = "retention.changed"
    default_level: ClassVar[Level] = Level.FULL
    days: int
    by: str


class WorkspaceTornDown(Record):
    """The proof of a stop: how many processes were killed, how many are left, how long it took and how."""

    kind: Literal["workspace.torn_down"] = "workspace.torn_down"
    default_level: ClassVar[Level] = Level.RESULT
    executor: str
    killed: int
    left: int
    duration_ms: FiniteFloat
    method: str


class TeardownMissed(Record):
    """The proof of a stop has not come: its runner is not heard of and brings it when it is back, or was removed."""

    kind: Literal["teardown.missed"] = "teardown.missed"
    default_level: ClassVar[Level] = Level.RESULT
    executor: str
    why: Literal["unreachable", "removed"]
    """What is unreachable kills by itself when its own lease is over; of what was removed no proof comes any more."""


class UsageRecorded(Record):
    """What one model call used, also one whose answer was thrown away."""

    kind: Literal["usage.recorded"] = "usage.recorded"
    default_level: ClassVar[Level] = Level.FULL
    component: str
    model: str
    usage: Usage


class ChildrenUsed(Record):
    """What all sessions below this one have used by now: its budget is theirs, too."""

    kind: Literal["children.used"] = "children.used"
    default_level: ClassVar[Level] = Level.FULL
    usage: Usage


class CheckRecorded(Record):
    """Something verified the session's work, or found it wrong."""

    kind: Literal["check.recorded"] = "check.recorded"
    default_level: ClassVar[Level] = Level.RESULT
    name: str
    passed: bool
    url: str = ""


class LinkAdded(Record):
    """The session belongs together with something else."""

    kind: Literal["link.added"] = "link.added"
    relation: Literal["source", "created", "parent", "child", "forked_from", "fork"]
    target: Literal["issue", "merge_request", "pipeline", "session"]
    name: str
    url: str = ""


class MergeRequestEnded(Record):
    """The session's merge request was merged or closed by somebody."""

    kind: Literal["merge_request.ended"] = "merge_request.ended"
    default_level: ClassVar[Level] = Level.RESULT
    name: str
    status: Literal["merged", "closed"]


class NetworkRefused(Record):
    """A command asked for a host that the session may not reach."""

    kind: Literal["network.refused"] = "network.refused"
    host: str
    port: int
    reason: str
    count: int = 1
    """How often during one call."""
    call_id: str
