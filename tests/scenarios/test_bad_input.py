"""Whatever is wrong with what comes in is told in words where the person looks, and costs nothing that was there."""

import asyncio
import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from typing_extensions import override

from tests import ports
from tests.engine import stubs
from tests.instance import Instance
from tests.scenarios.work import call, flow, payloads, script, start

FAULTY = (
    flow()
    .replace("list_dir", "list_dri")
    .replace("to: end", "to: edn")
    .replace("entry_point: work", "entry_point: wrok")
)
WRONG_STARTS: dict[str, tuple[dict[str, Any], int, tuple[str, ...]]] = {
    "flow": ({"flow_yaml": None, "flow": "fix_pipelin/v1"}, 404, ("fix_pipelin/v1", "fix_pipeline/1.0.0")),
    "version": ({"flow_yaml": None, "flow": "fix_pipeline/9.0.0"}, 404, ("fix_pipeline/1.0.0",)),
    "flow faults": (
        {"flow_yaml": FAULTY}, 400, ("10:26 ", "'list_dri'", "list_dir", "13:18 ", "'edn'", "14:8 ", "'wrok'"),
    ),
    "flow broken": ({"flow_yaml": "version: [v1\nname"}, 400, ("2:", "not YAML")),
    "flow large": ({"flow_yaml": "#" * 41_000}, 400, ("40,960",)),
    "provider": ({"model": "nobody:m"}, 400, ("nobody:m", "anthropic", "openai-compatible", "scripted")),
    "model": ({"model": "openai:"}, 400, ("openai:",)),
    "key": ({"model": "anthropic:claude"}, 400, ("ANTHROPIC_API_KEY", "scripted")),
    "no model": ({"model": None}, 400, ("ANTHROPIC_API_KEY", "--model scripted")),
    "script broken": ({"script": "components: ["}, 400, ("1:14", "not YAML")),
    "script faults": (
        {"script": '{"components": {"work": [{"sya": "x", "expect": "("}]}}'},
        400,
        ("1:27", "say", "1:39", "regular expression"),
    ),
    "script large": ({"script": "#" * 300_000}, 400, ("262,144",)),
    "project": ({"project": "nothing"}, 404, ("nothing",)),
    "project number": ({"project": 10**30}, 400, ("out of range",)),
    "project text": ({"project": "a\0b"}, 400, ("NUL",)),
    "pipeline": ({"pipeline_id": 999}, 404, ("#999", "sample")),
    "pipeline number": ({"pipeline_id": 2**70}, 400, ("out of range",)),
    "ref": ({"ref": "no-such"}, 404, ("no-such",)),
    "ref option": ({"ref": "--upload-pack=touch /x"}, 404, ("--upload-pack",)),
    "goal": ({"goal": "x" * 16_385}, 400, ("goal", "16384")),
    "title": ({"title": "x" * 41}, 400, ("title", "40")),
    "types": ({"goal": 7, "inputs": "x", "title": []}, 400, ("goal", "inputs", "title")),
    "field": ({"gaol": "x"}, 400, ("gaol",)),
    "privilege": ({"pre_approved": ["everything"]}, 400, ("run_commands",)),
}  # fmt: skip
WRONG_BODIES: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 400),
    "no JSON": (b"{", 400),
    "a list": (b"[]", 400),
    "not UTF-8": (b'{"project": "sample", "goal": "\xff"}', 400),
    "a lone surrogate": (b'{"project": "sample", "goal": "\\ud800"}', 400),
    "NaN": (b'{"project": "sample", "goal": NaN}', 400),
    "a form": (b"project=sample", 400),
    "deep": (b"[" * 100_000, 400),
    "deep inputs": (b'{"project": "sample", "inputs": {"a": ' + b"[" * 5_000 + b"]" * 5_000 + b"}}", 400),
    "large": (b'{"project": "sample", "goal": "' + b"x" * 2_000_000 + b'"}', 413),
}
WRONG_PATHS = ("", "a b", "../x", "a/../b", "a//b", "/a", "-x", "x.git", "7", "ü", "a\0", "x" * 256)
WRONG_SOURCES = (
    "{home}/none", "{home}", "http://127.0.0.1:1/x.git", "ftp://a/b", "git@a:b", "http://me:secret@127.0.0.1:1/x",
    "relative", "ext::sh -c touch% {home}/touched", "--upload-pack=touch", "http://[", "/a\0b",
)  # fmt: skip


def refusal(answer: Any, status: int) -> str:
    """A problem's words, after its shape was checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert re.fullmatch("[a-z_]+", body["code"])
    assert body["code"] != "internal"
    assert "Traceback" not in body["detail"]
    return str(body["detail"])


def count(instance: Instance) -> int:
    return len(instance.get("/sessions", limit=100)["items"])


def test_a_start_that_cannot_be_starts_nothing(instance: Instance) -> None:
    before = count(instance)
    good = {"project": "sample", "flow_yaml": flow(), "model": "scripted", "script": script({"say": "Done."})}
    with instance.client() as client:
        for name, (fields, status, words) in WRONG_STARTS.items():
            answer = client.post("/sessions", json={**good, **fields})
            assert answer.status_code == status, (name, answer.text)
            told = refusal(answer, status)
            assert all(word in told for word in words), (name, told)
        for name, (body, status) in WRONG_BODIES.items():
            answer = client.post("/sessions", content=body, headers={"Content-Type": "application/json"})
            assert refusal(answer, status), name
    assert count(instance) == before


def test_the_command_line_says_the_same_in_one_sentence(instance: Instance, tmp_path: Path) -> None:
    broken = tmp_path / "flow.yml"
    broken.write_text(FAULTY, encoding="utf-8")
    binary = tmp_path / "script.yml"
    binary.write_bytes(b"\xff\xfe\0")
    cases = (
        (3, "fix_pipeline/1.0.0", "--flow", "fix_pipelin"),
        (2, "list_dir", "--flow", str(broken)),
        (2, "ANTHROPIC_API_KEY", "--model", "anthropic:claude"),
        (2, "can't be read", "--model", "scripted", "--script", str(binary)),
        (2, "can't be read", "--flow", str(tmp_path / "none.yml")),
        (2, "UTF-8", "--model", "scripted", "--goal", os.fsdecode(b"caf\xe9")),
    )
    before = count(instance)
    for code, word, *given in cases:
        told = instance.qd("session", "start", "--project", "sample", *given, code=code).stderr
        assert told.startswith("qd: ")
        assert word in told
        assert "Traceback" not in told
    assert count(instance) == before


def test_projects_that_cannot_be_leave_nothing(instance: Instance) -> None:
    before, repositories = instance.get("/projects"), sorted((instance.home / "repositories").iterdir())
    with instance.client() as client:
        for path in WRONG_PATHS:
            assert "path" in refusal(client.post("/projects", json={"path": path}), 400), path
        for source in WRONG_SOURCES:
            body = {"path": "copied", "source": source.format(home=instance.home)}
            told = refusal(client.post("/projects", json=body), 400)
            assert "clone" in told.lower(), told
        assert "already" in refusal(client.post("/projects", json={"path": "sample"}), 409)
    assert "secret" not in instance.log()
    assert not (instance.home / "touched").exists()
    assert instance.get("/projects") == before
    assert sorted((instance.home / "repositories").iterdir()) == repositories


def test_messages_and_numbers_out_of_bounds(instance: Instance) -> None:
    session_id = start(instance, {"say": "May I?", "call": call("list_dir")}, {"say": "Done."}, asks=True)
    instance.wait_for(session_id, "tool_call_approval_required")
    seen = instance.events(session_id)
    one = f"/sessions/{session_id}"
    with instance.client() as client:
        for text in ("", "  \n", "x" * 16_385, 7, None):
            refusal(client.post(f"{one}/messages", json={"text": text}), 400)
        for number in ("0", "-1", str(2**63), str(2**70)):
            refusal(client.get(f"/sessions/{number}"), 400)
        for number in ("abc", "%00", "1.5", "999999"):
            refusal(client.get(f"/sessions/{number}"), 404)
        cursor = "WyIyMDI2LTExLTIzIiwgMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjNd"  # a time, and a number beyond all
        for query in ("limit=0", "limit=x", "limit=101", "cursor=zzz", f"cursor={cursor}", "status=no", "project=%00"):
            refusal(client.get(f"/sessions?{query}"), 400)
        for place in ("events?after=-1", f"events?after={2**64}", "events?level=loud", "diff?step=0"):
            refusal(client.get(f"{one}/{place}"), 400)
        refusal(client.get(f"{one}/stream", headers={"Last-Event-ID": "abc"}), 400)
        refusal(client.post(f"{one}/approve", json={"args": {"directory": 7}}), 400)
        refusal(client.post(f"{one}/approve", json={"approval_id": "a_none"}), 404)
    assert instance.events(session_id) == seen
    instance.qd("session", "approve", str(session_id))
    instance.wait_for(session_id, "finished")


def test_one_key_starts_one_session(instance: Instance) -> None:
    body = {"project": "sample", "flow_yaml": flow(), "model": "scripted", "script": script({"say": "Done."})}
    first, again = (instance.post("/sessions", body, **{"Idempotency-Key": "the same"}) for _ in range(2))
    assert first["id"] == again["id"]
    given = ("session", "start", "--project", "sample", "--model", "scripted", "--idempotency-key", "the same")
    assert instance.qd_json(*given)["id"] == first["id"]
    with instance.client() as client:
        for key in ("", "x" * 256):
            refusal(client.post("/sessions", json=body, headers={"Idempotency-Key": key}), 400)


def test_hostile_text_is_shown_as_text(instance: Instance) -> None:
    contents = "nul \0, escape \x1b[31mred, bell \x07, broken \ud800 end"
    session_id = start(
        instance,
        {"say": "Write \x1b[31m.", "call": call("create_file_with_contents", file_path="made.txt", contents=contents)},
        {"say": "Bytes.", "call": call("run_command", command=r"printf 'caf\351 \xf0\x28 end' > bytes.txt")},
        {"say": "Read.", "call": [call("read_file", file_path="made.txt"), call("read_file", file_path="bytes.txt")]},
        {"expect": "end", "say": "Done."},
        goal="a goal with \0 and \x1b]0;title\x07",
    )
    view = instance.wait_for(session_id, "finished")
    assert "\0" not in view["goal"]
    texts = [one["text"] for one in payloads(instance.events(session_id), "tool_call.finished")]
    assert "caf\ufffd" in texts[-1] + texts[-2]
    shown = [
        instance.qd("session", *words).stdout
        for words in (("list",), ("show", str(session_id)), ("watch", str(session_id), "--level", "full"))
    ]
    for text in shown:
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)


def test_files_that_cannot_be_read_or_changed(instance: Instance) -> None:
    """Each is an error that the model reads, and the session goes on with the next."""
    made = (
        "truncate -s 1G huge; printf '\\0\\1\\2' > binary; ln -s /etc/passwd link; ln -s / root; "
        "printf 'same\\nsame\\n' > twice.txt; mkfifo pipe"
    )
    refused = (
        (call("read_file", file_path="huge"), "binary file of 1,073,741,824 bytes"),
        (call("read_file", file_path="binary"), "binary"),
        (call("read_file", file_path="none.txt"), "none.txt"),
        (call("read_file", file_path="shelf"), "shelf"),
        (call("read_file", file_path="pipe"), "pipe"),
        (call("read_file", file_path="../../etc/passwd"), "outside"),
        (call("read_file", file_path="/etc/passwd"), "outside"),
        (call("read_file", file_path="link"), "link"),
        (call("read_file", file_path="root/etc/passwd"), "link"),
        (call("create_file_with_contents", file_path="../out.txt", contents="x"), "outside"),
        (call("edit_file", file_path="twice.txt", old_str="same", new_str="other"), "2 times, at lines 1, 2"),
        (call("edit_file", file_path="twice.txt", old_str="absent", new_str="other"), "not in twice.txt"),
        (call("edit_file", file_path="twice.txt", old_str="", new_str="other"), "old_str"),
        (call("grep", pattern="("), "parenthesis"),
        (call("list_dir", directory="../.."), "outside"),
        (call("run_git_command", command="push"), "create_commit"),
    )
    session_id = start(
        instance,
        {"say": "Make.", "call": call("run_command", command=made)},
        {"expect": "Exit code 0", "say": "All.", "call": [one for one, _ in refused]},
        {"say": "Read.", "call": call("read_file", file_path="twice.txt")},
        {"expect": "same\nsame", "say": "Done."},
    )
    instance.wait_for(session_id, "finished")
    _, *finished, last = payloads(instance.events(session_id), "tool_call.finished")
    told = {one["call_id"]: one for one in finished}
    asked = [one for one in payloads(instance.events(session_id), "tool_call.requested") if one["call_id"] in told]
    for request, (one, word) in zip(asked, refused, strict=True):
        assert request["tool"] == one["tool"]
        answer = told[request["call_id"]]
        assert (answer["outcome"], word in answer["text"]) == ("error", True), (one, answer["text"])
        assert "root:x:" not in answer["text"]
    assert last["outcome"] == "ok"


def test_a_model_that_never_ends_is_ended(instance: Instance) -> None:
    endless = flow().replace("    toolset:", "    max_cycles: 5\n    toolset:")
    steps = [{"say": f"Again, {n}.", "call": call("list_dir")} for n in range(12)]
    session_id = start(instance, *steps, flow_yaml=endless)
    view = instance.wait_for(session_id, "failed")
    assert "max_cycles" in view["reason"]
    assert "8 times" in view["reason"]
    assert len(payloads(instance.events(session_id), "model.answered")) == 8


def test_a_script_that_is_surprised_pauses_its_session_each_time(instance: Instance) -> None:
    session_id = start(
        instance,
        {"say": "Look.", "call": call("run_command", command="echo what really came")},
        {"expect": "what was hoped for", "say": "Never said."},
    )
    view = instance.wait_for(session_id, "paused")
    recorded = instance.events(session_id)
    for _ in range(2):
        assert "what was hoped for" in view["reason"]
        assert "what really came" in view["reason"]
        turn = view["turn_no"]
        instance.qd("session", "resume", str(session_id))
        instance.wait(lambda turn=turn: instance.session(session_id)["turn_no"] > turn, 60, "the script is asked again")
        view = instance.wait_for(session_id, "paused")
    assert instance.events(session_id)[: len(recorded)] == recorded
    shown = instance.qd("session", "show", str(session_id)).stdout
    assert "what was hoped for" in shown
    instance.qd("session", "cancel", str(session_id), "--wait")


class Steady(stubs.Stub):
    """Gives its last reply for good: an answer that was thrown away is asked for once more."""

    @override
    def next(self) -> stubs.Reply:
        return self.replies[0] if len(self.replies) == 1 else super().next()


@dataclass
class Provider:
    """An OpenAI-compatible server in a thread, that answers by what is put into `stub.replies`."""

    loop: asyncio.AbstractEventLoop
    stub: stubs.Stub

    @property
    def asked(self) -> int:
        return len(self.stub.requests)


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    loop, stub = asyncio.new_event_loop(), Steady([])
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(stub.serve, "127.0.0.1", 0), loop).result(60)
    stub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield Provider(loop, stub)

    async def close() -> None:
        server.close()
        for wire in stub.requests:
            wire.cut()
        await server.wait_closed()

    asyncio.run_coroutine_threadsafe(close(), loop).result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(60)
    loop.close()


@dataclass
class Keyed(Instance):
    """A server that was given the address of models."""

    given: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **self.given}


@pytest.fixture(scope="module")
def keyed(provider: Provider) -> Iterator[Instance]:
    """A server of its own: `openai-compatible:` is the stub, at `ollama:` nobody listens."""
    nobody = ports.reserved()
    given = {
        "OPENAI_BASE_URL": f"{provider.stub.url}/v1",
        "OPENAI_API_KEY": "sk-of-the-tests-0123456789",
        "OLLAMA_BASE_URL": f"http://127.0.0.1:{ports.number(nobody)}/v1",
    }
    running = Keyed(given=given)
    try:
        yield running.start()
    finally:
        running.remove()
        nobody.close()


def asking(instance: Instance, model: str) -> int:
    body = {"project": "sample", "flow_yaml": flow(), "goal": "Say something.", "model": model}
    return int(instance.post("/sessions", body)["id"])


def test_a_model_that_refuses_pauses_the_session_and_goes_on_when_cured(keyed: Instance, provider: Provider) -> None:
    said = "Incorrect API key provided: sk-of-the-tests-0123456789."
    provider.stub.replies[:] = [stubs.refusal(401, stubs.openai_error(said, "invalid_api_key"))]
    session_id = asking(keyed, "openai-compatible:m-1")
    view = keyed.wait_for(session_id, "paused")
    assert "OPENAI_API_KEY" in view["reason"]
    assert "Incorrect API key" in view["reason"]
    assert "sk-of-the-tests" not in str(keyed.events(session_id)) + keyed.log()
    provider.stub.replies[:] = [stubs.stream(*stubs.openai(stubs.delta(content="Here I am.")))]
    keyed.qd("session", "resume", str(session_id))
    keyed.wait_for(session_id, "finished")
    assert payloads(keyed.events(session_id), "model.answered")[0]["text"] == "Here I am."


def test_a_model_that_fails_for_a_while_is_asked_again(keyed: Instance, provider: Provider) -> None:
    before = provider.asked
    broken = stubs.refusal(500, stubs.openai_error("The engine is on fire."))
    provider.stub.replies[:] = [broken, broken, stubs.stream(*stubs.openai(stubs.delta(content="Better now.")))]
    session_id = asking(keyed, "openai-compatible:m-1")
    keyed.wait_for(session_id, "finished")
    retried = payloads(keyed.events(session_id), "model.retried")
    assert [one["attempt"] for one in retried] == [1, 2]
    assert "on fire" in retried[0]["error"]
    assert provider.asked - before == 3


def test_a_model_that_cannot_be_reached_is_waited_for(keyed: Instance) -> None:
    session_id = asking(keyed, "ollama:m-1")

    def waits() -> bool:
        waiting: Any = keyed.session(session_id)["waiting_for"]
        return waiting is not None and waiting["on"] == "model" and waiting["until"] is not None

    keyed.wait(waits, 60, "the session waits for its model")
    view = keyed.session(session_id)
    assert view["status"] == "running"
    assert "127.0.0.1" in payloads(keyed.events(session_id), "model.retried")[0]["error"]
    keyed.qd("session", "cancel", str(session_id), "--wait")


def test_a_server_that_cannot_start_says_why_in_one_sentence(instance: Instance, tmp_path: Path) -> None:
    nobody, taken = ports.reserved(), instance.url.rpartition(":")[2]
    cases: dict[str, tuple[dict[str, str], tuple[str, ...], str]] = {
        "unreachable": (
            {"DATABASE_URL": f"postgresql://a:secret@127.0.0.1:{ports.number(nobody)}/b"},
            (),
            "PostgreSQL can't be",
        ),
        "no URL": ({"DATABASE_URL": "a secret"}, (), "DATABASE_URL"),
        "another database": ({"DATABASE_URL": "mysql://a:secret@127.0.0.1/b"}, (), "DATABASE_URL"),
        "port taken": ({"QUARTERDECK_PORT": taken}, (), "--port"),
        "no port": ({"QUARTERDECK_PORT": "many"}, (), "QUARTERDECK_PORT"),
        "no address": ({}, ("--host", "192.0.2.1"), "192.0.2.1"),
        "home taken": ({"QUARTERDECK_HOME": str(instance.home)}, (), instance.url),
        "home a file": ({"QUARTERDECK_HOME": str(tmp_path / "file")}, (), "file"),
    }
    (tmp_path / "file").write_text("", encoding="utf-8")
    for name, (variables, options, word) in cases.items():
        home = tmp_path / name.replace(" ", "-")
        done = serve({"QUARTERDECK_HOME": str(home), **variables}, *options)
        assert done.returncode not in (0, None), name
        assert word in done.stderr, (name, done.stderr)
        assert len(done.stderr.strip().splitlines()) == 1, (name, done.stderr)
        assert "secret" not in done.stderr
        assert not list(home.glob("postgres*")), name
        assert not (home / "server.json").exists(), name
    assert instance.get("/health")["workers"] > 0
    nobody.close()


def serve(variables: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """`qd serve`, which is expected to end by itself."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("QUARTERDECK_", "DATABASE_"))}
    return subprocess.run(
        [sys.executable, "-m", "quarterdeck", "serve", *options],
        env={**kept, "QUARTERDECK_PORT": "0", **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_old_postgresql_is_refused_before_anything_is_written(postgres: str, tmp_path: Path) -> None:
    """A real server whose answers are changed on the way, so that it says to be of 13."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("create database old")
        version = connection.info.server_version
    parts = conninfo_to_dict(postgres)
    inside = f"{parts['host']}/.s.PGSQL.{parts.get('port', 5432)}"
    names = (
        (str(version).encode(), str(130_000 + version % 10_000).encode()),
        (f"{version // 10_000}.".encode(), b"13."),
    )
    with forger(inside, names) as port:
        url = f"postgresql://{parts['user']}@127.0.0.1:{port}/old?sslmode=disable"
        done = serve({"QUARTERDECK_HOME": str(tmp_path / "home"), "DATABASE_URL": url})
    assert done.returncode not in (0, None)
    assert "version 13" in done.stderr
    assert "needs 16" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    with psycopg.connect(postgres.replace("/quarterdeck?", "/old?")) as connection:
        assert connection.execute("select count(*) from pg_tables where schemaname = 'public'").fetchone() == (0,)


@contextlib.contextmanager
def forger(path: str, names: tuple[tuple[bytes, bytes], ...]) -> Generator[int]:
    """A port behind which is the server at a Unix socket; in what it answers each name is replaced by the other."""

    def answer() -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as open_:
            while True:
                client = open_.enter_context(listening.accept()[0])
                server = open_.enter_context(socket.socket(socket.AF_UNIX))
                server.connect(path)
                for source, target, replaced in ((client, server, ()), (server, client, names)):
                    threading.Thread(target=pump, args=(source, target, replaced), daemon=True).start()

    def pump(source: socket.socket, target: socket.socket, replaced: tuple[tuple[bytes, bytes], ...]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                for true, false in replaced:
                    data = data.replace(true, false)
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(60)
