"""How long sessions are kept, as people see it: the date, the warning, the preview, another time."""

from datetime import date, timedelta
from typing import Any

import psycopg

from quarterdeck.app.application import App
from tests.conftest import Start
from tests.doors.conftest import START, Api, Qd, Running
from tests.doors.test_problem import problem
from tests.doors.test_sessions import begin
from tests.doors.test_web import signed_in


async def test_the_date_and_the_warning_are_on_the_pages(api: Api, app: App, start: Start) -> None:
    calm = await begin(api)
    assert (calm["retention_days"], calm["days_left"], calm["expires_soon"]) == (30, 30, False)
    assert date.fromisoformat(calm["expires_on"]) == date.fromisoformat(calm["last_activity"][:10]) + timedelta(days=30)
    edited = await api.client.patch("/api/v1/projects/sample", json={"retention_days": 2}, headers=api.headers)
    assert edited.json()["retention_days"] == 2
    soon = await begin(api)
    assert (soon["days_left"], soon["expires_soon"]) == (2, True)
    held = (await api.post(f"/sessions/{soon['id']}/hold", {})).json()
    assert (held["expires_on"], held["days_left"], held["expires_soon"]) == (None, None, False)
    await api.post(f"/sessions/{soon['id']}/release", {})
    headers = await signed_in(api, app, start)
    pages = {
        path: (await api.client.get(path, headers=headers)).text for path in ("/sessions", f"/sessions/{soon['id']}")
    }
    assert f'<span class="when warning">will be deleted {soon["expires_on"]}</span>' in pages["/sessions"]
    assert f'<span class="when">will be deleted {calm["expires_on"]}</span>' in pages["/sessions"]
    assert f"It is deleted on {soon['expires_on']} unless" in pages[f"/sessions/{soon['id']}"]
    for wrong in (0, 3651, "x"):
        refused = await api.client.patch("/api/v1/projects/sample", json={"retention_days": wrong}, headers=api.headers)
        assert refused.status_code == 400
        problem(refused)
    seen: dict[str, Any] = (await api.get("/projects/sample/retention/preview", retention_days=1)).json()
    assert (seen["sessions"], seen["retention_days"]) == (0, 1)
    assert (await api.get("/retention/preview")).json()["sessions"] == 0


def test_another_time_by_commands(running: Running, qd: Qd, database_url: str) -> None:
    assert qd(*START).returncode == 0
    with psycopg.connect(database_url, autocommit=True) as connection:  # unused for a week
        connection.execute(
            "update sessions set last_activity = last_activity - interval '7 days', expires_on = expires_on - 7"
        )
    shown = qd("retention", "preview", "--project", "sample", "--days", "6")
    assert "1 session with" in shown.stdout
    assert "wait and are stopped" in shown.stdout
    assert "0 sessions" in qd("retention", "preview").stdout
    asked = qd("project", "edit", "sample", "--retention-days", "6", given="n\n")
    assert asked.returncode == 1
    assert "deletes 1 session with" in asked.stderr
    assert "30 days" in qd("project", "show", "sample").stdout
    edited = qd("project", "edit", "sample", "--retention-days", "2", "--yes", "--description", "kept short")
    assert "2 days" in edited.stdout
    assert "kept short" in edited.stdout
    assert qd(*START).returncode == 0
    warned = qd("session", "show", "2").stdout
    assert "qd session hold 2" in warned
    assert "deleted on" in qd("session", "list").stdout
    assert qd("session", "hold", "2").returncode == 0
    assert "never (held)" in qd("session", "list").stdout
    assert qd("session", "delete", "2", "--yes").returncode == 6
