import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.search import LINE_CHARACTERS, Word, fold, query, readable, shown, words

ODD = st.text(
    st.one_of(
        st.sampled_from("aZ0_./-:* \n\té漢字İßΣςK\u017f한ก"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\x00"),
    ),
    max_size=60,
)


def test_a_text_is_kept_under_its_words() -> None:
    assert words("Test_foo ruff.toml:12 E501 Größe") == {"test", "foo", "ruff", "toml", "12", "e501", "größe"}
    assert words("数据库 abc한글") == {"数", "据", "库", "abc", "한", "글"}
    assert words("x" * 100) == {"x" * 32}
    assert words(" -- ") == set()


@given(ODD)
def test_folding_keeps_every_place_and_is_done_once(text: str) -> None:
    assert len(fold(text)) == len(text)
    assert fold(fold(text)) == fold(text)


@given(ODD, st.data())
def test_what_is_written_is_found_in_it_whatever_it_is(text: str, data: st.DataObject) -> None:
    """Any words of a text that stand whole in it; and the index has all that the query asks it for."""
    parts = [part for part in re.findall(r"\w+(?:[^\w\s\"]+\w+)*", text) if part[0].isalnum() and part[-1].isalnum()]
    if not parts:
        return
    chosen = data.draw(st.lists(st.sampled_from(parts), min_size=1, max_size=3))
    for asked in (query(" ".join(chosen)), query(f'"{chosen[0]}"')):
        assert asked.fits(text)
        assert {word.text for word in asked.words} <= words(text)
        assert all(part in fold(text) for part in asked.parts)
        marks = asked.marks(text)
        assert marks
        assert all(0 <= begin < end <= len(text) for begin, end in marks)
        assert all(one[1] <= two[0] for one, two in pairwise(marks))
    assert not query(f"{chosen[0]} -{chosen[0]}").fits(text)


@given(ODD, ODD)
def test_whatever_fits_is_kept_under_the_words_of_the_query(text: str, asked: str) -> None:
    try:
        wanted = query(asked)
    except InvalidInputError:
        return
    if wanted.fits(text):
        kept = words(text)
        for word in wanted.words:
            assert word.text in kept or (word.begins and any(one.startswith(word.text) for one in kept))


@pytest.mark.parametrize(
    ("asked", "text", "fits"),
    [
        ("ruff.toml", "see Ruff.TOML!", True), ("ruff.toml", "ruff_toml", False), ("ruff.toml", "a ruff.toml5", False),
        ("foo_bar", "test_foo_bar_baz", True), ("oo", "foo", False), ("b a", "a\nb", True), ("a c", "a b", False),
        ('"a b"', "a \n b", True), ('"a b"', "b a", False), ("a -b", "a c", True), ("a -b", "a b", False),
        ('a -"b c"', "a c b", True), ("--fix", "ruff --fix", True), ("- a", "a - b", True), ("- a", "a b", False),
        ("tim*", "a timeout", True), ("tim*", "atime", False), ("a.tim*", "a.time", True), ('"tim*"', "tim", False),
        ("tim.*", "tim.x", True), ("* tim", "a * tim", True), ('"" tim', "tim", True), ("据库", "数据库", True),
        ("据*", "数据库", True), ("straße", "STRASSE", False), ("\u03c3", "ὈΔΟΣ ς", True), ("foo", "xfoo foo", True),
        ("aa.aa", "xaa.aa.aa", True), ("b" * 40 + "*", "b" * 50, True), ("b" * 40, "b" * 50, False),
    ],
)  # fmt: skip
def test_what_fits(asked: str, text: str, fits: bool) -> None:
    assert query(asked).fits(text) is fits


def test_the_index_is_asked_for_words_that_have_to_be_there() -> None:
    assert query('err* -no "ruff.toml x"').words == {
        Word("err", begins=True), Word("ruff", begins=False), Word("toml", begins=False), Word("x", begins=False),
    }  # fmt: skip
    assert query("b" * 40 + "*").words == {Word("b" * 32, begins=False)}


def test_a_text_is_looked_through_by_parts_that_have_to_be_there() -> None:
    assert set(query('err* -no "Ruff.toml x"').parts) == {"err", "ruff.toml", "x"}


def test_marks_that_meet_are_one() -> None:
    assert query('"a b" "b c" d').marks("A b C - d a") == [(0, 5), (8, 9)]


@pytest.mark.parametrize(
    ("asked", "why"),
    [('a "b', "not closed"), ("-a", "at least one word"), ("...", "at least one word"), ("ab*", "3 letters"),
     ("据x*", "3 letters"), ("a" * 257, "at most 256"), ("a " * 17, "at most 16")],
)  # fmt: skip
def test_what_can_not_be_looked_for(asked: str, why: str) -> None:
    with pytest.raises(InvalidInputError, match=why):
        query(asked)


def test_output_is_read_without_a_terminals_codes_and_keeps_its_lines() -> None:
    coloured = "\x1b[1;31mError\x1b[0m: \x1b]8;;http://x\x07link\x1b]8;;\x1b\\\r\nnext\r"
    assert readable(coloured) == "Error: link\nnext"
    assert readable("\x1b]never closed\nnext") == "never closed\nnext"


def test_a_long_line_is_shown_around_what_was_found() -> None:
    assert shown("short", [(0, 5)]) == ("short", [(0, 5)])
    assert shown("x" * 500, []) == ("x" * LINE_CHARACTERS + "…", [])
    line = "x" * 400 + "here" + "y" * 400 + "there"
    cut, marks = shown(line, [(400, 404), (804, 809)])
    assert (cut[0], cut[-1], len(cut)) == ("…", "…", LINE_CHARACTERS + 2)
    assert [cut[begin:end] for begin, end in marks] == ["here"]
    cut, marks = shown(line, [(804, 809)])
    assert (cut[0], cut[-5:]) == ("…", "there")
    assert [cut[begin:end] for begin, end in marks] == ["there"]
