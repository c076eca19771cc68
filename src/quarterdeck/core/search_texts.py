"""Which texts of a session are searched: those of its events, and what its calls printed, each in pieces.

An event's text is searched as a whole, output line by line. Both are a pure function of what is stored, so that the
index needs to keep no text: it names a piece, and the piece is read again.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from pydantic import JsonValue

from quarterdeck.core import events as e
from quarterdeck.core.redaction import Redactor
from quarterdeck.core.search import readable
from quarterdeck.core.status import Status

Part = Literal["title", "goal", "message", "arguments", "result", "error", "output"]

TEXT_CHARACTERS = 65_536
"""A longer text of an event is searched in parts, each by itself."""
PIECE_CHARACTERS = 16_384
"""About how much text of events that were stored together is one piece."""
PIECE_BYTES = 4_096
"""How much output is one piece; a longer line is searched in parts."""


_SHAPES = Redactor()


def spoken(text: str, redactor: Redactor = _SHAPES) -> str:
    """`text` as it is searched and shown, line for line: without what only terminals understand, and without secrets.

    It was redacted when it came; but what stood between two halves of a secret is taken out here.
    """
    said = readable(text)
    return said if len(said) == len(text) else "\n".join(map(redactor.text, said.split("\n")))


class Text(NamedTuple):
    """A text of an event; `line` is the number of its first line."""

    part: Part
    text: str
    call_id: str | None = None
    line: int = 1


class Piece(NamedTuple):
    """What one row of the index stands for: the texts `start` to `stop` of all those of events `seq` to `last_seq`."""

    seq: int
    last_seq: int
    start: int
    stop: int
    texts: tuple[str, ...]


def texts(event: e.Event) -> list[Text]:  # noqa: C901 one arm per kind reads best in one place
    """The texts of an event that are searched."""
    match event.payload:
        case e.SessionCreated() as p:
            named = [] if p.title.removesuffix("…") in " ".join(p.goal.split()) else _parts("title", p.title)
            return named + _parts("goal", p.goal)
        case e.SessionRenamed() as p:
            return _parts("title", p.title)
        case e.MessageAdded() | e.ModelAnswered() | e.ModelInterrupted() | e.QuestionAnswered() as p:
            return _parts("message", p.text)
        case e.ApprovalRequested() as p:
            return _parts("message", p.question) if p.ask != "tool_call" else []
        case e.ApprovalDenied() as p:
            return _parts("message", p.reason)
        case e.ToolCallRequested() as p if not p.listing:
            return _parts("arguments", "\n".join([p.tool, *_scalars(p.args)]), p.call_id)
        case e.ApprovalGranted() as p:
            return _parts("arguments", "\n".join(_scalars(p.args or {})))
        case e.ToolCallFinished() as p if p.outcome is not e.Outcome.OK:
            return _parts("error", p.text, p.call_id)
        case e.ToolCallFinished() as p if not p.output_bytes:  # else it is the preview of the output
            return _parts("result", p.text, p.call_id)
        case e.ModelRetried() as p:
            return _parts("error", p.error)
        case e.SetupFinished() as p:
            return _parts("result" if p.outcome is e.Outcome.OK else "error", p.text)
        case e.StatusChanged() as p if p.to_status in (Status.PAUSED, Status.FAILED):
            return _parts("error", p.reason)
        case _:
            return []


def _scalars(value: JsonValue) -> Iterator[str]:
    match value:
        case dict():
            for name, item in value.items():
                lines = list(_scalars(item))
                yield f"{name}: {lines[0]}" if len(lines) == 1 else name
                yield from lines if len(lines) > 1 else ()
        case list():
            for item in value:
                yield from _scalars(item)
        case None | bool():
            pass
        case _:
            yield str(value)


def _parts(part: Part, text: str, call_id: str | None = None) -> list[Text]:
    found: list[Text] = []
    text = spoken(text)
    line = 1
    while text.strip():
        cut = len(text) if len(text) <= TEXT_CHARACTERS else text.rfind("\n", 0, TEXT_CHARACTERS) + 1
        cut = cut or text.rfind(" ", 0, TEXT_CHARACTERS) + 1 or TEXT_CHARACTERS
        found.append(Text(part, text[:cut], call_id, line))
        line += text.count("\n", 0, cut)
        text = text[cut:]
    return found


def pieces(events: Sequence[e.Event]) -> Iterator[Piece]:
    """The pieces of events that follow each other: several events in one, or a long one in several."""
    gathered: list[str] = []
    seq = last = size = 0
    for event in events:
        found = [one.text for one in texts(event)]
        if not found:
            continue
        fresh = sum(map(len, found))
        if gathered and size + fresh > PIECE_CHARACTERS:
            yield Piece(seq, last, 0, len(gathered), tuple(gathered))
            gathered, size = [], 0
        if len(found) > 1 and fresh > PIECE_CHARACTERS:
            yield from (Piece(event.seq, event.seq, n, n + 1, (one,)) for n, one in enumerate(found))
            continue
        seq, last = seq if gathered else event.seq, event.seq
        gathered += found
        size += fresh
    if gathered:
        yield Piece(seq, last, 0, len(gathered), tuple(gathered))


def output_piece(data: bytes, *, ended: bool) -> int:
    """How many bytes of fresh output are the next piece: whole lines, unless one is too long or the output has ended.

    0 when there is no whole line yet.
    """
    window = data[:PIECE_BYTES]
    if ended and len(data) <= PIECE_BYTES:
        return len(data)
    whole = window.rfind(b"\n") + 1
    if whole or len(data) < PIECE_BYTES:
        return whole
    blank = window.rfind(b" ") + 1
    return blank or _whole_letters(data)


def _whole_letters(data: bytes) -> int:
    """A place near `PIECE_BYTES` where no letter of several bytes is cut in two."""
    back = (n for n in range(PIECE_BYTES, PIECE_BYTES - 4, -1) if data[n : n + 1] and data[n] & 0xC0 != 0x80)
    return next(back, PIECE_BYTES)
