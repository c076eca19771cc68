"""Output that comes in pieces, as HTML that comes to the same as the whole: no letter and no escape sequence is cut."""

import codecs
import re
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from markupsafe import Markup

from quarterdeck.core.text import clean
from quarterdeck.doors.web.texts import terminal_from

KEPT = 64
"""Ends of pieces that are known; a piece behind none of them begins plain."""
_BEGUN = re.compile(r"(?:\x1b(?:\[[0-?]{0,64}|[\]PX^_][^\n\x07\x1b]{0,256}\x1b?)?|\r)\Z")
"""What may go on in the next piece."""


@dataclass(frozen=True)
class _End:
    """What a piece leaves to the one behind it."""

    decoder: tuple[bytes, int]
    begun: str
    look: frozenset[str]


_START = _End((b"", 0), "", frozenset())


class Printing:
    """Pieces of the output of calls, told to many who have come to different places: each place is known by itself."""

    def __init__(self) -> None:
        self._ends: OrderedDict[tuple[str, int], _End] = OrderedDict()
        self._lock = Lock()

    def html(self, call_id: str, offset: int, data: bytes) -> Markup:
        """A piece that stands at `offset`. Call it in any thread."""
        with self._lock:
            before = self._ends.get((call_id, offset))
        end = before or _START
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        decoder.setstate(end.decoder)
        text = end.begun + clean(decoder.decode(data))
        begun = found[0] if (found := _BEGUN.search(text)) else ""
        html, look = terminal_from(text[: len(text) - len(begun)], end.look)
        left, place = _End(decoder.getstate(), begun, look), (call_id, offset + len(data))
        with self._lock:
            if before or not offset or place not in self._ends:  # who came in the middle knows less of the colour
                self._ends[place] = left
            while len(self._ends) > KEPT:
                self._ends.popitem(last=False)
        return html
