"""Sessions that start by themselves, on real processes: the full circle, and what is said in a thread."""

import json

from tests.instance import Instance
from tests.scenarios.test_shipped_flows import ISSUE
from tests.scenarios.work import payloads


def test_the_full_circle(instance: Instance) -> None:
    told = instance.qd("demo", "--full-circle").stdout
    assert "is finished and verified" in told
    assert "was started by the trigger" in told


def test_an_assigned_issue_is_worked_on_talked_about_and_merged(instance: Instance) -> None:
    instance.post("/projects", {"path": "called", "sample": True})
    instance.qd("trigger", "account", "-p", "called", "helper")
    instance.qd(
        "trigger", "add", "-p", "called", "-a", "helper", "-f", "developer", "-m", "scripted", "--on", "assign",
        "--on", "mention",
    )  # fmt: skip
    issue = instance.qd_json("issue", "create", "-p", "called", *ISSUE)
    instance.ask("PATCH", f"/projects/called/issues/{issue['iid']}", json={"assignees": ["helper"]})
    instance.wait(lambda: _started(instance) is not None, 60, "a session is started")
    number = _started(instance) or 0
    assert instance.wait_for(number, "idle", "failed", "paused")["status"] == "idle", "its merge request is open"
    session = instance.session(number)
    assert (session["origin"], session["verified"]) == ("trigger", True)
    iid = session["merge_request"].lstrip("!")
    place = f"/projects/called/merge_requests/{iid}"
    head = instance.get("/projects/called/commits", ref=session["branch"])[0]
    assert head["author"] == "helper"
    assert instance.get(place)["author"] == session["initiator"]
    instance.post(f"{place}/comments", {"text": "Please test 7 books with 3 on a page, too: they fill 3 pages."})
    made = "create_commit"
    instance.wait(lambda: _calls(instance, number, made) == 2, 120, "what was said is done")
    assert instance.wait_for(number, "idle", "failed", "paused")["status"] == "idle"
    told = [one for one in instance.get("/projects/called/deliveries") if one["status"] == "told"]
    assert [(one["session_id"], one["action"]) for one in told] == [(number, "follow_up")]
    instance.qd("mr", "merge", "-p", "called", iid)
    instance.wait_for(number, "finished")
    thread = f"/projects/called/issues/{issue['iid']}"
    instance.wait(lambda: len(instance.get(thread)["comments"]) == 4, 60, "what came of it each time is in the thread")
    said = instance.get(thread)["comments"]
    assert {one["author"] for one in said} == {"helper"}
    assert "is finished" in said[-1]["text"].lower()
    assert len(instance.get("/projects/called/deliveries")) == 2, "its own words start nothing"


def _started(instance: Instance) -> int | None:
    found = instance.get("/projects/called/deliveries")
    refused = [one["reason"] for one in found if one["status"] == "refused"]
    assert not refused, json.dumps(refused)
    return next((one["session_id"] for one in found if one["session_id"]), None)


def _calls(instance: Instance, number: int, tool: str) -> int:
    return len([one for one in payloads(instance.events(number), "tool_call.finished") if one["tool"] == tool])
