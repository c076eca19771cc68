"""The extension's executor against the same server as the runner's own tests: the protocol's promises, in a folder.

It runs as a program, in a folder that a person works in: on disk instead of in an editor's buffers, and killed at will.
"""

import asyncio
import hashlib
import os
import signal
import subprocess
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.core.events import Outcome
from quarterdeck.core.protocol import Cancel, Wipe
from tests.executor.protocol_server import TOKEN, ProtocolServer, git, served
from tests.executor.test_processes import new_mark
from tests.executor.test_runner import none_left, processes_with

FILES = {"app.py": "print('hello')\n", "notes.txt": "one\ntwo\n"}
MARK = new_mark()


class Folder:
    """A checkout of a person, with a change that is not committed, and the executor that works in it."""

    def __init__(self, server: ProtocolServer, place: Path, program: list[str]) -> None:
        self.server, self.files, self.state = server, place / "checkout", place / "state"
        self._program = [*program, str(self.files), str(self.state)]
        self.process: subprocess.Popen[bytes] | None = None
        git(place, "clone", "-q", str(server.folder / "repo.git"), "checkout")
        (self.files / "notes.txt").write_text("one\ntwo\nmine\n", encoding="utf-8")

    def start(self) -> None:
        path = os.environ["PATH"]
        self.process = subprocess.Popen(
            self._program, stdin=subprocess.DEVNULL,
            env={"PATH": path, "QUARTERDECK_URL": self.server.url, "QUARTERDECK_EXECUTOR_TOKEN": TOKEN,
                 "QUARTERDECK_INSTANCE": "a-window-of-the-tests"},
        )  # fmt: skip

    def end(self, how: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def read(self, name: str) -> str:
        return (self.files / name).read_text(encoding="utf-8")


@asynccontextmanager
async def another(server: ProtocolServer, place: Path, program: list[str]) -> AsyncGenerator[Folder]:
    """A second checkout of the same repository, on another machine as it were."""
    place.mkdir()
    folder = Folder(server, place, program)
    folder.start()
    try:
        yield folder
    finally:
        folder.end(signal.SIGKILL)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[ProtocolServer]:
    async with served(tmp_path / "server", FILES) as server:
        yield server


@pytest.fixture
def program(node: Path, vscode_folder: Path) -> list[str]:
    return [str(node / "node"), str(vscode_folder / "dist" / "executor.cjs")]


@pytest.fixture
def folder(server: ProtocolServer, tmp_path: Path, program: list[str]) -> Iterator[Folder]:
    made = Folder(server, tmp_path, program)
    made.start()
    yield made
    made.end(signal.SIGKILL)


def command(line: str) -> dict[str, str]:
    return {"command": line}


async def test_a_call_goes_from_offer_to_result_with_output_snapshot_and_commit(
    server: ProtocolServer, folder: Folder
) -> None:
    call = await server.offer("run_command", command("cat app.py; echo three >> notes.txt; mv app.py main.py"))
    result = await server.result(call)
    assert (result.outcome, result.exit_code, result.begun) == (Outcome.OK, 0, True), result.text
    output = bytes(server.outputs[call])
    assert output == b"print('hello')\n"
    assert (result.output_bytes, result.output_sha256) == (len(output), hashlib.sha256(output).hexdigest())
    assert (server.hellos[0].kind, server.hellos[0].isolation) == ("ide", "none")
    prepared = server.prepared["session:1"]
    assert prepared.base_commit == server.commit
    assert prepared.start is not None
    assert (prepared.start.step, prepared.start.files) == (1, ())
    assert result.snapshot is not None
    assert result.snapshot.step == 2
    assert {(file.path, file.change, file.added) for file in result.snapshot.files} == {
        ("main.py", "renamed", 0),
        ("notes.txt", "modified", 1),
    }
    # What the person had changed before is not the session's.
    whole = server.blobs[result.snapshot.whole_diff_blob]
    assert b"+three" in whole
    assert b"+mine" not in whole

    done = await server.result(await server.offer("create_commit", {"message": "Three\n\nIt was missing."}))
    assert done.outcome is Outcome.OK, done.text
    (branch, commit), repo = server.pushes[0], server.folder / "repo.git"
    # A file that both have changed goes along as it is.
    assert git(repo, "show", f"{branch}:notes.txt") == "one\ntwo\nmine\nthree"
    assert git(repo, "log", "-1", "--format=%an %ce %P", commit) == f"Ada q@example.org {server.commit}"
    # The folder's own branch and index are as they were.
    assert git(folder.files, "rev-parse", "HEAD") == server.commit
    assert git(folder.files, "diff", "--cached", "--name-only") == ""
    again = await server.result(await server.offer("create_commit", {"message": "Again"}))
    assert (again.outcome, "nothing to commit" in again.text) == (Outcome.ERROR, True)
    kept = b"".join(path.read_bytes() for path in folder.state.rglob("*") if path.is_file())
    assert b"session-token-2" not in kept
    assert TOKEN.encode() not in kept


async def test_tools_of_files(server: ProtocolServer, folder: Folder) -> None:
    async def told(tool: str, **args: Any) -> str:
        result = await server.result(await server.offer(tool, args))
        return f"{result.outcome} {result.text}"

    assert await told("read_file", file_path="notes.txt") == "ok one\ntwo\nmine\n"
    assert await told("read_file", file_path="notes.txt", offset=2, limit=1) == "ok two\n\n[lines 2 to 2 of 3]"
    assert "two\nmine" in await told("read_files", file_paths=["notes.txt", "missing"])
    assert (
        await told("edit_file", file_path="notes.txt", old_str="two", new_str="2") == "ok Changed notes.txt at line 2."
    )
    assert "0 times" in await told("edit_file", file_path="notes.txt", old_str="two", new_str="2")
    assert (
        await told("create_file_with_contents", file_path="src/deep/b.py", contents="x = 1\n")
        == "ok Wrote src/deep/b.py."
    )
    assert "deep/" in await told("list_dir", directory="src")
    assert await told("find_files", name_pattern="*.py") == "ok app.py\nsrc/deep/b.py"
    assert await told("find_files", name_pattern="src/**/b.py") == "ok src/deep/b.py"
    assert "src/deep/b.py:1:x = 1" in await told("grep", pattern="x = \\d")
    assert "No line" in await told("grep", pattern="nowhere")
    assert "exit code 0" in await told("run_git_command", command="log", args="--format='%h (%an)' -n 1")
    assert (await told("mkdir", directory_path="empty")).startswith("ok")
    assert "on runners" in await told("get_issue", issue_iid=1)


async def test_nothing_leaves_the_folder(server: ProtocolServer, folder: Folder, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret", encoding="utf-8")
    (folder.files / "out").symlink_to(tmp_path)
    (folder.files / "dangling").symlink_to(tmp_path / "not-there")
    for path in (
        "../secret.txt",
        str(secret),
        "out/secret.txt",
        "out/fresh.txt",
        "dangling",
        ".git/config",
    ):
        written = await server.result(
            await server.offer("create_file_with_contents", {"file_path": path, "contents": "x"})
        )
        assert written.outcome is Outcome.ERROR, path
        if ".git" not in path:
            read = await server.result(await server.offer("read_file", {"file_path": path}))
            assert read.outcome is Outcome.ERROR, path
    assert secret.read_text(encoding="utf-8") == "secret"
    assert not (tmp_path / "fresh.txt").exists()
    assert not (tmp_path / "not-there").exists()


async def test_lost_answers_and_repeated_offers_come_to_the_same(server: ProtocolServer, folder: Folder) -> None:
    for part in ("/started", "/output", "/result", "/blobs", "/prepared"):
        server.faults[part] = 2
    await server.until(lambda: bool(server.heartbeats))
    offer = server.make_offer("run_command", command("echo line; sleep 0.3; echo x >> app.py"))
    for _ in range(3):
        server.send(offer)
    await server.until(lambda: len(server.results[offer.call_id]) == 3)  # two of them were lost on the way
    async with asyncio.timeout(60):
        while len(server.results[offer.call_id]) < 4:  # while the call is being closed, an offer of it says nothing new
            server.send(offer)
            await asyncio.sleep(0.05)
    assert bytes(server.outputs[offer.call_id]) == b"line\n"
    assert folder.read("app.py") == "print('hello')\nx\n"
    assert {result.outcome for result in server.results[offer.call_id]} == {Outcome.OK}


async def test_a_window_that_was_killed_reports_its_call_as_interrupted_and_begins_none_twice(
    server: ProtocolServer, folder: Folder
) -> None:
    call = await server.offer("run_command", command(f"echo once >> notes.txt; sleep {MARK}"))
    await server.until(lambda: bool(server.started[call]))
    async with asyncio.timeout(60):
        while "once" not in folder.read("notes.txt"):
            await asyncio.sleep(0.02)
    folder.end(signal.SIGKILL)
    folder.start()
    assert (await server.result(call)).outcome is Outcome.INTERRUPTED
    await none_left(MARK)  # what the window before it left running
    assert folder.read("notes.txt").count("once") == 1
    after = await server.result(await server.offer("run_command", command("echo on")))
    assert after.outcome is Outcome.OK


async def test_a_stop_kills_the_whole_tree_and_proves_it(server: ProtocolServer, folder: Folder) -> None:
    line = f"sleep {MARK} & (setsid sleep {MARK} & sleep {MARK}) & trap '' TERM; wait"
    call = await server.offer("run_command", command(line))
    await server.until(lambda: bool(server.started[call]))
    async with asyncio.timeout(60):
        while len(processes_with(MARK)) < 4:  # the shell has the words in its line, too
            await asyncio.sleep(0.02)
    server.send(Cancel(subject="session:1", lease_epoch=1))
    await server.until(lambda: bool(server.teardowns["session:1"]))
    proof = server.teardowns["session:1"][0]
    assert proof.killed >= 4
    assert proof.left == 0
    await none_left(MARK)


async def test_a_call_that_is_cancelled_alone_leaves_the_session(server: ProtocolServer, folder: Folder) -> None:
    call = await server.offer("run_command", command(f"sleep {MARK}"))
    await server.until(lambda: bool(server.started[call]))
    server.send(Cancel(subject="session:1", lease_epoch=1, call_id=call))
    assert (await server.result(call)).outcome is Outcome.CANCELLED
    assert (await server.result(await server.offer("run_command", command("echo on")))).outcome is Outcome.OK
    late = await server.result(await server.offer("run_command", {"command": f"sleep {MARK}", "timeout_seconds": 1}))
    assert late.outcome is Outcome.TIMED_OUT
    await none_left(MARK)


async def test_a_wipe_takes_the_snapshots_and_no_file_of_the_person(server: ProtocolServer, folder: Folder) -> None:
    await server.result(await server.offer("run_command", command("echo x > made.txt")))
    assert (folder.state / "session-1").is_dir()
    server.send(Wipe(subject="session:1"))
    async with asyncio.timeout(60):
        while (folder.state / "session-1").exists():
            await asyncio.sleep(0.02)
    assert folder.read("made.txt") == "x\n"
    assert folder.read("notes.txt") == "one\ntwo\nmine\n"
    folder.end()
    folder.start()
    await server.until(lambda: len(server.hellos) >= 2)
    assert server.hellos[-1].subjects == ()


async def test_a_session_is_taken_up_in_another_checkout(
    server: ProtocolServer, folder: Folder, tmp_path: Path, program: list[str]
) -> None:
    result = await server.result(
        await server.offer("run_command", command("echo three >> notes.txt; rm app.py; echo n > new.txt"))
    )
    start = server.prepared["session:1"].start
    assert start is not None
    assert result.snapshot is not None
    folder.end()
    spec = server.spec(
        snapshot_commit=result.snapshot.commit,
        bundle_blob=result.snapshot.bundle_blob,
        step=2,
        start_commit=start.commit,
    )
    more = {"lease_epoch": 2, "workspace": spec}
    async with another(server, tmp_path / "same", program) as same:
        await server.result(await server.offer("run_command", command("true"), **more))
        assert same.read("notes.txt") == "one\ntwo\nmine\nthree\n"
        assert same.read("new.txt") == "n\n"
        assert not (same.files / "app.py").exists()
    async with another(server, tmp_path / "changed", program) as changed:
        (changed.files / "notes.txt").write_text("another's\n", encoding="utf-8")
        more["lease_epoch"] = 3
        refused = await server.result(await server.offer("run_command", command("rm -rf *"), **more))
        assert refused.outcome is Outcome.ERROR
        assert "notes.txt" in refused.text
        assert changed.read("notes.txt") == "another's\n"
        assert (changed.files / "app.py").exists()


async def test_a_commit_takes_nothing_that_the_session_has_not_changed(server: ProtocolServer, folder: Folder) -> None:
    (folder.files / ".git" / "info" / "exclude").write_text("secret.env\n", encoding="utf-8")
    (folder.files / "secret.env").write_text("KEY=1\n", encoding="utf-8")
    (folder.files / "wip.txt").write_text("wip\n", encoding="utf-8")
    await server.result(await server.offer("run_command", command("echo x > new.txt")))
    await server.result(await server.offer("create_commit", {"message": "New"}))
    (branch, _), repo = server.pushes[0], server.folder / "repo.git"
    assert git(repo, "ls-tree", "--name-only", branch).split() == ["app.py", "new.txt", "notes.txt"]
    assert git(repo, "show", f"{branch}:notes.txt") == "one\ntwo"

    # What somebody else pushed there is neither lost nor built upon.
    theirs = server.folder / "theirs"
    git(server.folder, "clone", "-q", "-b", branch, "repo.git", "theirs")
    git(theirs, "-c", "user.email=eve@example.org", "commit", "-q", "--allow-empty", "-m", "Theirs")
    git(theirs, "push", "-q", "origin", "HEAD")
    await server.result(await server.offer("run_command", command("echo y > newer.txt")))
    refused = await server.result(await server.offer("create_commit", {"message": "Newer"}))
    assert refused.outcome is Outcome.ERROR
    assert "didn't make" in refused.text
    assert len(server.pushes) == 1


async def test_odd_files_are_left_as_they_are(server: ProtocolServer, folder: Folder) -> None:
    os.mkfifo(folder.files / "pipe")
    git(folder.files, "init", "-q", "empty")
    (folder.files / "bom.txt").write_bytes(b"\xef\xbb\xbfold\n")
    (folder.files / "latin.txt").write_bytes(b"caf\xe9\nold\n")
    for name, after in (("bom.txt", b"\xef\xbb\xbfnew\n"), ("latin.txt", b"caf\xe9\nold\n")):
        await server.result(await server.offer("edit_file", {"file_path": name, "old_str": "old", "new_str": "new"}))
        assert (folder.files / name).read_bytes() == after
    assert (await server.result(await server.offer("read_file", {"file_path": "app.py"}))).outcome is Outcome.OK


async def test_a_server_that_has_lost_some_of_the_output_gets_it_again(server: ProtocolServer, folder: Folder) -> None:
    call = await server.offer("run_command", command("echo 1; echo 2; until [ -e go ]; do sleep 0.05; done; echo 3"))
    await server.until(lambda: len(server.outputs[call]) >= 4)
    await server.stop()
    del server.outputs[call][2:]
    await server.start()
    (folder.files / "go").touch()
    result = await server.result(call)
    assert bytes(server.outputs[call]) == b"1\n2\n3\n"
    assert (result.output_bytes, result.truncated) == (6, False)


async def test_one_call_is_cancelled_and_the_next_goes_on(server: ProtocolServer, folder: Folder) -> None:
    first = await server.offer("run_command", command(f"echo up; sleep {MARK}"))
    await server.until(lambda: bytes(server.outputs[first]) == b"up\n")
    second = await server.offer("run_command", command("echo whole"))
    server.send(Cancel(subject="session:1", lease_epoch=1, call_id=first))
    assert (await server.result(first)).outcome is Outcome.CANCELLED
    assert "whole" in (await server.result(second)).text


async def test_a_result_that_the_server_refuses_is_answered(server: ProtocolServer, folder: Folder) -> None:
    server.result_bytes = 2_000
    result = await server.result(await server.offer("run_command", command("seq 2000")))
    assert result.outcome is Outcome.ERROR
    assert "did not take" in result.text
