"""Text of strangers (models, commands, repositories) made harmless for a terminal."""

import codecs
import re
import unicodedata
import urllib.parse

LINE_CHARACTERS = 2_000
"""A longer line is cut; the whole one is in the log."""

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[\]PX^_][^\n\r\x07\x1b]*(?:\x07|\x1b\\)"  # OSC, DCS, SOS, PM, APC: titles, links, clipboard
    r"|\x1b[ -/]*[0-~]?"  # all other escapes, and the beginning of one that its line doesn't end
    r"|\x9b[0-?]*[ -/]*[@-~]?"
)
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """`text` without escape sequences, control characters and marks that turn the direction of writing.

    Line feeds and tabs stay; a carriage return ends a line.
    """
    return _CONTROLS.sub("", _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n"))


def visible(text: str) -> str:
    """`text` with nothing left out: every character that is not seen is shown by a sign or its number.

    For what a person decides on, such as a command or a diff. Line feeds and tabs stay.
    """
    return _OTHERS.sub(lambda found: _sign(found.group()), text)


_OTHERS = re.compile("[^\n\t -~]")


def _sign(letter: str) -> str:
    number = ord(letter)
    if number < 0x20:
        return chr(0x2400 + number)
    if number == 0x7F:
        return "\u2421"
    if unicodedata.category(letter) in _UNSEEN or (letter.isspace() and letter != " "):
        return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
    return letter


_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def line(text: str, limit: int = LINE_CHARACTERS) -> str:
    """`text` on one line of at most `limit` characters."""
    flat = " ".join(plain(text).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


class Lines:
    """Bytes that come in pieces, as whole harmless lines; a sequence split over two pieces is kept together."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, data: bytes) -> list[str]:
        """The lines that are complete now."""
        whole, feed, self._rest = (self._rest + self._decoder.decode(data)).rpartition("\n")
        rows = _rows(whole) if feed else []
        if len(self._rest) > LINE_CHARACTERS * 4:
            rows += _rows(self._rest)
            self._rest = ""
        return rows

    def close(self) -> list[str]:
        """What is left."""
        rest, self._rest = self._rest + self._decoder.decode(b"", final=True), ""
        return _rows(rest) if rest else []


def _rows(text: str) -> list[str]:
    rows = [row for one in text.split("\n") for row in plain(one.removesuffix("\r")).split("\n")]
    return [row if len(row) <= LINE_CHARACTERS else row[:LINE_CHARACTERS] + "…" for row in rows]


def quote(project: str) -> str:
    """A project's path as one name of a URL."""
    return urllib.parse.quote(project, safe="")
