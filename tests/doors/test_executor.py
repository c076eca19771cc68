"""The executor's side of the API: its own token, its own errors."""

from typing import Any

from quarterdeck.core.protocol import PROTOCOL_VERSION, VERSIONS_APART
from tests.conftest import Start
from tests.doors.conftest import Api
from tests.doors.test_problem import problem

HELLO: dict[str, Any] = {
    "protocol": PROTOCOL_VERSION, "version": "1", "name": "hands", "capacity": 1, "isolation": "full",
}  # fmt: skip


def hands(api: Api, start: Start) -> Api:
    return Api(api.client, start.runner_token)


async def test_hello_and_heartbeat(api: Api, start: Start) -> None:
    runner = hands(api, start)
    answer = await runner.post("/executor/hello", HELLO)
    assert answer.status_code == 200, answer.text
    number = answer.json()["runner"]
    beat = await runner.post(
        "/executor/heartbeat", {"runner": number, "held": [{"subject": "session:9", "lease_epoch": 1}]}
    )
    assert beat.json()["lost"] == ["session:9"]
    assert (await runner.get("/executor/stream", runner=number + 1)).status_code == 404


async def test_versions_that_do_not_fit_are_said(api: Api, start: Start) -> None:
    answer = await hands(api, start).post(
        "/executor/hello", {**HELLO, "protocol": PROTOCOL_VERSION + VERSIONS_APART + 1}
    )
    assert answer.status_code == 426
    told = problem(answer)
    assert told["code"] == "version_mismatch"
    assert str(PROTOCOL_VERSION) in told["detail"]


async def test_people_are_no_executors(api: Api) -> None:
    assert (await api.post("/executor/hello", HELLO)).status_code == 401


async def test_reports_of_nothing_are_refused(api: Api, start: Start) -> None:
    runner = hands(api, start)
    started = await runner.post("/executor/calls/c_nothing/started", {"turn_no": 1, "lease_epoch": 1})
    assert 400 <= started.status_code < 500
    problem(started)
    strange = await runner.post("/executor/subjects/house:1/prepared", {})
    assert strange.status_code == 400
    too_much = await api.client.post(
        "/api/v1/executor/calls/c_nothing/output?epoch=1&offset=0", content=b"x" * 300_000, headers=runner.headers
    )
    assert too_much.status_code == 413
    problem(too_much)


async def test_a_result_may_name_many_files(api: Api, start: Start) -> None:
    runner = hands(api, start)
    result = {"turn_no": 1, "lease_epoch": 1, "outcome": "ok", "text": "x" * 2_000_000}
    assert (await runner.post("/executor/calls/c_nothing/result", result)).status_code == 404
    assert (
        await runner.post("/executor/calls/c_nothing/result", {**result, "text": "x" * 5_000_000})
    ).status_code == 413
