import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core import events as e
from quarterdeck.core.search_texts import PIECE_BYTES, PIECE_CHARACTERS, TEXT_CHARACTERS, output_piece, pieces, texts
from quarterdeck.core.status import Status, Transition
from tests.unit.world import CREATED, NOON, event


def said(payload: e.AnyPayload) -> list[tuple[str, str]]:
    return [(one.part, one.text) for one in texts(event(1, payload))]


def finished(outcome: e.Outcome, output_bytes: int = 0) -> e.ToolCallFinished:
    return e.ToolCallFinished(call_id="c", tool="t", outcome=outcome, text="told", output_bytes=output_bytes)


def requested(**more: object) -> e.ToolCallRequested:
    args = {"command": "make\nall", "deep": {"b": [1, 2.5, None, True]}, "list": ["x", {"y": "z"}], "none": []}
    of = {"call_id": "c", "component": "w", "tool": "run_command", "side": "executor", "asks": False}
    return e.ToolCallRequested.model_validate({**of, "args": args, **more})


def status(to: Status) -> e.StatusChanged:
    return e.StatusChanged(transition=Transition.DROP, from_status=Status.RUNNING, to_status=to, reason="why")


@pytest.mark.parametrize(
    ("payload", "wanted"),
    [
        (CREATED, [("title", "Mend"), ("goal", "mend it")]),
        (CREATED.model_copy(update={"title": "mend…"}), [("goal", "mend it")]),
        (e.SessionRenamed(title="new", by="ada"), [("title", "new")]),
        (e.MessageAdded(text="hi", by="ada"), [("message", "hi")]),
        (e.MessageAdded(text=" \n", by="ada"), []),
        (e.MessageAdded(text="\x1b[1mbold\x1b[0m\nghp_a1B2a1B2a1B2\x1b[1ma1B2a1B2a1B2a1B2a1B2a1B2", by="ada"),
         [("message", "bold\n[redacted]")]),
        (e.ModelAnswered(component="w", text="done", thinking="secretly", model="m"), [("message", "done")]),
        (e.ModelInterrupted(component="w", text="half", by="ada"), [("message", "half")]),
        (e.QuestionAnswered(approval_id="a", text="yes", by="ada", door="web"), [("message", "yes")]),
        (e.ApprovalRequested(approval_id="a", ask="input", question="sure?"), [("message", "sure?")]),
        (e.ApprovalRequested(approval_id="a", ask="tool_call", question="run?"), []),
        (e.ApprovalDenied(approval_id="a", by="ada", door="web", reason="no"), [("message", "no")]),
        (e.ApprovalGranted(approval_id="a", by="ada", door="web"), []),
        (e.ApprovalGranted(approval_id="a", by="ada", door="web", args={"a": "b"}), [("arguments", "a: b")]),
        (requested(), [("arguments", "run_command\ncommand: make\nall\ndeep\nb\n1\n2.5\nlist\nx\ny: z\nnone")]),
        (requested(listing=True), []),
        (finished(e.Outcome.ERROR, 9), [("error", "told")]),
        (finished(e.Outcome.OK), [("result", "told")]),
        (finished(e.Outcome.OK, 9), []),
        (e.ModelRetried(component="w", attempt=1, since=NOON, retry_at=NOON, error="down"), [("error", "down")]),
        (e.SetupFinished(outcome=e.Outcome.ERROR, text="no make"), [("error", "no make")]),
        (e.SetupFinished(outcome=e.Outcome.OK, text="made"), [("result", "made")]),
        (status(Status.FAILED), [("error", "why")]),
        (status(Status.STOPPED), []),
        (e.TurnEnded(turn_no=1), []),
    ],
)  # fmt: skip
def test_the_texts_of_an_event(payload: e.AnyPayload, wanted: list[tuple[str, str]]) -> None:
    assert said(payload) == wanted


def test_a_long_text_is_searched_in_parts_of_whole_lines() -> None:
    lines = [f"line {n}\n" for n in range(20_000)]
    parts = texts(event(1, e.MessageAdded(text="".join(lines), by="ada")))
    assert "".join(one.text for one in parts) == "".join(lines)
    for one in parts:
        assert len(one.text) <= TEXT_CHARACTERS
        assert one.text.startswith(lines[one.line - 1])
    for unbroken in ("x" * 100_000, "word " * 20_000):
        parts = texts(event(1, e.MessageAdded(text=unbroken, by="ada")))
        assert [len(one.text) for one in parts] == [TEXT_CHARACTERS - (TEXT_CHARACTERS % 5 if " " in unbroken else 0),
                                                    len(unbroken) - len(parts[0].text)]  # fmt: skip


def test_events_that_are_stored_together_share_a_piece() -> None:
    half = "x" * (PIECE_CHARACTERS // 2)
    messages = ("a", "b", half, half, half, "y" * (2 * TEXT_CHARACTERS), "c")
    log = [event(n, e.MessageAdded(text=text, by="ada")) for n, text in enumerate(messages, 1)]
    log.insert(1, event(9, e.TurnEnded(turn_no=1)))
    assert [(p.seq, p.last_seq, p.start, p.stop) for p in pieces(log)] == [
        (1, 3, 0, 3), (4, 5, 0, 2), (6, 6, 0, 1), (6, 6, 1, 2), (7, 7, 0, 1),
    ]  # fmt: skip
    for piece in pieces(log):
        named = [one.text for entry in log if piece.seq <= entry.seq <= piece.last_seq for one in texts(entry)]
        assert piece.texts == tuple(named[piece.start : piece.stop])
    assert not list(pieces([]))


def cut(data: bytes, *, ended: bool) -> list[bytes]:
    found: list[bytes] = []
    while size := output_piece(data, ended=ended):
        found.append(data[:size])
        data = data[size:]
    assert not (data and ended)
    return found


def test_output_comes_in_pieces_of_whole_lines() -> None:
    lines = b"".join(b"line %d\n" % n for n in range(2_000))
    parts = cut(lines + b"unfinished", ended=False)
    assert b"".join(parts) == lines
    assert all(part.endswith(b"\n") and len(part) <= PIECE_BYTES for part in parts)
    assert b"".join(cut(lines + b"unfinished", ended=True)) == lines + b"unfinished"
    assert not cut(b"x" * (PIECE_BYTES - 1), ended=False)
    assert list(map(len, cut(b"word " * 2_000, ended=True))) == [4095, 4095, 1810]
    assert list(map(len, cut(b"x" * 5_000, ended=True))) == [4096, 904]
    assert [part.decode() for part in cut("é".encode() * 2_049 + b"\n", ended=True)] == ["é" * 2_048, "é\n"]
    assert [part.decode() for part in cut(b"x" + "é".encode() * 2_048, ended=True)] == ["x" + "é" * 2_047, "é"]
    assert list(map(len, cut(b"\x80" * 5_000, ended=True))) == [4096, 904], "bytes that are no text"
    assert list(map(len, cut(b"x" * PIECE_BYTES, ended=False))) == [PIECE_BYTES - 1]


@given(st.binary(max_size=200).map(lambda data: data * 80), st.booleans())
def test_no_byte_of_output_is_lost(data: bytes, ended: bool) -> None:
    parts = cut(data, ended=ended)
    assert b"".join(parts) == data[: sum(map(len, parts))]
    assert all(0 < len(part) <= PIECE_BYTES for part in parts)
