"""What triggers wait for: the types of events of a project, the occurrence of one, and the goal that it gives."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from quarterdeck.core import limits
from quarterdeck.core.text import cut

DESCRIPTION_CHARACTERS = 255
PAYLOAD_BYTES = 256 * 1024
"""Of what a delivery keeps of its occurrence."""

Source = Literal["human", "system", "scheduled"]


class EventType(StrEnum):
    """What a trigger may wait for; the names are GitLab's, besides `webhook`."""

    MENTION = "mention"
    ASSIGN = "assign"
    ASSIGN_REVIEWER = "assign_reviewer"
    PIPELINE = "pipeline_hooks"
    MERGE_REQUEST = "merge_request"
    WORK_ITEM = "work_item"
    PUSH = "commit_to_default_branch"
    SCHEDULE = "schedule"
    WEBHOOK = "webhook"


ACTIONS: dict[EventType, tuple[str, ...]] = {
    EventType.PIPELINE: ("running", "success", "failed", "canceled"),
    EventType.MERGE_REQUEST: ("ready", "approved", "merged"),
    EventType.WORK_ITEM: ("created", "closed"),
}
"""What may happen in an event of that type; a trigger waits for some of them, or for all."""
ADDRESSED = frozenset({EventType.MENTION, EventType.ASSIGN, EventType.ASSIGN_REVIEWER})
"""Events that name an account: they are for the triggers of that account alone."""

SubjectKind = Literal["issue", "merge_request", "pipeline"]
_TYPES = {"issue": "Issue", "merge_request": "MergeRequest", "pipeline": "Pipeline"}


class Triggered(BaseModel):
    """What started a session by itself, and by which service account it acts for its initiator."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    trigger: int
    delivery: int
    source: Source
    account_id: int
    account: str
    """Its username. The session may what both the account and the initiator may."""


class Subject(BaseModel):
    """The issue, merge request or pipeline that an occurrence is about."""

    model_config = ConfigDict(frozen=True)
    kind: SubjectKind
    id: int
    """Of its row."""
    number: int
    """As people call it: the iid, or a pipeline's id."""
    url: str = ""


@dataclass(frozen=True)
class Occurrence:
    """Something that happened in a project."""

    project_id: int
    type: EventType
    key: str
    """The same occurrence told again has the same key, and starts nothing again."""
    action: str = ""
    user_id: int | None = None
    """Who did it; None for what nobody did."""
    account_ids: tuple[int, ...] = ()
    """The service accounts that it names, for the types of `ADDRESSED`."""
    subject: Subject | None = None
    text: str = ""
    """What was said, in a mention."""
    payload: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    """As GitLab's webhook of it; filters look into it."""


def fits(wanted: Mapping[EventType, tuple[str, ...]], type_: EventType, action: str) -> bool:
    """Whether a trigger that waits for `wanted` waits for this; no actions named are all of them."""
    return type_ in wanted and (not wanted[type_] or action in wanted[type_])


def source(type_: EventType) -> Source:
    """Whether a person, something else or a clock started what comes of it."""
    match type_:
        case EventType.SCHEDULE:
            return "scheduled"
        case EventType.MENTION | EventType.ASSIGN | EventType.ASSIGN_REVIEWER:
            return "human"
        case _:
            return "system"


def goal(type_: EventType, *, text: str, subject: Subject | None, payload: Mapping[str, JsonValue]) -> str:
    """What the session is told, in the forms that flows written for GitLab expect: see `reference/triggers.md`."""
    match type_:
        case EventType.MENTION:
            about = f"\nContext: {{{_TYPES[subject.kind]} IID: {subject.number}}}" if subject else ""
            return f"Input: {cut(text, limits.GOAL_CHARACTERS - 200)}{about}"
        case EventType.ASSIGN | EventType.ASSIGN_REVIEWER:
            return str(subject.number) if subject else ""
        case EventType.SCHEDULE:
            return ""
        case _:
            told = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
            return cut(told, limits.GOAL_CHARACTERS - 200)
