"""Sessions by the API: start, look, steer, stop, delete."""

from typing import Any

from tests.conftest import Start
from tests.doors.conftest import Api
from tests.doors.test_problem import problem

NEW = {"project": "sample", "model": "scripted", "goal": "Repair it", "inputs": {"pipeline": {"id": 1}}}


async def begin(api: Api, **more: Any) -> dict[str, Any]:
    answer = await api.post("/sessions", {**NEW, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_session_from_start_to_deletion(api: Api) -> None:
    session = await begin(api)
    one = f"/sessions/{session['id']}"
    assert session["scripted"]
    assert session["status"] == "created"
    assert (await api.get(one)).json() == session
    listed = (await api.get("/sessions", project="sample", status="created", limit=5)).json()
    assert [found["id"] for found in listed["items"]] == [session["id"]]

    renamed = await api.client.patch(f"/api/v1{one}", json={"title": "Red again"}, headers=api.headers)
    assert renamed.json()["title"] == "Red again"
    assert (await api.post(f"{one}/hold", {"reason": "evidence"})).json()["held"]
    refused = await api.client.delete(f"/api/v1{one}", headers=api.headers)
    assert refused.status_code == 409
    assert not (await api.post(f"{one}/release", {})).json()["held"]

    stopped = await api.post(f"{one}/cancel", {"reason": "enough"})
    assert (stopped.json()["status"], stopped.json()["reason"]) == ("stopped", "enough")
    resumed = await api.post(f"{one}/resume", {})
    assert resumed.status_code == 409
    problem(resumed)
    assert problem(await api.post(f"{one}/approve", {}))["code"] == "conflict"
    told = problem(await api.post(f"{one}/messages", {"text": "still there?"}))
    assert "stopped" in told["detail"]

    kinds = [event["payload"]["kind"] for event in (await api.get(f"{one}/events")).json()["items"]]
    assert kinds[0] == "session.created"
    assert {"session.renamed", "session.held", "session.released", "status.changed"} <= set(kinds)
    assert (await api.get(f"{one}/diff")).content == b""

    assert (await api.client.delete(f"/api/v1{one}", headers=api.headers)).status_code == 204
    assert problem(await api.get(one))["code"] == "not_found"


async def test_a_key_starts_one_session(api: Api) -> None:
    first = await api.post("/sessions", NEW, Idempotency_Key="k-1")
    again = await api.post("/sessions", NEW, Idempotency_Key="k-1")
    other = await api.post("/sessions", NEW, Idempotency_Key="k-2")
    assert first.json()["id"] == again.json()["id"] != other.json()["id"]


async def test_pages_of_events_and_sessions_meet_without_gap(api: Api) -> None:
    ids = [(await begin(api))["id"] for _ in range(3)]
    first = (await api.get("/sessions", limit=2)).json()
    second = (await api.get("/sessions", limit=2, cursor=first["next"])).json()
    assert [one["id"] for one in first["items"] + second["items"]] == ids[::-1]
    assert second["next"] is None
    assert problem(await api.get("/sessions", cursor="nonsense"))["code"] == "invalid_input"

    one = f"/sessions/{ids[0]}"
    await api.post(f"{one}/cancel", {})
    whole = (await api.get(f"{one}/events")).json()["items"]
    seqs: list[int] = []
    after: int | None = 0
    while after is not None:
        page = (await api.get(f"{one}/events", after=after, limit=1)).json()
        seqs += [event["seq"] for event in page["items"]]
        after = page["next"]
    assert seqs == [event["seq"] for event in whole] == list(range(1, len(whole) + 1))


async def test_a_slash_in_a_project_path(api: Api) -> None:
    made = await api.post("/projects", {"path": "group/tool"})
    assert made.status_code == 201, made.text
    shown = await api.get("/projects/group%2Ftool")
    assert shown.json()["id"] == made.json()["id"]
    assert (await api.get("/projects/group%2Ftool/members")).json()[0]["role"] == "owner"
    assert (await api.get("/projects/group/tool")).status_code == 404


async def test_both_ways_to_pass_a_token(api: Api, start: Start) -> None:
    for headers in ({"Authorization": f"bearer {start.token}"}, {"PRIVATE-TOKEN": start.token}):
        answer = await api.client.get("/api/v1/whoami", headers=headers)
        assert answer.json()["username"] == start.owner.username
    runner = await api.client.get("/api/v1/whoami", headers={"PRIVATE-TOKEN": start.runner_token})
    assert runner.status_code == 401
    cookie = await api.client.get("/api/v1/whoami", headers={"Cookie": f"quarterdeck={start.token}"})
    assert cookie.status_code == 401
