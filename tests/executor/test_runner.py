import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import replace
from pathlib import Path

import pytest

from quarterdeck.core.events import Outcome
from quarterdeck.core.protocol import Cancel, JobSpec, Result, Wipe
from quarterdeck.core.session_limits import Limits, ProjectLimits, Reached, Used
from quarterdeck.executor.client import ClashError
from quarterdeck.executor.runner import RunnerSettings, run
from quarterdeck.executor.workspace import Workspace
from tests.executor.protocol_server import TOKEN, ProtocolServer, gone, running, served
from tests.executor.test_processes import new_mark

MARK = new_mark()
FILES = {"app.py": "print('hello')\n", "notes.txt": "one\ntwo\n"}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[ProtocolServer]:
    async with served(tmp_path / "server", FILES) as server:
        yield server


@pytest.fixture
def settings(server: ProtocolServer, tmp_path: Path) -> RunnerSettings:
    return RunnerSettings(
        server.url, TOKEN, "first", tmp_path / "home", capacity=2, allow_unsandboxed=True, heartbeat_seconds=0.2
    )


def command(line: str) -> dict[str, str]:
    return {"command": line}


def processes_with(word: str) -> list[int]:
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and word.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


async def none_left(word: str) -> None:
    async with asyncio.timeout(60):
        while processes_with(word):
            await asyncio.sleep(0.05)


class Daemon:
    """The runner as a process of its own."""

    def __init__(self, settings: RunnerSettings) -> None:
        token = settings.home.parent / "token"
        token.write_text(settings.token)
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "quarterdeck.executor", "--url", settings.url, "--token-file", str(token),
                "--home", str(settings.home), "--name", "daemon", "--allow-unsandboxed", "--allow-reduced-isolation",
            ],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    async def end(self, number: int) -> tuple[int, str]:
        self.process.send_signal(number)
        return await self.ended()

    async def ended(self) -> tuple[int, str]:
        _, errors = await asyncio.to_thread(self.process.communicate, timeout=60)
        return self.process.returncode, errors


@pytest.fixture
def daemon(settings: RunnerSettings) -> Generator[Callable[[], Daemon]]:
    """Starts a daemon each time it is called; none outlives the test."""
    started: list[Daemon] = []

    def start() -> Daemon:
        started.append(Daemon(settings))
        return started[-1]

    yield start
    for one in started:
        one.kill()


async def test_what_a_killed_runner_kept_of_the_output_is_not_forgotten(
    server: ProtocolServer, daemon: Callable[[], Daemon]
) -> None:
    first = daemon()
    call = await server.offer("run_command", command(f"(setsid sleep {MARK} &); echo up; sleep {MARK}"))
    await server.until(lambda: bytes(server.outputs[call]) == b"up\n")
    await first.end(signal.SIGKILL)
    await none_left(MARK)  # before there is another

    again = daemon()
    result = await server.result(call)
    assert "died in the middle" in result.text
    assert result.output_bytes == 3
    assert result.used is not None
    assert result.used.output == 3
    code, _ = await again.end(signal.SIGTERM)
    assert code == 0


async def test_a_sandbox_that_a_dead_runner_left_is_ended_and_nothing_else(
    server: ProtocolServer, settings: RunnerSettings
) -> None:
    del server
    files = str(settings.home / "workspaces" / "session-3" / "files")
    waiting = ("-c", "read forever; :", files)
    stray = await asyncio.create_subprocess_exec("bwrap", *waiting, executable="/bin/sh", stdin=subprocess.PIPE)
    editor = await asyncio.create_subprocess_exec("editor", *waiting, executable="/bin/sh", stdin=subprocess.PIPE)
    try:
        async with running(settings), asyncio.timeout(60):
            assert await stray.wait() == -signal.SIGKILL
        assert editor.returncode is None
    finally:
        editor.kill()
        await editor.wait()


async def test_sigterm_reports_what_it_interrupts_and_exits_0(
    server: ProtocolServer, daemon: Callable[[], Daemon]
) -> None:
    first = daemon()
    call = await server.offer("run_command", command(f"echo up; sleep {MARK}"))
    await server.until(lambda: bytes(server.outputs[call]) == b"up\n")
    code, errors = await first.end(signal.SIGTERM)
    assert code == 0, errors
    assert not processes_with(MARK)
    [result] = server.results[call]
    assert result.outcome is Outcome.INTERRUPTED
    assert "shut down" in result.text


@pytest.mark.parametrize(
    ("status", "problem", "words"),
    [
        (426, {"code": "version_mismatch", "detail": "Update the runner to 0.2."}, "Update the runner to 0.2."),
        (401, {"detail": "No valid token came with the request."}, "No valid token"),
        (404, {}, "no executor API"),
    ],
)
async def test_what_can_not_work_ends_the_runner_with_a_sentence(
    server: ProtocolServer, daemon: Callable[[], Daemon], status: int, problem: dict[str, str], words: str
) -> None:
    server.refused["hello"] = (status, problem)
    code, errors = await daemon().ended()
    assert code == 1
    assert words in errors
    assert "Traceback" not in errors


async def test_a_workspace_that_can_not_be_made_and_a_tool_that_is_not_there_are_results(
    server: ProtocolServer, settings: RunnerSettings
) -> None:
    async with running(settings):
        missing = server.spec(clone_path="/elsewhere.git")
        lost = await server.result(await server.offer("run_command", command("true"), workspace=missing))
        assert lost.outcome is Outcome.ERROR
        assert "workspace can't be made" in lost.text
        unknown = await server.result(await server.offer("run_comand", command("true"), subject="session:2"))
        assert unknown.outcome is Outcome.ERROR
        assert "run_command" in unknown.text


async def test_a_session_goes_on_on_another_runner_from_its_snapshot(
    server: ProtocolServer, settings: RunnerSettings, tmp_path: Path
) -> None:
    async with running(settings):
        snapshot = (await server.result(await server.offer("run_command", command("echo more > new.txt")))).snapshot
    assert snapshot
    spec = server.spec(bundle_blob=snapshot.bundle_blob, snapshot_commit=snapshot.commit, step=snapshot.step)
    other = replace(settings, home=tmp_path / "other")
    async with running(other):
        line = command("cat new.txt; echo changed > app.py")
        result: Result = await server.result(await server.offer("run_command", line, workspace=spec, lease_epoch=2))
        assert "more" in result.text
        assert result.snapshot
        assert result.snapshot.step == snapshot.step + 1
        assert [file.path for file in result.snapshot.files] == ["app.py"]
        await server.until(lambda: any(held.lease_epoch == 2 for held in server.heartbeats[-1].held))


async def test_a_home_has_one_runner(
    server: ProtocolServer, settings: RunnerSettings, daemon: Callable[[], Daemon]
) -> None:
    async with running(settings):
        await server.until(lambda: bool(server.hellos))
        code, errors = await daemon().ended()
        assert code == 1
        assert "Another runner works in" in errors


async def test_calls_of_one_subject_run_beside_each_other_and_capacity_counts_subjects(
    server: ProtocolServer, settings: RunnerSettings
) -> None:
    async with running(replace(settings, capacity=1)):
        waits = await server.offer("run_command", command("until [ -e go ]; do sleep 0.05; done; sleep 1"))
        other = await server.offer("run_command", command("true"), subject="session:2")
        await server.result(await server.offer("run_command", command("touch go")))
        assert not server.started[other]
        await server.until(lambda: bool(server.results[other]))
        assert server.results[waits]


async def test_a_call_that_waits_for_its_clone_can_be_cancelled_and_be_done_later(
    server: ProtocolServer, daemon: Callable[[], Daemon]
) -> None:
    server.git_open.clear()
    first = daemon()
    call = await server.offer("run_command", command("cat app.py"))
    await server.until(lambda: bool(server.git_headers))
    server.send(Cancel(subject="session:1", lease_epoch=1))
    await server.until(lambda: bool(server.teardowns["session:1"]))
    assert server.teardowns["session:1"][0].left == 0
    await none_left(f":{server.port}/repo.git")
    again = await server.offer("run_command", command("cat app.py"))
    await server.until(lambda: len(server.git_headers) >= 2)
    await first.end(signal.SIGKILL)
    await none_left(f":{server.port}/repo.git")

    server.git_open.set()
    third = daemon()
    server.send(server.make_offer("run_command", command("cat app.py")).model_copy(update={"call_id": again}))
    late = await server.offer("run_command", command("cat app.py"))
    assert "hello" in (await server.result(late)).text
    assert not server.started[call]
    assert (await third.end(signal.SIGTERM))[0] == 0


async def test_two_runners_of_one_name_are_told_apart_and_the_second_gives_up(
    server: ProtocolServer, settings: RunnerSettings, tmp_path: Path
) -> None:
    taken = (409, {"code": "conflict", "detail": "Another runner is called first and is alive."})
    server.refused["hello"] = taken
    async with running(settings) as task:
        await asyncio.sleep(0.5)
        assert not task.done()
        del server.refused["hello"]
        await server.until(lambda: len(server.hellos) == 1)
    for home in (settings.home, tmp_path / "other"):
        seen = len(server.hellos)
        async with running(replace(settings, home=home)):
            await server.until(lambda seen=seen: len(server.hellos) > seen)
    first, again, other = (hello.instance for hello in server.hellos)
    assert first == again != other
    assert len(other) >= 16
    server.refused["hello"] = taken
    with pytest.raises(ClashError, match="called first and is alive"):
        await asyncio.wait_for(run(replace(settings, drop_seconds=0.3)), 60)


async def test_what_nobody_foresaw_is_a_result_too(
    server: ProtocolServer, settings: RunnerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RecursionError("too deep")

    async with running(settings):
        with monkeypatch.context() as patched:
            patched.setattr(Workspace, "snapshot", broken)
            done = await server.result(await server.offer("run_command", command("echo done")))
        assert done.outcome is Outcome.OK
        assert "no snapshot" in done.text
        with monkeypatch.context() as patched:
            patched.setattr(Workspace, "prepare", broken)
            failed = await server.result(await server.offer("run_command", command("true"), subject="session:2"))
        assert failed.outcome is Outcome.ERROR
        assert "too deep" in failed.text


async def test_what_can_not_be_deleted_or_read_does_not_end_the_runner(
    server: ProtocolServer, settings: RunnerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(self: Workspace) -> None:
        raise OSError(1, "Operation not permitted", str(self.folder))

    (settings.home / "workspaces" / "job-5").mkdir(parents=True)
    server.wipe = ("session:9",)
    with monkeypatch.context() as patched:
        patched.setattr(Workspace, "delete", broken)
        async with running(settings):
            await server.result(await server.offer("run_command", command("true")))
            server.say('event: offer\ndata: {"call_id": 7}\n\n')
            server.say("event: wipe\ndata: nothing\n\n")
            server.send(Wipe(subject="no such thing"))
            assert (await server.result(await server.offer("run_command", command("true")))).outcome is Outcome.OK
            assert len(server.hellos) == 1
            assert "job:5" in server.hellos[0].subjects
    server.wipe = ()
    async with running(settings):
        await gone(settings.home / "workspaces" / "job-5")


async def test_an_offer_of_more_levels_than_can_be_read_is_answered(
    server: ProtocolServer, settings: RunnerSettings
) -> None:
    deep = "[" * 300 + "]" * 300
    offers = {"c_deep": f'"tool": "run_command", "args": {{"a": {deep}}}'}
    async with running(settings):
        begun = await server.offer("run_command", command("sleep 1; echo done"))
        await server.until(lambda: bool(server.started[begun]))
        server.faults["/result"] = 1
        for call_id, rest in {**offers, begun: "", "../c": ""}.items():
            known = f'"call_id": "{call_id}", "subject": "session:1", "turn_no": 4, "lease_epoch": 1'
            server.say(f"event: offer\ndata: {{{known}{rest and ', '}{rest}}}\n\n")
        for call_id in offers:
            refused = await server.result(call_id)
            assert (refused.outcome, refused.turn_no, refused.lease_epoch) == (Outcome.ERROR, 4, 1)
            assert refused.text.startswith("This runner can't read the call.")
        assert (await server.result(begun)).outcome is Outcome.OK
        assert set(filter(server.results.get, server.results)) == {begun, *offers}
        assert len(server.hellos) == 1


async def test_of_a_job_that_a_dead_runner_began_only_the_word_is_left(
    server: ProtocolServer, settings: RunnerSettings, daemon: Callable[[], Daemon]
) -> None:
    first = daemon()
    call = await server.job(JobSpec(name="long", script=(f"echo up; sleep {MARK}",)))
    await server.until(lambda: b"\nup\n" in server.outputs[call])
    await first.end(signal.SIGKILL)
    await none_left(MARK)
    server.forget(call)

    again = daemon()
    assert (await server.result(call)).outcome is Outcome.INTERRUPTED
    await gone(settings.home / "workspaces" / "job-7")
    assert (await again.end(signal.SIGTERM))[0] == 0


async def test_a_limit_is_told_to_the_server_and_what_was_used_outlives_the_runner(
    server: ProtocolServer, settings: RunnerSettings
) -> None:
    bounded = replace(settings, limits=Limits(workspace=2 * 1024**2, output=1024**2))
    fill = "for n in $(seq 600); do head -c 100000 /dev/urandom > f$n; sleep 0.01; done; sleep 60"
    async with running(bounded):
        full = await server.result(await server.offer("run_command", command(f"echo filling; {fill}")))
        assert (full.outcome, full.exit_code) == (Outcome.ERROR, None)
        assert "2M for the files of its workspace" in full.text
        assert "filling" in full.text
        assert "raise `workspace`" in full.text
        flood = await server.result(await server.offer("run_command", command("rm f*; yes")))
        assert "1M of output" in flood.text
        assert flood.snapshot, "what it left is kept"
        assert (full.limit, flood.limit) == (bounded.limits.reached("workspace"), bounded.limits.reached("output"))
        assert full.used is not None
        assert flood.used is not None
        assert (full.used.output, (full.used + flood.used).up("output", bounded.limits)) == (len("filling\n"), True)
        assert 0 < full.used.ms <= full.duration_ms
    async with running(bounded):
        after = await server.result(await server.offer("run_command", command("echo no")))
        assert (after.outcome, "1M of output" in after.text, after.output_bytes) == (Outcome.ERROR, True, 0)
        assert (after.limit, after.used) == (flood.limit, Used())
        asked, used = ProjectLimits(session=5), Used(ms=5_000)
        elsewhere = {"subject": "session:2", "limits": asked, "used": used}
        spent = await server.result(await server.offer("run_command", command("echo no"), **elsewhere))
        assert spent.limit == Reached(name="session", bound="5s", of="project"), "on this runner it has run nothing"
        assert (await server.result(await server.offer("list_dir", {"path": "."}))).outcome is not Outcome.INTERRUPTED
