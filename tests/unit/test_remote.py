"""Our marks in texts at a forge, and pauses that a service elsewhere asks for."""

from datetime import timedelta

from quarterdeck.core.errors import RateLimitedError
from quarterdeck.core.remote import mark, marked, unmarked


def test_a_mark_is_found_and_taken_away() -> None:
    text = f"Because.\n\n{mark('comment', 12)}\n<sub>ada in Quarterdeck</sub>"
    assert marked(text) == ("comment", 12)
    assert unmarked(text) == "Because."
    assert (marked("Because."), unmarked("Because.")) == (None, "Because.")
    assert marked("<!-- quarterdeck:comment:x -->") is None
    assert marked(f"<!-- quarterdeck:comment:{'9' * 19} -->") is None, "a number that no row has"


def test_a_pause_has_its_length() -> None:
    assert RateLimitedError("Later.", wait=timedelta(seconds=7)).wait == timedelta(seconds=7)
    assert RateLimitedError().wait == timedelta(minutes=1)
