"""A project's setup script on a runner: once in a fresh workspace, killed with its session, and told when it fails."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from quarterdeck.core.events import Outcome
from quarterdeck.core.network import NetworkPolicy
from quarterdeck.core.protocol import Cancel, Wipe
from quarterdeck.executor import setup
from quarterdeck.executor.runner import RunnerSettings
from quarterdeck.executor.sandbox import Sandbox
from tests.executor.protocol_server import TOKEN, ProtocolServer, gone, running, served
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
        server.send(Wipe(subject="session:1"))
        await gone(settings.home / "workspaces" / "session-1")
    async with running(settings):
        spec = server.spec(setup_script=lines)
        again = await server.result(await server.offer("run_command", command("cat made.txt"), workspace=spec))
        assert again.setup is not None
        assert again.text.count("ready") == 1


async def test_one_that_fails_is_told_and_the_work_goes_on(server: ProtocolServer, settings: RunnerSettings) -> None:
    spec = server.spec(setup_script=("echo before", "echo wrong >&2; false", "echo never"))
    async with running(settings):
        first = await server.result(await server.offer("run_command", command("cat notes.txt"), workspace=spec))
        assert first.outcome is Outcome.OK
        assert first.setup is not None
        assert (first.setup.outcome, first.setup.exit_code) == (Outcome.ERROR, 1)
        assert "never" not in first.setup.text.replace("$ echo never", "")
        assert "setup script failed, exit code 1" in first.text
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
