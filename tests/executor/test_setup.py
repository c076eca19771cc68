"""A project's setup script on a runner: once in a fresh workspace, killed with its session, and told when it fails."""

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from time import time
from typing import Any

import pytest

from quarterdeck.core.events import Outcome
from quarterdeck.core.network import NetworkPolicy
from quarterdeck.core.protocol import Cancel, Wipe
from quarterdeck.core.session_limits import ProjectLimits, Used
from quarterdeck.executor import artifacts, caches, setup
from quarterdeck.executor.runner import RunnerSettings
from quarterdeck.executor.sandbox import Sandbox
from tests.executor.protocol_server import TOKEN, ProtocolServer, git, gone, running, served
from tests.executor.test_runner import MARK, command, none_left, processes_with


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[ProtocolServer]:
    async with served(tmp_path / "server", {"notes.txt": "one\n"}) as server:
        yield server


@pytest.fixture
def settings(server: ProtocolServer, tmp_path: Path) -> RunnerSettings:
    return RunnerSettings(server.url, TOKEN, "first", tmp_path / "home", capacity=2, heartbeat_seconds=0.2)


async def test_it_is_run_once_before_the_first_call_and_again_in_a_new_workspace(
    server: ProtocolServer, settings: RunnerSettings
) -> None:
    lines = ("echo ready >> made.txt", "env | grep -c TOKEN || true")
    async with running(settings):
        calls = [
            await server.offer("run_command", command("cat made.txt"), workspace=server.spec(setup_script=lines))
            for _ in range(3)
        ]
        results = [await server.result(call) for call in calls]
        assert [result.text.count("ready") for result in results] == [1, 1, 1]
        (report,) = [result.setup for result in results if result.setup]
        assert (report.outcome, report.exit_code) == (Outcome.OK, 0)
        assert report.text == "$ echo ready >> made.txt\n$ env | grep -c TOKEN || true\n0\n"
        # What it printed is the beginning of the output of the call that it was run before.
        printed = [server.outputs[call].decode() for call in calls]
        with_setup = [text for text in printed if text.startswith("Setup script of the project")]
        assert len(with_setup) == 1
        assert report.text + "The setup script succeeded.\nready\n" in with_setup[0]
        assert [result.output_bytes for result in results] == [len(text) for text in printed]
        server.send(Wipe(subject="session:1"))
        await gone(settings.home / "workspaces" / "session-1")
    async with running(settings):
        spec = server.spec(setup_script=lines)
        again = await server.result(await server.offer("run_command", command("cat made.txt"), workspace=spec))
        assert again.setup is not None
        assert again.text.count("ready") == 1


async def test_one_that_fails_is_told_and_the_work_goes_on(server: ProtocolServer, settings: RunnerSettings) -> None:
    flood = "head -c 700000 /dev/zero | tr '\\0' x; echo"
    spec = server.spec(setup_script=("echo before", flood, "echo wrong >&2; false", "echo never"))
    async with running(settings):
        first = await server.result(await server.offer("run_command", command("cat notes.txt"), workspace=spec))
        assert first.outcome is Outcome.OK
        assert first.setup is not None
        assert (first.setup.outcome, first.setup.exit_code) == (Outcome.ERROR, 1)
        assert "never" not in first.setup.text.replace("$ echo never", "")
        assert "setup script failed, exit code 1" in first.text
        assert setup.LIVE_BYTES < first.output_bytes < setup.LIVE_BYTES + 1_000
        assert "wrong" in first.text
        assert first.text.endswith("one\n")
        second = await server.result(await server.offer("run_command", command("cat notes.txt"), workspace=spec))
        assert second.setup is None
        assert "setup" not in second.text


async def test_one_that_hangs_is_killed_for_its_time(
    server: ProtocolServer, settings: RunnerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "SETUP_SECONDS", 1)
    spec = server.spec(setup_script=(f"(setsid sleep {MARK} &); sleep {MARK}",))
    async with running(settings):
        result = await server.result(await server.offer("run_command", command("echo on"), workspace=spec))
        assert result.setup is not None
        assert result.setup.outcome is Outcome.TIMED_OUT
        assert "killed for its time" in result.text
        assert not processes_with(MARK)


async def test_a_stop_kills_it_and_the_next_call_runs_it_again(
    server: ProtocolServer, settings: RunnerSettings
) -> None:
    spec = server.spec(setup_script=(f"trap '' TERM; test -e again || {{ touch again; sleep {MARK}; }}",))
    async with running(settings):
        call = await server.offer("run_command", command("echo on"), workspace=spec)
        async with asyncio.timeout(60):
            while not processes_with(f"sleep\0{MARK}"):
                await asyncio.sleep(0.02)
        server.send(Cancel(subject="session:1", lease_epoch=1))
        await server.until(lambda: bool(server.teardowns["session:1"]))
        proof = server.teardowns["session:1"][0]
        assert proof.left == 0
        assert proof.killed >= 1
        await none_left(f"sleep\0{MARK}")
        assert not server.results[call]
        after = await server.result(await server.offer("run_command", command("echo on"), workspace=spec))
        assert after.setup is not None
        assert after.setup.outcome is Outcome.OK


async def test_what_it_prints_is_heard_at_once_and_a_cancelled_call_takes_it_along(
    server: ProtocolServer, settings: RunnerSettings
) -> None:
    script = f"test -e again || {{ touch again; echo first; trap '' TERM; sleep {MARK}; }}"
    spec = server.spec(setup_script=(script,))
    async with running(settings):
        call = await server.offer("run_command", command("echo on"), workspace=spec)
        await server.until(lambda: b"\nfirst\n" in server.outputs[call] and bool(server.started[call]))
        other = await server.offer("run_command", command("echo on"), workspace=spec)
        server.send(Cancel(subject="session:1", lease_epoch=1, call_id=call))
        result = await server.result(call)
        assert (result.outcome, result.setup) == (Outcome.CANCELLED, None)
        await none_left(f"sleep\0{MARK}")
        after = await server.result(other)
        assert after.setup is not None
        assert (after.outcome, after.setup.outcome) == (Outcome.OK, Outcome.OK)


SCRIPT = (
    "cat notes.txt",
    "ls -A kept 2>/dev/null || echo none",
    "mkdir -p kept/deep; echo theirs >> kept/deep/made; ln -sfn /etc kept/out; rm -f kept/pipe; mkfifo kept/pipe",
    "echo changed > notes.txt",
)


async def test_what_it_made_is_kept_for_the_next_sessions_and_nothing_else_is(
    server: ProtocolServer, settings: RunnerSettings, tmp_path: Path
) -> None:
    """Of the default branch, before any call; a copy for each, under the project's own key; never through a link."""
    outside = tmp_path / "outside"
    outside.mkdir()
    work = server.folder / "first"
    git(work, "checkout", "-q", "-b", "other")
    (work / "kept").symlink_to(outside)
    (work / "notes.txt").write_text("two\n", encoding="utf-8")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "A link where the cache goes")
    git(work, "push", "-q", str(server.folder / "repo.git"), "other")
    linked = git(work, "rev-parse", "HEAD")

    def cache(*, scope: str = "a" * 32, files: tuple[str, ...] = (), save: bool = False) -> dict[str, Any]:
        return {"scope": scope, "key": "k", "files": files, "paths": ["kept", "notes.txt"], "save": save}

    async def session(number: int, cached: dict[str, Any], run: str, commit: str = server.commit) -> str:
        spec = server.spec(setup_script=SCRIPT, cache=cached, commit=commit)
        subject = f"session:{number}"
        call = await server.offer("run_command", command(run), workspace=spec, subject=subject)
        assert (await server.result(call)).outcome is Outcome.OK
        return server.outputs[call].decode()

    archives = settings.home / "caches" / ("a" * 32)
    async with running(settings):
        first = await session(1, cache(save=True), "echo poison > kept/deep/made; echo more > kept/poison")
        assert "There is no cache 'k' here yet." in first
        assert "Kept the cache 'k': 3 files" in first
        (archive,) = archives.iterdir()
        kept = archive.read_bytes()

        second = await session(2, cache(), "cat kept/deep/made; readlink kept/out; ls -A kept; echo mine > kept/x")
        assert "Restored the cache 'k'" in second
        assert "none" not in second.replace("|| echo none", "")
        assert "\none\n" in second, "what the repository has is as the commit says, also where the cache has it"
        # Its own script has added to its own copy; the agent's words of the first are not there.
        assert second.endswith("theirs\ntheirs\n/etc\ndeep\nout\npipe\n")
        assert "Kept" not in second

        third = await session(3, cache(scope="b" * 32), "true")
        by_file = await session(4, cache(files=("notes.txt",)), "true")
        assert ["There is no cache" in text for text in (third, by_file)] == [True, True]

        through = await session(5, cache(save=True), "true", commit=linked)
        assert "could not be restored" in through
        assert list(outside.iterdir()) == []
        again = await session(6, cache(save=True), "cat notes.txt")
        assert "Restored" in again
        assert "Kept" not in again, "it is young"
        assert archive.read_bytes() == kept
        assert [one.name for one in archives.parent.iterdir()] == [archives.name]
        ended = tmp_path / "ended"
        ended.mkdir()
        artifacts.unpack(archive, ended, wanted=lambda: False)
        assert list(ended.iterdir()) == []
        wrong = await session(7, cache(scope="../" * 8), "true")
        assert "is no place for a cache" in wrong

        # Where a call has worked before the script could, nothing is made of the agent's files, nor put over them.
        os.utime(archive, (time(), time() - 2 * caches.FRESH_SECONDS))
        spec = server.spec(setup_script=SCRIPT, cache=cache(save=True))
        for name in ("notes.txt", "kept/poison"):
            write = {"file_path": name, "contents": "agent's\n"}
            spent = {"limits": ProjectLimits(output=1024**2), "used": Used(output=1024**2)}
            call = await server.offer("create_file_with_contents", write, workspace=spec, subject="session:8", **spent)
            result = await server.result(call)
            assert result.outcome is Outcome.OK
            assert result.setup is not None
            assert result.setup.outcome is Outcome.ERROR
            assert "could not be run; the next call tries it again. This session's limit" in result.text
        last = await session(8, cache(save=True), "cat notes.txt kept/poison")
        assert "\nagent's\n$ ls" in last
        assert "\npoison\n" in last
        assert "The setup script succeeded." in last
        assert ["Kept" in last, "Restored" in last] == [False, False]
        assert archive.read_bytes() == kept

        (archives.parent / ("c" * 32)).touch()
        no_place = await session(9, cache(scope="c" * 32, save=True), "echo on")
        assert "the cache could not be kept" in no_place


def test_caches_that_nobody_asks_for_or_that_are_too_many_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "CACHES_BYTES", 25)
    now = time()
    for name, days in {"a/new": 0.0, "a/used": 1.0, "b/third": 2.0, "c/old": 8.0, "d/half.new": 1.0}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * 10)
        os.utime(path, (now - days * 86_400, now - 30 * 86_400))
    caches.trim(tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*")) == ["a/new", "a/used"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


async def test_a_call_says_which_hosts_it_was_refused(server: ProtocolServer, settings: RunnerSettings) -> None:
    policy = NetworkPolicy(allowed=("a.test",), within=(("a.test",),))
    ask = (
        "python3 -c \"import urllib.request as r; r.urlopen('http://b.test/')\" 2>&1 | tail -1;"
        " echo $https_proxy $NO_PROXY"
    )
    async with running(settings):
        spec = server.spec(network=policy)
        result = await server.result(await server.offer("run_command", command(ask), workspace=spec))
        assert "403" in result.text
        assert "http://127.0.0.1:3128 localhost,127.0.0.1,::1" in result.text
        assert [(one.host, one.port, one.count) for one in result.refused] == [("b.test", 80, 1)]
        assert "Refused of the network: b.test:80" in result.text
        assert server.prepared["session:1"].notes == ()


async def test_without_full_isolation_there_is_no_network_and_that_is_said(
    server: ProtocolServer, settings: RunnerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reduced(**_: object) -> Sandbox:
        return Sandbox("reduced", "for a test")

    monkeypatch.setattr("quarterdeck.executor.runner.probe", reduced)
    spec = server.spec(network=NetworkPolicy(allowed=("*",), within=(("*",),)), setup_script=("echo set up",))
    ask = f"python3 -c \"import socket; socket.create_connection(('127.0.0.1', {server.port}), 2)\"; env"
    async with running(settings):
        result = await server.result(await server.offer("run_command", command(ask), workspace=spec))
        assert "PermissionError" in result.text
        assert "_PROXY" not in result.text
        assert "it needs full isolation, this is reduced" in server.prepared["session:1"].notes[0]
        assert result.setup is not None
        assert result.setup.outcome is Outcome.OK
