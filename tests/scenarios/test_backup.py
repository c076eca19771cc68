"""A server that is destroyed and made again from its backup: sessions in flight go on, as after a crash."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.instance import Instance
from tests.scenarios.test_chat import chat
from tests.scenarios.test_deletion import git
from tests.scenarios.work import UNTIL_LET_GO, call, let_go, payloads, start


def _heads(instance: Instance) -> dict[str, bytes]:
    found = (instance.home / "repositories").glob("*.git")
    return {one.name: git(one, "for-each-ref", "--format=%(refname) %(objectname)") for one in found}


def _settled(instance: Instance, session_id: int) -> tuple[Any, ...]:
    """A session that rests, as its server tells of it, whatever port that has."""
    view = json.loads(json.dumps(instance.session(session_id)).replace(instance.url, ""))
    return view, instance.events(session_id), instance.raw(f"/sessions/{session_id}/diff")


@pytest.mark.timeout(400)
def test_a_destroyed_server_is_made_again_and_goes_on(tmp_path: Path) -> None:
    first, second = Instance(), Instance()
    try:
        _destroyed_and_made_again(first, second, tmp_path / "backup")
    finally:
        first.remove()
        second.remove()


def _destroyed_and_made_again(first: Instance, second: Instance, file: Path) -> None:
    first.start()
    write = call("create_file_with_contents", file_path="kept.txt", contents="kept")
    work: dict[str, Any] = {"pre_approved": ["read_only_files", "read_write_files", "use_git", "run_commands"]}
    done = start(first, {"call": write}, {"call": call("create_commit", message="Keep")}, {"say": "Done."}, **work)
    asks = start(first, {"call": call("run_command", command="echo asked")}, {"say": "Thanks."}, pre_approved=[])
    runs = start(
        first,
        {"call": write},
        {"call": call("run_command", command=f"cat kept.txt; {UNTIL_LET_GO}")},
        {"say": "Slept."},
        **work,
    )
    talks = chat(first, {"say": "Hello."}, {"say": "Hello again."})
    first.wait(lambda: "torn_down" in str(first.events(done)), 60, "the session has ended, and its proof is there")
    first.wait(lambda: first.session(done)["checks_failed"] == 1, 60, "it was told of its branch's pipeline")
    first.wait_for(asks, "tool_call_approval_required")
    first.wait_for(talks, "idle")
    first.wait(lambda: len(payloads(first.events(runs), "tool_call.started")) == 2, 60, "the command runs")
    before = {one: _settled(first, one) for one in (done, asks, talks)}
    token = first.token

    told = first.qd_json("backup", str(file))
    assert (file.stat().st_size, told["secrets"]) == (told["size"], False)
    log = first.events(runs)
    heads = _heads(first)
    later = start(first, {"call": write}, {"say": "Lost."}, **work)
    first.wait_for(later, "idle", "finished")
    first.qd("session", "reply", str(talks), "What will be lost")
    first.stop(signal.SIGKILL)
    shutil.copytree(first.home / "runner", second.home / "runner", symlinks=True)  # the hands have seen what is lost
    first.remove()

    assert "secrets.key" in second.qd("restore", str(file)).stdout
    assert _heads(second) == heads
    second.start()
    for one, (view, *rest) in before.items():
        now, *others = _settled(second, one)
        assert {name: (now[name], view[name]) for name in view if now[name] != view[name]} == {}
        assert others == rest
    second.wait(lambda: len(payloads(second.events(runs), "tool_call.started")) == 3, 60, "the command runs again")
    let_go(second, runs)
    second.wait_for(runs, "finished", "idle")
    events = second.events(runs)
    assert events[: len(log)] == log
    outcomes = [one["outcome"] for one in payloads(events, "tool_call.finished")]
    assert outcomes == ["ok", "interrupted", "ok"], "what ran is told of, and done again where its files are"
    second.qd("session", "approve", str(asks))
    second.wait_for(asks, "finished", "idle")
    second.qd("session", "reply", str(talks), "And now?")
    second.wait(lambda: "Hello again." in str(second.events(talks)), 60, "the chat goes on")
    again = start(second, {"call": call("list_dir")}, {"say": "New."}, **work)
    assert again == later, "its number is free again"
    second.wait_for(again, "finished", "idle")
    assert "kept.txt" not in str(second.raw(f"/sessions/{again}/diff")), (
        "nothing of the lost session is in its workspace"
    )
    assert token != second.token
    assert second.stop() == 0
    second.qd("restore", str(file), code=6)


@pytest.mark.timeout(300)
def test_a_backup_needs_no_running_server_and_a_restore_refuses_one(tmp_path: Path) -> None:
    instance = Instance()
    try:
        assert "no Quarterdeck in" in instance.qd("backup", str(tmp_path / "none"), code=3).stderr
        instance.start()
        assert "already runs" in instance.qd("restore", _backed_up(instance, tmp_path / "live"), code=1).stderr
        assert instance.stop() == 0
        _backed_up(instance, tmp_path / "at rest")
        found = _doctors(instance)
        assert (found["backup"]["state"], "0 hours old" in found["backup"]["detail"]) == ("ok", True)
        assert str(tmp_path / "at rest") in found["backup"]["detail"]
        assert str(instance.home) in found["disk"]["detail"]
        noted = instance.home / "last-backup.json"
        noted.write_text(json.dumps({**json.loads(noted.read_text()), "at": "2026-01-01T00:00:00Z"}))
        (tmp_path / "at rest").unlink()
        found = _doctors(instance)
        assert (found["backup"]["state"], "no longer" in found["backup"]["detail"]) == ("warning", True)
        assert not (instance.home / "server.json").exists()
    finally:
        instance.remove()


def _doctors(instance: Instance) -> dict[str, Any]:
    told = instance.qd("doctor", "--json", code=None).stdout
    return {finding["name"]: finding for finding in json.loads(told)}


def _backed_up(instance: Instance, file: Path) -> str:
    instance.qd("backup", str(file))
    return str(file)


@pytest.mark.parametrize("junk", [b"", b"no backup at all"])
def test_what_is_no_backup_is_refused_in_a_sentence(tmp_path: Path, junk: bytes) -> None:
    instance = Instance()
    try:
        (tmp_path / "file").write_bytes(junk)
        said = instance.qd("restore", str(tmp_path / "file"), code=1).stderr
        assert said.count("\n") == 1
        assert "Traceback" not in said
        assert not list(instance.home.iterdir())
    finally:
        instance.remove()
