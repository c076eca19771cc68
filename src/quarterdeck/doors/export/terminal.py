"""What others wrote, made harmless for a page.

What commands print is read: escape sequences become the name of a colour, or nothing. What people decide on (a command,
a file, a diff) is looked at: there nothing is left out, and what is not seen is shown by a sign.
"""

import re
import unicodedata
from typing import NamedTuple

_COLOURS = re.compile(r"\x1b\[([0-9;:]{0,60})m")
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\n\x07\x1b]*(?:\x07|\x1b\\)"
    r"|\x1b[ -/]*[0-~]?"
    r"|\x9b[0-?]*[ -/]*[@-~]?"
)
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_FORMATS = "".join(sign for sign in map(chr, range(0x20000)) if unicodedata.category(sign) == "Cf")
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\xa0\u034f\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u2800\u3000\u3164\ud800-\udfff\ufe00-\ufe0f\uffa0\ufff0-\ufffc\U000e0000-\U000e0fff"
    f"{_FORMATS}]"
)
"""Controls, formats such as marks that turn the direction of writing, blanks that are none, what has no width."""


class Span(NamedTuple):
    """Text of one look; `look` names classes of the page."""

    look: str
    text: str


def plain(text: str) -> str:
    """`text` without escape sequences, controls, and marks that are not seen or turn the direction of writing."""
    return _UNSEEN.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n")).replace("\r", "\n"))


def visible(text: str) -> str:
    """`text` with nothing left out: `␛`, `⟨U+202E⟩` for what is not seen. Line feeds and tabs stay."""
    return _HIDDEN.sub(lambda found: _sign(ord(found.group())), text)


def coloured(text: str) -> list[Span]:
    """`text` in pieces of one colour each."""
    return coloured_from(text, frozenset())[0]


def coloured_from(text: str, look: frozenset[str]) -> tuple[list[Span], frozenset[str]]:
    """The same from a look on, and the look behind it."""
    found: list[Span] = []
    # split: text, the numbers of a sequence, text, …
    for place, piece in enumerate(_COLOURS.split(text)):
        if place % 2:
            look = _after(look, piece)
        elif shown := plain(piece):
            found.append(Span(" ".join(sorted(look)), shown))
    return found, look


def diff(text: str) -> list[Span]:
    """A diff, each line by what it does. Only a line feed ends a line of it, as git has it."""
    return [Span(_line_look(row), visible(row)) for row in re.findall(r"[^\n]*\n|[^\n]+", text)]


def _sign(number: int) -> str:
    if number < 0x20:
        return chr(0x2400 + number)
    return "␡" if number == 0x7F else f"⟨U+{number:04X}⟩"


def _line_look(row: str) -> str:
    if row.startswith(("diff --git ", "index ", "--- ", "+++ ")):
        return "file"
    return {"+": "plus", "-": "minus", "@": "hunk"}.get(row[:1], "")


def _after(look: frozenset[str], numbers: str) -> frozenset[str]:
    """The look behind a sequence; what has more colours than sixteen is shown without."""
    changed = set(look)
    codes = [int(number) if number else 0 for number in re.split("[;:]", numbers)]
    while codes:
        code = codes.pop(0)
        if code == 0:
            changed.clear()
        elif code in (1, 2, 3, 4):
            changed.add(f"s{code}")
        elif code in (22, 23, 24):
            changed -= {"s1", "s2"} if code == 22 else {f"s{code - 20}"}
        elif code in (38, 48):
            del codes[: 2 if codes[:1] == [5] else 4]
        elif 30 <= code <= 37 or 90 <= code <= 97:
            changed = {one for one in changed if not one.startswith("c")} | {f"c{code % 10}"}
        elif code == 39:
            changed = {one for one in changed if not one.startswith("c")}
    return frozenset(changed)
