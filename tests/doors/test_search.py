"""Search by the API and by the command line."""

import json

import pytest

from tests.doors.conftest import Api, Qd
from tests.doors.test_problem import problem
from tests.doors.test_sessions import begin


async def test_search_by_the_api(api: Api) -> None:
    first = await begin(api, goal="Repair the [ladder]")
    second = await begin(api, goal="Paint the ladder")
    page = (await api.get("/search/sessions", q="ladder", limit=1)).json()
    (hit,) = page["items"]
    assert (hit["session_id"], hit["seq"], hit["part"], hit["project_path"]) == (second["id"], 1, "goal", "sample")
    assert hit["lines"] == [{"line": 1, "text": "Paint the ladder", "marks": [[10, 16]]}]
    behind = (await api.get("/search/sessions", q="ladder", limit=1, before=page["next"], project="sample")).json()
    assert [one["session_id"] for one in behind["items"]] == [first["id"]]
    assert behind["next"] is None
    inside = (await api.get(f"/sessions/{first['id']}/search", q="ladder -paint")).json()
    assert [one["session_id"] for one in inside["items"]] == [first["id"]]
    assert (await api.get("/search/sessions", q="ladder", mine=True)).json()["items"]
    assert (await api.get("/search/sessions", q="ladder", flow=first["flow"])).json()["items"]
    assert not (await api.get("/search/sessions", q="ladder", status_group="failed")).json()["items"]
    assert not (await api.get("/search/sessions", q="stairs")).json()["items"]
    for path in ("/search/sessions", f"/sessions/{first['id']}/search"):
        assert problem(await api.get(path, q='"ladder'))["code"] == "invalid_input"
        assert problem(await api.get(path))["code"] == "invalid_input"
        assert problem(await api.get(path, q="x" * 300))["code"] == "invalid_input"
    assert problem(await api.get("/sessions/999/search", q="ladder"))["status"] == 404
    assert problem(await api.get("/search/sessions", q="ladder", project="nowhere"))["status"] == 404


@pytest.mark.usefixtures("running")
def test_search_by_commands(qd: Qd) -> None:
    start = ("session", "start", "-p", "sample", "--model", "scripted", "--input", "pipeline.id=1", "--goal")
    for goal in ("Repair the \x1b[2Jladder", "Paint the ladder\nand [bold]the wall"):
        assert qd(*start, goal).returncode == 0
    shown = qd("session", "search", "ladder", "the")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.index("#2 ") < shown.stdout.index("#1 ")
    assert "e1 goal  sample" in shown.stdout
    assert "     2  and [bold]the wall" in shown.stdout
    assert "\x1b[2J" not in shown.stdout
    one = qd("session", "search", "ladder", "--limit", "1")
    cursor = one.stdout.split("--next ")[1].strip()
    assert "#1 " in qd("session", "search", "ladder", "--next", cursor).stdout
    assert "Nothing was found." in qd("session", "search", "--session", "1", "paint").stdout
    assert qd("session", "search", "--session", "1", "--mine", "paint").returncode == 2
    assert qd("session", "search", "--flow", "fix_pipeline", "ladder").stdout.startswith("#")
    assert "Nothing was found." in qd("session", "search", "--status", "failed", "--group", "failed", "ladder").stdout
    assert "not closed" in qd("session", "search", '"ladder').stderr
    answer = json.loads(qd("--json", "session", "search", "--mine", "--", "-paint ladder").stdout)
    assert [hit["session_id"] for hit in answer["items"]] == [1]
