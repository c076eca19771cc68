"""SIGTERM: what is open is closed politely, what runs is handed over or told of, and nothing is left."""

import asyncio
import signal
from datetime import UTC, datetime

import httpx
from httpx_sse import aconnect_sse

from tests.instance import Instance, processes_below
from tests.scenarios.work import LONG, call, payloads, start

STREAMS = 100


async def _last(http: httpx.AsyncClient, path: str, opened: asyncio.Semaphore) -> str:
    """The last event of a stream that nobody leaves."""
    last = ""
    async with aconnect_sse(http, "GET", path) as source:
        async for signal_ in source.aiter_sse():
            if not last:
                opened.release()
            last = signal_.event
    return last


async def _stopped_under_streams(instance: Instance, session_id: int) -> list[str]:
    headers, limits = {"Authorization": f"Bearer {instance.token}"}, httpx.Limits(max_connections=None)
    opened = asyncio.Semaphore(0)
    async with httpx.AsyncClient(base_url=f"{instance.url}/api/v1", headers=headers, limits=limits, timeout=60) as http:
        path = f"/sessions/{session_id}/stream"
        watching = [asyncio.create_task(_last(http, path, opened)) for _ in range(STREAMS)]
        for _ in range(STREAMS):
            await opened.acquire()
        assert await asyncio.to_thread(instance.stop) == 0
        return await asyncio.gather(*watching)


def test_a_stop_under_a_hundred_streams_closes_them_and_tells_of_what_it_interrupts() -> None:
    instance = Instance()
    try:
        instance.start()
        assert instance.process is not None
        session_id = start(
            instance,
            {"call": call("run_command", command=f"[ -e up ] || {{ touch up; sleep {LONG}; }}")},
            {"say": "I have seen it."},
            pre_approved=["run_commands"],
        )
        instance.wait(lambda: "tool_call.started" in str(instance.events(session_id)), 60, "the call runs")
        below = processes_below(instance.process.pid)
        assert any(f"sleep {LONG}" in line for line in below.values())
        lasts = asyncio.run(_stopped_under_streams(instance, session_id))
        assert lasts == ["closing"] * STREAMS
        now = processes_below(1)
        assert not [line for pid, line in below.items() if now.get(pid) == line]
        stopped = datetime.now(UTC)
        instance.start()
        instance.wait_for(session_id, "finished")
        events = instance.events(session_id)
        first, again = payloads(events, "tool_call.finished")
        assert (first["outcome"], again["outcome"], "shut down" in first["text"]) == ("interrupted", "ok", True)
        at = next(one["at"] for one in events if one["payload"]["kind"] == "tool_call.finished")
        assert datetime.fromisoformat(at) < stopped, "the server heard of it before it ended"
    finally:
        instance.remove()


def test_a_worker_is_not_waited_for_longer_than_it_may_take() -> None:
    """A model's answer that takes minutes is asked for anew; the stop ends by itself, and cleanly."""
    instance = Instance()
    try:
        instance.start()
        session_id = start(instance, {"delay": 1200, "say": "Late."})
        instance.wait(lambda: "turn.started" in str(instance.events(session_id)), 60, "the model is asked")
        assert instance.stop(signal.SIGTERM) == 0
        instance.start()
        assert instance.session(session_id)["status"] == "running"
    finally:
        instance.remove()
