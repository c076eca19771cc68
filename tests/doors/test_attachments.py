"""Files by the API and by the command line: uploaded, given to a session, read again; and budgets."""

import json
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.doors.cli import main
from tests.doors.conftest import Api, Running
from tests.doors.test_problem import problem
from tests.doors.test_sessions import begin

PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)


async def test_a_file_from_upload_to_download(api: Api) -> None:
    path = "/api/v1/attachments"
    made = await api.client.post(path, params={"name": "a/ü \n.png"}, content=PNG, headers=api.headers)
    assert made.status_code == 201, made.text
    assert (made.json()["name"], made.json()["media_type"], made.json()["size"]) == ("ü .png", "image/png", len(PNG))
    refused = await api.client.post(path, params={"name": "x"}, content=b"\0", headers=api.headers)
    assert "neither text" in problem(refused)["detail"]
    large = await api.client.post(
        path, params={"name": "x"}, content=b"x" * (20 * 1024 * 1024 + 1), headers=api.headers
    )
    assert problem(large)["code"] == "too_large"

    number = made.json()["id"]
    session = f"/sessions/{(await begin(api, attachments=[number], budget={'tokens': 10}))['id']}"
    assert [one["id"] for one in (await api.get(f"{session}/attachments")).json()] == [number]
    got = await api.get(f"{session}/attachments/{number}")
    assert (got.content, got.headers["X-Content-Type-Options"]) == (PNG, "nosniff")
    assert got.headers["Content-Disposition"] == "attachment; filename*=UTF-8''%C3%BC%20.png"
    again = problem(await api.post(f"{session}/messages", {"text": "x", "attachments": [number]}))
    assert (again["code"], again["status"]) == ("not_found", 404)
    assert (await api.get(f"{session}/context")).json()["inputs"]["pipeline"] == {"id": 1}


async def test_a_budget_by_patch(api: Api) -> None:
    made = await begin(api, budget={"cost": 2.5})
    assert made["budget"] == {"cost": "2.5", "tokens": None}
    path = f"/api/v1/sessions/{made['id']}"
    changed = await api.client.patch(path, json={"budget": {"tokens": 7}, "title": "Both"}, headers=api.headers)
    assert (changed.json()["budget"], changed.json()["title"]) == ({"cost": None, "tokens": 7}, "Both")
    removed = await api.client.patch(path, json={"budget": None}, headers=api.headers)
    assert removed.json()["budget"] is None
    refused: tuple[dict[str, Any], ...] = ({}, {"budget": {}}, {"budget": {"cost": -1}}, {"title": None})
    for wrong in refused:
        assert problem(await api.client.patch(path, json=wrong, headers=api.headers))["status"] == 400, wrong


def test_by_the_command_line(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QUARTERDECK_HOME", str(running.home))
    (tmp_path / "p.png").write_bytes(PNG)
    (tmp_path / "notes.md").write_text("Mind the gap.", encoding="utf-8")

    def qd(*words: str, status: int = 0) -> str:
        monkeypatch.setattr("sys.argv", ["qd", *words])
        assert main.run() == status
        told = capsys.readouterr()
        return told.out + told.err

    start = ("session", "start", "-p", "sample", "--model", "scripted", "--input", "pipeline.id=1", "--json")
    files = ("--attach", str(tmp_path / "p.png"), "--context", str(tmp_path / "notes.md"))
    made = json.loads(qd(*start, *files, "--cost", "1.50", "--tokens", "9"))
    number = str(made["id"])
    assert made["budget"] == {"cost": "1.50", "tokens": 9}
    assert "$1.50 and 9 tokens" in qd("session", "show", number)
    assert "5 tokens" in qd("session", "budget", number, "--tokens", "5")
    assert "Say what it may use" in qd("session", "budget", number, status=2)
    assert "p.png (image/png, 208 bytes)" in qd("session", "events", number)
    qd("session", "cancel", number)
    events = [json.loads(line) for line in qd("session", "events", number, "--last", "2", "--json").splitlines()]
    assert [one["payload"]["kind"] for one in events] == ["budget.changed", "status.changed"]
    (one,) = qd("session", "events", number, "--kind", "budget.changed", "--text", "ADA").splitlines()
    assert "budget set to 5 tokens by ada" in one
    assert json.loads(qd("session", "events", number, "--seq", "1"))["payload"]["budget"]["tokens"] == 9
    assert "cost" in qd("session", "usage", number, "--calls")
    assert "file" in qd("session", "changes", number)
    assert "There is no call c_x" in qd("session", "output", number, "c_x", status=3)
    assert "can't be read" in qd(*start, "--attach", str(tmp_path / "none"), status=2)
