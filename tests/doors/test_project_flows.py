"""A project's own flows, and a person's rules, by the API and the command line."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from quarterdeck.app.application import App
from tests.app.test_merge_requests import commit
from tests.app.test_project_flows import BROKEN, flow
from tests.doors.conftest import Api, Running
from tests.doors.test_problem import problem

FLOWS = "/projects/sample/flows"


async def test_flows_and_rules_by_the_api(api: Api, app: App) -> None:
    project = (await api.get("/projects/sample")).json()
    await commit(app, project["id"], "main", "main^0", **{".gitlab/duo/flows/broken.yml": BROKEN})
    made = await api.post(FLOWS, {"text": flow("lookout", "one")})
    assert (made.status_code, made.json()["version"]) == (201, "1.0.0")
    assert (await api.post(FLOWS, {"text": flow("lookout", "two")})).json()["version"] == "2.0.0"
    listed: dict[str, Any] = {one["start_as"]: one for one in (await api.get(FLOWS)).json()["flows"]}
    assert listed["broken"]["faults"][0].startswith("5:")
    assert listed["lookout"]["stored_by"] == "ada"
    assert (await api.get(f"{FLOWS}/lookout", version="1.0.0")).json()["text"] == flow("lookout", "one")
    assert (await api.get(f"{FLOWS}/project:lookout")).json()["version"] == "2.0.0"
    assert (await api.get("/flows/fix_pipeline", version="v1")).json()["name"] == "fix_pipeline"
    for path, status in ((f"{FLOWS}/broken", 400), (f"{FLOWS}/none", 404), ("/flows/none", 404), ("/flows/..", 404)):
        assert problem(await api.get(path))["status"] == status
    told = problem(await api.post(FLOWS, {"text": BROKEN}))
    assert (told["status"], "read_fiel" in told["detail"]) == (400, True)
    for wrong in ({}, {"text": "x" * 40_961}, {"text": flow("fix_pipeline", "x")}, {"text": "", "more": 1}):
        assert problem(await api.post(FLOWS, wrong))["status"] in (400, 409)
    gone = await api.client.delete(f"/api/v1{FLOWS}/lookout", headers=api.headers)
    assert gone.status_code == 204
    put = await api.client.put("/api/v1/me/rules", json={"text": "Be brief."}, headers=api.headers)
    assert put.json()["text"] == "Be brief."
    assert (await api.get("/me/rules")).json()["changed_at"]
    large = await api.client.put("/api/v1/me/rules", json={"text": "x" * 16_385}, headers=api.headers)
    assert problem(large)["status"] == 400


def test_flows_by_the_command_line(running: Running, tmp_path: Path) -> None:
    def qd(*words: str, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "quarterdeck", *words, "--server", running.url],
            env={"QUARTERDECK_HOME": str(running.home), "PATH": "/usr/bin:/bin", "COLUMNS": "200"},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    unnamed, broken = tmp_path / "by-its-file.yml", tmp_path / "broken.yml"
    unnamed.write_text(flow(None, "unnamed"), encoding="utf-8")
    broken.write_text(BROKEN, encoding="utf-8")
    assert "--flow by-its-file" in qd("flow", "add", str(unnamed), "--project", "sample")
    assert "other/1.0.0" in qd("flow", "add", str(unnamed), "--project", "sample", "--name", "other")
    assert "read_fiel" in qd("flow", "add", str(broken), "--project", "sample", status=2)
    listed = qd("flow", "list", "--project", "sample")
    assert "by-its-file" in listed
    assert "stored" in listed
    assert qd("flow", "show", "other/v1", "--project", "sample") == unnamed.read_text(encoding="utf-8")
    assert "stores no flow other" in qd("flow", "delete", "other", "--project", "sample")
    assert "no flow 'other'" in qd("flow", "show", "other", "--project", "sample", status=3)
