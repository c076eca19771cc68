"""Nothing that a stranger writes steers a terminal."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.doors.cli.plain import Lines, line, plain

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
