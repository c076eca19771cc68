"""Webhooks: every status has its event, and tries end after a day."""

from datetime import timedelta

from quarterdeck.core.status import Status
from quarterdeck.core.webhook import RETRY_SECONDS, USUAL, WebhookEvent, body, event_of, ordered, retry_after


def test_every_status_has_its_event() -> None:
    told = {event_of(status) for status in Status}
    assert told | {event_of(None)} == set(WebhookEvent)
    assert event_of(None) is WebhookEvent.ARTIFACT
    assert event_of(Status.IDLE) is event_of(Status.FINISHED) is WebhookEvent.COMPLETED
    assert WebhookEvent.ACTIVE not in USUAL


def test_tries_come_more_and_more_rarely_for_a_day() -> None:
    waits = [retry_after(tries) for tries in range(1, len(RETRY_SECONDS) + 2)]
    assert waits[-1] is None
    found = [wait for wait in waits if wait is not None]
    assert found == sorted(found)
    assert timedelta(hours=23) < sum(found, timedelta()) < timedelta(hours=25)


def test_what_is_sent_has_the_three_fields() -> None:
    assert body("a", "t", {"x": 1}) == {"type": "a", "timestamp": "t", "data": {"x": 1}}
    assert ordered(["artifact.created", "session.failed", "session.failed"]) == ["session.failed", "artifact.created"]
