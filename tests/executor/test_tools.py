"""The bodies of the executor's tools, on a hostile workspace, within the real sandbox."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest
from pydantic import JsonValue

from quarterdeck.core.errors import InvalidInputError, QuarterdeckError
from quarterdeck.core.events import FileChange, Outcome
from quarterdeck.core.limits import RESULT_CHARACTERS
from quarterdeck.executor.bodies import carry_out
from quarterdeck.executor.files import Files
from quarterdeck.executor.hands import Committed, Done, Hands
from quarterdeck.executor.probe import probe
from quarterdeck.executor.processes import Processes
from tests.executor.people import as_normal_user


class Branch:
    """Stands where a session's workspace is, and notes what was to be committed."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    async def create_commit(self, message: str) -> Committed:
        if self.messages:
            raise InvalidInputError("Nothing has changed since the last commit.")
        self.messages.append(message)
        return Committed("work", "f" * 40, (FileChange(path="a.py", change="added", added=2),))


class Session:
    """A workspace, and calls in it."""

    def __init__(self, root: Path, processes: Processes) -> None:
        self.root = root
        self.output = bytearray()
        self.branch = Branch()
        self.hands = Hands("session:1", root, processes, self.branch, self._hear)

    async def _hear(self, data: bytes) -> None:
        self.output += data

    async def call(self, tool: str, **args: JsonValue) -> Done:
        done = await carry_out(self.hands, tool, args)
        assert len(done.text) <= RESULT_CHARACTERS + 100
        return done

    async def ok(self, tool: str, **args: JsonValue) -> str:
        done = await self.call(tool, **args)
        assert done.outcome is Outcome.OK, done.text
        return done.text

    async def fault(self, tool: str, **args: JsonValue) -> str:
        done = await self.call(tool, **args)
        assert done.outcome is Outcome.ERROR, done.text
        return done.text


@pytest.fixture
async def session(tmp_path: Path) -> Session:
    root = tmp_path / "files"
    (root / "src/deep").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / ".git/hidden.py").write_text("def secret(): ...\n", encoding="utf-8")
    (root / "src/app.py").write_text("def greet(name):\n    return name\n", encoding="utf-8")
    (root / "src/deep/test_app.py").write_text("from app import greet\n", encoding="utf-8")
    (root / "numbers").write_text("".join(f"{number}\n" for number in range(1, 100_001)), encoding="utf-8")
    (tmp_path / "secret").write_text("secret\n", encoding="utf-8")
    return Session(root, Processes(await probe()))


async def test_reading(session: Session) -> None:
    assert await session.ok("read_file", file_path="src/app.py") == "def greet(name):\n    return name\n"
    assert (
        await session.ok("read_file", file_path="/workspace/src/../src/app.py") == "def greet(name):\n    return name\n"
    )
    part = await session.ok("read_file", file_path="numbers", offset=99_998, limit=2)
    assert part.startswith(
        "99998\n99999\n\n[lines 99998 to 99999 of a file of 588,895 bytes; go on with offset=100000]"
    )
    assert "its end" in await session.ok("read_file", file_path="numbers", offset=100_000)
    assert (await session.call("read_file", file_path="numbers", limit=10_000)).truncated
    assert "fewer than 100001 lines" in await session.fault("read_file", file_path="numbers", offset=100_001)
    both = await session.ok("read_files", file_paths=["src/app.py", "src/ap.py", "numbers"])
    assert "==> src/app.py <==\ndef greet" in both
    assert "Not read: There is no file src/ap.py in the workspace. Near it: app.py." in both
    assert "==> numbers <==\n1\n2\n" in both
    assert "Not read" in await session.fault("read_files", file_paths=["nope"])


async def test_files_that_no_text_is_in(session: Session) -> None:
    root = session.root
    os.truncate(os.open(root / "huge", os.O_CREAT | os.O_WRONLY), 1024**3)
    (root / "long").write_bytes(b"x" * 5_000_000 + b"\nnext\n")
    (root / "odd").write_bytes(b"caf\xe9 \x1b[31mred\r\n")
    (root / "empty").touch()
    os.mkfifo(root / "pipe")

    assert "binary file of 1,073,741,824 bytes" in await session.fault("read_file", file_path="huge")
    shortened = await session.ok("read_file", file_path="long")
    assert (len(shortened) < 3_000, "\nnext\n" in shortened) == (True, True)
    assert await session.ok("read_file", file_path="odd") == "caf\ufffd \x1b[31mred\r\n"
    assert await session.ok("read_file", file_path="empty") == "[the file is empty]"
    assert "is a folder" in await session.fault("read_file", file_path="src")
    assert "is a pipe" in await session.fault("read_file", file_path="pipe")
    assert "is a pipe" in await session.fault("create_file_with_contents", file_path="pipe", contents="x")
    assert "is a pipe" in await session.fault("edit_file", file_path="pipe", old_str="x", new_str="y")
    assert "pipe  (a pipe, socket or device)" in await session.ok("list_dir")


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "/etc/passwd",
        "file",
        "folder/secret",
        "src/../../secret",
        "deep/../../secret",
        "a\0b",
        "loop",
        "far",
    ],
)
async def test_no_way_leads_out(session: Session, path: str) -> None:
    root = session.root
    (root / "file").symlink_to(root.parent / "secret")
    (root / "folder").symlink_to("..")
    (root / "deep").symlink_to("src/deep")
    (root / "loop").symlink_to("loop")
    (root / "far").symlink_to("src/deep/../../../secret")

    await session.fault("read_file", file_path=path)
    await session.fault("create_file_with_contents", file_path=path, contents="x")
    await session.fault("edit_file", file_path=path, old_str="secret", new_str="x")
    await session.fault("mkdir", directory_path=f"{path}/made")
    await session.fault("list_dir", directory=path)
    assert (root.parent / "secret").read_text(encoding="utf-8") == "secret\n"
    assert sorted(os.listdir(root.parent)) == ["files", "secret"]


async def test_links_that_stay_inside_are_followed(session: Session) -> None:
    (session.root / "link.py").symlink_to("/workspace/src/app.py")
    (session.root / "src/up").symlink_to("deep/..")

    assert "greet" in await session.ok("read_file", file_path="src/up/app.py")
    assert "greet" in await session.ok("read_file", file_path="link.py")
    assert "Replaced" in await session.ok("create_file_with_contents", file_path="link.py", contents="new\n")
    assert (session.root / "src/app.py").read_text(encoding="utf-8") == "new\n"
    assert (session.root / "link.py").is_symlink()


def blind(*_: object) -> None:
    """Sees nothing."""


def test_a_link_put_there_after_the_look_wins_nothing(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """As fast as links may be swapped in, the kernel doesn't follow them: here every look comes too early."""
    root, outside = session.root, session.root.parent
    (root / "folder").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    monkeypatch.setattr("quarterdeck.executor.files._link_target", blind)
    files = Files(root)

    for path in ("folder/secret", "file"):
        with pytest.raises(QuarterdeckError):
            files.open(path)
        with pytest.raises(QuarterdeckError):
            files.write(path, b"x")
    for path in ("folder", "folder/made"):
        with pytest.raises(QuarterdeckError):
            files.make_folder(path)
        with pytest.raises(QuarterdeckError):
            files.entries(path)
    monkeypatch.setattr("quarterdeck.executor.files._mode_of", blind)
    files.write("file", b"x")
    assert (root / "file").read_bytes() == b"x"
    assert (outside / "secret").read_text(encoding="utf-8") == "secret\n"
    assert sorted(os.listdir(outside)) == ["files", "secret"]


async def test_writing(session: Session) -> None:
    assert "Created new/er/file.txt" in await session.ok(
        "create_file_with_contents", file_path="new/er/file.txt", contents="é\n"
    )
    assert (session.root / "new/er/file.txt").read_bytes() == "é\n".encode()
    (session.root / "src/app.py").chmod(0o755)
    await session.ok("edit_file", file_path="src/app.py", old_str="return name", new_str="return f'hello {name}'")
    assert (session.root / "src/app.py").read_text(encoding="utf-8").endswith("    return f'hello {name}'\n")
    assert (session.root / "src/app.py").stat().st_mode & 0o777 == 0o755
    assert "is a folder" in await session.fault("create_file_with_contents", file_path="src", contents="x")
    assert "numbers is not a folder" in await session.fault("mkdir", directory_path="numbers/x")
    assert "Created the folder a/b" in await session.ok("mkdir", directory_path="a/b")
    assert "already" in await session.ok("mkdir", directory_path="a/b")
    assert not [name for name in os.listdir(session.root / "src") if name.endswith(".quarterdeck")]


async def test_an_edit_needs_exactly_one_place(session: Session) -> None:
    (session.root / "dos.txt").write_bytes(b"one\r\ntwo\r\n")
    (session.root / "latin").write_bytes(b"caf\xe9 = 1\n")

    refusal = await session.fault("edit_file", file_path="src/app.py", old_str="name", new_str="x")
    assert "2 times, at lines 1, 2" in refusal
    assert "is not in src/app.py" in await session.fault(
        "edit_file", file_path="src/app.py", old_str="nme", new_str="x"
    )
    assert "CR LF" in await session.fault("edit_file", file_path="dos.txt", old_str="one\ntwo", new_str="x")
    assert "spaces, indents" in await session.fault(
        "edit_file", file_path="src/app.py", old_str="greet(name):\n\treturn", new_str="x"
    )
    assert "same" in await session.fault("edit_file", file_path="dos.txt", old_str="one", new_str="one")
    await session.ok("edit_file", file_path="latin", old_str="= 1", new_str="= 2")
    assert (session.root / "latin").read_bytes() == b"caf\xe9 = 2\n"


async def test_finding(session: Session) -> None:
    both = "src/app.py\nsrc/deep/test_app.py"
    assert await session.ok("find_files", name_pattern="*.py") == both
    assert await session.ok("find_files", name_pattern="src/**/*.py") == both
    assert await session.ok("find_files", name_pattern="test_*") == "src/deep/test_app.py"
    assert "No file matches" in await session.ok("find_files", name_pattern="*.rs")
    assert await session.ok("grep", pattern=r"def\s+\w+", directory="src") == "src/app.py:1:def greet(name):"
    assert await session.ok("grep", pattern="GREET", case_insensitive=True, directory="src/deep") == (
        "src/deep/test_app.py:1:from app import greet"
    )
    assert "secret" not in await session.ok("grep", pattern="secret|greet")
    assert "No line matches" in await session.ok("grep", pattern="nowhere-at-all")
    assert "refused" in await session.fault("grep", pattern="(")
    assert "Near it: src" in await session.fault("grep", pattern="x", directory="scr")
    for number in range(600):
        (session.root / f"file{number:03}").write_text("needle\n" * 2, encoding="utf-8")
    for tool, pattern in (("find_files", {"name_pattern": "file*"}), ("grep", {"pattern": "needle"})):
        done = await session.call(tool, **pattern)
        assert (done.truncated, "narrow" in done.text) == (True, True)
    assert (await session.call("list_dir")).truncated


async def test_commands(session: Session) -> None:
    done = await session.call("run_command", command="cd src && pwd; echo oops >&2; exit 3")
    assert (done.outcome, done.exit_code) == (Outcome.ERROR, 3)
    assert done.text == "Exit code 3.\n/workspace/src\noops\n"
    assert bytes(session.output) == b"/workspace/src\noops\n"
    late = await session.call("run_command", command="echo begun; sleep 60", timeout_seconds=1)
    assert (late.outcome, late.exit_code) == (Outcome.TIMED_OUT, None)
    assert "Killed after 1 seconds" in late.text
    assert "begun" in late.text
    flood = await session.call("run_command", command="seq 100000")
    assert (flood.truncated, flood.text.endswith("99999\n100000\n")) == (True, True)
    assert "characters left out; to see more" in flood.text
    assert await session.ok("run_command", command="printf 'a\\000b\\377'") == "Exit code 0.\na\ufffdb\ufffd"
    assert "NUL" in await session.fault("run_command", command="echo \0")


async def test_git(session: Session) -> None:
    subprocess.run(["rm", "-r", ".git"], cwd=session.root, check=True)
    await session.ok("run_git_command", command="init", args="-q")
    assert "?? src/" in await session.ok("run_git_command", command="status", args="--short -- 'src'")
    for command in ("push", "fetch", "clone", "remote", "commit"):
        assert "create_commit" in await session.fault("run_git_command", command=command)
    assert "quoted" in await session.fault("run_git_command", command="log", args="'")
    assert "don't fit" in await session.fault("run_git_command", command="-c")
    pushed = await session.ok("create_commit", message="Greet")
    assert pushed == f"Pushed commit {'f' * 40} to branch work.\nadded a.py (+2 -0)"
    assert session.branch.messages == ["Greet"]
    assert await session.fault("create_commit", message="Again") == "Nothing has changed since the last commit."


async def test_what_is_no_call(session: Session) -> None:
    assert "Near it: read_file" in await session.fault("read_fil")
    assert "by the server" in await session.fault("run_pipeline")
    assert "file_path: Field required; path: Extra inputs" in await session.fault("read_file", path="x")


async def test_a_cancelled_call_is_over(session: Session) -> None:
    call = asyncio.create_task(session.call("run_command", command="echo up; sleep 600"))
    async with asyncio.timeout(60):
        while not session.output:
            await asyncio.sleep(0.01)

    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await session.hands.processes.kill_tree("session:1")).method == "nothing ran"


def test_all_of_this_as_a_normal_user() -> None:
    as_normal_user(__file__)
