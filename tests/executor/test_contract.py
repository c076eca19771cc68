"""What every executor promises the server: written against the protocol alone, for the runner here.

`tests/ide/test_contract.py` runs the same tests for the editor's.
"""

import asyncio
import hashlib
import signal
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from quarterdeck.core.events import Outcome
from quarterdeck.core.protocol import Cancel, Wipe
from quarterdeck.executor.runner import RunnerSettings, run
from tests.executor.protocol_server import TOKEN, ProtocolServer, git, gone, served
from tests.executor.test_processes import new_mark
from tests.executor.test_runner import Daemon, none_left, processes_with

MARK = new_mark()
FILES = {"app.py": "print('hello')\n", "notes.txt": "one\ntwo\n"}


class Executor(Protocol):
    """One that can be started and ended, with what it keeps of session 1."""

    files: Path
    """Where the session's files are."""
    place: Path
    """What is gone once the session is wiped."""
    journal: Path

    async def start(self, *, drop_seconds: float = 45, killable: bool = False) -> None:
        """Have it at work; with a process of its own if it is to be killed, or ended as a person does."""

    async def end(self, how: int = signal.SIGTERM) -> None:
        """End it, if it is at work."""


class Runner:
    """The runner, in this process or in its own."""

    def __init__(self, settings: RunnerSettings) -> None:
        self._settings = settings
        self._at_work: asyncio.Task[None] | Daemon | None = None
        self.place = settings.home / "workspaces" / "session-1"
        self.files = self.place / "files"
        self.journal = settings.home / "journal.jsonl"

    async def start(self, *, drop_seconds: float = 45, killable: bool = False) -> None:
        settings = replace(self._settings, drop_seconds=drop_seconds)
        self._at_work = Daemon(settings) if killable else asyncio.create_task(run(settings))

    async def end(self, how: int = signal.SIGTERM) -> None:
        at_work, self._at_work = self._at_work, None
        if isinstance(at_work, Daemon):
            await at_work.end(how)
        elif at_work:
            at_work.cancel()
            with suppress(asyncio.CancelledError):
                await at_work


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[ProtocolServer]:
    async with served(tmp_path / "server", FILES) as server:
        yield server


@pytest.fixture
async def executor(server: ProtocolServer, tmp_path: Path) -> AsyncGenerator[Executor]:
    home = tmp_path / "home"
    made = Runner(RunnerSettings(server.url, TOKEN, "first", home, allow_unsandboxed=True, heartbeat_seconds=0.2))
    yield made
    await made.end(signal.SIGKILL)


def command(line: str) -> dict[str, str]:
    return {"command": line}


async def test_a_call_goes_from_offer_to_result_with_output_snapshot_and_commit(
    server: ProtocolServer, executor: Executor
) -> None:
    await executor.start()
    call = await server.offer("run_command", command("cat app.py; echo three >> notes.txt; mv app.py main.py"))
    result = await server.result(call)
    assert (result.outcome, result.exit_code, result.begun) == (Outcome.OK, 0, True)
    output = bytes(server.outputs[call])
    assert output == b"print('hello')\n"
    assert (result.output_bytes, result.output_sha256) == (len(output), hashlib.sha256(output).hexdigest())
    assert result.used is not None
    assert (result.used.output, 0 < result.used.ms <= result.duration_ms) == (len(output), True)
    prepared = server.prepared["session:1"]
    assert prepared.base_commit == server.commit
    assert prepared.isolation == server.hellos[0].isolation
    assert result.snapshot
    assert {(file.path, file.change, file.added) for file in result.snapshot.files} == {
        ("main.py", "renamed", 0),
        ("notes.txt", "modified", 1),
    }
    assert b"+three" in server.blobs[result.snapshot.whole_diff_blob]

    server.faults["repo.git"] = 2  # away for a moment, which fails no commit
    committed = await server.result(await server.offer("create_commit", {"message": "Three\n\nIt was missing."}))
    assert committed.outcome is Outcome.OK, committed.text
    branch, commit = server.pushes[0]
    assert branch in committed.text
    assert commit[:7] in committed.text
    repo = server.folder / "repo.git"
    assert git(repo, "show", f"{branch}:notes.txt") == "one\ntwo\nthree"
    assert git(repo, "log", "-1", "--format=%an %ce %P", branch) == f"Ada q@example.org {server.commit}"
    nothing = await server.result(await server.offer("create_commit", {"message": "Again"}))
    assert (nothing.outcome, "nothing to commit" in nothing.text) == (Outcome.ERROR, True)
    kept = [path.read_bytes() for path in (*executor.place.rglob("*"), executor.journal) if path.is_file()]
    assert not any(b"session-token-2" in one for one in kept)


async def test_lost_answers_and_repeated_offers_come_to_the_same(server: ProtocolServer, executor: Executor) -> None:
    for part in ("/started", "/output", "/result", "/blobs", "/prepared"):
        server.faults[part] = 2
    await executor.start()
    await server.until(lambda: bool(server.heartbeats))
    line = "for i in $(seq 200); do echo line $i; done; sleep 0.3; echo end; echo x >> notes.txt"
    offer = server.make_offer("run_command", command(line))
    for _ in range(3):
        server.send(offer)
    await server.until(lambda: len(server.results[offer.call_id]) == 3)
    async with asyncio.timeout(60):
        while len(server.results[offer.call_id]) < 4:  # while a call is being closed, an offer of it says nothing new
            server.send(offer)
            await asyncio.sleep(0.1)
    first, *others = server.results[offer.call_id]
    assert all(other == first for other in others)
    expected = "".join(f"line {number}\n" for number in range(1, 201)) + "end\n"
    assert server.outputs[offer.call_id].decode() == expected
    assert (executor.files / "notes.txt").read_text(encoding="utf-8") == "one\ntwo\nx\n"


async def test_a_server_that_restarts_gets_everything_from_where_it_was(
    server: ProtocolServer, executor: Executor
) -> None:
    await executor.start()
    line = "echo 1; echo 2; until [ -e go ]; do sleep 0.05; done; rm go; echo 3"
    call = await server.offer("run_command", command(line))
    await server.until(lambda: len(server.outputs[call]) >= 4)
    await server.stop()
    del server.outputs[call][2:]  # what it had not yet synced
    (executor.files / "go").touch()
    await server.start()
    result = await server.result(call)
    assert (result.outcome, result.output_bytes, result.truncated) == (Outcome.OK, 6, False)
    assert bytes(server.outputs[call]) == b"1\n2\n3\n"
    await server.until(lambda: len(server.hellos) >= 2)
    assert server.hellos[-1].subjects == ("session:1",)


async def test_cancel_kills_the_tree_and_proves_it(server: ProtocolServer, executor: Executor) -> None:
    await executor.start()
    line = f"trap '' TERM; (setsid sleep {MARK} &) ; sleep {MARK} & echo up; wait; sleep {MARK}"
    call = await server.offer("run_command", command(line))
    await server.until(lambda: bytes(server.outputs[call]) == b"up\n")
    cancel = Cancel(subject="session:1", lease_epoch=1)
    server.send(cancel)
    await server.until(lambda: bool(server.teardowns["session:1"]))
    server.send(cancel)
    await server.until(lambda: len(server.teardowns["session:1"]) == 2)
    first, second = server.teardowns["session:1"]
    assert first == second
    assert first.left == 0
    assert first.killed >= 3
    assert not processes_with(MARK)
    after = await server.offer("run_command", command("echo again"))
    assert (await server.result(after)).outcome is Outcome.OK
    assert not server.results[call]
    server.send(Wipe(subject="session:1"))
    await gone(executor.place)


async def test_cancel_of_one_call_kills_what_it_started_and_nothing_else(
    server: ProtocolServer, executor: Executor
) -> None:
    await executor.start()
    line = f"echo x > half.txt; trap '' TERM; (setsid sleep {MARK} &) ; echo up; sleep {MARK}"
    call = await server.offer("run_command", command(line))
    await server.until(lambda: bytes(server.outputs[call]) == b"up\n")
    other = await server.offer("run_command", command("echo up; until [ -e go ]; do sleep 0.05; done; echo whole"))
    await server.until(lambda: bytes(server.outputs[other]) == b"up\n")
    cancel = Cancel(subject="session:1", lease_epoch=1, call_id=call)
    server.send(cancel)
    server.send(cancel)
    result = await server.result(call)
    assert result.outcome is Outcome.CANCELLED
    assert result.snapshot, "what it changed before it was killed is told"
    assert [file.path for file in result.snapshot.files] == ["half.txt"]
    assert not processes_with(MARK)
    (executor.files / "go").touch()
    assert "whole" in (await server.result(other)).text
    after = await server.offer("run_command", command("cat half.txt"))
    assert (await server.result(after)).text.startswith("Exit code 0")
    assert not server.teardowns["session:1"]


@pytest.mark.parametrize("way", ["heartbeat", "fenced", "gone"])
async def test_a_lost_subject_is_killed_and_forgotten(server: ProtocolServer, executor: Executor, way: str) -> None:
    await executor.start()
    call = await server.offer("run_command", command(f"echo up; sleep {MARK}"))
    await server.until(lambda: bytes(server.outputs[call]) == b"up\n")
    if way == "heartbeat":
        server.wipe = ("session:1",)
        server.lost.add("session:1")
    else:
        refusal: tuple[int, dict[str, Any]] = (409, {"code": "fenced"}) if way == "fenced" else (410, {})
        server.refused[f"calls/{call}/result"] = refusal
        other = await server.offer("run_command", command("sleep 0.2"))
        server.refused[f"calls/{other}/result"] = refusal
    await none_left(MARK)
    await server.until(lambda: not server.heartbeats[-1].held)
    assert not server.results[call]
    await server.until(lambda: len(server.hellos) == 2)  # on a stream that goes on it asks what is to go
    if server.wipe:
        await gone(executor.place)
    else:
        assert (executor.files / "app.py").exists()


async def test_without_a_server_it_ends_its_own_leases(server: ProtocolServer, executor: Executor) -> None:
    await executor.start(drop_seconds=1.5)
    await server.result(await server.offer("run_command", command("true")))
    # The snapshot waits for the server, so the call's end isn't in the journal yet when the server is back.
    server.faults["/blobs"] = 1_000_000
    call = await server.offer("run_command", command(f"echo x > new.txt; echo up; sleep {MARK}"))
    await server.until(lambda: bytes(server.outputs[call]) == b"up\n")
    await server.stop()
    await none_left(MARK)
    await server.start()
    other = await server.offer("read_file", {"file_path": "new.txt"})
    quick = await server.result(other)
    assert not server.results[call]
    server.faults["/blobs"] = 0
    result = await server.result(call)
    assert result.outcome is Outcome.INTERRUPTED
    assert "could not reach the server" in result.text
    assert result.snapshot
    assert (quick.outcome, quick.begun, result.begun) == (Outcome.OK, True, True)
    assert server.started[call], "a call that takes its time is told of when it begins"


async def test_kill_minus_nine_leaves_nothing_running_and_the_call_is_interrupted_not_repeated(
    server: ProtocolServer, executor: Executor
) -> None:
    await executor.start(killable=True)
    line = f"echo ran >> notes.txt; (setsid sleep {MARK} &); echo up; sleep {MARK}"
    call = await server.offer("run_command", command(line))
    await server.until(lambda: bytes(server.outputs[call]) == b"up\n")
    await executor.end(signal.SIGKILL)
    await executor.start(killable=True)
    result = await server.result(call)
    assert result.outcome is Outcome.INTERRUPTED
    await none_left(MARK)
    assert result.snapshot
    assert [file.path for file in result.snapshot.files] == ["notes.txt"]
    assert server.hellos[-1].subjects == ("session:1",)
    offered = await server.offer("run_command", command("cat notes.txt"))
    assert (await server.result(offered)).text.count("ran") == 1
    server.send(server.make_offer("run_command", command(line)).model_copy(update={"call_id": call}))
    await server.until(lambda: len(server.results[call]) >= 2)
    assert server.results[call][-1] == result


async def test_an_end_by_its_person_reports_what_it_interrupts(server: ProtocolServer, executor: Executor) -> None:
    await executor.start(killable=True)
    call = await server.offer("run_command", command(f"echo up; sleep {MARK}"))
    await server.until(lambda: bytes(server.outputs[call]) == b"up\n")
    await executor.end()
    assert not processes_with(MARK)
    assert [result.outcome for result in server.results[call]] == [Outcome.INTERRUPTED]


async def test_calls_of_one_subject_run_beside_each_other(server: ProtocolServer, executor: Executor) -> None:
    await executor.start()
    waits = await server.offer("run_command", command("until [ -e go ]; do sleep 0.05; done; echo x > a.txt"))
    await server.result(await server.offer("run_command", command("touch go; echo y > b.txt")))
    await server.result(waits)
    changed = [result.snapshot for results in server.results.values() for result in results if result.snapshot]
    assert {file.path for one in changed for file in one.files} == {"a.txt", "b.txt", "go"}


async def test_a_silent_stream_is_left_and_what_the_server_forgot_is_wiped(
    server: ProtocolServer, executor: Executor
) -> None:
    await executor.start(drop_seconds=0.5)
    await server.result(await server.offer("run_command", command("true")))
    server.wipe = ("session:1",)
    await server.until(lambda: len(server.hellos) >= 3)
    await gone(executor.place)
    server.wipe = ()
    await server.until(lambda: server.hellos[-1].subjects == ())


async def test_a_result_that_the_server_refuses_is_told_as_an_error_until_it_is_taken(
    server: ProtocolServer, executor: Executor
) -> None:
    server.result_bytes = 2_000
    await executor.start()
    line = command("seq 5000; echo x > new.txt")
    first = await server.offer("run_command", line)
    result = await server.result(first)
    assert (result.outcome, result.snapshot) == (Outcome.ERROR, None)
    assert "larger than the server accepts" in result.text
    server.result_bytes = 10
    call = await server.offer("run_command", line)
    await server.until(lambda: len(server.refusals) >= 3)
    await executor.end()
    assert not server.results[call]
    server.result_bytes = 2_000
    await executor.start()
    later = await server.result(call)
    assert later.outcome is Outcome.ERROR
    assert later.output_bytes == len(server.outputs[call]) > 20_000
    assert server.results[first] == [result]


async def test_an_offer_that_can_not_be_read_is_answered(server: ProtocolServer, executor: Executor) -> None:
    await executor.start()
    begun = await server.offer("run_command", command("until [ -e go ]; do sleep 0.05; done; echo done"))
    await server.until(lambda: bool(server.started[begun]))
    newer = '"tool": {"of": "a later version"}'
    for call_id, rest in {"c_newer": newer, begun: "", "../c": ""}.items():
        known = f'"call_id": "{call_id}", "subject": "session:1", "turn_no": 4, "lease_epoch": 1'
        server.say(f"event: offer\ndata: {{{known}{rest and ', '}{rest}}}\n\n")
    server.say("event: wipe\ndata: nothing\n\n")
    server.send(Wipe(subject="no such thing"))
    refused = await server.result("c_newer")
    assert (refused.outcome, refused.turn_no, refused.lease_epoch) == (Outcome.ERROR, 4, 1)
    assert "can't read the call" in refused.text
    (executor.files / "go").touch()
    assert (await server.result(begun)).outcome is Outcome.OK
    assert set(filter(server.results.get, server.results)) == {begun, "c_newer"}
    assert len(server.hellos) == 1


async def test_a_tool_that_is_not_there_is_a_result(server: ProtocolServer, executor: Executor) -> None:
    await executor.start()
    unknown = await server.result(await server.offer("run_comand", command("true")))
    assert unknown.outcome is Outcome.ERROR
    assert "run_command" in unknown.text
