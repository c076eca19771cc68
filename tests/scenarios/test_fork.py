"""A new session from an event of another: its conversation, and its workspace as of then, on a real runner."""

from tests.instance import Instance
from tests.scenarios.work import call, payloads, script, start

STEPS = (
    {"say": "One.", "call": call("run_command", command="echo first > one.txt; echo a line to keep")},
    {"say": "Two.", "call": call("run_command", command="echo second > two.txt; echo changed > one.txt")},
    {"say": "Three.", "call": call("run_command", command="rm one.txt; echo third > three.txt")},
    {"say": "Stuck.", "call": call("run_command", command="sleep 3141")},
)
ON = (
    *STEPS[:2],
    {"say": "What is there?", "call": call("run_command", command="cat *.txt; ls -d *.txt; git status --short")},
    {"expect": "changed\nsecond\none.txt\ntwo.txt", "say": "All of step two, and no more."},
)


PUSHED = (
    {"say": "One.", "call": call("run_command", command="echo first > pushed.txt")},
    {"say": "Push.", "call": call("create_commit", message="Add the first")},
)


def test_a_fork_goes_on_with_what_was_pushed(instance: Instance) -> None:
    source = start(instance, *PUSHED, {"say": "Done."})
    branch = instance.wait_for(source, "finished")["branch"]
    ended = [event["seq"] for event in instance.events(source) if event["payload"]["kind"] == "tool_call.finished"]
    more = (
        {"say": "Two.", "call": call("run_command", command="echo second >> pushed.txt")},
        {"say": "Push.", "call": call("create_commit", message="Add the second")},
        {"expect": "Pushed commit", "say": "Done."},
    )
    body = {"seq": ended[-1], "script": script(*PUSHED, *more)}
    fork = instance.post(f"/sessions/{source}/fork", body)
    assert instance.wait_for(fork["id"], "finished", "failed", "paused")["status"] == "finished"
    there, here = (instance.get("/projects/sample/commits", ref=one, limit=3) for one in (branch, fork["branch"]))
    assert [one["title"] for one in here] == ["Add the second", "Add the first", there[1]["title"]]
    assert here[1]["sha"] == there[0]["sha"]


def test_a_stopped_session_is_forked_from_its_second_step_and_outlives_it(instance: Instance) -> None:
    source = start(instance, *STEPS)
    instance.wait(lambda: len(payloads(instance.events(source), "tool_call.started")) == 4, 90, "the last step runs")
    instance.qd("session", "cancel", str(source), "--wait")
    log = instance.events(source)
    second = [event["seq"] for event in log if event["payload"]["kind"] == "snapshot.taken"][1]
    answers = instance.home / "on.yml"
    answers.write_text(script(*ON), encoding="utf-8")
    made = instance.qd_json("session", "fork", str(source), "--from", str(second), "--script", str(answers))
    fork = made["id"]
    assert made["forked_from"] == {"session": source, "seq": second}
    view = instance.wait_for(fork, "finished", "failed")
    assert (view["status"], view["reason"]) == ("finished", "")
    events = instance.events(fork)
    assert payloads(events, "model.answered")[-1]["text"] == "All of step two, and no more."
    assert [one["step"] for one in payloads(events, "snapshot.taken")] == [1, 2]
    relations = [(one["relation"], one["name"]) for one in payloads(events, "link.added")]
    assert relations == [("forked_from", f"#{source}")]
    assert instance.session(source)["status"] == "stopped"
    assert payloads(instance.events(source), "link.added")[-1]["name"] == f"#{fork}"

    instance.qd("session", "delete", str(source), "--yes")
    first = payloads(instance.events(fork), "tool_call.finished")[0]
    assert b"a line to keep" in instance.raw(f"/sessions/{fork}/calls/{first['call_id']}/output")
    assert b"+changed" in instance.raw(f"/sessions/{fork}/diff")
    assert b"+first" in instance.raw(f"/sessions/{fork}/diff", step=1)
    shown = instance.qd("session", "events", str(fork)).stdout
    assert f"forked from #{source}" in shown

    again = instance.qd("session", "fork", str(fork), code=None)
    assert again.returncode != 0
    assert "nothing is left to do" in again.stderr
    told = instance.home / "told.yml"
    told.write_text(script(*ON, {"expect": "and now", "say": "As you say."}), encoding="utf-8")
    made = instance.qd_json("session", "fork", str(fork), "--message", "and now?", "--script", str(told))
    assert instance.wait_for(made["id"], "finished", "failed")["status"] == "finished"
    assert payloads(instance.events(made["id"]), "model.answered")[-1]["text"] == "As you say."
