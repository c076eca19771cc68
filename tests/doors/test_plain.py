"""Nothing that a stranger writes steers a terminal."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.doors.cli.plain import Lines, line, plain, visible

HOSTILE = st.text(st.sampled_from([*"\x1b[]0123;?mHJKPX^_\\\x07\x9b\x9d\n\r\t\x00\x08\x7f\u202e\u2066ab ", "é", "漢"]))


@given(HOSTILE)
def test_no_control_reaches_the_terminal(text: str) -> None:
    shown = plain(text)
    assert all(unicodedata.category(letter) not in ("Cc",) or letter in "\n\t" for letter in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def test_whole_sequences_go_with_what_they_carry() -> None:
    assert plain("\x1b[31mred\x1b[0m") == "red"
    assert plain("a\x1b]8;;https://evil.example\x07link\x1b]8;;\x07b") == "alinkb"
    assert plain("\x1b]52;c;cm0gLXJm\x1b\\done") == "done"
    assert plain("10%\r20%\r\n") == "10%\n20%\n"
    assert plain("\x9b2Jx") == "x"


def test_a_sequence_without_end_hides_nothing_behind_it() -> None:
    for introducer in ("\x1b]", "\x1bP", "\x1b_", "\x1b^", "\x1bX"):
        assert plain(f"make{introducer}; rm -rf /") == "make; rm -rf /"
        assert plain(f"make{introducer}x\nrm -rf /\x07") == "makex\nrm -rf /"


@given(HOSTILE)
def test_what_is_decided_on_loses_nothing(text: str) -> None:
    shown = visible(text)
    assert plain(shown) == shown
    assert len(shown) >= len(text)
    rest = iter(shown)
    assert all(letter in rest for letter in text if letter in "ab?é漢\n\t"), "each is there, in order"


def test_what_is_not_seen_is_named() -> None:
    assert visible("a\x1b]0;\r\x7f\x9b") == "a␛]0;␍␡\\u009b"
    assert visible("x\u202ey\u200bz\xa0\U000e0041") == "x\\u202ey\\u200bz\\u00a0\\U000e0041"


def test_a_line_is_one_line() -> None:
    assert line("a\n\x1b[2Jb\tc", 4) == "a b…"


@given(
    st.lists(
        st.sampled_from([b"ab", b"\x1b[3", b"1mred", b"\n", b"\xc3", b"\xa9", b"\xff", b"\r\n", b"\x1b]0;t", b"\x07"])
    )
)
def test_pieces_come_to_the_same_as_the_whole(pieces: list[bytes]) -> None:
    whole, parts = Lines(), Lines()
    once = [*whole.feed(b"".join(pieces)), *whole.close()]
    split = [row for piece in pieces for row in parts.feed(piece)] + parts.close()
    assert split == once


def test_a_line_without_end_is_cut_and_not_kept() -> None:
    lines = Lines()
    shown = [row for _ in range(100) for row in lines.feed(b"x" * 1_000)]
    assert shown
    assert all(len(row) <= 2_001 for row in shown)
