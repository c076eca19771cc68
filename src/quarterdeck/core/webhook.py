"""Webhooks out: the events that one may want, what is said of each, and when what failed is tried again."""

from collections.abc import Collection
from datetime import timedelta
from enum import StrEnum

from pydantic import JsonValue

from quarterdeck.core.status import GROUPS, Status

TEST = "webhook.test"
"""The type of what a person sends by hand, whatever the webhook wants."""
RETRY_SECONDS = (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 14_400, 14_400, 14_400, 15_000)
"""How long after each failed try the next one comes: a day of tries in all."""
FAILING = timedelta(days=1)
"""A webhook that has taken nothing for so long is disabled."""
DISABLED = timedelta(days=1)
"""For so long; then the next event tries it again."""


class WebhookEvent(StrEnum):
    """What a webhook may be told of; the type of what it is sent."""

    ACTIVE = "session.active"
    PAUSED = "session.paused"
    AWAITING_INPUT = "session.awaiting_input"
    COMPLETED = "session.completed"
    FAILED = "session.failed"
    CANCELED = "session.canceled"
    ARTIFACT = "artifact.created"


USUAL = tuple(one for one in WebhookEvent if one is not WebhookEvent.ACTIVE)
"""What a webhook is told of that names nothing: all but that work goes on."""


def event_of(status: Status | None) -> WebhookEvent:
    """The event of a session that came to `status`; None is of an artifact that it made."""
    return WebhookEvent.ARTIFACT if status is None else WebhookEvent(f"session.{GROUPS[status].value}")


def retry_after(tries: int) -> timedelta | None:
    """How long after so many failed tries the next one comes; None when that was the last."""
    return timedelta(seconds=RETRY_SECONDS[tries - 1]) if tries <= len(RETRY_SECONDS) else None


def ordered(events: Collection[str]) -> list[str]:
    """These events, each once, in the order of all."""
    return [one.value for one in WebhookEvent if one in events]


def body(type_: str, at: str, data: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """What is sent: the three fields that the specification names."""
    return {"type": type_, "timestamp": at, "data": data}
