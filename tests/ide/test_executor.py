"""The extension's executor in a folder, beyond what it has in common with the runner (`test_contract.py`).

It runs as a program, in a folder that a person works in: on disk instead of in an editor's buffers, and killed at will.
"""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.core.events import Outcome
from quarterdeck.core.protocol import Result, Wipe
from quarterdeck.core.session_limits import ProjectLimits, Reached, Used
from tests.executor.protocol_server import TOKEN, ProtocolServer, git, served
from tests.executor.test_processes import new_mark
from tests.executor.test_runner import none_left, processes_with

FILES = {"app.py": "print('hello')\n", "notes.txt": "one\ntwo\n"}
MARK = new_mark()


class Folder:
    """A checkout of a person, with a change that is not committed, and the executor that works in it."""

    def __init__(self, server: ProtocolServer, place: Path, program: list[str]) -> None:
        self.server, self.files, self.state = server, place / "checkout", place / "state"
        self.buffers = place / "state-buffers"
        """What stands in the editor and is not saved yet."""
        self.environment = {"PATH": os.environ["PATH"]}
        self.times: dict[str, int] = {}
        self._words = program
        self.process: subprocess.Popen[bytes] | None = None
        git(place, "clone", "-q", str(server.folder / "repo.git"), "checkout")
        (self.files / "notes.txt").write_text("one\ntwo\nmine\n", encoding="utf-8")

    def start(self) -> None:
        self.process = self.another()

    def another(self, *instead: str, stderr: int | None = None) -> subprocess.Popen[bytes]:
        """One more program in the same folder, maybe instead of the one that is there."""
        return subprocess.Popen(
            [*self._words, str(self.files), str(self.state), *instead], stdin=subprocess.DEVNULL, stderr=stderr,
            env={**self.environment, "QUARTERDECK_URL": self.server.url, "QUARTERDECK_EXECUTOR_TOKEN": TOKEN,
                 "QUARTERDECK_INSTANCE": "a-window-of-the-tests", "QUARTERDECK_TIMES": json.dumps(self.times)},
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


def taken_up(server: ProtocolServer, result: Result) -> dict[str, Any]:
    """What an offer has by which a session goes on elsewhere, where this result left it."""
    start = server.prepared["session:1"].start
    assert start is not None
    assert result.snapshot is not None
    spec = server.spec(
        snapshot_commit=result.snapshot.commit,
        bundle_blob=result.snapshot.bundle_blob,
        step=result.snapshot.step,
        start_commit=start.commit,
    )
    return {"lease_epoch": 2, "workspace": spec}


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
    more = taken_up(server, result)
    folder.end()
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


async def test_programs_and_links_are_taken_up_as_such_and_nothing_is_written_through_a_link(
    server: ProtocolServer, folder: Folder, tmp_path: Path, program: list[str]
) -> None:
    line = (
        "printf '#!/bin/sh' > tool.sh; chmod +x tool.sh; chmod +x app.py; ln -s app.py link; "
        "mkdir deep; echo x > deep/file; rm notes.txt; mkdir notes.txt; echo y > notes.txt/inner"
    )
    result = await server.result(await server.offer("run_command", command(line)))
    there = taken_up(server, result)
    folder.end()
    async with another(server, tmp_path / "same", program) as same:
        listed = await server.result(await server.offer("list_dir", {}, **there))
        assert "link -> app.py" in listed.text
        assert os.access(same.files / "tool.sh", os.X_OK)
        assert os.access(same.files / "app.py", os.X_OK)
        assert not os.access(same.files / "deep" / "file", os.X_OK)
        assert same.read("notes.txt/inner") == "y\n"
        after = await server.result(await server.offer("run_command", command("true"), **there))
        assert after.snapshot is None, "the folder is what the session left, to the last bit"
    async with another(server, tmp_path / "linked", program) as linked:
        outside = tmp_path / "outside"
        outside.mkdir()
        (linked.files / "deep").symlink_to(outside)
        refused = await server.result(await server.offer("list_dir", {}, **{**there, "lease_epoch": 3}))
        assert "deep/file" in refused.text
        assert list(outside.iterdir()) == []


async def test_what_the_folder_ignores_is_not_written_over(
    server: ProtocolServer, folder: Folder, tmp_path: Path, program: list[str]
) -> None:
    result = await server.result(await server.offer("run_command", command("echo made > local.env")))
    folder.end()
    async with another(server, tmp_path / "ignoring", program) as ignoring:
        (ignoring.files / ".git" / "info" / "exclude").write_text("local.env\n", encoding="utf-8")
        (ignoring.files / "local.env").write_text("KEY=mine\n", encoding="utf-8")
        refused = await server.result(await server.offer("list_dir", {}, **taken_up(server, result)))
        assert (refused.outcome, "local.env" in refused.text) == (Outcome.ERROR, True)
        assert ignoring.read("local.env") == "KEY=mine\n"


async def test_limits_of_the_project_are_kept_as_far_as_can_be_and_what_is_used_is_told(
    server: ProtocolServer, folder: Folder
) -> None:
    asked = ProjectLimits(output=1024**2, call=1, session=600, memory=1024**3)
    used: dict[str, Any] = {"limits": asked}
    slow = await server.result(await server.offer("run_command", command(f"echo up; sleep {MARK}"), **used))
    assert (slow.outcome, slow.limit) == (Outcome.ERROR, Reached(name="call", bound="1s", of="project"))
    assert "1s for one call" in slow.text
    assert "up" in slow.text
    assert slow.used is not None
    assert (slow.used.output, slow.used.ms >= 1_000) == (3, True)
    notes = " ".join(server.prepared["session:1"].notes)
    assert "limits of the project: memory" in notes
    assert "output" not in notes
    line = {"command": f"sleep {MARK}", "timeout_seconds": 1}
    late = await server.result(await server.offer("run_command", line, subject="session:4"))
    assert (late.outcome, late.limit) == (Outcome.TIMED_OUT, None)
    flood = await server.result(await server.offer("run_command", command("yes"), **used))
    assert flood.limit == Reached(name="output", bound="1M", of="project")
    folder.end()
    folder.start()  # what was used outlives the window
    spent = await server.result(await server.offer("run_command", command("echo no"), **used))
    assert (spent.limit, spent.used) == (flood.limit, Used())
    assert spent.output_bytes == 0
    elsewhere = {"subject": "session:2", "limits": ProjectLimits(session=5), "used": Used(ms=5_000)}
    gone = await server.result(await server.offer("run_command", command("echo no"), **elsewhere))
    assert gone.limit == Reached(name="session", bound="5s", of="project")
    forks = {"subject": "session:3", "limits": ProjectLimits(processes=16)}
    line = f"for n in $(seq 40); do sleep {MARK} & done; wait"
    many = await server.result(await server.offer("run_command", command(line), **forks))
    assert many.limit == Reached(name="processes", bound="16", of="project")
    await none_left(MARK)
    assert not [note for note in server.prepared["session:3"].notes if "limits" in note]


async def test_what_a_killed_window_left_is_ended_and_told_before_anybody_asks(
    server: ProtocolServer, folder: Folder
) -> None:
    line = f"echo half >> notes.txt; (setsid sleep {MARK} &) ; echo up; sleep {MARK}"
    call = await server.offer("run_command", command(line))
    await server.until(lambda: bytes(server.outputs[call]) == b"up\n")
    # This one is known by its number alone: it has nothing of the window's in its environment.
    bare = await server.offer(
        "run_command", command(f"exec env -i /bin/sh -c 'echo up; sleep {MARK}; :'"), subject="session:2"
    )
    await server.until(lambda: bytes(server.outputs[bare]) == b"up\n")
    folder.end(signal.SIGKILL)
    assert len(processes_with(MARK)) >= 3
    server.forget(call)
    server.forget(bare)
    folder.start()
    result = await server.result(call)
    assert result.outcome is Outcome.INTERRUPTED
    assert result.snapshot is not None
    assert [file.path for file in result.snapshot.files] == ["notes.txt"]
    assert (await server.result(bare)).outcome is Outcome.INTERRUPTED
    await none_left(MARK)


async def test_a_window_that_closes_tells_of_what_that_ended_and_lets_go_of_the_folder(
    server: ProtocolServer, folder: Folder
) -> None:
    call = await server.offer("run_command", command(f"echo up; sleep {MARK}"))
    await server.until(lambda: bytes(server.outputs[call]) == b"up\n")
    second = folder.another(stderr=subprocess.PIPE)
    _, said = await asyncio.to_thread(second.communicate, timeout=60)
    assert (second.returncode, b"Another window" in said) == (1, True)
    await asyncio.to_thread(folder.end)
    result = await server.result(call)
    assert (result.outcome, "closed" in result.text) == (Outcome.INTERRUPTED, True)
    await none_left(MARK)
    (folder.state / "lock").write_text(
        f"{os.getpid()} 1", encoding="utf-8"
    )  # of one that died, whose number is another's
    folder.start()
    after = await server.result(await server.offer("run_command", command("echo on")))
    assert after.outcome is Outcome.OK

    # A window that nobody sees any more lets go when it is asked to.
    before = folder.process
    assert before is not None
    folder.process = folder.another("instead")
    assert await asyncio.to_thread(before.wait, 60) == 0
    await server.until(lambda: len(server.hellos) == 3)
    assert (await server.result(await server.offer("run_command", command("echo on")))).outcome is Outcome.OK


async def test_a_repository_that_does_not_come_is_no_wait_without_an_end(
    server: ProtocolServer, folder: Folder, tmp_path: Path
) -> None:
    folder.end()
    folder.times = {"fetchMs": 1_500}
    git(folder.files.parent, "init", "-q", "bare-folder")
    folder.files = folder.files.parent / "bare-folder"
    server.git_open.clear()
    folder.start()
    late = await server.result(await server.offer("run_command", command("true")))
    assert late.outcome is Outcome.ERROR
    assert "could not be fetched from the server within 2 seconds" in late.text
    server.git_open.set()
    server.faults["repo.git"] = 1  # away for a moment, which is no fault of the call
    folder.end()
    folder.times = {}
    folder.start()
    assert (await server.result(await server.offer("run_command", command("true")))).outcome is Outcome.OK


async def test_a_part_of_a_checkout_is_refused(server: ProtocolServer, folder: Folder) -> None:
    folder.end()
    part = folder.files / "part"
    part.mkdir()
    (part / "of.txt").write_text("it\n", encoding="utf-8")
    git(folder.files, "add", "part")
    folder.files = part
    folder.start()
    refused = await server.result(await server.offer("run_command", command("rm *")))
    assert refused.outcome is Outcome.ERROR
    assert f"is a part of the checkout {part.parent}" in refused.text
    assert folder.read("of.txt") == "it\n"


async def test_a_search_sees_what_is_not_saved_yet(server: ProtocolServer, folder: Folder) -> None:
    folder.buffers.mkdir()
    (folder.buffers / "notes.txt").write_text("one\ncafé unsaved\n", encoding="utf-8")
    (folder.buffers / "hidden.log").write_text("café\n", encoding="utf-8")
    (folder.files / ".gitignore").write_text("*.log\n", encoding="utf-8")
    (folder.files / "hidden.log").write_text("x\n", encoding="utf-8")
    found = await server.result(await server.offer("grep", {"pattern": "one|two|mine|caf."}))
    assert found.text.splitlines() == ["notes.txt:1:one", "notes.txt:2:café unsaved"]


async def test_a_git_without_perl_expressions_is_told_of(
    server: ProtocolServer, folder: Folder, tmp_path: Path
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    real = subprocess.run(["which", "git"], capture_output=True, check=True, text=True).stdout.strip()
    words = "cannot use Perl-compatible regexes when not compiled with USE_LIBPCRE"
    (tools / "git").write_text(
        f'#!/bin/sh\ncase " $* " in *" -P "*) echo "fatal: {words}" >&2; exit 128;; esac\nexec {real} "$@"\n'
    )
    (tools / "git").chmod(0o755)
    folder.end()
    folder.environment["PATH"] = f"{tools}{os.pathsep}{folder.environment['PATH']}"
    folder.start()
    found = await server.result(await server.offer("grep", {"pattern": "t(wo|hree)"}))
    assert found.text.startswith("notes.txt:2:two\n[This git has no Perl expressions")


async def test_commands_have_nothing_of_the_editors_own_and_characters_are_whole(
    server: ProtocolServer, folder: Folder
) -> None:
    folder.end()
    folder.environment |= {"VSCODE_IPC_HOOK": "secret", "ELECTRON_RUN_AS_NODE": "1", "MINE": "kept"}
    folder.start()
    line = "env; printf '\\303'; sleep 0.3; printf '\\251 whole'"
    result = await server.result(await server.offer("run_command", command(line)))
    assert "MINE=kept" in result.text
    assert "VSCODE_" not in result.text
    assert "ELECTRON_" not in result.text
    assert "é whole" in result.text


async def test_a_file_that_is_too_large_is_in_no_snapshot_and_the_result_says_so(
    server: ProtocolServer, folder: Folder
) -> None:
    made = await server.result(await server.offer("run_command", command("truncate -s 101M large.bin; echo x > small")))
    assert made.snapshot is not None
    assert [file.path for file in made.snapshot.files] == ["small"]
    assert "Left out of the snapshot" in made.text
    assert "large.bin" in made.text
