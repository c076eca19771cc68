"""A client that watches a session through everything, as a browser does: it comes again and asks for what it missed."""

import json
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx

from tests.instance import Instance

STUCK_SECONDS = 60.0
"""A session of which nothing new comes for so long is stuck."""


def watch(instance: Instance, session_id: int) -> Iterator[tuple[Any, float]]:
    """Every event with the time it was made, until the session is at rest: idle, paused or ended, and no turn open."""
    seen, status, last = 0, "", time.monotonic()
    while True:
        try:
            for event in _stream(instance, session_id, seen):
                assert event["seq"] == seen + 1, f"event {event['seq']} came after event {seen}"
                seen, last = event["seq"], time.monotonic()
                payload = event["payload"]
                status = payload.get("to_status", status)
                yield event, datetime.fromisoformat(event["at"]).timestamp()
                last = time.monotonic()  # whoever takes the event may have taken long
                if _at_rest(status, payload["kind"]):
                    return
        except (httpx.HTTPError, OSError, ValueError):
            time.sleep(0.05)
        if time.monotonic() - last > STUCK_SECONDS:
            raise AssertionError(f"session {session_id} is stuck behind event {seen}\n{instance.log_end()}")


def _at_rest(status: str, kind: str) -> bool:
    match status:
        case "" | "created" | "running":
            return False
        case "idle" | "paused":
            return kind == "turn.ended"
        case _:
            return True


def _stream(instance: Instance, session_id: int, after: int) -> Iterator[Any]:
    """The events of one connection; ends when it is silent for long."""
    headers = {"Last-Event-ID": str(after)}
    timeout = httpx.Timeout(5, read=20)
    path = f"/sessions/{session_id}/stream"
    with instance.client() as client, client.stream("GET", path, headers=headers, timeout=timeout) as stream:
        if stream.status_code >= 500:
            time.sleep(0.1)
            return
        assert stream.status_code == 200, f"GET {path}: {stream.status_code} {stream.read().decode()}"
        numbered = False
        for text in stream.iter_lines():
            if text.startswith("id:"):
                numbered = True
            elif text.startswith("data:") and numbered:
                yield json.loads(text.partition(":")[2])
            elif not text:
                numbered = False
