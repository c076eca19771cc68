"""Every flow that ships, played by the script that ships with it, with real tools on real projects."""

import json
import subprocess
from pathlib import Path
from typing import Any

from quarterdeck.forges.local import sample
from tests.instance import Instance
from tests.scenarios.work import call, payloads

JENKINSFILE = """\
pipeline {
    agent any
    stages {
        stage('Compile') {
            steps {
                sh 'python3 -m compileall -q shelf tests'
            }
        }
        stage('Package') {
            steps {
                sh 'mkdir -p build && cp -r shelf build && python3 -m zipapp build -o shelf.pyz -m shelf.__main__:main'
            }
            post {
                success { archiveArtifacts artifacts: 'shelf.pyz' }
            }
        }
    }
}
"""

ISSUE = ("The last page is not counted", "--description", '`python3 -m shelf --page 3` prints "page 3 of 2".')


def git(repository: Path, *arguments: str) -> None:
    author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    subprocess.run(["git", *author, *arguments], cwd=repository, check=True, capture_output=True)


def repository(folder: Path, *, jenkins: bool = False) -> Path:
    """The sample's files as a repository elsewhere; with a Jenkinsfile instead of its pipeline file."""
    files = sample.files()
    if jenkins:
        del files[".gitlab-ci.yml"]
        files["ci/Jenkinsfile"] = JENKINSFILE.encode()
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "A shelf")
    return folder


def start(instance: Instance, project: str, flow: str, *arguments: str) -> int:
    started = instance.qd_json("session", "start", "-p", project, "--flow", flow, "--model", "scripted", *arguments)
    return int(started["id"])


def merge_request(instance: Instance, project: str, name: str) -> Any:
    return instance.get(f"/projects/{project}/merge_requests/{name.removeprefix('!')}")


def test_a_plan_is_changed_and_approved_and_carried_out(instance: Instance) -> None:
    instance.post("/projects", {"path": "planned", "sample": True})
    goal = "Add an option `--since 1900` to the shelf: only books of that year or later."
    session_id = start(instance, "planned", "software_development/v1", "--goal", goal)
    instance.wait_for(session_id, "plan_approval_required")
    first = instance.session(session_id)["approvals"][0]
    assert "3. Run the program" in first["question"]
    assert "4. " not in first["question"]
    instance.qd("session", "reply", str(session_id), "Write a test for it, too.")
    instance.wait_for(session_id, "plan_approval_required", "paused")
    instance.wait(lambda: instance.session(session_id)["approvals"] != [first], 60, "another plan is asked for")
    instance.wait_for(session_id, "plan_approval_required")
    assert "4. " in instance.session(session_id)["approvals"][0]["question"]
    instance.qd("session", "approve", str(session_id))
    session = instance.wait_for(session_id, "idle", "finished", "failed", "paused")
    assert session["status"] == "idle", "its merge request is open"
    made = merge_request(instance, "planned", session["merge_request"])
    assert made["title"] == "Add the option --since to the shelf"
    diff = instance.raw(f"/projects/planned/merge_requests/{made['iid']}/diff").decode()
    assert "+def since(year: int, books: list[Book]) -> list[Book]:" in diff
    assert "+class LeftOutTest(unittest.TestCase):" in diff
    said = [one["text"] for one in payloads(instance.events(session_id), "tool_call.finished")]
    assert any("ImportError" in text for text in said), "the test came first, and failed"
    assert any("Ran 4 tests" in text and "OK" in text for text in said)
    instance.qd("mr", "close", "-p", "planned", str(made["iid"]))
    instance.wait_for(session_id, "finished")


def test_an_issue_becomes_a_merge_request_that_goes_on_until_it_is_merged(instance: Instance) -> None:
    instance.post("/projects", {"path": "developed", "sample": True})
    issue = instance.qd_json("issue", "create", "-p", "developed", *ISSUE)
    session_id = start(instance, "developed", "developer/v1", "--issue", str(issue["iid"]))
    session = instance.wait_for(session_id, "idle", "finished", "failed", "paused")
    assert session["status"] == "idle"
    made = merge_request(instance, "developed", session["merge_request"])
    assert f"Closes #{issue['iid']}" in made["description"]
    assert made["pipeline"]["status"] == "success"
    instance.qd("session", "reply", str(session_id), "Please test 7 books with 3 on a page, too: they fill 3 pages.")
    session = instance.wait_for(session_id, "idle", "finished", "failed", "paused")
    events = instance.events(session_id)
    assert session["status"] == "idle"
    assert len([one for one in payloads(events, "tool_call.finished") if one["tool"] == "create_commit"]) == 2
    again = merge_request(instance, "developed", session["merge_request"])
    assert (again["iid"], again["title"]) == (made["iid"], made["title"]), "no second one is opened"
    assert again["pipeline"]["status"] == "success"
    assert again["pipeline"]["id"] != made["pipeline"]["id"]
    diff = instance.raw(f"/projects/developed/merge_requests/{made['iid']}/diff").decode()
    assert "+        self.assertEqual(page_count(7, 3), 3)" in diff
    assert "+    return -(-items // per_page)" in diff
    instance.qd("mr", "merge", "-p", "developed", str(made["iid"]))
    assert instance.wait_for(session_id, "finished")["reason"].endswith("merged")
    assert instance.get(f"/projects/developed/issues/{issue['iid']}")["status"] == "closed"


def test_a_pipeline_that_is_red_for_something_else_and_a_question(instance: Instance, tmp_path: Path) -> None:
    instance.post("/projects", {"path": "red", "sample": True})
    issue = instance.qd_json("issue", "create", "-p", "red", "Say who keeps the shelf")
    keeper = {"file_path": "KEEPER.md", "contents": "Ada\n"}
    unchanged = {"outcome": "unchanged", "message": "Nothing", "description": "It fails on main, too."}
    steps = [
        {"say": "I write it down.", "call": call("create_file_with_contents", **keeper)},
        {"call": call("final_response_tool", **unchanged | {"outcome": "changed", "message": "Say who keeps it"})},
        {"expect": "pipeline did not pass", "call": call("final_response_tool", **unchanged)},
        {"expect": "Why is it red", "call": call("final_response_tool", **unchanged)},
    ]
    script = tmp_path / "script.yml"
    script.write_text(json.dumps({"components": {"work": steps}}), encoding="utf-8")
    session_id = start(instance, "red", "developer/v1", "--issue", str(issue["iid"]), "--script", str(script))
    for answers in (3, 4):
        session = instance.wait_for(session_id, "idle", "finished", "failed", "paused")
        events = instance.events(session_id)
        assert session["status"] == "idle", "its merge request is open"
        assert len(payloads(events, "model.answered")) == answers
        assert len([one for one in payloads(events, "tool_call.finished") if one["tool"] == "create_commit"]) == 1
        if answers == 3:
            instance.qd("session", "reply", str(session_id), "Why is it red?")
    assert merge_request(instance, "red", session["merge_request"])["pipeline"]["status"] == "failed"


def test_an_issue_of_a_project_without_pipelines(instance: Instance, tmp_path: Path) -> None:
    folder = repository(tmp_path)
    git(folder, "rm", "-q", ".gitlab-ci.yml")
    git(folder, "commit", "-q", "-m", "No pipeline")
    instance.qd("project", "add", "quiet", "--from", str(folder))
    issue = instance.qd_json("issue", "create", "-p", "quiet", *ISSUE)
    session_id = start(instance, "quiet", "developer/v1", "--issue", str(issue["iid"]))
    session = instance.wait_for(session_id, "idle", "finished", "failed", "paused")
    assert session["status"] == "idle"
    assert merge_request(instance, "quiet", session["merge_request"])["pipeline"] is None
    assert "run_pipeline" not in {one["tool"] for one in payloads(instance.events(session_id), "tool_call.requested")}


def test_a_review_comments_on_the_lines_that_are_wrong(instance: Instance, tmp_path: Path) -> None:
    folder = repository(tmp_path)
    pages = folder / "shelf" / "pages.py"
    text = pages.read_text(encoding="utf-8").replace("items // per_page", "-(-items // per_page)")
    pages.write_text(text, encoding="utf-8")
    (folder / ".quarterdeck").mkdir()
    (folder / ".quarterdeck" / "review.md").write_text("Look at divisions.\n", encoding="utf-8")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "Count the last page")
    git(folder, "switch", "-q", "-c", "left")
    check = '    if per_page < 1:\n        raise ValueError("a page has room for at least one item")\n'
    assert check in text
    added = (
        "\n\ndef pages_left(items: int, per_page: int) -> int:\n"
        '    """How many pages are to come."""\n    return items // per_page\n'
    )
    changed = text.replace(check, "") + added
    pages.write_text(changed, encoding="utf-8")
    git(folder, "commit", "-q", "-a", "-m", "Say how many pages are left")
    git(folder, "switch", "-q", "main")
    instance.qd("project", "add", "reviewed", "--from", str(folder))
    wish = {"source_branch": "left", "title": "Say how many pages are left"}
    iid = instance.post("/projects/reviewed/merge_requests", wish)["iid"]
    session_id = start(instance, "reviewed", "code_review/v1", "--merge-request", str(iid))
    session = instance.wait_for(session_id, "idle", "finished", "failed", "paused")
    assert session["status"] == "finished"
    comments = merge_request(instance, "reviewed", str(iid))["comments"]
    assert [one["position"] and one["position"]["path"] for one in comments] == ["shelf/pages.py"] * 2 + [None]
    added_at = 1 + max(n for n, line in enumerate(changed.splitlines()) if "return items // per_page" in line)
    removed_at = 1 + next(n for n, line in enumerate(text.splitlines()) if "raise ValueError" in line)
    assert (comments[0]["position"]["new_line"], comments[0]["position"]["old_line"]) == (added_at, None)
    assert (comments[1]["position"]["new_line"], comments[1]["position"]["old_line"]) == (None, removed_at)
    assert "`pages_left(7, 3)` gives 2" in comments[0]["text"]
    events = instance.events(session_id)
    assert "Look at divisions." in "".join(one["user"] for one in payloads(events, "component.entered"))
    assert not {"create_commit", "edit_file"} & {one["tool"] for one in payloads(events, "tool_call.requested")}


def test_a_jenkinsfile_becomes_a_pipeline_that_passes(instance: Instance, tmp_path: Path) -> None:
    instance.qd("project", "add", "converted", "--from", str(repository(tmp_path, jenkins=True)))
    session_id = start(instance, "converted", "convert_to_gl_ci/v1", "--input", "convert.path=ci/Jenkinsfile")
    session = instance.wait_for(session_id, "idle", "finished", "failed", "paused")
    assert session["status"] == "idle", "its merge request is open"
    made = merge_request(instance, "converted", session["merge_request"])
    assert made["pipeline"]["status"] == "success"
    pipeline = instance.get(f"/pipelines/{made['pipeline']['id']}")
    assert [(job["stage"], job["name"]) for job in pipeline["jobs"]] == [("Compile", "Compile"), ("Package", "Package")]
    missing = start(instance, "converted", "convert_to_gl_ci/v1", "--input", "convert.path=nothing/Jenkinsfile")
    assert "original" in instance.wait_for(missing, "finished", "failed", "paused")["reason"]
