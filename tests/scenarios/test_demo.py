"""The main job: a session repairs a pipeline that really fails, from one command."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.instance import Instance
from tests.scenarios.work import payloads


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    """One of this module's own: it repairs the sample for good, which other scenarios need broken."""
    running = Instance()
    try:
        yield running.start()
    finally:
        running.remove()


def test_the_demo_repairs_the_sample(instance: Instance) -> None:
    told = instance.qd("demo").stdout
    assert "No language model" in told
    newest = instance.session(instance.get("/sessions")["items"][0]["id"])
    assert newest["scripted"]
    assert newest["status"] == "idle", "its merge request is open"
    assert newest["checks_passed"] == 1
    found: list[Any] = instance.get("/projects/sample/pipelines", ref=newest["branch"])
    assert [one["status"] for one in found] == ["success"]
    instance.wait(lambda: _printed(instance, newest["id"]), 60, "what a command printed is found")
    events = instance.events(newest["id"])
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {artifact["artifact"] for artifact in newest["artifacts"]} == {"branch", "commit", "merge_request"}
    merged = instance.post(f"/projects/sample/merge_requests/{newest['merge_request'][1:]}/merge")
    assert merged["status"] == "merged"
    assert instance.wait_for(newest["id"], "finished")["reason"].endswith("merged")
    assert payloads(instance.events(newest["id"]), "merge_request.ended")
    assert instance.qd("demo", code=None).returncode == 1, "after the merge there is nothing to repair"


def _printed(instance: Instance, session_id: int) -> bool:
    """Whether search has what the demo's commands printed."""
    (hits,) = [instance.get(f"/sessions/{session_id}/search", q="ran tests")["items"]]
    return any(hit["part"] == "output" for hit in hits)


def test_the_demo_on_another_repository_with_another_script(instance: Instance, tmp_path: Path) -> None:
    repository = tmp_path / "adder"
    repository.mkdir()
    (repository / "add.sh").write_text("echo $(($1 - $2))\n", encoding="utf-8")
    (repository / ".gitlab-ci.yml").write_text('sum:\n  script:\n    - test "$(sh add.sh 2 3)" = 5\n', encoding="utf-8")
    for command in (["init", "-q", "-b", "trunk"], ["add", "."], ["commit", "-q", "-m", "A sum"]):
        subprocess.run(
            ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *command], cwd=repository, check=True
        )
    script = tmp_path / "script.yml"
    steps = [
        {"expect": "sum", "say": "I look.", "call": {"tool": "grep", "args": {"pattern": "echo"}}},
        {
            "capture": {"wrong": {"of": "grep", "pattern": r"(\$1 - \$2)"}},
            "say": "It subtracts.",
            "call": {"tool": "edit_file", "args": {"file_path": "add.sh", "old_str": "{wrong}", "new_str": "$1 + $2"}},
        },
        {
            "call": {
                "tool": "final_response_tool",
                "args": {"outcome": "changed", "message": "Add instead of subtract\n\nThe sign was wrong."},
            }
        },
    ]
    script.write_text(json.dumps({"components": {"repair": steps}}), encoding="utf-8")
    told = instance.qd("demo", "--repo", str(repository), "--model", "scripted", "--script", str(script)).stdout
    assert "+echo $(($1 + $2))" in told


def test_a_repository_that_is_none_is_refused_with_the_reason(instance: Instance, tmp_path: Path) -> None:
    script = tmp_path / "script.yml"
    script.write_text("components: {repair: [{say: unused}]}", encoding="utf-8")
    given = ("--model", "scripted", "--script", str(script))
    told = instance.qd("demo", "--repo", str(tmp_path / "nothing"), *given, code=None)
    assert told.returncode not in (0, None)
    assert "nothing" in told.stderr
