"""The file of a session: written and read the same, and nothing else is read."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core import archive
from quarterdeck.core.attachment import Attachment
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.events import Event, MessageAdded
from quarterdeck.core.fold import fold
from quarterdeck.core.imported import SessionImported
from tests.archives import LOGS, corpus, file_of, lines
from tests.unit.world import CREATED, NOON, event

MARK = SessionImported(number=7, initiator="grace", exported_at=NOON, by="ada")


def read(data: bytes) -> list[archive.Line]:
    reader = archive.Reader()
    found = [reader.line(line) for line in data.splitlines(keepends=True)]
    reader.close()
    return found


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_log_is_the_same_behind_a_file_but_for_the_names_of_its_calls(path: Path) -> None:
    events = corpus(path.stem)
    numbers = {0: 0}

    def number(blob: int) -> int:
        return numbers.setdefault(blob, len(numbers))

    there = [archive.event_line(event, number, int) for event in events]
    back = {name: blob for blob, name in numbers.items()}
    here = [archive.brought(line, 9, lambda name: back[name], {}) for line in there]
    again = [archive.event_line(event, number, int) for event in here]
    assert again == there
    assert {event.session for event in here} == {9}
    fold(here)
    # Native names, and those that an import gave: the file has the first.
    assert json.dumps([line.model_dump(mode="json") for line in there]).count('"9.c_') == 0
    renamed = "".join(event.model_dump_json() for event in here).replace('"9.', '"')
    for one, other in zip(renamed.split('"seq"')[1:], _plain(events).split('"seq"')[1:], strict=True):
        assert one.rpartition('"session"')[0] == other.rpartition('"session"')[0]


def _plain(events: list[Event]) -> str:
    return "".join(event.model_dump_json() for event in events)


def test_a_file_is_read_as_it_was_written() -> None:
    data = file_of(corpus("0.1-fix_pipeline"))
    found = read(data)
    assert isinstance(found[0], archive.Header)
    assert isinstance(found[-1], archive.Footer)
    writer = archive.Writer()
    body = [writer.line(line) for line in found if not isinstance(line, archive.Footer)]
    assert b"".join([*body, writer.footer()]) == data
    assert {line["line"] for line in lines(data)} == {"header", "document", "event", "output", "blob", "footer"}


FILE = file_of(corpus("0.2-plan"))


@given(st.integers(0, len(FILE) - 2), st.integers(0, 255))
def test_no_changed_byte_goes_unnoticed(place: int, byte: int) -> None:
    changed = FILE[:place] + bytes([byte]) + FILE[place + 1 :]
    if changed != FILE:
        with pytest.raises(InvalidInputError):
            read(changed)


@given(st.integers(0, len(FILE) - 1))
def test_no_cut_goes_unnoticed(size: int) -> None:
    with pytest.raises(InvalidInputError):
        read(FILE[:size])


@given(st.binary(max_size=200))
def test_whatever_is_no_file_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        read(data + b"\n")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"x" * (archive.LINE_BYTES + 1), "more than 8,388,608 bytes"),
        (b'{"line":"footer"', "cut off here"),
        (b"[1]\n", "no JSON object"),
        (b'{"a":[' + b"[]," * archive.LINE_VALUES + b"0]}\n", "more than 100,000 values"),
        (b'{"a":["' + b"," * archive.LINE_VALUES + b'"' + b",1" * archive.LINE_VALUES + b"]}\n", "100,000 values"),
        (b'{"a":"' + b"," * 300_000 + b'"' + b'""' * 600_000 + b"}\n", "100,000 values"),
        (b'{"a":"' + b"," * 300_000 + b'"}\n', "Unable to extract tag"),  # in a text they are none
        (b'{"a":"' + b',\\"' * 500_000 + b"\n", "no JSON"),  # nothing closes it: read once, not from each quote
        (b'{"a":' + b"," * 300_000 + b'"' + b'\\"' * 500_000 + b"\n", "100,000 values"),
        (b'{"a":"' + b',\\"' * 500_000 + b"\\\n", "no JSON"),
        (b'{"a":' + b"[" * 95 + b"]" * 95 + b"}\n", "nests deeper than 90"),
        (b'{"a":1e999}\n', "no JSON"),
        (b'{"format":"quarterdeck-session","version":3}\n', "version 3"),
        (b'{"line":"footer","events":0,"outputs":0,"blobs":0,"sha256":""}\n', "can't stand here"),
    ],
)
def test_a_first_line_that_is_refused(line: bytes, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        archive.Reader().line(line)


def test_nothing_comes_behind_the_footer() -> None:
    with pytest.raises(InvalidInputError, match="behind the footer"):
        read(FILE + FILE)
    for changed in (FILE.replace(b'"seq":3,', b'"seq": 3,'), b"hello\n"):
        with pytest.raises(InvalidInputError):
            read(changed)
    with pytest.raises(InvalidInputError, match="Line 1"):
        read(b'{"line":"header"}\n')
    with pytest.raises(InvalidInputError, match="without a footer"):
        read(b"".join(FILE.splitlines(keepends=True)[:-1]))


def test_an_imported_session_says_so() -> None:
    state = fold([event(1, CREATED), event(2, MARK)])
    assert state.imported == MARK
    assert state.last_activity > state.created_at


def test_numbers_of_a_file_are_kept() -> None:
    reader = archive.Reader()
    reader.line(FILE.splitlines(keepends=True)[0])
    event = {"line": "event", "seq": 1, "at": "2026-01-01T00:00:00Z", "level": "full", "v": 1}
    line = reader.line(json.dumps({**event, "payload": {"x": [0.25, 10**30, 1e300]}}).encode() + b"\n")
    assert isinstance(line, archive.EventLine)
    assert line.payload == {"x": [0.25, 10**30, 1e300]}


def test_what_is_wrong_with_an_event_is_told_without_its_value() -> None:
    event = archive.event_line(corpus("0.2-plan")[0], int, int)
    secret = event.model_copy(update={"payload": {**event.payload, "scripted": "a secret"}})
    with pytest.raises(InvalidInputError) as refused:
        archive.brought(secret, 1, int, {})
    assert "scripted" in str(refused.value)
    assert "a secret" not in str(refused.value)
    for version in (0, 2):
        with pytest.raises(InvalidInputError, match=f"version {version}"):
            archive.brought(event.model_copy(update={"v": version}), 1, int, {})


def test_odd_names_of_calls_are_left_to_the_models() -> None:
    event = archive.event_line(corpus("0.2-plan")[1], int, int)
    payloads: tuple[dict[str, Any], ...] = (
        {"kind": "tool_call.offered", "call_ids": [1]},
        {"kind": "tool_call.offered", "call_ids": "x"},
        {"kind": "delegation.ended", "call_id": 1, "component": "a"},
        {"kind": "model.answered", "component": "a", "text": "", "model": "m", "calls": [1, {}]},
        {"kind": "snapshot.taken", "bundle_blob": "x"},
    )
    for payload in payloads:
        with pytest.raises(InvalidInputError):
            archive.brought(event.model_copy(update={"payload": payload}), 1, int, {})


def test_attachments_have_the_numbers_of_the_file_and_are_what_was_found() -> None:
    told = Attachment(id=70, name="a.png", media_type="image/png", size=9, characters=9)
    gone = told.model_copy(update={"id": 71})
    there = archive.event_line(
        event(2, MessageAdded(text="look", by="ada", attachments=(told, gone))), int, lambda one: one // 70 - one % 70
    )
    written: Any = there.payload["attachments"]
    assert [one["id"] for one in written] == [1, 0]
    found = Attachment(id=5, name="b.txt", media_type="text/plain", size=3, characters=3)
    given = [told.model_copy(update={"id": number}).model_dump() for number in (1, 4)]
    line = there.model_copy(update={"payload": {**there.payload, "attachments": given}})
    here = archive.brought(line, 9, int, {1: found}).payload
    assert isinstance(here, MessageAdded)
    assert here.attachments == (found, told.model_copy(update={"id": 0})), "a number of another server is nobody's here"
    wrong: tuple[Any, ...] = ("x", [1], [{"id": "x"}], [{}], [{**given[0], "characters": -1, "id": 9}])
    for odd in wrong:
        with pytest.raises(InvalidInputError):
            archive.brought(
                line.model_copy(update={"payload": {**line.payload, "attachments": odd}}), 9, int, {1: found}
            )


def test_bytes_that_are_none() -> None:
    for line in (
        archive.OutputLine(call_id="c", offset=0, data="%%"),
        archive.BlobLine(blob=1, offset=0, data="é"),
        archive.AttachmentLine(attachment=1, name="x", offset=0, data="="),
    ):
        with pytest.raises(InvalidInputError, match="base64"):
            assert line.bytes
    assert archive.OutputLine(call_id="c", offset=0, data=archive.encoded(b"\x00\xff")).bytes == b"\x00\xff"
