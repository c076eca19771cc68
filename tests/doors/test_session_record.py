"""`qd session record` and `append`: a file that grows is told again and again, and each line is taken once."""

import json
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.doors.cli.failure import Failure
from quarterdeck.doors.cli.session_record import BATCH_BYTES, BATCH_LINES, batches, pieces
from tests.doors.conftest import Qd, Running


def lines(*events: dict[str, Any]) -> list[bytes]:
    return [json.dumps(event).encode() + b"\n" for event in events]


def test_a_file_is_sent_in_pieces_that_the_server_takes() -> None:
    short, long = {"kind": "message.added", "text": "x"}, {"kind": "message.added", "text": "x" * (BATCH_BYTES // 3)}
    given = lines(*[short] * (BATCH_LINES + 1), *[long] * 4, {**short, "seq": 7})
    sent = list(batches([[b"\n", *given, b"\n"]]))
    assert [len(batch.events) for batch in sent] == [BATCH_LINES, 3, 3]
    assert [batch.line for batch in sent] == [2, BATCH_LINES + 2, BATCH_LINES + 5]
    numbers = [event["seq"] for batch in sent for event in batch.events]
    assert numbers == [*range(1, BATCH_LINES + 6), 7]
    assert list(batches([])) == []
    for line in (b"[1]\n", b"{\n", b"\xff\n", b"[" * 100_000, b'{"seconds": NaN}\n', b'{"seconds": 1e999}\n'):
        with pytest.raises(Failure, match="Line 3 "):
            list(batches([[b"{}", b""], [line]]))
    (half,) = batches([[rb'{"text": "\ud83d"}']])
    assert half.events == [{"seq": 1, "text": "\N{REPLACEMENT CHARACTER}"}]


def test_a_line_is_sent_when_it_is_whole() -> None:
    came = iter([b'{"a', b'":1}\n{', b"}\n\n", b"{}", b""])
    assert list(pieces(lambda _: next(came))) == [[b'{"a":1}'], [b"{}", b""], [b"{}"]]


def test_record_append_and_append_again(running: Running, qd: Qd, tmp_path: Path) -> None:
    made = qd("--json", "session", "record", "Clean up", "--agent", "bot", "--project", "sample")
    assert made.returncode == 0, made.stderr
    number, file = str(json.loads(made.stdout)["id"]), tmp_path / "events.ndjson"
    start, said = {"kind": "status.changed", "transition": "start"}, {"kind": "message.added", "text": "Hello"}
    file.write_bytes(b"".join(lines(start, said)))
    assert "2 new events" in qd("session", "append", number, str(file)).stdout
    file.write_bytes(b"".join(lines(start, said, {"kind": "status.changed", "transition": "finish"})))
    again = qd("session", "append", number, "-", given=file.read_text(encoding="utf-8"))
    assert (again.returncode, "1 new event;" in again.stdout, "finished" in again.stdout) == (0, True, True), again
    wrong = qd("session", "append", number, "-", given=b"".join(lines(start, said, start, said)).decode())
    assert (wrong.returncode != 0, "no more work" in wrong.stderr, "is line 1" in wrong.stderr) == (True, True, True)
    assert qd("session", "append", number, str(tmp_path / "none")).returncode == 2
