import io
import subprocess
import sys
import tarfile
from collections.abc import AsyncGenerator, Generator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.events import Outcome
from quarterdeck.core.protocol import Cancel, JobSpec
from quarterdeck.executor import artifacts
from quarterdeck.executor.runner import RunnerSettings
from tests.executor.protocol_server import TOKEN, ProtocolServer, gone, running, served


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[ProtocolServer]:
    async with served(tmp_path / "server", {"answer.txt": "41\n"}) as server:
        yield server


@pytest.fixture
def settings(server: ProtocolServer, tmp_path: Path) -> RunnerSettings:
    return RunnerSettings(server.url, TOKEN, "first", tmp_path / "home", allow_unsandboxed=True, heartbeat_seconds=0.2)


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return target.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


async def test_a_job_runs_its_scripts_shows_its_log_and_keeps_its_artifacts(
    server: ProtocolServer, settings: RunnerSettings
) -> None:
    server.blobs[1] = archive((tarfile.TarInfo("built/tool.sh"), b"echo built\n"))
    job = JobSpec(
        name="test",
        before_script=("export GREETING=hi; cd built",),
        script=(
            "sh tool.sh\necho $GREETING $WORD",
            "cd ..; mkdir -p out/deep; cp answer.txt out/deep; ln -s /etc out/e",
        ),
        after_script=("echo status $CI_JOB_STATUS; test $PWD = $CI_PROJECT_DIR && echo at home; false",),
        variables={"WORD": 'it\'s "quoted" $HOME'},
        artifact_paths=("out/", "*.nothing"),
        needs_artifacts=(1,),
    )
    async with running(settings):
        call = await server.job(job)
        result = await server.result(call)
        log = server.outputs[call].decode()
        assert (result.outcome, result.exit_code) == (Outcome.OK, 0), log
        for text in (
            '\n$ sh tool.sh\necho $GREETING $WORD\nbuilt\nhi it\'s "quoted" $HOME\n',
            "status success\nat home\n",
            "after_script failed: exit code 1",
            "Keeping 2 artifact files",
            "succeeded",
        ):
            assert text in log
        assert result.artifacts_blob
        with tarfile.open(fileobj=io.BytesIO(server.blobs[result.artifacts_blob])) as tar:
            assert sorted(tar.getnames()) == ["out/deep/answer.txt", "out/e"]
            assert tar.getmember("out/e").issym()
        await gone(settings.home / "workspaces" / "job-7")


async def test_a_job_fails_with_its_exit_code_and_after_script_runs_all_the_same(
    server: ProtocolServer, settings: RunnerSettings
) -> None:
    job = JobSpec(
        name="test",
        script=("echo before", "grep 42 answer.txt | cat", "echo never"),
        after_script=("echo cleaning; echo $CI_JOB_STATUS > report.xml",),
        artifact_paths=("**/*.xml",),
        artifacts_when="on_failure",
    )
    async with running(settings):
        call = await server.job(job)
        result = await server.result(call)
        log = server.outputs[call].decode()
        assert (result.outcome, result.exit_code) == (Outcome.ERROR, 1)
        assert "exit code 1" in result.text
        assert "$ echo never" not in log
        assert "cleaning" in log
        assert result.artifacts_blob
        slow = await server.job(JobSpec(name="slow", script=("echo up", "sleep 60"), timeout_seconds=1), "job:8")
        late = await server.result(slow)
        assert late.outcome is Outcome.TIMED_OUT
        assert "timeout of 1 s" in server.outputs[slow].decode()


async def test_a_cancelled_job_leaves_nothing(server: ProtocolServer, settings: RunnerSettings) -> None:
    async with running(settings):
        call = await server.job(JobSpec(name="long", script=("echo up; sleep 60",), after_script=("echo after",)))
        await server.until(lambda: b"\nup\n" in server.outputs[call])
        server.send(Cancel(subject="job:7", lease_epoch=1))
        await gone(settings.home / "workspaces" / "job-7")
        await server.until(lambda: bool(server.teardowns["job:7"]))
        assert server.teardowns["job:7"][0].left == 0
        assert server.teardowns["job:7"][0].killed >= 1
        await server.until(lambda: not server.heartbeats[-1].held)
        assert not server.results[call]


async def test_what_the_server_does_not_keep_fails_no_call(server: ProtocolServer, settings: RunnerSettings) -> None:
    server.refused["/blobs"] = (413, {"detail": "That is larger than the server accepts."})
    async with running(settings):
        job = await server.result(await server.job(JobSpec(name="j", script=("true",), artifact_paths=("*.txt",))))
        call = await server.result(await server.offer("run_command", {"command": "echo 42 > answer.txt"}))
        for result in (job, call):
            assert result.outcome is Outcome.OK
            assert "larger than the server accepts" in result.text
            assert result.snapshot is None
            assert result.artifacts_blob is None
    assert not [path for path in (settings.home / "outputs").rglob("*")]


async def test_a_script_may_be_longer_than_a_command_line(server: ProtocolServer, settings: RunnerSettings) -> None:
    async with running(settings):
        call = await server.job(JobSpec(name="long", script=("true " + "x" * 200_000, "echo end")))
        assert (await server.result(call)).outcome is Outcome.OK
        assert bytes(server.outputs[call]).count(b"\nend\n") == 1


@pytest.mark.parametrize(
    "members",
    [
        ((tarfile.TarInfo("../evil"), b"x"),),
        ((tarfile.TarInfo("/tmp/evil"), b"x"),),
        ((tarfile.TarInfo("a/../../evil"), b"x"),),
        ((tarfile.TarInfo(".git/hooks/pre-commit"), b"x"),),
        (link("out", ".."), (tarfile.TarInfo("out/evil"), b"x")),
        (link("evil", "/etc/passwd", tarfile.LNKTYPE),),
        (link("device", "", tarfile.CHRTYPE),),
    ],
)
def test_artifacts_never_leave_the_folder(tmp_path: Path, members: tuple[tuple[tarfile.TarInfo, bytes], ...]) -> None:
    root = tmp_path / "root"
    root.mkdir()
    packed = tmp_path / "packed.tar.gz"
    packed.write_bytes(archive(*members))
    with pytest.raises(InvalidInputError, match="The archive "):
        artifacts.unpack(packed, root)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["packed.tar.gz", "root"]


def test_a_file_of_artifacts_replaces_a_link_and_does_not_follow_it(tmp_path: Path) -> None:
    root, outside, packed = tmp_path / "root", tmp_path / "outside", tmp_path / "packed.tar.gz"
    root.mkdir()
    outside.write_text("safe")
    (root / "file").symlink_to(outside)
    packed.write_bytes(archive((tarfile.TarInfo("file"), b"new")))
    artifacts.unpack(packed, root)
    assert outside.read_text() == "safe"
    assert (root / "file").read_text() == "new"
    packed.write_bytes(b"no archive")
    with pytest.raises(InvalidInputError):
        artifacts.unpack(packed, root)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a.txt", {"a.txt"}),
        ("dir", {"dir/b.txt", "dir/deep/c.xml", "dir/link"}),
        ("dir/", {"dir/b.txt", "dir/deep/c.xml", "dir/link"}),
        ("./dir/*.txt", {"dir/b.txt"}),
        ("**/*.xml", {"top.xml", "dir/deep/c.xml"}),
        ("dir/**", {"dir/b.txt", "dir/deep/c.xml", "dir/link"}),
        ("dir/**/c.xml", {"dir/deep/c.xml"}),
        ("?.txt", {"a.txt"}),
        ("../*", set[str]()),
        (".", {"a.txt", "top.xml", "dir/b.txt", "dir/deep/c.xml", "dir/link"}),
    ],
)
def test_paths_of_artifacts(tmp_path: Path, pattern: str, names: set[str]) -> None:
    root = tmp_path / "root"
    (root / "dir" / "deep").mkdir(parents=True)
    (root / ".git").mkdir()
    for name in ("a.txt", "top.xml", "dir/b.txt", "dir/deep/c.xml", ".git/config"):
        (root / name).write_text(name)
    (root / "dir" / "link").symlink_to("/etc")
    count = artifacts.pack(root, (pattern,), tmp_path / "packed.tar.gz")
    with tarfile.open(tmp_path / "packed.tar.gz") as tar:
        assert set(tar.getnames()) == names
    assert count == len(names)


@pytest.fixture
def scratch(tmp_path: Path) -> Generator[Path]:
    """A folder for trees so deep that pytest can't delete them."""
    yield tmp_path
    subprocess.run(["rm", "-rf", str(tmp_path)], check=True)


def test_a_file_of_several_names_comes_out_under_each_of_them(scratch: Path) -> None:
    root, other, packed = scratch / "root", scratch / "other", scratch / "packed.tar.gz"
    bottom = root
    for _ in range(1_200):
        bottom /= "d"
        bottom.mkdir(parents=True)
    (root / "one").write_text("the same")
    (root / "two").hardlink_to(root / "one")
    (bottom / "three").hardlink_to(root / "one")
    assert artifacts.pack(root, ("*",), packed) == 3
    other.mkdir()
    artifacts.unpack(packed, other)
    for path in (other / "one", other / "two", other / bottom.relative_to(root) / "three"):
        assert path.read_text() == "the same"


def fits(pattern: list[str], path: list[str]) -> bool:
    """What a pattern means, in the plainest words: a match of a folder is one of all in it."""
    match pattern, path:
        case [], _:
            return True
        case ["**"], _:
            return bool(path)
        case ["**", *rest], _:
            return fits(rest, path) or (bool(path) and fits(pattern, path[1:]))
        case [part, *rest], [name, *below]:
            return same(part, name) and fits(rest, below)
        case _:
            return False


@cache
def same(part: str, name: str) -> bool:
    if not part:
        return not name
    if part[0] == "*":
        return same(part[1:], name) or (bool(name) and same(part, name[1:]))
    return bool(name) and part[0] in ("?", name[0]) and same(part[1:], name[1:])


def paths(signs: str, *whole: str) -> st.SearchStrategy[list[str]]:
    part = st.text(alphabet=signs, min_size=1, max_size=4).filter(lambda part: part not in (".", ".."))
    return st.lists(part | st.sampled_from(whole) if whole else part, min_size=1, max_size=5)


@given(paths("ab*?.\n", "**"), paths("ab.\n"))
@example(["**", "**"], ["a"])
@example(["a", "**"], ["a"])
@example(["a", "**", "b", "**", "a*b"], ["a", "b", "b", "aab", "c"])
def test_a_pattern_means_what_it_says(pattern: list[str], path: list[str]) -> None:
    text = "/".join(pattern)
    if text.strip() == text:
        assert artifacts.matches(text, "/".join(path)) == fits(pattern, path)


def test_no_pattern_takes_for_ever() -> None:
    program = """
from quarterdeck.executor.artifacts import matches
assert not matches("*a" * 40 + "b", "a" * 200)
assert not matches("**/*a*/" * 40 + "b", "aaa/" * 300 + "c")
assert not matches("*/" * 40 + "b", "a/" * 300 + "c")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
