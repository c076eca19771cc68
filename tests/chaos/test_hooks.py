"""A storm of webhooks while the server is killed: none is lost, each is one delivery, and a project's limit holds."""

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.instance import Instance

STORM = 1_000
SENDERS = 16
KILLED_AFTER = 300


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    """One of this module's own, which is killed."""
    running = Instance()
    try:
        yield running.start()
    finally:
        running.remove()


def test_a_storm_of_webhooks_and_a_server_that_is_killed(instance: Instance) -> None:
    instance.post("/projects/sample/service_accounts", {"username": "helper"})
    wish: dict[str, Any] = {
        "account": "helper", "flow": "software_development", "model": "scripted", "goal": "Read it.",
        "events": {"webhook": []},
    }  # fmt: skip
    made = instance.post("/projects/sample/triggers", wish)
    path = httpx.URL(made["trigger"]["hook_url"]).path
    asyncio.run(_storm(instance, path, made["secret"]))
    found = list[dict[str, Any]]()
    while page := instance.get(
        "/projects/sample/deliveries", limit=100, **({"before": found[-1]["id"]} if found else {})
    ):
        found += page
    assert len(found) == STORM, "each message that was taken is one delivery, however often it was sent"
    statuses = Counter(one["status"] for one in found)
    sessions = [one["session_id"] for one in found if one["session_id"]]
    assert set(statuses) == {"started", "waiting"}
    assert len(sessions) == len(set(sessions)) == statuses["started"]
    assert statuses["waiting"] > 0, "a project's limit holds"
    listed = instance.get("/sessions", origin="trigger", limit=100)["items"]
    assert {one["id"] for one in listed} == set(sessions), "and nothing else was started"


async def _storm(instance: Instance, path: str, secret: str) -> None:
    """Every message is sent until it is taken; the server is killed and started again in between."""
    messages, taken = iter(range(STORM)), list[int]()
    killed = asyncio.Event()

    async def send(client: httpx.AsyncClient) -> None:
        for number in messages:
            headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": f"message {number}"}
            while True:
                try:
                    answer = await client.post(f"{instance.url}{path}", json={"number": number}, headers=headers)
                except httpx.TransportError:
                    await killed.wait()
                    continue
                if answer.status_code >= 500:  # its database goes with it
                    await killed.wait()
                    continue
                assert answer.status_code == 202, answer.text
                break
            taken.append(number)
            if number % 10 == 0:  # as a sender that did not hear the answer
                with suppress(httpx.TransportError):  # it heard it before
                    await client.post(f"{instance.url}{path}", json={"number": number}, headers=headers)

    async def kill() -> None:
        while len(taken) < KILLED_AFTER:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(instance.stop, signal.SIGKILL)
        await asyncio.to_thread(instance.start)
        killed.set()

    async with httpx.AsyncClient(timeout=60) as client:
        await asyncio.gather(kill(), *(send(client) for _ in range(SENDERS)))
