"""Lists of sessions through their doors: filters, counts, the live list, one action on many."""

import asyncio
import json
import subprocess
import sys
import threading
from queue import Queue
from typing import Any

from httpx_sse import aconnect_sse

from tests.doors.conftest import Api, Qd, Running
from tests.doors.test_problem import problem
from tests.doors.test_sessions import begin
from tests.doors.test_stream import begun, client


async def test_filters_sorts_and_counts(api: Api) -> None:
    ids = [(await begin(api, goal=goal, title=goal))["id"] for goal in ("First", "Second", "Third")]
    await api.post(f"/sessions/{ids[0]}/cancel", {"reason": "enough"})
    await api.post(f"/sessions/{ids[1]}/hold", {})

    async def found(**asked: Any) -> list[int]:
        answer = await api.get("/sessions", **asked)
        assert answer.status_code == 200, answer.text
        return [row["id"] for row in answer.json()["items"]]

    assert await found(status_group="active", sort="created", order="asc") == ids[1:]
    assert await found(sort="status") == [ids[2], ids[1], ids[0]]
    assert await found(held="true", flow="fix_pipeline/v1", initiator="ada", origin="api", kind="flow") == [ids[1]]
    assert await found(text="second", mine="true") == await found(text=f"#{ids[1]}") == [ids[1]]
    assert await found(created_after="2020-01-01T00:00:00+00:00", limit=1, last="true", sort="created") == [ids[0]]
    assert await found(updated_before="2020-01-01T00:00:00Z") == await found(needs_me="true") == []
    assert await found(expiring="40", sort="expires") == [ids[0], ids[2]]
    row = (await api.get("/sessions", status="stopped")).json()["items"][0]
    assert (row["reason"], row["scripted"], row["needs_me"]) == ("enough", True, False)

    assert problem(await api.get("/sessions", created_after="yesterday"))["code"] == "invalid_input"
    assert problem(await api.get("/sessions", text="x" * 201))["code"] == "invalid_input"
    assert problem(await api.get("/sessions", sort="title"))["code"] == "invalid_input"
    counts = (await api.get("/sessions/counts", project="sample")).json()
    assert (counts["all"]["active"], counts["mine"]["canceled"], counts["needs_me"]) == (2, 1, 0)


async def test_many_at_once(api: Api) -> None:
    ids = [(await begin(api))["id"] for _ in range(2)]
    wish = {"action": "cancel", "filter": {"project": "sample", "mine": True}}
    seen = (await api.post("/sessions/bulk/preview", wish)).json()
    assert sorted(seen["ids"]) == ids
    done = (await api.post("/sessions/bulk", {**wish, "ids": seen["ids"], "reason": "over"})).json()
    assert [one["done"] for one in done["results"]] == [True, True]
    assert problem(await api.post("/sessions/bulk", wish))["code"] == "invalid_input"
    assert problem(await api.post("/sessions/bulk", {**wish, "ids": list(range(101))}))["code"] == "invalid_input"
    assert problem(await api.post("/sessions/bulk/preview", {"action": "forget"}))["code"] == "invalid_input"


async def test_the_live_list(running: Running) -> None:
    told: list[tuple[str, Any]] = []
    async with client(running) as http, asyncio.timeout(60):
        path = await begun(http)
        async with aconnect_sse(http, "GET", "/sessions/changes?project=sample&status=created") as source:
            async for signal in source.aiter_sse():
                if signal.event == "page":
                    await http.patch(path, json={"title": "Anew"})
                if signal.event == "changed":
                    await http.post(f"{path}/cancel", json={})
                if signal.data:
                    told.append((signal.event, json.loads(signal.data)))
                if signal.event == "gone":
                    break
        refused = await http.get("/sessions/changes", params={"project": "nowhere"})
    assert [event for event, _ in told] == ["page", "changed", "gone"]
    assert told[0][1]["items"][0]["id"] == told[1][1]["id"] == told[2][1]["id"]
    assert told[1][1]["title"] == "Anew"
    assert refused.status_code == 404


START = ("session", "start", "-p", "sample", "--model", "scripted", "--pipeline", "1")


def test_lists_and_many_by_commands(running: Running, qd: Qd) -> None:
    for _ in range(2):
        assert qd(*START, "--goal", "Mend \x1b[2Jit").returncode == 0
    listed = qd("session", "list", "--text", "mend", "--sort", "created", "--order", "asc", "--limit", "1")
    assert "Mend" in listed.stdout, listed.stderr
    assert "\x1b" not in listed.stdout
    assert "In all: 2 active" in listed.stdout
    cursor = listed.stdout.partition("--cursor ")[2].split()[0]
    behind = json.loads(qd("session", "list", "--text", "mend", "--cursor", cursor, "--json").stdout)
    assert (len(behind["items"]), behind["next"]) == (1, None)
    assert (
        json.loads(qd("session", "list", "--not-held", "--updated-before", "2020-01-31", "--json").stdout)["items"]
        == []
    )

    assert qd("session", "bulk", "cancel").returncode == 2, "of all sessions only when a filter says so"
    seen = qd("session", "bulk", "cancel", "--mine", "--preview")
    assert "Mend" in seen.stdout
    done = qd("session", "bulk", "cancel", "--mine", "--reason", "over", "--yes")
    assert "Done: 2 sessions" in done.stdout, done.stderr
    again = qd("session", "bulk", "cancel", "--mine", "--yes")
    assert "nothing to cancel" in again.stdout
    results = qd("session", "bulk", "delete", "--group", "canceled", "--yes", "--json")
    assert [json.loads(line)["done"] for line in results.stdout.splitlines()] == [True, True]


def test_a_list_is_watched_through_a_restart(running: Running, qd: Qd) -> None:
    place = ("--server", running.url, "--token-file", str(running.home / "token"))
    command = [sys.executable, "-m", "quarterdeck", "session", "list", "--watch", "--json", *place]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        lines: Queue[dict[str, Any]] = Queue()
        output = watching.stdout
        assert output is not None
        reader = threading.Thread(target=lambda: [lines.put(json.loads(line)) for line in output])
        reader.start()
        try:
            assert lines.get(timeout=60)["event"] == "page"
            assert qd(*START).returncode == 0
            assert lines.get(timeout=60)["event"] == "changed"
            running.stop()
            running.start()
            page = lines.get(timeout=60)
            assert page["event"] == "page"
            assert len(page["data"]["items"]) == 1
        finally:
            watching.terminate()
            reader.join(60)
