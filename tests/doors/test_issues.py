"""Issues, reviews and what is read of a repository, by the API."""

from typing import Any

from quarterdeck.app.application import App
from tests.app.test_merge_requests import commit
from tests.doors.conftest import Api
from tests.doors.test_problem import problem

ISSUES = "/projects/sample/issues"
REQUESTS = "/projects/sample/merge_requests"


async def patch(api: Api, path: str, body: object) -> Any:
    return await api.client.patch(f"/api/v1{path}", json=body, headers=api.headers)


async def read(api: Api, path: str) -> Any:
    return await api.client.get(f"/api/v1{path}", headers=api.headers)


async def test_an_issue_from_start_to_end(api: Api) -> None:
    made = await api.post(ISSUES, {"title": "It breaks", "labels": ["bug"], "assignees": ["ada"]})
    assert made.status_code == 201, made.text
    assert made.json()["assignees"] == ["ada"]
    one = f"{ISSUES}/1"
    assert (await patch(api, one, {"title": "Better"})).json()["labels"] == ["bug"]
    said = await api.post(f"{one}/comments", {"text": "me too"})
    assert (said.status_code, said.json()["comments"][0]["author"]) == (201, "ada")
    assert (await api.post(f"{one}/close")).json()["status"] == "closed"
    assert problem(await api.post(f"{one}/close"))["code"] == "conflict"
    assert (await api.post(f"{one}/reopen")).json()["closed_by"] is None
    listed = (await api.get(ISSUES, label="bug", status="opened", search="BETTER", assignee="ada")).json()
    assert [(issue["iid"], issue["comments"]) for issue in listed] == [(1, [])]
    assert (await api.get(one)).json()["comments"][0]["text"] == "me too"
    for path in (f"{ISSUES}/7", "/projects/none/issues", f"{ISSUES}/{2**31 - 1}"):
        assert problem(await api.get(path))["status"] == 404
    for wrong in ({"title": ""}, {"title": "x" * 256}, {"title": "x", "more": 1}, {"title": "x", "labels": [""]}):
        assert problem(await api.post(ISSUES, wrong))["status"] == 400
    assert problem(await api.get(f"{ISSUES}/{2**31}"))["status"] in (400, 404)


async def test_comments_on_lines(api: Api, app: App) -> None:
    project = (await api.get("/projects/sample")).json()["id"]
    await commit(app, project, "work", "main", new="one\ntwo\n")
    await api.post(REQUESTS, {"source_branch": "work", "title": "T"})
    changed = await patch(api, f"{REQUESTS}/1", {"description": "Closes #1"})
    assert (changed.json()["title"], changed.json()["description"]) == ("T", "Closes #1")
    said = await api.post(f"{REQUESTS}/1/comments", {"text": "why?", "position": {"path": "new", "new_line": 2}})
    assert said.json()["comments"][0]["position"] == {
        "path": "new", "new_line": 2, "old_line": None, "commit": await app.forge.commit_of(project, "work"),
    }  # fmt: skip
    far = {"text": "x", "position": {"path": "new", "new_line": 9}}
    told = problem(await api.post(f"{REQUESTS}/1/comments", far))
    assert (told["status"], told["detail"]) == (
        400, "The new line 9 of new isn't in the diff; the nearest that are: 1, 2.",
    )  # fmt: skip
    review = {"summary": "all", "comments": [{"path": "new", "new_line": 1, "text": "a"}]}
    assert len((await api.post(f"{REQUESTS}/1/reviews", review)).json()["comments"]) == 3
    assert problem(await api.post(f"{REQUESTS}/1/reviews", {}))["status"] == 400
    assert (await api.post(f"{REQUESTS}/1/comments", {"text": "plain"})).json()["comments"][3]["position"] is None


async def test_what_is_in_a_repository(api: Api, app: App) -> None:
    project = (await api.get("/projects/sample")).json()["id"]
    sha = await commit(app, project, "a/b", "main", new="Say it\n")
    tree = (await api.get("/projects/sample/tree", ref="a/b")).json()
    assert {"path": "new", "kind": "file", "size": 7} in tree
    below = (await read(api, "/projects/sample/tree?path=shelf&recursive=true")).json()
    assert "shelf/books.py" in [entry["path"] for entry in below]
    assert problem(await read(api, "/projects/sample/tree?path=none"))["status"] == 404
    found = (await api.get("/projects/sample/search", text="say IT", ref="a/b")).json()
    assert found == [{"path": "new", "line": 1, "text": "Say it"}]
    for ref in (sha, "a%2Fb"):
        seen = (await api.get(f"/projects/sample/commits/{ref}")).json()
        assert (seen["sha"], seen["title"], seen["diff_cut_off"]) == (sha, "work", False)
        assert "+Say it" in seen["diff"]
    assert problem(await api.get("/projects/sample/commits/none"))["status"] == 404


async def test_a_pipeline_file_is_checked(api: Api) -> None:
    right = await api.post("/projects/sample/ci/lint", {"text": "build: {script: x, stage: build}"})
    assert right.status_code == 200
    assert right.json() == {"valid": True, "faults": [], "jobs": [{"name": "build", "stage": "build"}], "nothing": ""}
    wrong = (await api.post("/projects/sample/ci/lint", {"text": "a: {script: x, image: y}\nb: {}"})).json()
    assert (wrong["valid"], [fault.partition(":")[0] for fault in wrong["faults"]]) == (False, ["line 1", "line 2"])
    for text in ("", "- a", "x" * 200_000, "a: [", "a: &a [*a]"):
        assert not (await api.post("/projects/sample/ci/lint", {"text": text})).json()["valid"]
    assert problem(await api.post("/projects/none/ci/lint", {"text": ""}))["status"] == 404
